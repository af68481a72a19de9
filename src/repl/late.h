/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "repl/relation.h"

/* Records that may be written a little later than they change, all of a second in one transaction (db_put_late): with many guests, what the
 * disk needs for a flush is most of what a cycle costs beside its data.
 *
 *   acknowledgement   the record of a sending relationship, after LATE_US.  The log's file stays in the outbox until it is written: after a
 *                     crash the log is there as one that waits, and the replica, which is asked first, says that it has it.  Nothing is
 *                     sent or read twice.
 *   receipt           the record of a receiving relationship, at most every half minute: the store is the truth about what arrived
 *   statistics        with the next acknowledgements, once a minute; a crash loses what was counted since
 *
 * Everything else (states, settings, roles, epochs) is written before it counts, as before.  When a write fails, it
 * is tried again, and late_now says that acknowledgements are to be written at once, so that the failure is reported where it belongs.
 *
 * Locks: relation -> late, late -> schedule and database are never held together. */

struct late;
struct late *late_new(struct core *c);
void late_free(struct late *l); /* before the schedule; NULL is fine */

/* The newest acknowledgement of this relationship, saved or put late before this call, has this sequence: the files of its outbox up to
 * there go after the next write. */
void late_note(struct late *l, struct relation *rel, guint64 sequence);
void late_soon(struct late *l); /* something else was put late */
bool late_now(struct late *l);  /* nothing may be late now */
/* Writes all, then files of the outboxes go. */
bool late_flush(struct late *l, GError **err);
