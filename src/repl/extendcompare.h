/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "repl/core.h"

/* Does C have what B has?  The half of difference.h that an extended replica needs, on B.
 *
 * Pages are compared at the log that C acknowledged last: what B's store reads there with what C reads there, both through the view that a
 * failover would use.  A log does not change, so nothing is in flight.  The view stays open until C does not have that log any more; then
 * it is the newest one.  What B itself cannot read is no difference: B's own verification says that (proof.h), and its primary mends it.
 *
 * Repair: the next whole log of B's chain goes to C with the pages that differ in it, as B has them at that log, under its own id, so C
 * follows the chain as before.  The job asks, the send task does it (extend.c). */

struct extendcompare;
struct extendcompare *extendcompare_new(struct core *c, struct relation *rel);
void extendcompare_free(struct extendcompare *x); /* NULL is fine */
/* `count` pages from `page` on; those that differ are added to `found`.  *size: of the disk, 0: there is none; *pages: compared.  Errors
 * whose err_info says "retry" can pass. */
bool extendcompare_pages(struct extendcompare *x, struct wire_peer *peer, guint disk, guint64 page, guint count, bool repair,
                         struct extents *found, guint64 *size, guint64 *pages, GError **err);

/* What a job wants to be sent again. */
struct extendmend {
    const GPtrArray *found; /* struct extents by disk */
    bool taken, done;       /* under the relation's lock */
};
/* Waits until C has it, or *cancel is set, or replication does not go on. */
bool extendmend_wait(struct relation *rel, struct extendmend *m, const gint *cancel, GError **err);
/* The send task: is there something for this log?  NULL: no.  What was taken is given back, sent or not. */
struct extendmend *extendmend_take(struct relation *rel);
void extendmend_done(struct relation *rel, struct extendmend *m, bool sent);
