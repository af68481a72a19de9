/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/block.h"

#include <string.h>

struct block_mem {
    struct block block;
    uint8_t *data;
};

static bool
mem_read(struct block *b, void *buf, size_t len, uint64_t off, GError **err)
{
    memcpy(buf, ((struct block_mem *)b)->data + off, len);
    return true;
}

static bool
mem_extents(struct block *b, uint64_t off, uint64_t len, struct extents *out, GError **err)
{
    extents_add(out, off, len, EXTENT_DATA);
    return true;
}

static void
mem_close(struct block *b)
{
    g_free(((struct block_mem *)b)->data);
    g_free(b);
}

static const struct block_ops mem_ops = {mem_read, mem_extents, mem_close};

struct block *
block_mem_new(uint64_t size, uint8_t **data)
{
    struct block_mem *m = g_new0(struct block_mem, 1);
    m->block = (struct block){&mem_ops, size};
    m->data = g_malloc0(size);
    *data = m->data;
    return &m->block;
}
