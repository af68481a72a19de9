/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/bytes.h"

#include <string.h>

#define VARINT_MAX 10 /* bytes */

struct reader
reader_over(const void *data, size_t len)
{
    return (struct reader){.at = data, .end = data ? (const uint8_t *)data + len : NULL};
}

size_t
reader_left(const struct reader *r)
{
    return (size_t)(r->end - r->at);
}

const void *
reader_span(struct reader *r, size_t len)
{
    if (r->failed || reader_left(r) < len) {
        r->failed = true;
        return NULL;
    }
    const void *span = r->at;
    if (len) /* an empty reader may be over NULL */
        r->at += len;
    return span;
}

void
reader_copy(struct reader *r, void *to, size_t len)
{
    const void *from = reader_span(r, len);
    if (!len) /* then `to` may be NULL, which the functions of C must not be given */
        return;
    if (from)
        memcpy(to, from, len);
    else
        memset(to, 0, len);
}

static uint64_t
reader_uint(struct reader *r, size_t width)
{
    const uint8_t *p = reader_span(r, width);
    uint64_t v = 0;
    for (size_t i = width; p && i-- > 0;)
        v = v << 8 | p[i];
    return v;
}

uint8_t
reader_u8(struct reader *r)
{
    return (uint8_t)reader_uint(r, 1);
}
uint16_t
reader_u16(struct reader *r)
{
    return (uint16_t)reader_uint(r, 2);
}
uint32_t
reader_u32(struct reader *r)
{
    return (uint32_t)reader_uint(r, 4);
}
uint64_t
reader_u64(struct reader *r)
{
    return reader_uint(r, 8);
}

/* Millions of these are read when a recovery point is opened. */
uint64_t
reader_varint(struct reader *r)
{
    const uint8_t *at = r->at;
    const size_t most = r->failed ? 0 : MIN(reader_left(r), VARINT_MAX);
    uint64_t v = 0;
    for (size_t i = 0; i < most && (i < VARINT_MAX - 1 || at[i] <= 1); i++) {
        v |= (uint64_t)(at[i] & 0x7f) << (7 * i);
        if (!(at[i] & 0x80)) {
            r->at = at + i + 1;
            return v;
        }
    }
    r->failed = true;
    return 0;
}

static void
writer_uint(GByteArray *w, uint64_t v, guint width)
{
    guint8 bytes[8];
    for (guint i = 0; i < width; i++)
        bytes[i] = (guint8)(v >> (8 * i));
    g_byte_array_append(w, bytes, width);
}

void
writer_u8(GByteArray *w, uint8_t v)
{
    writer_uint(w, v, 1);
}
void
writer_u16(GByteArray *w, uint16_t v)
{
    writer_uint(w, v, 2);
}
void
writer_u32(GByteArray *w, uint32_t v)
{
    writer_uint(w, v, 4);
}
void
writer_u64(GByteArray *w, uint64_t v)
{
    writer_uint(w, v, 8);
}

void
writer_varint(GByteArray *w, uint64_t v)
{
    guint8 bytes[10];
    guint n = 0;
    do {
        bytes[n] = (guint8)(v & 0x7f);
        v >>= 7;
        bytes[n++] |= v ? 0x80 : 0;
    } while (v);
    g_byte_array_append(w, bytes, n);
}

void
writer_bytes(GByteArray *w, const void *data, size_t len)
{
    g_byte_array_append(w, data, (guint)len);
}
