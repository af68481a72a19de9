/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "repl/swap.h"

#include <stdint.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Whatever a disk holds: areas are whole pages inside of it, in order, and none is watched. */
int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    enum { DISK = 256 << 10 };
    uint8_t *bytes;
    struct swap_map map;
    g_autoptr(GError) err = NULL;
    struct block *b = block_mem_new(DISK, &bytes);
    memcpy(bytes, data, MIN(size, DISK));
    g_assert_true(swap_find(b, &map, &err));
    uint64_t end = 0;
    for (guint i = 0; i < map.areas->len; i++) {
        const struct swap_area *a = &g_array_index(map.areas, struct swap_area, i);
        g_assert_true(a->offset >= end && a->length && a->offset % 4096 == 0 && a->length % 4096 == 0);
        end = a->offset + a->length;
        g_assert_cmpuint(end, <=, DISK);
    }
    for (guint i = 0; i < map.watched->len; i++) {
        const struct swap_watched *w = &g_array_index(map.watched, struct swap_watched, i);
        g_assert_true(w->length && w->offset + w->length <= DISK);
    }
    swap_map_clear(&map);
    block_close(b);
    return 0;
}
