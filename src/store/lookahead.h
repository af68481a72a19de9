/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "store/flat.h"
#include "store/framecache.h"

/* For who goes through flattened disks from the beginning to the end: threads of the cache decode the frames of the segments that come
 * next, each once.  One thread at a time. */

struct lookahead;
struct lookahead *lookahead_new(const struct stack *s);
void lookahead_free(struct lookahead *l); /* NULL is fine */
/* A cache with room for what is decoded ahead and for a frame of every log, since logs go through their disks in order, too. */
struct framecache *lookahead_cache(struct stack *s);
/* Segment i of `flat` is wanted now.  i ascends, and begins with 0 for another disk. */
void lookahead_at(struct lookahead *l, struct framecache *cache, const struct flat *flat, size_t i);
