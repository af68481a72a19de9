/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

/* Bytes with an end: the only way in which a parser of ours touches bytes from outside.
 *
 * A reader is a cursor over memory that it does not own.  The first read beyond the end sets `failed` for good; further reads give
 * zeros, so a parser may read a whole struct and ask once.  Integers are little-endian.  Varints are LEB128, at most 10 bytes.
 * Pure functions; one thread at a time per reader or writer. */

struct reader {
    const uint8_t *at, *end;
    bool failed;
};

struct reader reader_over(const void *data, size_t len);
size_t reader_left(const struct reader *r);
uint8_t reader_u8(struct reader *r);
uint16_t reader_u16(struct reader *r);
uint32_t reader_u32(struct reader *r);
uint64_t reader_u64(struct reader *r);
uint64_t reader_varint(struct reader *r);
const void *reader_span(struct reader *r, size_t len);         /* NULL and failed when fewer bytes are left */
void reader_copy(struct reader *r, void *to, size_t len);      /* zeros on failure */

void writer_u8(GByteArray *w, uint8_t v);
void writer_u16(GByteArray *w, uint16_t v);
void writer_u32(GByteArray *w, uint32_t v);
void writer_u64(GByteArray *w, uint64_t v);
void writer_varint(GByteArray *w, uint64_t v);
void writer_bytes(GByteArray *w, const void *data, size_t len);
