/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "repl/core.h"

/* What of a guest's disks is not replicated (AdditionalSettings leave_out "swap"): the content of swap areas (swap.h).
 *
 * The danger: an area that is swap no more, and whose pages were not sent while it was.  The bitmaps forgot them, so nothing but reading
 * the disks finds them again.  Therefore:
 *
 *   Areas are looked for in a full read only, at its begin, after tracking has begun: from then on every write to the disk is seen.
 *   The record says for which areas, and from which bytes that was concluded (partition tables, header pages; their digests).
 *   In every capture that goes on from bitmaps, before anything is left out: when one of these pages was written and has not the same
 *   bytes, or a disk has another size, nothing is left out any more, the record is "unsettled" (durable, before anything else), and the
 *   cycle ends as a loss of tracking: all disks are read and compared with what the replica has, and areas are looked for anew.
 *   An unsettled record makes every cycle a full read until one is complete and durable.  A crash at any time leaves it so, or settled.
 *   The same happens when the setting is switched on or off: the disks are read once.
 *
 * In a full read an area is zeros, which costs nothing and is what the fingerprints then know of the replica; in a cycle it is as if it had
 * not been written.  So fingerprints always say what the replica has.  The capture task only, but for leaveout_bytes and _add. */

/* Must all disks be read, and why?  NULL: no.  g_free. */
char *leaveout_unsettled(struct relation *rel);
/* At the begin of a full read, and after it is durable. */
bool leaveout_begin(struct core *c, struct relation *rel, struct capture *cap, GError **err);
bool leaveout_settle(struct relation *rel, GError **err);
/* What of a capture goes into a log: struct extents by disk; all: a full read.  ERR_TRACKING_LOST: what was left out is no swap now. */
GPtrArray *leaveout_apply(struct core *c, struct relation *rel, struct capture *cap, bool all, GError **err);

guint64 leaveout_bytes_locked(const struct relation *rel);
void leaveout_add(struct relation *rel, guint disk, struct extents *to); /* adds the areas of that disk */
