/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "repl/core.h"

/* One cycle of the primary: capture an instant, make a log of it, put it into the outbox, wake the sender.
 *
 *   tracking known?  no: capture_recover; lost: full read (initial.h)
 *   guest stopped and its images unchanged since the last capture: nothing to read, tell the replica that we live
 *   outbox full: no capture, the changes stay in the bitmap
 *   scratch too small: fuzzy passes over the live disk until the rest fits
 *
 * Slots are spaced by the period and counted by monotonic time; slots that an overrun swallowed, and slots at whose end the previous
 * log is not acknowledged, are misses.  A failed cycle is tried again at the next slot.
 *
 * Runs in LANE_CAPTURE; a cycle that finds that all disks must be read ends there and runs once more at once, in LANE_READ: such reads take
 * long, and keep no worker from other guests' cycles. */

gint64 cycle_task(void *relation);
