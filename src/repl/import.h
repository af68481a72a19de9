/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "repl/work.h"

/* ImportInitialReplica: a folder of change logs (exportdir.h) becomes the replica (contract 2.2).
 *
 * Identity, chain, disks and every digest are checked before the store is touched: a folder that does not fit, or is damaged, changes
 * nothing.  What an earlier import left is continued; anything else that the replica holds in this state is no whole state of the guest,
 * and goes.  The logs then enter the store as if they came over the network.  The state becomes 3 with the last one, and the primary finds
 * that out when it asks the next time.
 *
 * Whatever ends the job early leaves state 2; it may be asked for again. */

bool import_work(struct job *job, void *work, GError **err); /* 95 */
