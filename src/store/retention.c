/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "store/retention.h"

#include "base/err.h"
#include "base/log.h"
#include "store/pins.h"
#include "store/scrub.h"

#define HOUR_US (G_GINT64_CONSTANT(3600) * G_USEC_PER_SEC)
#define APPLY_BYTES (UINT64_C(512) << 20)
#define TIER_BITS 4 /* logs of one tier differ in size by at most a factor of 16 */

/* Why a log stays.  What only its youth keeps will be merged soon; the others stay for hours. */
enum keep { KEEP_NOT, KEEP_YOUNG, KEEP_LONG };

#define LOG(logs, i) g_array_index(logs, struct store_log, i)
#define KEEP(keeps, i) g_array_index(keeps, enum keep, i)
#define FATE(fates, i) g_array_index(fates, enum retention_fate, i)

/* The logs' place in time, see retention.h. */
struct ages {
    GArray *age;     /* gint64, microseconds: of the newest log 0 */
    GArray *segment; /* guint: counts the steps back in time before the log */
};

#define AGE(a, i) g_array_index((a)->age, gint64, i)
#define SEGMENT(a, i) g_array_index((a)->segment, guint, i)

/* What both hosts' clocks say at least has passed between two logs. */
static gint64
between(const struct store_log *older, const struct store_log *newer)
{
    const gint64 captured = newer->capture_us - older->capture_us, received = newer->received_us - older->received_us;
    const bool known = newer->received_us > 0 && older->received_us > 0;
    return MAX(known ? MIN(captured, received) : captured, 0);
}

static void
measure(const GArray *logs, struct ages *out)
{
    gint64 age = 0;
    guint segment = 0;
    out->age = g_array_new(FALSE, FALSE, sizeof(gint64));
    out->segment = g_array_new(FALSE, FALSE, sizeof(guint));
    g_array_set_size(out->age, logs->len);
    for (guint i = 0; i < logs->len; i++) {
        segment += i > 0 && LOG(logs, i).capture_us < LOG(logs, i - 1).capture_us;
        g_array_append_val(out->segment, segment);
    }
    for (guint i = logs->len; i-- > 0;) {
        AGE(out, i) = age;
        if (i > 0)
            age += between(&LOG(logs, i - 1), &LOG(logs, i));
    }
}

static void
ages_clear(struct ages *a)
{
    g_array_unref(a->age);
    g_array_unref(a->segment);
}

void
retention_rules_clear(struct retention_rules *rules)
{
    g_clear_pointer(&rules->apart, g_hash_table_unref);
}

/* Others decide on it: *why says how. */
static bool
is_apart(const struct retention_rules *rules, const struct store_log *log, enum keep *why)
{
    gpointer value = NULL;
    const bool apart = rules->apart && g_hash_table_lookup_extended(rules->apart, &log->id, NULL, &value);
    *why = apart ? (enum keep)GPOINTER_TO_UINT(value) : KEEP_NOT;
    return apart;
}

static void
keep(GArray *keeps, guint i, enum keep why)
{
    KEEP(keeps, i) = MAX(KEEP(keeps, i), why);
}

/* What goes soon is merged in batches; what stays for several slots takes in what is older at once. */
static void
keep_by_rule(const GArray *logs, const struct ages *ages, const struct rule *rule, const struct retention_rules *rules, GArray *keeps)
{
    const gint64 every = rule->every_us > rules->cycle_us ? rule->every_us : 0;
    enum keep why;
    gint64 slot = 0;
    guint segment = 0;
    bool begun = false;

    for (guint i = 0; i < logs->len; i++) {
        if (LOG(logs, i).fuzzy || (rule->application && LOG(logs, i).kind != LOG_KIND_APPLICATION) ||
            is_apart(rules, &LOG(logs, i), &why))
            continue;
        const gint64 own = every ? LOG(logs, i).capture_us / every : 0;
        const bool first = !every || !begun || own != slot || SEGMENT(ages, i) != segment;
        begun = true;
        slot = own;
        segment = SEGMENT(ages, i);
        const gint64 left = rule->for_us - AGE(ages, i);
        if (left > 0 && (first || LOG(logs, i).kind == LOG_KIND_PLANNED))
            keep(keeps, i, every && left > 4 * every ? KEEP_LONG : KEEP_YOUNG);
    }
}

static bool
begins_hour(const struct store_log *log, bool begun, gint64 begin)
{
    return !begun || log->capture_us < begin || log->capture_us - begin >= HOUR_US || log->kind == LOG_KIND_PLANNED;
}

static void
keep_hourly(const GArray *logs, const struct retention_rules *rules, GArray *keeps)
{
    g_autoptr(GArray) hours = g_array_new(FALSE, FALSE, sizeof(guint)); /* the point of each */
    gint64 begin = 0;
    bool begun = false, ours = false; /* ours: the hour's point is the last of `hours` */
    enum keep why;

    for (guint i = 0; i < logs->len; i++) {
        const struct store_log *log = &LOG(logs, i);
        const bool apart = is_apart(rules, log, &why);
        if (log->fuzzy || (apart && why == KEEP_NOT))
            continue;
        guint *last = ours ? &g_array_index(hours, guint, hours->len - 1) : NULL;
        if (apart || begins_hour(log, begun, begin)) {
            begin = log->capture_us;
            begun = true;
            ours = !apart;
            if (ours)
                g_array_append_val(hours, i);
        } else if (last && log->kind == LOG_KIND_APPLICATION && LOG(logs, *last).kind == LOG_KIND_STANDARD) {
            *last = i;
        }
    }
    for (guint i = hours->len; i-- > 0 && hours->len - i <= rules->hourly;)
        keep(keeps, g_array_index(hours, guint, i), KEEP_LONG);
}

static GArray *
keeps_of(const GArray *logs, const struct retention_rules *rules, GHashTable *pinned)
{
    struct ages ages;
    enum keep why;
    const struct rule young = {.for_us = rules->keep_every_us};
    GArray *keeps = g_array_sized_new(FALSE, TRUE, sizeof(enum keep), logs->len);
    g_array_set_size(keeps, logs->len);
    for (guint i = 0; pinned && i < logs->len; i++)
        if (g_hash_table_contains(pinned, &LOG(logs, i).id))
            keep(keeps, i, KEEP_LONG);
    for (guint i = 0; i < logs->len; i++)
        if (is_apart(rules, &LOG(logs, i), &why))
            keep(keeps, i, why);
    measure(logs, &ages);
    if (rules->keep_every_us)
        keep_by_rule(logs, &ages, &young, rules, keeps);
    for (guint n = 0; n < rules->more.count; n++)
        keep_by_rule(logs, &ages, &rules->more.rule[n], rules, keeps);
    ages_clear(&ages);
    keep_hourly(logs, rules, keeps);
    for (guint i = logs->len; i-- > 0;)
        if (!LOG(logs, i).fuzzy) {
            keep(keeps, i, KEEP_YOUNG);
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

bool
retention_has_points(const struct retention_rules *rules)
{
    return rules->hourly || rules->keep_every_us || rules->more.count;
}

GArray *
retention_plan(const GArray *logs, const struct retention_rules *rules, GHashTable *pinned)
{
    g_autoptr(GArray) keeps = keeps_of(logs, rules, pinned);
    return fates_of(logs, keeps);
}

GHashTable *
retention_stays_new(void)
{
    return g_hash_table_new_full(uuid_hash, uuid_same, g_free, NULL);
}

void
retention_stays(const GArray *logs, const struct retention_rules *rules, GHashTable *pinned, GHashTable *stays)
{
    g_autoptr(GArray) keeps = keeps_of(logs, rules, pinned);
    for (guint i = 0; i < logs->len; i++) {
        const guint was = GPOINTER_TO_UINT(g_hash_table_lookup(stays, &LOG(logs, i).id)), is = (guint)KEEP(keeps, i);
        g_hash_table_replace(stays, g_memdup2(&LOG(logs, i).id, sizeof(struct uuid)), GUINT_TO_POINTER(MAX(was, is)));
    }
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
retention_logs(struct store *s)
{
    bool base;
    return logs_with_base(s, &base);
}

/* What must stay: the store's own pins, and those of the caller. */
static GHashTable *
pins_with(struct store *s, GHashTable *more)
{
    GHashTable *pins = store_pinned(s);
    GHashTableIter it;
    gpointer id;
    if (!more)
        return pins;
    g_hash_table_iter_init(&it, more);
    while (g_hash_table_iter_next(&it, &id, NULL))
        g_hash_table_add(pins, g_memdup2(id, sizeof(struct uuid)));
    return pins;
}

GArray *
retention_points(struct store *s, const struct retention_rules *rules)
{
    bool base;
    uint64_t from = store_first_readable(s);
    g_autoptr(GHashTable) pins = store_pinned(s);
    g_autoptr(GArray) logs = logs_with_base(s, &base);
    g_autoptr(GArray) fates = retention_plan(logs, rules, pins);
    GArray *points = g_array_new(FALSE, FALSE, sizeof(struct store_log));
    const bool all = retention_has_points(rules) || rules->apart;
    for (guint i = 0; i < logs->len; i++)
        if (FATE(fates, i) == RETENTION_POINT && !LOG(logs, i).fuzzy && LOG(logs, i).sequence >= from &&
            (all || g_hash_table_contains(pins, &LOG(logs, i).id)))
            g_array_append_val(points, LOG(logs, i));
    return points;
}

/* ---- damage ---- */

/* A log that is damaged cannot be merged into one of the points that need it, only into one that has all of it again.  Of a merge of the
 * logs first .. to - 1: where it ends instead, at such a point below `limit`, or before the damaged log; `first`: not now. */
static guint
around_damage(const GPtrArray *damage, const GArray *logs, guint first, guint to, guint limit)
{
    for (guint i = 0; i < damage->len && to > first; i++) {
        const struct damage *d = damage->pdata[i];
        const uint64_t last = LOG(logs, to - 1).sequence;
        guint bad = first, good = to;
        if (d->of_base || LOG(logs, first).sequence > d->first || last < d->first || last >= d->until)
            continue;
        while (LOG(logs, bad).sequence < d->first)
            bad++;
        while (good < limit && LOG(logs, good).sequence < d->until)
            good++;
        to = good < limit ? good + 1 : bad;
        while (to > first && good == limit && LOG(logs, to - 1).fuzzy)
            to--;
    }
    return to;
}

/* How far a consolidation that ends at `last` may be drawn out without ending a point. */
static guint
limit_of(const GArray *keeps, guint last)
{
    while (last + 1 < keeps->len && KEEP(keeps, last) == KEEP_NOT)
        last++;
    return last + 1;
}

static GPtrArray *
known_damage(const struct store *s, GError **err)
{
    struct scrub_record r;
    GPtrArray *out = scrub_record_load(&r, store_dir(s), err) ? g_ptr_array_ref(r.damage) : NULL;
    for (guint i = 0; out && i < r.found->len; i++)
        g_ptr_array_add(out, damage_copy(r.found->pdata[i]));
    scrub_record_clear(&r);
    return out;
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

/* After a pause there are many: the more go together, the more often the newest of a place is the only one that is written. */
static guint
apply_end(const GArray *logs, guint first, guint end, unsigned batch)
{
    guint last = first;
    for (uint64_t bytes = 0; last < end && (last < first + batch || bytes < APPLY_BYTES); last++)
        bytes += LOG(logs, last).raw_bytes;
    return last;
}

static bool
apply_oldest(struct store *s, const GArray *logs, const GArray *fates, const GPtrArray *damage, guint first, unsigned batch,
             const gint *cancel, guint *done, GError **err)
{
    guint end = first;
    GError *why = NULL;

    while (end < logs->len && FATE(fates, end) == RETENTION_APPLY)
        end++;
    guint last = apply_end(logs, first, end, batch);
    if (end > first && !LOG(logs, end - 1).fuzzy) /* else all of them are fuzzy: the initial copy */
        while (LOG(logs, last - 1).fuzzy)
            last++;
    last = around_damage(damage, logs, first, last, end);
    *done = last > first && store_apply(s, &LOG(logs, last - 1).id, cancel, &why) ? last - first : 0;
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
retention_step(struct store *s, const struct retention_rules *rules, GHashTable *pinned, unsigned batch, const gint *cancel, bool *more,
               GError **err)
{
    bool base;
    guint applied;
    g_autoptr(GArray) logs = logs_with_base(s, &base);
    g_autoptr(GHashTable) pins = pins_with(s, pinned);
    g_autoptr(GArray) keeps = keeps_of(logs, rules, pins);
    g_autoptr(GArray) fates = fates_of(logs, keeps);
    g_autoptr(GPtrArray) damage = known_damage(s, err);
    guint first = base ? 1 : 0;

    batch = MAX(batch, 2);
    *more = false;
    if (!damage || !apply_oldest(s, logs, fates, damage, first, batch, cancel, &applied, err))
        return false;
    if (applied > 0) {
        *more = count_fate(fates, first, RETENTION_APPLY) > applied || count_fate(fates, first, RETENTION_MERGE) > 0;
        return true;
    }
    struct range r = next_merge(logs, keeps, first, batch);
    if (r.first < r.last)
        r.last = MAX(around_damage(damage, logs, r.first, r.last + 1, limit_of(keeps, r.last)), r.first + 1) - 1;
    if (r.first == r.last)
        return true;
    *more = true;
    return store_consolidate(s, &LOG(logs, r.first).id, &LOG(logs, r.last).id, cancel, err);
}

/* When everything older is nothing already, the base takes it; an open view of the base, and pinned points before it, leave
 * consolidating. */
static bool
merge_away(struct store *s, const GArray *logs, const GArray *keeps, guint point, guint next, guint first, const gint *cancel,
           GError **err)
{
    GError *why = NULL;
    guint from = point;
    bool oldest = true;
    for (guint i = 0; i < point; i++)
        oldest = oldest && KEEP(keeps, i) == KEEP_NOT;
    if (oldest && store_apply(s, &LOG(logs, next).id, cancel, &why))
        return true;
    if (why && (!err_is(why, ERR_IN_USE) || point < first)) {
        g_propagate_error(err, why);
        return false;
    }
    g_clear_error(&why);
    while (from > first && KEEP(keeps, from - 1) == KEEP_NOT)
        from--;
    return store_consolidate(s, &LOG(logs, from).id, &LOG(logs, next).id, cancel, err);
}

bool
retention_give_up(struct store *s, const struct retention_rules *rules, GHashTable *pinned, const gint *cancel, struct store_log *gone,
                  bool *found, GError **err)
{
    bool base;
    g_autoptr(GArray) logs = logs_with_base(s, &base);
    g_autoptr(GHashTable) pins = pins_with(s, pinned);
    g_autoptr(GArray) keeps = keeps_of(logs, rules, pins);
    guint i = 0, next;

    while (i < logs->len && (KEEP(keeps, i) == KEEP_NOT || g_hash_table_contains(pins, &LOG(logs, i).id)))
        i++;
    for (next = i + 1; next < logs->len && LOG(logs, next).fuzzy;)
        next++;
    *found = next < logs->len;
    if (!*found)
        return true;
    *gone = LOG(logs, i);
    return merge_away(s, logs, keeps, i, next, base ? 1 : 0, cancel, err);
}
