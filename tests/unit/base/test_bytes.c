/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/bytes.h"

#include <string.h>

static void
test_integers(void)
{
    g_autoptr(GByteArray) w = g_byte_array_new();
    const guint64 values[] = {0, 1, 127, 128, 300, G_MAXUINT32, G_MAXUINT64};
    for (guint i = 0; i < G_N_ELEMENTS(values); i++)
        writer_varint(w, values[i]);
    writer_u32(w, 0x01020304);
    struct reader r = reader_over(w->data, w->len);
    for (guint i = 0; i < G_N_ELEMENTS(values); i++)
        g_assert_cmpuint(reader_varint(&r), ==, values[i]);
    g_assert_cmpuint(reader_u32(&r), ==, 0x01020304);
    g_assert_false(r.failed);
    g_assert_cmpuint(reader_u8(&r), ==, 0);
    g_assert_true(r.failed);

    const guint8 endless[11] = {255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 1};
    r = reader_over(endless, sizeof endless);
    reader_varint(&r);
    g_assert_true(r.failed);
}

/* After the first read beyond the end everything is zero, also what would fit again. */
static void
test_end(void)
{
    const guint8 three[3] = {1, 2, 3};
    guint8 copy[4] = {9, 9, 9, 9};
    struct reader r = reader_over(three, sizeof three);
    reader_copy(&r, NULL, 0); /* nothing, to nowhere */
    g_assert_cmpuint(reader_u16(&r), ==, 0x0201);
    g_assert_null(reader_span(&r, 2));
    g_assert_true(r.failed);
    g_assert_cmpuint(reader_u8(&r), ==, 0);
    g_assert_cmpuint(reader_varint(&r), ==, 0);
    reader_copy(&r, copy, sizeof copy);
    g_assert_cmpmem(copy, 4, "\0\0\0\0", 4);
    r = reader_over(three, sizeof three);
    g_assert_null(reader_span(&r, SIZE_MAX));
    r = reader_over(three, sizeof three);
    g_assert_true(reader_span(&r, 3) == three);
    g_assert_cmpuint(reader_left(&r), ==, 0);
    g_assert_false(r.failed);
}

static void
test_varint_overflow(void)
{
    const guint8 too_large[10] = {255, 255, 255, 255, 255, 255, 255, 255, 255, 2};
    struct reader r = reader_over(too_large, sizeof too_large);
    reader_varint(&r);
    g_assert_true(r.failed);
    r = reader_over(too_large, 5);
    reader_varint(&r);
    g_assert_true(r.failed);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/base/bytes/integers", test_integers);
    g_test_add_func("/base/bytes/end", test_end);
    g_test_add_func("/base/bytes/varint-overflow", test_varint_overflow);
    return g_test_run();
}
