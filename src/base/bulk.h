/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

/* Writes one long file in order, past the page cache (O_DIRECT) where its file system can.
 *
 * For what is written once and read much later, if ever: it does not push out what others use, and the memory for its pages costs more
 * processor time than the disk does (measured: 0.2 to 1.6 s per GiB, 0.06 s without).  Pieces are gathered; whatever does not fill whole
 * blocks, at either end, goes through the page cache, and so does everything where the file system or its disk refuses.  A thread of its
 * own writes full pieces in their order, so that the caller gets the next ones meanwhile; it is up to 3 MiB behind.
 *
 * The file has a prefix of what was written until bulk_flush returned true, which does not make it durable: file_sync does.  An error may
 * be that of an earlier call's bytes; after it nothing more may be written.  One thread at a time, which keeps 4 MiB for its next file
 * until it ends; blocking.
 * Source: open(2), O_DIRECT. */

#define BULK_PIECE (UINT64_C(1) << 20)

struct bulk;
/* From byte `at` on; fd is borrowed, open for writing, `path` names the same file and is copied. */
struct bulk *bulk_new(int fd, const char *path, uint64_t at);
bool bulk_write(struct bulk *b, const void *data, size_t len, GError **err);
bool bulk_flush(struct bulk *b, GError **err); /* what is gathered; writing may go on */
void bulk_free(struct bulk *b);                /* without flush: some of what was not flushed is not written; NULL is fine */
