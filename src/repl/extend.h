/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "repl/work.h"

/* Extended replication A -> B -> C (contract 2.7), as B sees it: the relationship \HVR\1 of a replica.
 *
 * B's store is the outbox: what C receives are the files that A sent, nothing is captured again.  Each interval C is asked where it stands,
 * and gets every log after that.  Retention on B keeps its hands off logs that C has not acknowledged (extend_pins), up to the size of an
 * outbox; beyond that, they are merged like all others.
 *
 * When C has failed over, this relationship knows, and A is told (supersede.h).
 *
 * When C's newest log is none of B's chain (it is empty, a seed, or B had to go on without it) extendfill.h makes up the difference. */

/* B's half of CreateReplicationRelationship: the record of \HVR\1, and what C is offered. */
struct relation *extend_new(struct core *c, struct relation *base, const struct repl_settings *settings);
bool extend_offer(struct core *c, struct relation *rel, struct wire_offer *out, GError **err);

gint64 extend_task(void *relation);  /* lane capture: a round is due */
/* In the send task, of an export (export.h): what B has goes into its folder. */
void extend_export(struct core *c, struct relation *rel);
/* In the send task: C has answered.  ERR_NOT_AVAILABLE: what B has cannot be read now; true also when there is nothing to send any more. */
bool extend_send(struct core *c, struct relation *rel, struct wire_peer *peer, const struct wire_status *st, GError **err);

char *extend_folder(struct relation *base); /* of B's store, g_free; NULL: it has none now */
struct relation *extend_of(struct core *c, const struct uuid *vm); /* \HVR\1, if there is one; reference */
/* The relationship that settings, start and resynchronisation mean: \HVR\1 of a replica that has one.  Takes rel. */
struct relation *extend_or_self(struct core *c, struct relation *rel);
/* Logs that must stay as they are for C, into pins (NULL: made when needed). */
GHashTable *extend_pins(struct core *c, struct relation *base, GHashTable *pins);
guint64 extend_pending(struct core *c, struct relation *rel);      /* bytes that C has not acknowledged */
/* ChangeReplicationModeToPrimary: B goes on as C's primary. */
bool extend_promote_work(struct job *job, void *work, GError **err); /* 123 */
