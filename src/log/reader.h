/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "log/info.h"

/* Opens a finished change log: header, trailer, index and digests of these are verified at open (ERR_CORRUPT says what and where).
 * Frame payloads are verified whenever they are read.  After open a reader is immutable: any number of threads may read frames. */

struct log_frame {
    uint16_t disk;
    uint8_t codec;
    uint64_t file_offset;
    uint32_t raw_length, stored_length, extent_count;
    const uint8_t *extents; /* coded list, owned by the reader */
    size_t extents_length;
};

struct log_extent {
    uint64_t offset, length; /* bytes on the disk */
    bool zero;
    uint32_t raw_offset;     /* where its data starts in the frame's raw bytes */
};

struct log_reader;
struct log_reader *log_reader_open(const char *path, GError **err);
struct log_reader *log_reader_open_fd(int fd, const char *path, GError **err); /* takes the descriptor, also when it fails */
void log_reader_close(struct log_reader *r);
const struct log_info *log_reader_info(const struct log_reader *r);
struct log_header;
const struct log_header *log_reader_header(const struct log_reader *r); /* coding.h; lives as long as the reader */
const char *log_reader_path(const struct log_reader *r);
uint64_t log_reader_file_bytes(const struct log_reader *r);
uint64_t log_reader_raw_bytes(const struct log_reader *r);
uint64_t log_reader_zero_bytes(const struct log_reader *r);
#define LOG_DIGEST 32
const uint8_t *log_reader_digest(const struct log_reader *r); /* SHA-256 of the trailer: which log this is, whatever its id */
/* NULL without error: the log has no such section.  *len excludes the NUL that is added.  g_free. */
char *log_reader_section(const struct log_reader *r, enum log_section type, size_t *len, GError **err);
unsigned log_reader_frames(const struct log_reader *r);
const struct log_frame *log_reader_frame(const struct log_reader *r, unsigned i);
/* Decodes the i-th frame into buf (raw_length bytes), after verifying its hash. */
bool log_reader_data(const struct log_reader *r, unsigned i, void *buf, GError **err);

/* Walks a coded extent list; false at its end.  The list was validated at open. */
struct log_extent_iter {
    const uint8_t *at, *end;
    uint64_t sector;
    uint32_t raw;
};
struct log_extent_iter log_frame_extents(const struct log_frame *f);
bool log_extent_next(struct log_extent_iter *it, struct log_extent *out);

/* Header only (for listing a folder quickly); the rest of the file is not looked at. */
bool log_read_info(const char *path, struct log_info *info, GError **err);
/* The file has so many bytes, and ends with that digest: two system calls, nothing is verified. */
bool log_has_digest(int fd, uint64_t file_bytes, const uint8_t digest[LOG_DIGEST]);
