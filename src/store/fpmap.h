/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "base/hash.h"

#include <glib.h>
#include <stdbool.h>
#include <string.h>

/* The hashes of one disk's pages: a sparse file of blocks of FPMAP_BLOCK bytes.
 *
 *   block   FPMAP_HASHES hashes | XXH3-128, keyed, of (these, number of the disk, number of the block)
 *
 * A block that is a hole, torn, flipped or misplaced has no right digest: all its hashes are unknown.  Nothing is synced but by fpmap_sync.
 *
 * Read with pread and not mapped: a read error is an error and not a signal, as is a full file system, and the digest is verified with each
 * block that is loaded.  One block is cached.  One thread at a time. */

#define FPMAP_BLOCK 4096u
#define FPMAP_HASHES 255u

/* Never the hash of a page (fingerprint_page sees to it). */
#define FPMAP_UNKNOWN ((struct hash128){ { 0 } })
#define FPMAP_ZERO ((struct hash128){ { [15] = 1 } })
static inline bool
fpmap_is_unknown(const struct hash128 *h)
{
    return memcmp(h, &FPMAP_UNKNOWN, sizeof *h) == 0;
}

struct fpmap;
/* Makes the file when there is none.  `key` must live as long. */
struct fpmap *fpmap_open(const char *path, guint16 disk, const guint8 *key, guint64 pages, GError **err);
void fpmap_close(struct fpmap *m); /* what was not written is lost; NULL is fine */
guint64 fpmap_pages(const struct fpmap *m);

bool fpmap_get(struct fpmap *m, guint64 page, struct hash128 *out, GError **err);                /* beyond the end: unknown */
bool fpmap_set(struct fpmap *m, guint64 page, const struct hash128 *hashes, gsize count, GError **err);
bool fpmap_fill(struct fpmap *m, guint64 page, guint64 count, const struct hash128 *hash, GError **err);
/* Pages from `keep` on become unknown; the map has `pages` then. */
bool fpmap_resize(struct fpmap *m, guint64 keep, guint64 pages, GError **err);
bool fpmap_clear(struct fpmap *m, GError **err);                                                 /* all unknown, durably or not */
bool fpmap_write(struct fpmap *m, GError **err);                                                 /* the cached block, if it changed */
bool fpmap_sync(struct fpmap *m, GError **err);                                                  /* everything so far is durable */
bool fpmap_unknown(struct fpmap *m, guint64 *pages, GError **err);                               /* how many */
