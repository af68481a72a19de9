/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "base/block.h"

/* Reads the ranges of a block ahead of whoever consumes them, and hands them out in order.
 *
 * The ranges are cut into pieces of at most READAHEAD_PIECE bytes of data; small ranges share one and are asked for together.  Up to
 * `threads` threads read pieces at the same time, so that a slow source (a live disk over NBD) is waited for once and not once per range;
 * 0: readahead_next reads itself.
 * Memory: threads + 2 pieces.  `from` and `extents` must outlive it.  One consumer thread. */

#define READAHEAD_PIECE (1u << 20)

struct readahead_run {
    uint64_t offset, length; /* bytes on the disk */
    const uint8_t *data;     /* NULL: known to be zero */
};

struct readahead;
struct readahead *readahead_start(struct block *from, const struct extents *extents, unsigned threads);
/* The runs of the next piece, valid until the next call; 0 with err unset: the end. */
size_t readahead_next(struct readahead *ra, const struct readahead_run **runs, GError **err);
void readahead_stop(struct readahead *ra); /* waits for reads under way */
