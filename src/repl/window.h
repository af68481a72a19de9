/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <stdbool.h>

/* A window of the day in local time, as AutoResynchronizeIntervalStart and End name it (contract 4.8): [start, end), both microseconds
 * since midnight; start > end passes midnight.  Summer time is that of the moment that is asked about.  Wall time in microseconds.
 * Pure. */

bool window_is_open(gint64 now_us, gint64 start_us, gint64 end_us);
gint64 window_opened(gint64 now_us, gint64 start_us); /* the last time that it opened, not after now */
gint64 window_opens(gint64 now_us, gint64 start_us);  /* the next time, after now */
