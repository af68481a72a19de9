/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "repl/core.h"
#include "store/retention.h"

/* Housekeeping of one replica, in LANE_BACKGROUND: merges what retention no longer keeps, a step at a time; defines the placeholder again
 * when a newer log carries another definition; saves statistics.  Takes up a replica that could not be
 * opened when the daemon started (its file system is mounted now).  Rests while the guest is failed over. */

gint64 maintain_task(void *relation);
/* What decides on the points of this replica; retention_rules_auto.  While that cannot be known, because another member of its group is not
 * open or cannot be read (*why, may be NULL), every whole log is a point.  No relation's lock is held (groupkeep.h). */
struct retention_rules maintain_rules(struct relation *rel, GError **why);
struct retention_rules maintain_own_rules(struct relation *rel); /* by its settings alone */
/* retention_step by these rules, round what extended replicas and test guests need.  Maintenance only. */
bool maintain_merge(struct relation *rel, const struct retention_rules *rules, bool *more, GError **err);
