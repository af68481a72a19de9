/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/block.h"

bool
block_read(struct block *b, void *buf, size_t len, uint64_t off, GError **err)
{
    g_assert(off <= b->size && len <= b->size - off);
    return b->ops->read(b, buf, len, off, err);
}

bool
block_read_all(struct block *b, const struct block_range *ranges, size_t count, GError **err)
{
    for (size_t i = 0; i < count; i++)
        g_assert(ranges[i].off <= b->size && ranges[i].len <= b->size - ranges[i].off);
    if (b->ops->read_all)
        return b->ops->read_all(b, ranges, count, err);
    for (size_t i = 0; i < count; i++)
        if (!b->ops->read(b, ranges[i].buf, ranges[i].len, ranges[i].off, err))
            return false;
    return true;
}

bool
block_extents(struct block *b, uint64_t off, uint64_t len, struct extents *out, GError **err)
{
    g_assert(off <= b->size && len <= b->size - off);
    return b->ops->extents(b, off, len, out, err);
}

void
block_close(struct block *b)
{
    if (b)
        b->ops->close(b);
}
