/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "repl/service.h"

/* Counters of one relationship over the running window (contract 3.5).  Windows have the length monitoring_interval_s and are anchored at
 * monitoring_start_us (time of day, UTC): their boundaries are anchor + k x interval, the first window is partial.  Wall time is used only
 * for the window; latencies are measured by the caller with monotonic time.
 *
 * No lock inside: the relationship's lock covers it.  Saved by the relationship now and then; a crash loses the last seconds of
 * counting. */

struct stats {
    struct repl_statistics now;
    bool dirty;             /* changed since it was saved */
    gint64 saved_us;        /* monotonic */
};

/* End of the window that contains `wall_us`. */
gint64 stats_window_end(gint64 wall_us, gint64 anchor_us, guint interval_s);
/* Opens a window; keeps last_test_us and pending. */
void stats_open(struct stats *s, gint64 wall_us, gint64 anchor_us, guint interval_s);
/* Moves on when the window is over: its totals go to the log under `name`.  True: counters were zeroed.  The first call opens the first
 * window; what was counted before is in it. */
bool stats_roll(struct stats *s, const char *name, gint64 wall_us, gint64 anchor_us, guint interval_s);
void stats_success(struct stats *s, guint64 raw_bytes, guint64 wire_bytes, gint64 latency_us);
void stats_copied(struct stats *s, guint64 raw_bytes, guint64 wire_bytes); /* a log that is no cycle */
void stats_failure(struct stats *s, bool network);
void stats_app_failure(struct stats *s);
void stats_scan(struct stats *s, bool full);
void stats_miss(struct stats *s, guint slots);

char *stats_save(const struct stats *s);                              /* JSON document; g_free */
bool stats_load(struct stats *s, const char *doc, GError **err);
