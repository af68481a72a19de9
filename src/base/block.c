/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/block.h"

bool
block_read(struct block *b, void *buf, size_t len, uint64_t off, GError **err)
{
    g_assert(off <= b->size && len <= b->size - off);
    return b->ops->read(b, buf, len, off, err);
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
