/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "repl/work.h"

/* The roles swap (contract 2.6, ReverseReplicationRelationship).
 *
 *   failed-over replica                                    old primary
 *   fill the overlays, drop points (commit)
 *   PUT .../reverse (offer, log that it came from)   --->  prepared at that log: receiver, state 3, its own disks become the base (seed.h)
 *                                                          made a replica before (value 2): receiver, state 2
 *   sender, state 3: writes since the failover are in the overlays' bitmaps, the first cycle sends them
 *   sender, state 1: StartReplication follows        <---  where its chain stands
 *
 * Each side changes its record in one write; the question may be repeated, so a crash between the two is mended by asking again. */

bool reverse_work(struct job *job, void *work, GError **err); /* 104 */
/* The old primary's side. */
bool reverse_accept(struct core *c, const struct wire_offer *offer, const struct repl_entry *entry, const struct net_peer *peer,
                    struct wire_status *out, GError **err);
/* RequestReplicationStateChange 2: a guest that is off becomes a replica that waits for its primary. */
bool reverse_become_replica(struct core *c, const struct uuid *vm, const char *owner, char job[UUID_TEXT], GError **err);
