/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "store/store.h"

/* Which spans (span.h) a store has, so that every point is opened with about the same work, and making them in the background.
 *
 * Sequence numbers are cut into blocks of 16, 256 and 4,096; each block that is complete and has some logs left gets a span.  From any
 * point down it is then at most 15 single logs, 15 spans of 16 logs, 15 of 256, and those of 4,096.  A span is made of the spans below it.
 * Every segment is in three files at most: 13 bytes for each changed page of 4 KiB with two of them.
 *
 * Merging removes the spans of the logs that it touches before it touches them.  The bigger ones are made again only when a block has been
 * left alone for a while, so that a rule which merges every few minutes does not make them over and over. */

struct span_wish {
    uint64_t first, last; /* sequences */
    guint from, count;    /* in `logs` */
};
/* Of committed logs, oldest first; base: sequence of the log that they stand on, 0: none.  Smaller ones come before those made of them. */
GArray *spans_wanted(const GArray *logs, uint64_t base);

/* Removes what is not wanted (any more), makes one span that is missing, and else, with `look`, reads one of them, in turn, to see whether
 * it is whole.  *more: call again soon.  Excludes merging while it works, less than a second.  An error says why nothing was saved; the
 * store is as good as before. */
bool spans_step(struct store *s, bool look, const gint *cancel, bool *more, GError **err);
