/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "vm/handle.h"

#include <stdbool.h>

/* QEMU's background jobs that are ours: their ids begin with "vmr-" and they are never dismissed by QEMU itself, so that the error of
 * each can be read.  Blocking; any thread.  Source: QEMU QMP reference (query-jobs, job-cancel, job-dismiss). */

/* Waits until all our jobs have ended, dismisses them, and reports the first error: ERR_NO_SPACE when the target was full.  `jobs` is how
 * many there have to be; one that was not seen at its end (another QEMU runs, or somebody dismissed it) is ERR_NOT_AVAILABLE. */
bool qjob_finish(virDomainPtr dom, guint jobs, gint64 timeout_us, GError **err);
/* Cancels and dismisses what is there. */
bool qjob_cancel(virDomainPtr dom, GError **err);
