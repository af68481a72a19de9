/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "store/retention.h"

#include "base/err.h"
#include "base/log.h"

#define HOUR_US (G_GINT64_CONSTANT(3600) * G_USEC_PER_SEC)
#define TIER_BITS 4 /* logs of one tier differ in size by at most a factor of 16 */

/* Why a log stays.  What only its youth keeps will be merged soon; the others stay for hours. */
enum keep { KEEP_NOT, KEEP_YOUNG, KEEP_LONG };

#define LOG(logs, i) g_array_index(logs, struct store_log, i)
#define KEEP(keeps, i) g_array_index(keeps, enum keep, i)
#define FATE(fates, i) g_array_index(fates, enum retention_fate, i)

/* A log cannot be younger than its arrival: a primary's clock that is ahead would keep points for ever. */
static bool
is_young(const struct store_log *log, const struct retention_rules *rules, gint64 now_us)
{
    gint64 time = log->received_us > 0 ? MIN(log->capture_us, log->received_us) : log->capture_us;
    return rules->keep_every_us > 0 && now_us - time < rules->keep_every_us;
}

static void
keep_hourly(const GArray *logs, const struct retention_rules *rules, GArray *keeps)
{
    g_autoptr(GArray) slots = g_array_new(FALSE, FALSE, sizeof(guint));
    gint64 previous = 0;

    for (guint i = 0; i < logs->len; i++) {
        const struct store_log *log = &LOG(logs, i);
        bool due = slots->len == 0 || log->capture_us < previous || log->capture_us - previous >= HOUR_US;
        if (log->fuzzy || (!due && log->kind != LOG_KIND_PLANNED))
            continue;
        previous = log->capture_us;
        g_array_append_val(slots, i);
    }
    for (guint i = slots->len; i-- > 0 && slots->len - i <= rules->hourly;)
        KEEP(keeps, g_array_index(slots, guint, i)) = KEEP_LONG;
}

static GArray *
keeps_of(const GArray *logs, const struct retention_rules *rules, gint64 now_us, GHashTable *pinned)
{
    GArray *keeps = g_array_sized_new(FALSE, TRUE, sizeof(enum keep), logs->len);
    g_array_set_size(keeps, logs->len);
    for (guint i = 0; i < logs->len; i++) {
        const struct store_log *log = &LOG(logs, i);
        if (!log->fuzzy && is_young(log, rules, now_us))
            KEEP(keeps, i) = KEEP_YOUNG;
        if (pinned && g_hash_table_contains(pinned, &log->id))
            KEEP(keeps, i) = KEEP_LONG;
    }
    keep_hourly(logs, rules, keeps);
    for (guint i = logs->len; i-- > 0;)
        if (!LOG(logs, i).fuzzy) {
            KEEP(keeps, i) = MAX(KEEP(keeps, i), KEEP_YOUNG);
            break;
        }
    return keeps;
}

/* Before the first point everything goes into the base.  A fuzzy log goes there when it is followed by a whole one that does, or when
 * nothing whole is older (initial copy); else it waits for the point after it. */
static GArray *
fates_of(const GArray *logs, const GArray *keeps)
{
    GArray *fates = g_array_sized_new(FALSE, FALSE, sizeof(enum retention_fate), logs->len);
    guint apply_end = 0; /* logs before it are applied */
    bool whole = false;

    for (guint i = 0; i < logs->len && KEEP(keeps, i) == KEEP_NOT; i++) {
        whole = whole || !LOG(logs, i).fuzzy;
        if (!LOG(logs, i).fuzzy || !whole)
            apply_end = i + 1;
    }
    for (guint i = 0; i < logs->len; i++) {
        enum retention_fate fate = KEEP(keeps, i) != KEEP_NOT ? RETENTION_POINT : i < apply_end ? RETENTION_APPLY : RETENTION_MERGE;
        g_array_append_val(fates, fate);
    }
    return fates;
}

GArray *
retention_plan(const GArray *logs, const struct retention_rules *rules, gint64 now_us, GHashTable *pinned)
{
    g_autoptr(GArray) keeps = keeps_of(logs, rules, now_us, pinned);
    return fates_of(logs, keeps);
}

/* The base's log comes first: it is the oldest state, and the hours are counted from it. */
static GArray *
logs_with_base(struct store *s, bool *base)
{
    GArray *logs = store_logs(s);
    struct store_log log;
    *base = store_base(s, &log);
    if (*base && logs->len > 0 && LOG(logs, 0).sequence <= log.sequence)
        *base = false; /* it moved between the two questions */
    if (*base)
        g_array_prepend_val(logs, log);
    return logs;
}

GArray *
retention_points(struct store *s, const struct retention_rules *rules, gint64 now_us)
{
    bool base;
    uint64_t from = store_first_readable(s);
    g_autoptr(GArray) logs = logs_with_base(s, &base);
    g_autoptr(GArray) fates = retention_plan(logs, rules, now_us, NULL);
    GArray *points = g_array_new(FALSE, FALSE, sizeof(struct store_log));
    if (rules->hourly == 0 && rules->keep_every_us == 0)
        return points;
    for (guint i = 0; i < logs->len; i++)
        if (FATE(fates, i) == RETENTION_POINT && !LOG(logs, i).fuzzy && LOG(logs, i).sequence >= from)
            g_array_append_val(points, LOG(logs, i));
    return points;
}

/* One consolidation: logs `first` .. `last`; first == last: nothing to do. */
struct range {
    guint first, last;
};

static unsigned
tier(const struct store_log *log)
{
    return (unsigned)g_bit_storage((gulong)log->file_bytes) / TIER_BITS;
}

/* Of a run of logs that will all become one, in the end: merging each into its big neighbour as it comes would write that one again and
 * again.  So `batch` logs of about one size are merged first; every byte is then written once per tier. */
static struct range
merge_within(const GArray *logs, guint first, guint end, unsigned batch)
{
    for (unsigned t = 0; t <= GLIB_SIZEOF_LONG * 8 / TIER_BITS; t++) {
        guint start = end;
        while (start > first && tier(&LOG(logs, start - 1)) <= t)
            start--;
        if (end - start < batch)
            continue;
        guint last = start + batch - 1;
        while (last > start && LOG(logs, last).fuzzy)
            last--;
        return (struct range){start, last};
    }
    return (struct range){0, 0};
}

/* The oldest merge that is worth its while: a run before a point that will stay ends in that point; one before a point that is only young
 * yet is merged within itself. */
static struct range
next_merge(const GArray *logs, const GArray *keeps, guint first, unsigned batch)
{
    for (guint i = first; i < logs->len; i++) {
        if (KEEP(keeps, i) != KEEP_NOT)
            continue;
        guint start = i;
        while (i < logs->len && KEEP(keeps, i) == KEEP_NOT)
            i++;
        struct range inner = merge_within(logs, start, i, batch);
        if (inner.last > inner.first)
            return inner;
        if (i < logs->len && KEEP(keeps, i) == KEEP_LONG)
            return (struct range){i - start < batch ? start : i - batch + 1, i};
    }
    return (struct range){0, 0};
}

static bool
apply_oldest(struct store *s, const GArray *logs, const GArray *fates, guint first, unsigned batch, const gint *cancel, bool *done,
             GError **err)
{
    guint end = first;
    GError *why = NULL;

    while (end < logs->len && FATE(fates, end) == RETENTION_APPLY)
        end++;
    guint last = MIN(end, first + batch);
    if (end > first && !LOG(logs, end - 1).fuzzy) /* else all of them are fuzzy: the initial copy */
        while (LOG(logs, last - 1).fuzzy)
            last++;
    *done = last > first && store_apply(s, &LOG(logs, last - 1).id, cancel, &why);
    if (!why)
        return true;
    if (err_is(why, ERR_IN_USE)) {
        log_debug("An open recovery point keeps the base of '%s' where it is.", store_dir(s));
        g_error_free(why);
        return true;
    }
    g_propagate_error(err, why);
    return false;
}

static guint
count_fate(const GArray *fates, guint first, enum retention_fate fate)
{
    guint n = 0;
    for (guint i = first; i < fates->len; i++)
        n += FATE(fates, i) == fate;
    return n;
}

bool
retention_step(struct store *s, const struct retention_rules *rules, gint64 now_us, GHashTable *pinned, unsigned batch,
               const gint *cancel, bool *more, GError **err)
{
    bool base, applied;
    g_autoptr(GArray) logs = logs_with_base(s, &base);
    g_autoptr(GArray) keeps = keeps_of(logs, rules, now_us, pinned);
    g_autoptr(GArray) fates = fates_of(logs, keeps);
    guint first = base ? 1 : 0;

    batch = MAX(batch, 2);
    *more = false;
    if (!apply_oldest(s, logs, fates, first, batch, cancel, &applied, err))
        return false;
    if (applied) {
        *more = count_fate(fates, first, RETENTION_APPLY) > batch || count_fate(fates, first, RETENTION_MERGE) > 0;
        return true;
    }
    struct range r = next_merge(logs, keeps, first, batch);
    if (r.first == r.last)
        return true;
    *more = true;
    return store_consolidate(s, &LOG(logs, r.first).id, &LOG(logs, r.last).id, cancel, err);
}
