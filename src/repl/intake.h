/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "repl/core.h"
#include "wire/receiver.h"

/* What other hosts may ask of this one over the replication port (wire/receiver.h); user is the struct core.
 *
 * Every request is checked against the authorisation entries by the names in the peer's certificate: an offer by pattern, traffic for an
 * existing replica by trust group (contract 5.4).  Refusals and what the sender makes of them (contract 4.6):
 *   not authorised ERR_PEER_REFUSED, no such replica ERR_NO_SUCH_INSTANCE, failed over or old epoch ERR_FAILED_OVER, stopped by an error
 *   ERR_INVALID_STATE: the sender goes to Critical;  paused here or a failover under way ERR_NOT_AVAILABLE, no space ERR_NO_SPACE,
 * not the next log
 *   ERR_OUT_OF_SEQUENCE: the sender tries again. */
extern const struct wire_receiver_ops intake_ops;

/* A log is in the store: state, counters, housekeeping. */
void intake_note(struct relation *rel, const struct store_log *log, guint64 wire_bytes, gint64 took_us);
/* Waits until uploads have ended, at most timeout_us; new ones are refused by the state.  Commits and merges under way are always waited
 * for (they are short, and halting the relationship cuts merges); false: an upload is still open. */
bool intake_quiesce(struct relation *rel, gint64 timeout_us);
/* A replica that is still being made (ERR_IN_USE), or whose store is not open (ERR_NOT_AVAILABLE), cannot say where it stands: "it has
 * nothing" would be a lie that makes the primary give up its outbox and copy everything.  True of a primary, and of a failed-over guest. */
bool intake_is_ready_locked(struct relation *rel, GError **err);
/* The sending host may speak for this guest: used for status of a primary, too. */
bool intake_authorised(struct core *c, struct relation *rel, const struct net_peer *peer, GError **err);
