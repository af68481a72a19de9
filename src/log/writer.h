/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "base/block.h"
#include "log/info.h"
#include "log/pool.h"

/* Writes one change log to a file.
 *
 *   w = log_writer_create(path, &info, opts, err)    creates `path` (must not exist, unless it is to be written anew)
 *   log_writer_section(w, type, data, len, err)      before the first byte of data
 *   log_writer_copy(w, disk, block, extents, err)    reads the extents from the block, packs, compresses; zero pages become zero extents
 *   log_writer_finish(w, &totals, err)               index, trailer, fsync of file and folder: the log is durable when this returns true,
 *                                                  unless it was to be relaxed
 *   log_writer_free(w)                               without finish: closes and unlinks the file
 *
 * Frames are packed by the threads of `pool`, which many writers share (log/pool.h), else by `threads` threads of its own, else (0) by
 * the caller, as a log of one frame is in any case; with threads the block is read ahead by a few more (log/readahead.h).  Frames keep
 * their order and the bytes do not depend on it.  What a reader would refuse (sizes, ids, ranges outside a
 * disk, more than the limits of format.h) is ERR_INVALID_PARAMETER or ERR_TOO_BIG.  One caller thread at a time. */

struct log_writer_options {
    int level;         /* of zstd, negative ones too; 0: store raw */
    bool lz4;          /* LZ4 instead, whatever the level: only for readers of LOG_VERSION_LZ4 */
    unsigned threads;      /* of its own, without a pool */
    struct log_pool *pool; /* borrowed; NULL: none */
    bool relaxed;      /* finish does not wait for the disk: a power cut may tear or lose the file, which its reader notices */
    bool anew;         /* the file is there, and what is in it goes */
    bool renamed;      /* the caller renames the file durably, which flushes the folder: finish does not */
    uint32_t frame_raw; /* 0: LOG_FRAME_RAW_DEFAULT */
};

struct log_totals {
    uint64_t file_bytes, raw_bytes, zero_bytes;
    uint32_t frames;
    int64_t pack_us; /* processor time that packing took */
};

struct log_writer;
struct log_writer *log_writer_create(const char *path, const struct log_info *info, const struct log_writer_options *opts, GError **err);
bool log_writer_section(struct log_writer *w, enum log_section type, const void *data, size_t len, GError **err);
/* Every range of `extents` (bytes, sector-aligned or up to the end of the disk) is written; *cancel (may be NULL) is polled. */
bool log_writer_copy(struct log_writer *w, uint16_t disk, struct block *from, const struct extents *extents, const gint *cancel,
                     GError **err);
/* Ready bytes, for consolidation; len <= frame_raw. */
bool log_writer_data(struct log_writer *w, uint16_t disk, uint64_t offset, const void *data, size_t len, GError **err);
bool log_writer_zero(struct log_writer *w, uint16_t disk, uint64_t offset, uint64_t len, GError **err);
bool log_writer_finish(struct log_writer *w, struct log_totals *totals, GError **err);
/* Of one disk, after finish: bytes of data before and after compression. */
void log_writer_disk_bytes(const struct log_writer *w, uint16_t disk, uint64_t *raw, uint64_t *stored);
uint64_t log_writer_raw_bytes(const struct log_writer *w); /* so far */
void log_writer_free(struct log_writer *w);                /* NULL is fine */
