/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "repl/core.h"

/* Split brain on the primary's side: its replica has failed over, so this host is no longer the guest's (design: epoch).
 *
 * A primary finds that out when it sends, every half minute while it does not send, when the guest is started through the API, and from
 * libvirt's hook (maystart.h).  Then replication is Critical, a fence keeps the guest off, and when it runs on both hosts, it is
 * paused here, before it works against the other (failover.pause_superseded).  A replica whose failover was reverted takes all of that
 * back, but for the pause.  The way out is a method each: revert there and resume here, demote here, or remove here.
 *
 * In a chain A -> B -> C, B finds out about C in the same way (\HVR\1; its guest is fenced as a replica's), and says so to A with every
 * answer: C's failover is to A what B's own would be, and so is its end, as soon as B knows of it.  A that asks B makes B ask C
 * again, for the next time.  When \HVR\1 is removed on B, C does not count any more.
 *
 * An answer that does not come changes nothing: a guest whose replica host is unreachable may start, unless it was known before. */

struct wire_status;
/* The sentence that people read, wherever it is said. */
char *supersede_reason(const char *guest, const char *replica_host);
/* The host to which the guest has failed over by what the replica's host says: that one, or st's; NULL: none. */
const char *supersede_where(const struct wire_status *st, const char *replica_host);
bool supersede_known(struct relation *rel); /* as its record says */
/* What the replica said, good or bad.  Saved and fenced before it returns.  Not with the relation's lock held. */
bool supersede_note(struct core *c, struct relation *rel, const struct wire_status *st, GError **err);
/* Asks, for at most two seconds.  ERR_INVALID_STATE: the guest is no longer this host's, and must not be started here. */
bool supersede_check(struct core *c, struct relation *rel, GError **err);
/* While nothing is sent, in LANE_SEND: asks, and says when to be called again (schedule.h). */
gint64 supersede_watch(struct core *c, struct relation *rel);
/* At the start of the daemon: the fence of a sender is what its record says. */
bool supersede_fence(struct core *c, struct relation *rel, GError **err);

/* On the host in the middle: what it knows of the third one, into an answer; and asks there again soon. */
void supersede_tell(struct core *c, const struct uuid *vm, struct wire_status *out);
void supersede_ask(struct core *c, const struct uuid *vm);
