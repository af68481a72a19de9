/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "store/rules.h"
#include "store/store.h"

/* Which committed logs are recovery points, and which may be merged.  A pure function of the logs and the rules:
 *
 *   - the newest whole log always stays;
 *   - every whole log younger than keep_every_us stays as a point, and so does what the rules in `more` keep (rules.h);
 *   - besides, `hourly` points spaced at least one hour (contract section 4.2): going from the oldest log, a log begins an hour when
 *     it is the first or at least an hour younger than the previous beginning (a clock that jumps back begins a new hour); the hour's
 *     point is its first application-consistent log, or else the one that begins it; the newest `hourly` of them stay;
 *   - planned-failover points stay like hourly ones, and as long as the longest rule says; pinned logs stay;
 *   - a whole log that is no point is merged into the next kept one (consolidate), or, when everything older is gone, into the base.
 *
 * No single clock can make points go early.  A log is as old as the time that has passed from log to log since, and between two logs that
 * passed which both the captures (the primary's clock) and the arrivals (ours) say at least.  So nothing grows old while nothing arrives
 * (contract 4.2: points are a count, not a promise), a clock that is set ahead changes nothing as long as the other host's is right, and
 * one that is set back makes points stay longer.
 *
 * Logs that others decide on (`apart`: guests of a group keep the same instants, repl/groupkeep.h) are no point and begin no hour or slot
 * by these rules, but for the newest log; an hour that begins with one that stays has its point.
 *
 * Without hourly, keep_every_us and rules there are no point objects but pinned ones, only the latest state.  Any thread. */

struct retention_rules {
    unsigned hourly;        /* RecoveryHistory, 0..24 */
    gint64 keep_every_us;   /* AdditionalSettings keep_every_cycle_s */
    struct rules more;      /* AdditionalSettings retention */
    gint64 cycle_us;        /* the guest's period: a rule that is not wider keeps every cycle; 0: not known */
    GHashTable *apart;      /* what retention_stays made: struct uuid * -> how the log stays; NULL: none; unref'd by the clear */
};
void retention_rules_clear(struct retention_rules *rules);
#define retention_rules_auto __attribute__((cleanup(retention_rules_clear))) struct retention_rules
bool retention_has_points(const struct retention_rules *rules);

enum retention_fate { RETENTION_POINT, RETENTION_MERGE, RETENTION_APPLY };

/* fates->data[i] belongs to logs->data[i].  pinned: GHashTable set of struct uuid *, may be NULL. */
GArray *retention_plan(const GArray *logs, const struct retention_rules *rules, GHashTable *pinned);
/* How the logs stay by these rules, as more than one set of rules may say: the longest counts.  `stays` is made by retention_stays_new and
 * has each of the logs afterwards, those that go as well. */
GHashTable *retention_stays_new(void);
void retention_stays(const GArray *logs, const struct retention_rules *rules, GHashTable *pinned, GHashTable *stays);
GArray *retention_logs(struct store *s); /* store_logs, and before them the base's while it can be a point */
/* Visible recovery points: the subset of store_logs() that the rules keep, plus the base's log while it is one.  struct store_log. */
GArray *retention_points(struct store *s, const struct retention_rules *rules);
/* For want of space: the oldest point that neither a pin nor its being the newest keeps is merged into the next one, or into the base.
 * *gone is that point; *found false: there is none. */
bool retention_give_up(struct store *s, const struct retention_rules *rules, GHashTable *pinned, const gint *cancel, struct store_log *gone,
                       bool *found, GError **err);
/* Carries out one step of the plan (one apply of `batch` logs, or of more that are small, or one consolidate of
 * at most `batch`), round what scrub.json calls damaged: when that cannot be read, nothing is merged.  *more: something is left to do. */
bool retention_step(struct store *s, const struct retention_rules *rules, GHashTable *pinned, unsigned batch, const gint *cancel,
                    bool *more, GError **err);
