/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "store/fingerprint.h"
#include "store/fpjournal.h"
#include "store/fpmap.h"
#include "store/testing.h"

/* The inside of struct fingerprint, for fingerprint.c and fpcopy.c. */

struct fpdisk {
    guint16 id;
    guint64 size;       /* bytes, as of `log` */
    struct fpmap *map;
};

struct fingerprint {
    char *dir, *doubt;
    guint8 key[HASH_SECRET];
    struct uuid log;
    guint64 generation;
    GArray *disks;      /* struct fpdisk */
    struct fpjournal *journal;
    bool recording;     /* between begin and commit or drop */
    bool learning;      /* maps hold hashes that stand for nothing yet */
    bool unsynced;      /* a flush failed, after which the kernel takes for written what is not: only replaying the journal helps */
    GArray *sizes;      /* struct log_disk without names: of the log that is recorded */
    struct fingerprint_counts counts;
    void (*step)(void *data, const char *name);
    void *step_data;
};

struct fpdisk *fingerprint_disk(const struct fingerprint *f, guint16 id); /* NULL: nothing is known about it */
static inline guint64
fingerprint_pages(guint64 size)
{
    return size / LOG_PAGE + (size % LOG_PAGE != 0);
}
