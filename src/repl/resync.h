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
/* A relationship that waits for its resynchronisation (9) gets it by itself when AutoResynchronizeEnabled, in the window of the day that
 * the settings name (window.h): at once inside of it, else when it opens; once per window, so a failed or cancelled one waits for the next.
 * A running one is not stopped at the window's end.  When to look again, monotonic, or SCHEDULE_IDLE; of the cycle task. */
gint64 resync_auto(struct relation *rel);
/* At the start of the daemon: one that was under way begins again. */
void resync_recover(struct relation *rel);
