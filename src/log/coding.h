/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "base/bytes.h"
#include "log/reader.h"

/* The parts of a change log as bytes (format.h has the drawing).  Pure functions over memory that validate everything they decode:
 * writer, reader and verifier share them, the fuzzers feed them.  Any thread. */

struct log_header {
    struct log_info info;
    GArray *sections;       /* struct log_section_bytes, into `bytes` */
    GByteArray *bytes;      /* the whole header */
};
struct log_section_bytes {
    guint16 type, codec;
    guint32 raw_length, stored_length;
    gsize offset;           /* in bytes */
};
/* What a reader would refuse, a writer must not write: kinds, flags, disk table, frame size. */
bool log_info_check(const struct log_info *info, GError **err);
/* Takes nothing; sections are (type, data) pairs already stored by log_header_add_section. */
GByteArray *log_header_encode(const struct log_info *info, GPtrArray *sections);
/* One section as stored bytes (zstd where it gains), ready for log_header_encode. */
GByteArray *log_section_encode(enum log_section type, const void *data, size_t len);
/* Length of the header whose first LOG_HEADER_PREFIX bytes these are. */
#define LOG_HEADER_PREFIX 20
bool log_header_length(const void *prefix, guint32 *length, GError **err);
bool log_header_decode(const void *data, size_t len, struct log_header *out, GError **err);
void log_header_clear(struct log_header *h);
const struct log_section_bytes *log_header_find(const struct log_header *h, enum log_section type); /* as it is stored; NULL: none */
char *log_header_section(const struct log_header *h, enum log_section type, size_t *len, GError **err); /* as log_reader_section */

/* Fixed part of a frame: LOG_FRAME_FIXED bytes, LOG_FRAME_HEAD of them before its hash. */
#define LOG_FRAME_HEAD (LOG_FRAME_FIXED - 16)
void log_frame_head(GByteArray *out, const struct log_frame *f); /* these alone */
void log_frame_encode(GByteArray *out, const struct log_frame *f, const void *payload);
bool log_frame_decode(const void *fixed, const struct log_info *info, struct log_frame *out, struct hash128 *hash, GError **err);
bool log_frame_verify(const void *frame, const struct log_frame *f, const struct hash128 *hash); /* whole frame in memory */
/* Extents ascend, lie within the disk, and their data is raw_length bytes; sums zero bytes into *zero. */
bool log_extents_check(const struct log_frame *f, guint64 disk_size, guint64 *zero, GError **err);
void log_extent_append(GByteArray *list, guint64 *end_sector, guint64 offset, guint64 length, bool zero);

void log_index_append(GByteArray *index, guint64 *last_offset, const struct log_frame *f);

struct log_trailer {
    guint64 index_offset, index_length, file_length, raw_bytes, zero_bytes;
    guint32 frames;
};
/* Frames as struct log_frame, their extent lists point into data; number of frames and totals must be those of the trailer. */
GArray *log_index_decode(const void *data, size_t len, const struct log_trailer *t, const struct log_info *info, GError **err);
void log_trailer_encode(GByteArray *out, const struct log_trailer *t, const GByteArray *index); /* without the SHA-256 */
#define LOG_TRAILER_HASHED (LOG_TRAILER_SIZE - 32) /* bytes that the SHA-256 covers */
bool log_trailer_decode(const void *data, struct log_trailer *out, GError **err);
bool log_trailer_verify(const void *data, struct hash128_state *of_index); /* frees of_index, which has seen the index */

gsize log_decompress(guint16 codec, const void *from, gsize len, void *to, gsize raw); /* bytes written; not `raw`: damaged */
/* `level` is zstd's; LZ4 has none.  0: did not fit or gained nothing. */
gsize log_compress(enum log_codec codec, int level, const void *from, gsize len, void *to, gsize room);
gsize log_compress_room(gsize len);
bool log_codec_known(guint version, guint codec); /* of frames in a log of that version */
const char *log_codec_name(guint codec);
