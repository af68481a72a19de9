/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "repl/core.h"

/* From a capture to change logs in the outbox.
 *
 * A capture is cut into slices of bounded raw size (one slice, whatever its size, for an instant).  Each slice becomes one log, chained to
 * the one before; the last one carries the id of the capture, so "the log is durable" means that all of them are.
 *
 * Logs of a long read (fuzzy ones) do not wait for this host's disk: they are read back at once, to be sent, and most are gone before the
 * kernel would write them.  A power cut may lose or tear them.  It also ends the guest and its bitmaps, so its disks are compared anyway;
 * what is left of a torn log is found when the outbox is opened, or by the replica, and bitmaps that begin at a lost log are not used. */

struct slice {
    GPtrArray *disks;  /* struct extents, in the order of the targets */
    guint64 bytes;     /* data, zeros not counted */
};

void slice_free(void *slice);
/* sets: struct extents by disk, from leaveout_apply.  limit 0: one slice. */
GPtrArray *spool_slices(const GPtrArray *sets, guint64 limit);
/* Writes what the replica does not have of one slice (prints.h) as a finished log into the outbox, and wakes the sender.  begun_us:
 * monotonic time at which the cycle began. */
bool spool_write(struct core *c, struct relation *rel, struct capture *cap, const struct slice *slice, const struct uuid *id, bool fuzzy,
                 gint64 begun_us, GError **err);
/* The same for a slice in the middle of a long read: no log is made when the replica has all of it. */
bool spool_write_some(struct core *c, struct relation *rel, struct capture *cap, const struct slice *slice, GError **err);
