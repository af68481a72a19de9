/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "base/hash.h"
#include "base/uuid.h"

#include <glib.h>
#include <stdbool.h>

/* What logs change in the maps of a fingerprint, one record per log, in a file that is written round and round: records of an older
 * generation are not seen, and blocks that exist already are overwritten, which needs one flush of the disk and no change of metadata.
 * Where they do not exist yet, the file grows by zeros for many records.
 *
 *   record  u32 magic | u32 0 | u64 generation | u64 length of all of it | u8[16] log | u8[16] parent | digest | entries
 *   entry   u64 page | u64 count | u16 disk | u16 kind | u32 0 | `count` hashes when kind is HASHES
 *   digest  XXH3-128, keyed, of the entries and the fields before it
 *
 * Little-endian.  One thread at a time. */

enum fpjournal_kind {
    FPJOURNAL_HASHES,
    FPJOURNAL_ZERO,       /* `count` zero pages */
    FPJOURNAL_UNKNOWN,
    FPJOURNAL_SIZE,       /* the disk has `page` bytes from here on */
};

struct fpjournal_entry {
    enum fpjournal_kind kind;
    guint16 disk;
    guint64 page, count;
    const struct hash128 *hashes; /* at most FPJOURNAL_RUN */
};
#define FPJOURNAL_RUN 4096u

struct fpjournal_record {
    struct uuid log, parent;
    guint64 at, length;
};

struct fpjournal;
struct fpjournal *fpjournal_open(const char *path, const guint8 *key, GError **err); /* makes the file; `key` must live as long */
void fpjournal_close(struct fpjournal *j);
/* Begins again at the front of the file. */
void fpjournal_rewind(struct fpjournal *j, guint64 generation);
guint64 fpjournal_bytes(const struct fpjournal *j); /* of the kept records */

void fpjournal_begin(struct fpjournal *j, const struct uuid *log, const struct uuid *parent);
bool fpjournal_add(struct fpjournal *j, const struct fpjournal_entry *e, GError **err); /* neighbours become one entry */
bool fpjournal_finish(struct fpjournal *j, GError **err);                               /* durable */
/* The record of the last finish, or, while none was begun, the next one in the file.  False: there is none, or it is damaged. */
bool fpjournal_next(struct fpjournal *j, struct fpjournal_record *out);
void fpjournal_keep(struct fpjournal *j, const struct fpjournal_record *record);
/* Hands out the entries of a record that fpjournal_next has found. */
typedef bool (*fpjournal_fn)(void *user, const struct fpjournal_entry *e, GError **err);
bool fpjournal_play(struct fpjournal *j, const struct fpjournal_record *record, fpjournal_fn fn, void *user, GError **err);
