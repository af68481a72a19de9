/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "store/flat.h"

/* The flattened index of neighbouring logs, saved, so that a view need not read their indexes one by one (docs/decisions/007).
 *
 * A cache, never the truth: whoever finds none, or one that is damaged, reads the logs themselves.  Replaced as a whole and durably; the
 * logs that it describes are named by the digests of their trailers, so one that was merged meanwhile is found out.
 *
 *   <dir>/index/<sequence of the first log>-<of the last one>.vri
 *
 *   head     u8[8] magic "VMRSPAN\n" | u32 version | u32 logs | u32 disks | u32 blocks | u8[16] vm | u8[16] parent of the oldest log
 *            | u64 length of the file | u8[16] XXH3-128 of all before it and of the tables
 *   tables   logs, newest first: u8[16] id | u64 sequence | u64 length of the file | u32 frames | u32 zero | u8[32] SHA-256 of its trailer
 *            | disks: u16 id | u16 zero | u32 blocks | u64 bytes: from there on nothing comes from below the span
 *            | blocks, by disk and place: u64 first sector | u64 place in the file | u32 length | u32 segments | u8[16] XXH3-128
 *   blocks   segments, ascending: varint gap in sectors (to the end of the one before; to the block's first sector) | varint (sectors << 1
 *            | zero) | unless zero: varint frame, counted from the newest log's first on | varint sector of the frame's raw bytes
 *
 * All integers little-endian.  Head and tables are in memory, blocks are read when they are wanted.  Any thread may read. */

#define SPAN_LOGS_MAX 4096u
#define SPAN_BYTES_MAX (64u << 20)

struct span_log {
    struct uuid id;
    uint64_t sequence, file_bytes;
    uint32_t frames;
    uint8_t digest[LOG_DIGEST];
};

struct span;
struct span *span_open(const char *path, const struct uuid *vm, GError **err); /* ERR_CORRUPT: damaged, or another guest's */
void span_free(struct span *s);
unsigned span_logs(const struct span *s);
const struct span_log *span_log(const struct span *s, unsigned i); /* newest first */
const struct uuid *span_parent(const struct span *s);              /* of the oldest */
uint32_t span_frames(const struct span *s);
uint64_t span_below(const struct span *s, uint16_t disk);          /* as flat_below; 0 when the newest log does not have the disk */
/* Appends the segments (struct flat_segment) of the blocks that touch sectors [from, to); frames are numbered from `first_frame` on. */
bool span_read(const struct span *s, uint16_t disk, uint64_t from, uint64_t to, uint32_t first_frame, GArray *out, GError **err);

bool span_check(const struct span *s, GError **err); /* every block */

/* Writing one: logs and parent first, then the disks, each with its segments from front to back; frames counted as in the file. */
struct span_writer;
struct span_writer *span_writer_new(const struct uuid *vm, const struct uuid *parent, const GArray *logs); /* of span_log, newest first */
void span_writer_disk(struct span_writer *w, uint16_t disk, uint64_t below);
void span_writer_segment(struct span_writer *w, const struct flat_segment *s);
bool span_writer_finish(struct span_writer *w, const char *path, GError **err); /* ERR_TOO_BIG: would be longer than SPAN_BYTES_MAX */
void span_writer_free(struct span_writer *w);

/* For the fuzzer: the same parsers without files and checksums. */
struct span *span_parse(const void *bytes, size_t len, uint64_t file_bytes, GError **err); /* head and tables */
bool span_parse_block(const void *bytes, size_t len, uint64_t sector, uint32_t segments, uint32_t frames, uint32_t first_frame,
                      GArray *out);
