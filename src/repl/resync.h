/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "repl/work.h"

/* Resynchronize (contract 2.4) on the primary: what both sides have is compared page by page and the differences are sent, whatever the
 * bitmaps and fingerprints say.  Recovery points on the replica stay, unlike in the contract: the differences are change logs like others.
 *
 *   Critical, Suspended, Waiting, Suspended resynchronisation -> Resynchronizing -> (the first whole log is acknowledged) Replicating
 *
 * Cancelling it, or an error that no retry mends, leads to Waiting to start resynchronization; nothing is sent there. */

bool resync_work(struct job *job, void *work, GError **err);        /* 107: ends when both sides are equal */
bool resync_cancel_work(struct job *job, void *work, GError **err); /* 110 */
/* At the start of the daemon: one that was under way begins again. */
void resync_recover(struct relation *rel);
