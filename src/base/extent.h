/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

/* Sets of byte ranges of a disk.
 *
 * A set is sorted by offset, its ranges do not overlap, and neighbours of one kind are one range.  Every function keeps that true.
 * Not locked: one thread at a time per set. */

enum extent_kind { EXTENT_DATA, EXTENT_ZERO };

struct extent {
    uint64_t offset, length; /* bytes */
    enum extent_kind kind;
};

struct extents;
struct extents *extents_new(void);
void extents_free(struct extents *set);                      /* NULL is fine */
#define extents_auto __attribute__((cleanup(extents_clean))) struct extents *
static inline void extents_clean(struct extents **set) { extents_free(*set); }

void extents_add(struct extents *set, uint64_t offset, uint64_t length, enum extent_kind kind); /* the newer kind wins where they overlap */
void extents_clear(struct extents *set);
size_t extents_count(const struct extents *set);
const struct extent *extents_at(const struct extents *set, size_t i);
uint64_t extents_bytes(const struct extents *set);                       /* sum of lengths */
uint64_t extents_bytes_of(const struct extents *set, enum extent_kind kind);
void extents_clip(struct extents *set, uint64_t size);                   /* nothing at or beyond `size` remains */
struct extents *extents_intersect(const struct extents *a, const struct extents *b);  /* ranges in both; kinds of b */
