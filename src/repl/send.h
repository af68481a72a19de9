/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "repl/core.h"

/* Sending the outbox, in the order of the chain.
 *
 * On a new connection the replica is asked where it stands: logs that it has are dropped (a lost acknowledgement is not sent again), a half
 * sent one is resumed at its byte, a replica that stands elsewhere makes the chain go on from its head after a full read (rebase).  Then
 * every log is sent and its acknowledgement saved before the file goes.
 *
 * An error that can pass is tried again after schedule_backoff_us; others put the relationship into Critical (contract 4.6), as does
 * "failed over".  Runs in LANE_SEND. */

gint64 send_task(void *relation);

/* The replica has this log: saved, counted, and the state follows. */
bool send_note(struct relation *rel, const struct outbox_log *log, GError **err);

/* The replica is asked soon where it stands, as on a new connection: what was heard of it in passing is not all, or nothing is sent that
 * it could answer.  With the relation's lock. */
void send_ask_again_locked(struct relation *rel);

/* What a relationship offers to the replica host; wire_offer_clear.  facts may be NULL: without definition and disks. */
void send_make_offer(struct core *c, struct relation *rel, const struct vm_facts *facts, struct wire_offer *out);
