/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "repl/work.h"

/* Do both hosts have the same?  Without stopping anything, and only hashes travel (CompareReplica, job 113).  On the host in the middle of
 * a chain the job is the same, but what is compared, and how it is mended, is in extendcompare.h.
 *
 * What is compared: every page of LOG_PAGE bytes of every replicated disk, each at the instant of a change log that the replica has.  A
 * slice of pages is compared at the log that is the newest when its turn comes, so different slices are compared at different logs, and
 * one page always at one.  Three hashes under the relationship's key meet:
 *
 *   R  what the replica reads at that log, through the same view that a failover would use
 *   F  what the primary wrote into its logs up to that one (fingerprints); may be unknown
 *   L  what the primary's disk holds now, known to be unwritten since that log (sample.h)
 *
 * A page differs when F is known and R is another (the replica, or the way to it, has damaged it), or when L is there and R is another (the
 * primary never sent what it has).  Where the page was written since that log, L says nothing: it is in flight, the next cycle brings it.
 * So what is changing right now is never called a difference, and F still covers what was sent of it.
 *
 * Repair: the pages that differ are sent as a log of their own, read from the primary's disks now; the next cycle makes it whole.  Points
 * before that are mended where the pages are what they held (store/heal.h).  What was found is a health reason of the primary until a
 * repair, a resynchronisation, or a comparison that finds nothing. */

bool difference_work(struct job *job, void *work, GError **err);
/* What the last comparison found does not count any more. */
void difference_forget(struct relation *rel);
