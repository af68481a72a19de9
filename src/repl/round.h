/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "repl/group.h"

/* One instant for all guests of a group.
 *
 * The first member whose cycle is due opens a round and wakes the others; so the shortest cycle of a group counts for all.  Then each
 * member's own cycle, in its own worker, goes through the same steps and waits at each for the others:
 *
 *   GATHER   all cycles are here (15 s at most)
 *   READY    everything slow is prepared; the file systems are frozen if an application-consistent point is due
 *   HELD     each has paused its own guest
 *   TAKEN    each has begun its own capture; now each resumes its own guest
 *   DONE     each capture is good: now the logs bear the group's id and one id of this instant
 *
 * Nobody waits for a member that fails or comes too late: the round breaks, every guest is resumed by its own member, and what the others
 * captured are standard points of their own.  A guest is paused for HELD and TAKEN only, 2 s at most each if a member hangs.
 *
 * Members that do not replicate now (off is fine, suspended, critical, all disks being read, a planned failover under way) are not waited
 * for; there is no group point then.  A guest that is off takes part with its disks as they are, unless it is started meanwhile.
 *
 * Record before deed: <runtime_dir>/held/<GUID> is there while a guest is paused by us.  vmreplica-thaw (vm/release.h), a process of its
 * own that this one starts before the first pause, resumes these guests when this process ends; the next start of the daemon does so,
 * too.
 *
 * One round per relationship at a time, by its capture task only; the lock inside is a leaf. */

struct rounds;
struct rounds *rounds_new(struct core *c);
void rounds_free(struct rounds *all);
/* Resumes what an earlier run of the daemon left paused. */
void rounds_recover(struct core *c);

struct round;
/* Of this member, which is about to capture: NULL when there is none.  Waits for the others (GATHER). */
struct round *round_join(struct rounds *all, struct relation *rel);
/* Frees this member's part.  Not before DONE: the round is broken. */
void round_part(struct round *r, struct relation *rel);

/* capture_around of a running guest: READY and HELD; then TAKEN, and it goes on. */
void round_hold(struct round *r, struct relation *rel);
void round_release(struct round *r, struct relation *rel);
/* The capture is good (or this member's failed): DONE.  NULL: no common instant; else the section for its log; g_free. */
char *round_finish(struct round *r, struct relation *rel, bool good);
