/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "repl/core.h"

/* Filling the overlays of a failed-over guest, so that it no longer needs the server behind them (design D3).
 *
 * While the guest runs QEMU pulls; nothing is filled while it is off, because it may be reverted, until a commit asks for it
 * (then the images are flattened by qemu-img).  A pull has a bounded rate, since it shares the disks with the guest: fill_bytes_per_s of
 * the configuration, equal parts for all disks.  What was filled stays filled: a crash, a stop or a start only changes who goes on.  The
 * fill task begins by itself when the guest starts. */

gint64 flatten_task(void *relation);
/* Until all overlays are full, whatever the guest does meanwhile; progress goes to the job.  ERR_CANCELLED.  At once when they were full
 * before (r.flat): they need not be in the folder any more. */
bool flatten_wait(struct core *c, struct relation *rel, struct job *job, GError **err);
