/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <stdint.h>

/* Which sectors of a disk have been claimed already: going from the newest log to the oldest, the first claim wins.
 *
 * One bit per 4 KiB page, in pieces that exist only where something was claimed; pages claimed in part (extents that are not page
 * aligned) are kept aside with a mask of their sectors.  One thread at a time. */

struct coverage;
struct coverage_gap {
    uint64_t from, to; /* sectors of 512 bytes */
};

struct coverage *coverage_new(uint64_t sectors);
void coverage_free(struct coverage *c);
/* Says that a claim from there on comes soon, so that it does not wait for memory. */
void coverage_expect(const struct coverage *c, uint64_t from);
/* Claims [from, to) and appends what nobody had claimed before to `gaps` (struct coverage_gap, ascending). */
void coverage_claim(struct coverage *c, uint64_t from, uint64_t to, GArray *gaps);
