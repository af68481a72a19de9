/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "base/hash.h"
#include "log/writer.h"

/* Fingerprints (design D4): what the primary knows about the content of its replica, as a keyed 128-bit hash of every page of LOG_PAGE
 * bytes, per disk, in files of the primary.  They stand for one change log: the newest that is durable in the outbox or on the replica.
 *
 *   <dir>/key         HASH_SECRET random bytes: a guest chooses its data, so it must not know how they are hashed
 *   <dir>/head        which log the maps stand for, sizes of the disks, generation of the journal, keyed digest
 *   <dir>/<disk>.map  hashes (store/fpmap.h); a hole or a damaged block means "unknown", and a page that is unknown is always sent
 *   <dir>/journal     what changed since `head`, one record per log (store/fpjournal.h)
 *
 * One log:
 *   fingerprint_begin(f, &info)      `info.parent` should be fingerprint_log(f); if not, all is unknown from here on
 *   fingerprint_copy(f, w, ...)      like log_writer_copy, but pages that the replica has already are left out
 *   fingerprint_prepare(f)           the record is durable; only now may the log become durable
 *   fingerprint_commit(f)            the log is durable: the maps follow        or fingerprint_drop(f): the log will never be
 *
 * A crash leaves the old state or the new one: maps are written without a sync, and the journal is played again at open, up to the newest
 * record whose log `durable` knows.  What cannot be trusted (head, key, a journal that does not lead to a known log) is thrown away, and
 * fingerprint_doubt says why: then nothing is known, never something wrong.  Memory: a few KiB per disk, whatever its size; the page cache
 * does the rest (100 GiB have 402 MiB of hashes).  Errors: ERR_IO, ERR_NO_SPACE.  One thread at a time.  */

struct fingerprint;

/* Makes the folder when there is none. */
struct fingerprint *fingerprint_open(const char *dir, bool (*durable)(void *user, const struct uuid *log), void *user, GError **err);
void fingerprint_close(struct fingerprint *f); /* NULL is fine */

struct uuid fingerprint_log(const struct fingerprint *f);       /* nil: nothing is known */
const char *fingerprint_doubt(const struct fingerprint *f);     /* a sentence why nothing is known; NULL: as it should be */
bool fingerprint_forget(struct fingerprint *f, const char *why, GError **err);
uint64_t fingerprint_size(const struct fingerprint *f, uint16_t disk); /* 0: there are none of this disk */
/* Bytes of a disk of `size` bytes whose hashes are unknown.  Reads the whole map. */
bool fingerprint_unknown(struct fingerprint *f, uint16_t disk, uint64_t size, uint64_t *bytes, GError **err);

bool fingerprint_begin(struct fingerprint *f, const struct log_info *info, GError **err);
bool fingerprint_copy(struct fingerprint *f, struct log_writer *w, uint16_t disk, struct block *from, const struct extents *extents,
                      const gint *cancel, GError **err);
bool fingerprint_prepare(struct fingerprint *f, GError **err);
/* False: the log is durable, but the maps could not follow now; close, and the next open plays the journal. */
bool fingerprint_commit(struct fingerprint *f, GError **err);
void fingerprint_drop(struct fingerprint *f);

/* Counters since open. */
struct fingerprint_counts {
    uint64_t read, same;        /* bytes looked at; of these left out because the replica has them */
    uint64_t unknown;           /* bytes written because nothing was known about them */
};
struct fingerprint_counts fingerprint_counts(const struct fingerprint *f);

/* What the other side says it has (in doubt): all hashes of a log that both know, page by page, made with fingerprint_key.  The maps stand
 * for `log` when fingerprint_learned returns true; a begin or a crash before it leaves nothing known. */
const uint8_t *fingerprint_key(const struct fingerprint *f);    /* HASH_SECRET bytes */
bool fingerprint_learn(struct fingerprint *f, uint16_t disk, uint64_t size, uint64_t page, const struct hash128 *hashes, size_t count,
                       GError **err);
bool fingerprint_learned(struct fingerprint *f, const struct uuid *log, GError **err);
/* Hashes as they stand for fingerprint_log, FPMAP_UNKNOWN where nothing is known (fpmap.h). */
bool fingerprint_read(struct fingerprint *f, uint16_t disk, uint64_t page, size_t count, struct hash128 *out, GError **err);
/* Nothing is known of these pages any more, so the next log that reads them has them.  Between two logs.  A crash forgets it. */
bool fingerprint_distrust(struct fingerprint *f, uint16_t disk, uint64_t page, uint64_t count, GError **err);
/* The hash of one page, the last of a disk may be short; zero pages have one that is the same under every key. */
struct hash128 fingerprint_page(const void *data, size_t len, const uint8_t *key);
