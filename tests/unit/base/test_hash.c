/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/hash.h"

#include <glib.h>
#include <string.h>

/* The canonical bytes are part of the file format: this value must never change (XXH3-128 of no bytes, seed 0). */
static void
test_known_value(void)
{
    static const guint8 nothing[16] = {0x99, 0xaa, 0x06, 0xd3, 0x01, 0x47, 0x98, 0xd8, 0x60, 0x01, 0xc3, 0x24, 0x46, 0x8d, 0x49, 0x7f};
    struct hash128 h = hash128_of("", 0);
    g_assert_cmpmem(h.bytes, 16, nothing, 16);
}

static void
test_in_pieces(void)
{
    guint8 data[5000];
    for (guint i = 0; i < sizeof data; i++)
        data[i] = (guint8)g_test_rand_int();
    struct hash128 whole = hash128_of(data, sizeof data);
    for (gsize piece = 1; piece < sizeof data; piece = piece * 3 + 1) {
        struct hash128_state *s = hash128_new();
        for (gsize at = 0; at < sizeof data; at += piece)
            hash128_update(s, data + at, MIN(piece, sizeof data - at));
        struct hash128 h = hash128_final(s);
        g_assert_cmpmem(h.bytes, 16, whole.bytes, 16);
    }
    data[4999] ^= 1;
    struct hash128 other = hash128_of(data, sizeof data);
    g_assert_cmpint(memcmp(other.bytes, whole.bytes, 16), !=, 0);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/base/hash/known-value", test_known_value);
    g_test_add_func("/base/hash/in-pieces", test_in_pieces);
    return g_test_run();
}
