/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "repl/relation.h"

/* Points of a replica that were pinned or protected (store/pins.h), and what that forbids.  A protected point is stronger than everybody:
 * CommitFailover, ReverseReplicationRelationship and RemoveReplicationRelationship, which would delete it, are refused
 * (ERR_INVALID_STATE) until its date has come; the failed-over guest can run meanwhile.  A pinned one goes with them. */

/* `what` begins the refusal: "Committing the failover". */
bool keep_refuse(struct relation *rel, const char *what, GError **err);
bool keep_refuse_locked(struct relation *rel, const char *what, GError **err); /* with the relation's lock held */
