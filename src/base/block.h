/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "base/extent.h"

/* A disk that can be read: a QEMU export, a scratch file, a recovery point, memory.  Whoever reads never asks which (design D2).
 *
 * An implementation embeds struct block as its first member.  block_read, block_read_all and block_extents may be called from several
 * threads at once.  Ranges outside [0, size) are programmer errors. */

struct block;

/* One of several ranges that are read together; they may lie anywhere. */
struct block_range {
    void *buf;
    size_t len;
    uint64_t off;
};

struct block_ops {
    bool (*read)(struct block *b, void *buf, size_t len, uint64_t off, GError **err);
    /* Adds the ranges of [off, off + len) to `out`, each as data or zero; "zero" is a promise, "data" is not. */
    bool (*extents)(struct block *b, uint64_t off, uint64_t len, struct extents *out, GError **err);
    void (*close)(struct block *b);
    /* What waits for a server has all of them under way at once.  NULL: `read`, one after the other. */
    bool (*read_all)(struct block *b, const struct block_range *ranges, size_t count, GError **err);
};

struct block {
    const struct block_ops *ops;
    uint64_t size; /* bytes, fixed after open */
};

bool block_read(struct block *b, void *buf, size_t len, uint64_t off, GError **err);
bool block_read_all(struct block *b, const struct block_range *ranges, size_t count, GError **err);
bool block_extents(struct block *b, uint64_t off, uint64_t len, struct extents *out, GError **err);
void block_close(struct block *b); /* NULL is fine */
#define block_auto __attribute__((cleanup(block_clean))) struct block *
static inline void block_clean(struct block **b) { block_close(*b); }

/* A regular file or block device, read-only; holes are zero extents.  Takes nothing: opens `path` itself. */
struct block *block_file_open(const char *path, GError **err);
/* `size` bytes of memory, zeroed; *data points into it and lives as long as the block.  For tests. */
struct block *block_mem_new(uint64_t size, uint8_t **data);
