/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "repl/core.h"

/* StartReplication type 2: the initial copy goes into a folder instead of over the network (contract 2.2).
 *
 * The folder plays the part of the replica: what the capture task puts into the outbox is copied there and counts as acknowledged then.
 * With the first whole log the export is finished (r.exported), and job 118 with it.  The state stays 2; nothing is captured any more,
 * what changes is kept in the bitmap.  Each interval the replica is asked whether it has imported the folder: when it has, the state
 * becomes 3 and the next cycle brings the residue over the network.
 *
 * A daemon that stops goes on with the first log that is not in the folder, also in an extended replica's export (extendfill.h).
 * What cannot be written (no space, disk taken away) ends the job, and the state is 1 again. */

/* Job thread, in state 1: empty outbox, no tracking, an empty folder. */
bool export_begin(struct core *c, struct relation *rel, const char *dir, GError **err);
bool export_runs(struct relation *rel);                      /* logs go to the folder */
bool export_waits(struct relation *rel);                     /* it is finished, and not imported yet */
/* What export_some is made of, for an extended replica (extend.h): its folder, g_free; a finished log goes there, durably and noted; why
 * it cannot go on, taken (being stopped is no failure); the word for people when it is complete. */
char *export_folder(struct relation *rel);
bool export_put(struct relation *rel, const char *dir, const char *from, const struct outbox_log *log, GError **err);
void export_fail(struct relation *rel, GError *why);
void export_say(struct relation *rel, const char *dir);
/* Send task: copies what is in the outbox.  A failure is left in s.export_error for the job. */
void export_some(struct relation *rel);
/* The replica has answered.  *over: this is no export any more. */
bool export_look(struct relation *rel, const struct wire_status *st, bool *over, GError **err);
/* After a cancel or a failure; activities are stopped. */
void export_discard(struct relation *rel);
