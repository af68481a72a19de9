/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "base/hash.h"
#include "base/uuid.h"

#include <stdint.h>

/* The change log: one file format for the outbox, the wire, the replica's store, an export folder and an extended replica (design D1).
 *
 *   +--------------------------------------------------------------------------------------------------+
 *   | header   fixed part (LOG_HEADER_FIXED bytes), disk table, configuration sections, XXH3-128        |
 *   +--------------------------------------------------------------------------------------------------+
 *   | frame 0  fixed part (LOG_FRAME_FIXED bytes), extent list, payload                                 |
 *   | frame 1  ...                                                                                      |
 *   +--------------------------------------------------------------------------------------------------+
 *   | index    per frame: disk, file offset, raw length, extent list (the same bytes as in the frame)   |
 *   +--------------------------------------------------------------------------------------------------+
 *   | trailer  LOG_TRAILER_SIZE bytes: where the index is, totals, SHA-256                              |
 *   +--------------------------------------------------------------------------------------------------+
 *
 * All integers little-endian.  Offsets and lengths on disks are multiples of LOG_SECTOR; in extent lists they are counted in sectors.
 *
 *   header   u8[8] magic "VMRLOG\r\n" | u16 version | u16 kind | u32 flags | u32 header length (all of it, with its hash)
 *            | u8[16] vm | u8[16] log | u8[16] parent (nil: none) | u64 epoch | u64 sequence | i64 capture time, us since 1970 UTC
 *            | u32 longest raw frame | u16 number of disks | u16 number of sections | u32 reserved, zero
 *     disk   u16 id | u16 length of target name | u32 reserved | u64 size in bytes | target name (e.g. "vda"), no NUL
 *     section u16 type | u16 codec | u32 stored length | u32 raw length | stored bytes
 *     then   u8[16] XXH3-128 of everything before it
 *   frame    u32 magic | u16 disk | u8 codec | u8 reserved | u32 length of extent list | u32 extents | u32 raw length | u32 stored length
 *            | u8[16] XXH3-128 of (the 24 bytes before it, extent list, payload) | extent list | payload
 *     extent varint gap: sectors between the end of the previous extent of this frame (0 for the first) and this one
 *            | varint (sectors << 1 | zero).  Zero extents have no payload.  The payload is the data of the other extents, in order.
 *   index    u32 magic | u32 frames | per frame: varint disk, varint file offset (difference to the previous frame's), varint raw length,
 *            varint stored length, u8 codec, varint length of extent list, varint extents, extent list
 *   trailer  u8[8] magic "VMREND\r\n" | u64 index offset | u64 index length | u64 file length | u64 raw bytes | u64 zero bytes
 *            | u32 frames | u32 reserved | u8[16] XXH3-128 of the index and the 56 bytes before | u8[32] SHA-256
 *
 * The SHA-256 covers the header, every frame's fixed part and extent list, the index, and the trailer up to the digest.  Payloads enter
 * through their XXH3-128 in the frame's fixed part, so a receiver verifies everything in one pass and hashes little with SHA-256.
 * Whoever only opens a log for reading trusts the XXH3-128 of header, index and trailer, and that of each frame when it is read.
 * A file that ends before its trailer is a torn log: it is resumed or dropped, never used.
 *
 * Version 2 is version 1 with LZ4 among the codecs of frames.  A writer claims it only for a log that may have such frames, so that whoever
 * knows version 1 alone reads all others. */

#define LOG_MAGIC         "VMRLOG\r\n"
#define LOG_TRAILER_MAGIC "VMREND\r\n"
#define LOG_VERSION       2 /* the newest that is read */
#define LOG_VERSION_LZ4   2
#define LOG_HEADER_FIXED  104
#define LOG_FRAME_MAGIC   0x4d524656u /* "VFRM" */
#define LOG_INDEX_MAGIC   0x58444956u /* "VIDX" */
#define LOG_FRAME_FIXED   40
#define LOG_TRAILER_SIZE  104
#define LOG_SECTOR        512u
#define LOG_PAGE          4096u

/* Limits that a reader enforces before it allocates. */
#define LOG_HEADER_MAX    (16u << 20)
#define LOG_SECTION_MAX   (8u << 20)
#define LOG_DISKS_MAX     256
#define LOG_SECTIONS_MAX  16
#define LOG_TARGET_MAX    64
#define LOG_EXTENT_LIST_MAX (64u << 10)
#define LOG_FRAMES_MAX    (1u << 26)
#define LOG_INDEX_MAX     (1u << 30)
#define LOG_FRAME_RAW_MAX (4u << 20)
#define LOG_FRAME_RAW_DEFAULT (64u << 10) /* measured: docs/benchmarks.md */
#define LOG_DISK_SIZE_MAX ((uint64_t)1 << 50)

enum log_kind { LOG_KIND_STANDARD = 1, LOG_KIND_APPLICATION = 2, LOG_KIND_PLANNED = 3 }; /* numbers of LastReplicationType */

/* FUZZY: read from a live disk, not one instant (initial copy, scans); no recovery point, whole only together with the next log that is
 * not fuzzy. */
#define LOG_FLAG_FUZZY 1u

enum log_codec { LOG_CODEC_RAW = 0, LOG_CODEC_ZSTD = 1, LOG_CODEC_LZ4 = 2 };
enum log_section { LOG_SECTION_DOMAIN_XML = 1, LOG_SECTION_NVRAM = 2, LOG_SECTION_TPM = 3, LOG_SECTION_QUIESCE = 4,
                   LOG_SECTION_GROUP = 5 };

struct log_disk {
    uint16_t id;      /* stable for the life of the relationship */
    char *target;     /* "vda" */
    uint64_t size;    /* bytes at capture time */
};

struct log_info {
    uint16_t version; /* of the format; writers set it themselves */
    struct uuid vm, id, parent;
    uint64_t epoch, sequence;
    int64_t capture_us;
    enum log_kind kind;
    uint32_t flags;
    uint32_t frame_raw_max;
    unsigned disk_count;
    struct log_disk *disks;
};
