/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "store/stack.h"

/* One disk of a stack of logs, flattened: who wrote each sector last, as ascending segments.  What no segment covers is the state below
 * the oldest log of the stack.
 *
 * A disk that shrinks and grows again (or is removed and comes back) has zeros where it grew: a log's extents count only below the
 * smallest size that the disk has in newer logs, and from there up to the present size the rest is a zero segment.
 *
 * Cost: newest log first, one look into a bitmap per page; then one radix sort of the survivors.  Immutable; any thread may read. */

#define FLAT_ZERO UINT32_MAX

struct flat_segment {
    uint64_t offset;   /* bytes */
    uint32_t sectors;
    uint32_t frame;    /* number in the stack, or FLAT_ZERO */
    uint32_t raw;      /* where its data starts in the frame's raw bytes */
};

struct flat;
/* Of the layers first .. first + count - 1, all of them opened; marks those that it uses. */
struct flat *flat_new(struct stack *s, unsigned first, unsigned count, uint16_t disk, uint64_t size);
/* A piece of a disk out of indexes that lie on top of one another, newest first.  Everything in sectors: what a part says of its limit and
 * beyond does not count, and what nobody says of `zero_from` and beyond is zeros. */
struct flat_part {
    const struct flat_segment *segments; /* ascending; may begin before `from` and end after `to` */
    size_t count;
    uint64_t limit;
};
struct flat *flat_merge(const struct flat_part *parts, unsigned count, uint64_t from, uint64_t to, uint64_t zero_from);
void flat_free(struct flat *f);
size_t flat_count(const struct flat *f);
const struct flat_segment *flat_at(const struct flat *f, size_t i);
size_t flat_first_after(const struct flat *f, uint64_t offset); /* first segment that ends after offset; flat_count: none */
uint64_t flat_below(const struct flat *f); /* bytes from here on never come from below the stack */
