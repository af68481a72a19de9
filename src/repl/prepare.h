/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "repl/work.h"

/* The primary's part of a planned failover (contract 2.3, values 4 and 3): nothing is lost because the guest is off and fenced before
 * its last changes are read.
 *
 *   fence up -> last instant, its log marked "planned" -> acknowledged by the replica -> state Synced replication complete
 *
 * Anything that goes wrong on the way takes the fence down again and leaves the state at Replicating; so does a restart of the daemon. */

bool prepare_work(struct job *job, void *work, GError **err);        /* 100 */
/* Back to Replicating; refused with ERR_INVALID_STATE when the replica has failed over.  A replica that does not answer is a warning. */
bool prepare_cancel_work(struct job *job, void *work, GError **err); /* 101 */
/* At the start of the daemon. */
bool prepare_recover(struct core *c, struct relation *rel, GError **err);
