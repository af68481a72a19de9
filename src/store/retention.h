/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "store/store.h"

/* Which committed logs are recovery points, and which may be merged.  A pure function of the logs, the rules and the time:
 *
 *   - the newest whole log always stays;
 *   - every whole log younger than keep_every_us stays as a point;
 *   - besides, `hourly` points spaced at least one hour (contract section 4.2): going from the oldest log, a log is an hourly point when
 *     it is the first or at least an hour younger than the previous hourly point (a clock that jumps back starts a new slot);
 *     the newest `hourly` of them stay;
 *   - planned-failover points stay like hourly ones; pinned logs stay;
 *   - a whole log that is no point is merged into the next kept one (consolidate), or, when everything older is gone, into the base.
 *
 * With hourly 0 and keep_every_us 0 there are no point objects, only the latest state.  Any thread. */

struct retention_rules {
    unsigned hourly;        /* RecoveryHistory, 0..24 */
    gint64 keep_every_us;   /* AdditionalSettings keep_every_cycle_s */
};

enum retention_fate { RETENTION_POINT, RETENTION_MERGE, RETENTION_APPLY };

/* fates->data[i] belongs to logs->data[i].  pinned: GHashTable set of struct uuid *, may be NULL. */
GArray *retention_plan(const GArray *logs, const struct retention_rules *rules, gint64 now_us, GHashTable *pinned);
/* Visible recovery points: the subset of store_logs() that the rules keep, plus the base's log while it is one.  struct store_log. */
GArray *retention_points(struct store *s, const struct retention_rules *rules, gint64 now_us);
/* Carries out one step of the plan (one apply or one consolidate of at most `batch` logs).  *more: something is left to do. */
bool retention_step(struct store *s, const struct retention_rules *rules, gint64 now_us, GHashTable *pinned, unsigned batch,
                    const gint *cancel, bool *more, GError **err);
