/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "repl/core.h"
#include "store/fingerprint.h"

/* The fingerprints of a relationship on its sender (store/fingerprint.h), in <state>/fingerprints/<VM>: opened by the capture task when it
 * needs them, closed with the relationship or when they could not follow a log.  Capture task only, but for prints_has_log. */

/* rel->s.prints is open when this returns true. */
bool prints_open(struct core *c, struct relation *rel, GError **err);
void prints_close(struct relation *rel);
/* The relationship ends: nothing remains. */
bool prints_remove(struct core *c, struct relation *rel, GError **err);

/* Is this log, as far as we know, durable here or there?  user: struct relation. */
bool prints_has_log(void *user, const struct uuid *log);

/* full: more than a sixteenth of the replica is unknown; *why (g_free) is a sentence then.  `sizes` are those of the disks, by id; NULL:
 * those that the fingerprints know, and a disk that they do not know is unknown in full. */
bool prints_judge(struct core *c, struct relation *rel, const guint64 *sizes, guint disks, bool *full, char **why, GError **err);
