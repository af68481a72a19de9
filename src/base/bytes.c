/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/bytes.h"

#include <string.h>

struct reader
reader_over(const void *data, size_t len)
{
    return (struct reader){.at = data, .end = (const uint8_t *)data + len};
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
    r->at += len;
    return span;
}

void
reader_copy(struct reader *r, void *to, size_t len)
{
    const void *from = reader_span(r, len);
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

uint64_t
reader_varint(struct reader *r)
{
    uint64_t v = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
        uint8_t byte = reader_u8(r);
        if (r->failed)
            return 0;
        if (shift == 63 && byte > 1)
            break;
        v |= (uint64_t)(byte & 0x7f) << shift;
        if (!(byte & 0x80))
            return v;
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
