/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "repl/core.h"

/* Has a replica the bytes that it should have?  In LANE_BACKGROUND the whole store is read every scrub_days and compared with its
 * checksums (store/scrub.h), in pieces of some MiB; all replicas of the host together are read at scrub_bytes_per_s.  A task never waits
 * for its turn, it comes back when its next piece is paid for, so merging has the lane; a failover, and whoever stops a replica, ends a
 * piece at once.
 * Where a pass has come to, and what is damaged, is in <folder>/scrub.json: a restart goes on from there.
 *
 * What is known to be damaged is a health reason, as long as a recovery point needs it; such a point is marked, and refused.  Damage goes
 * when newer logs have written all of it again and the points between are merged, or when it was mended. */

gint64 proof_task(void *relation);
/* Reads what is known; no task runs.  False: it cannot be read, and what was known stays. */
bool proof_open(struct relation *rel, GError **err);
/* All of it from now on: a pass that is under way begins anew; when verifying is not switched off. */
void proof_begin(struct relation *rel);

/* With the relation's lock held. */
bool proof_hits(const struct relation *rel, guint64 sequence); /* is the point of that log known to be damaged? */
void proof_statistics(const struct relation *rel, struct repl_statistics *out);

/* ERR_CORRUPT when that point (NULL: the newest) is known to be damaged: says where, and which are the nearest whole ones.  Looks into the
 * logs, so without the lock. */
bool proof_allows(struct relation *rel, const struct uuid *point, GError **err);
