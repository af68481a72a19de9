/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "store/store.h"
#include "store/view.h"

/* A guest's disks in memory, the change logs that bring them from one state to the next, and every state that ever was, to compare with
 * what the store says.  Random, from g_test_rand_int: `--seed` repeats a run.  Errors end the test. */

#define MODEL_DISKS 2

struct version {
    struct uuid id, parent;
    bool fuzzy;
    gint64 capture_us;
    char *log;                    /* path of the change log */
    uint64_t size[MODEL_DISKS];   /* 0: the guest does not have the disk */
    uint8_t *data[MODEL_DISKS];
};

struct model {
    char *dir;                    /* where the logs are written */
    struct uuid vm, head;
    uint64_t sequence, epoch;
    gint64 capture_us;
    bool fixed_size;              /* disks neither change their size nor come and go */
    bool packs;                   /* what is written can be packed, with another level in each log */
    int level;                    /* of zstd in all logs; 0: as it comes */
    uint64_t size[MODEL_DISKS];
    uint8_t *data[MODEL_DISKS];
    GPtrArray *versions;          /* struct version, oldest first */
};

/* A folder that vanishes with the process, however it ends. */
char *temporary_folder(void);

struct model *model_new(const char *dir);
void model_free(struct model *m);
struct version *model_step(struct model *m, bool fuzzy); /* some random writes, and their log */
struct version *model_send(struct model *m, int disk, const struct extents *ranges); /* a fuzzy log: they are sent again as they are */
/* Where a flipped bit of that log cannot be overlooked: in the data of its largest frame, or in its header when it has no data at all.  (A
 * frame of zeros is never read, and a place by the file's length may be in the head of one.) */
uint64_t model_vital(const char *log);
struct version *model_find(struct model *m, const struct uuid *id);
void model_rewind(struct model *m, const struct uuid *id); /* everything after id never happened */

void model_ingest(struct model *m, struct store *s, const struct version *v); /* in random pieces, interrupted and resumed */
void model_check_view(struct model *m, struct view *v, const struct uuid *id);
void model_check_store(struct model *m, struct store *s); /* every point of the store through a view */
