/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <stdbool.h>

/* How many processors of this machine have had nothing to do of late, from /proc/stat.
 *
 * A measurement spans a second or more; in between, the last answer is repeated.  What a part of this program could give up counts as left
 * over, too: `own_us` is the processor time that it has used since it began.  Before the first span is over, all processors count as free.
 * Any thread. */

struct spare;
struct spare *spare_new(void);
void spare_free(struct spare *s); /* NULL is fine */
double spare_processors(struct spare *s, guint64 own_us);

/* The pure half: what the first line of /proc/stat says, in ticks since boot.  False: it says nothing. */
struct spare_ticks {
    guint64 idle, total;
};
bool spare_parse(const char *stat, struct spare_ticks *out);
/* of `processors`, between two looks that are span_us apart, own_us of it ours */
double spare_between(const struct spare_ticks *from, const struct spare_ticks *to, guint processors, guint64 own_us, gint64 span_us);
