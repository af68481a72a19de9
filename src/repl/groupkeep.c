/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "repl/groupkeep.h"

#include "base/clean.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "repl/maintain.h"
#include "store/pins.h"

static const gint64 PATIENCE_US = 86400 * (gint64)G_USEC_PER_SEC;

struct instant {
    struct store_log log; /* of the member that asks, as all of them have it */
    guint found, wanted;
    bool application, pinned;
};

struct joint {
    const struct uuid *group;
    GHashTable *by_point; /* struct uuid -> struct instant */
    GArray *order;        /* struct uuid: points in the order of the asking member's logs */
    guint passed;         /* members that are waited for no more: they count as if they had each instant */
};

static void
join(struct joint *j, const struct store_log *log, const struct uuid *point, guint members, bool first, bool pinned)
{
    struct instant *i = g_hash_table_lookup(j->by_point, point);
    if (!i && !first)
        return;
    if (!i) {
        i = g_new0(struct instant, 1);
        *i = (struct instant){ .log = *log, .wanted = members, .application = true };
        g_hash_table_insert(j->by_point, g_memdup2(point, sizeof *point), i);
        g_array_append_val(j->order, *point);
    }
    i->found++;
    i->application &= log->kind == LOG_KIND_APPLICATION;
    i->pinned |= pinned;
    i->log.received_us = MAX(i->log.received_us, log->received_us);
}

/* It has logs that nobody can look at: the daemon starts, or its file system is away.  One that is being made or removed has none. */
static bool
is_shut_locked(const struct relation *rel)
{
    const struct relation_record *r = &rel->r;
    return !rel->in.store && r->state != STATE_COMMITTED && r->state != STATE_DISABLED && !r->seeding && !r->removing;
}

/* Its disk may never come back, and what all keep for it meanwhile fills theirs. */
static bool
is_missed_locked(struct relation *rel)
{
    const gint64 now = clock_mono_us();
    if (!rel->in.missed_us)
        rel->in.missed_us = now;
    if (now - rel->in.missed_us < PATIENCE_US)
        return true;
    if (!rel->in.passed)
        log_warning("Guest '%s': its replica in folder '%s' has not been open for a day; the rest of its group does not wait for it to "
                    "merge recovery points any more.", rel->r.name, rel->r.folder);
    rel->in.passed = true;
    return false;
}

static bool
take_logs_locked(struct joint *j, struct relation *rel, bool first, GError **err)
{
    g_autoptr(GError) why = NULL;
    g_autoptr(GArray) logs = retention_logs(rel->in.store);
    g_autoptr(GHashTable) pins = store_pinned(rel->in.store);
    for (guint i = 0; i < logs->len; i++) {
        const struct store_log *log = &g_array_index(logs, struct store_log, i);
        struct uuid group, point;
        guint members;
        if (!log->fuzzy && group_point_of_locked(rel, &log->id, &group, &point, &members, &why) && uuid_equal(&group, j->group))
            join(j, log, &point, members, first, g_hash_table_contains(pins, &log->id));
        if (why) {
            g_propagate_error(err, g_steal_pointer(&why));
            return false;
        }
    }
    return true;
}

static bool
take_member(struct joint *j, struct relation *rel, bool first, GError **err)
{
    HOLD(&rel->lock);
    if (rel->side != SIDE_RECEIVER)
        return true;
    if (!is_shut_locked(rel)) {
        rel->in.missed_us = 0;
        rel->in.passed = false;
        return !rel->in.store || take_logs_locked(j, rel, first, err);
    }
    if (is_missed_locked(rel))
        return err_set(err, ERR_NOT_AVAILABLE, "The replica of guest '%s' in folder '%s' is not open.", rel->r.name, rel->r.folder);
    j->passed++;
    return true;
}

/* Whole instants as logs; those that must stay into pins (struct uuid *, borrowed). */
static GArray *
whole(const struct joint *j, GHashTable *pins)
{
    GArray *out = g_array_new(FALSE, FALSE, sizeof(struct store_log));
    for (guint n = 0; n < j->order->len; n++) {
        struct instant *i = g_hash_table_lookup(j->by_point, &g_array_index(j->order, struct uuid, n));
        if (i->found + j->passed < i->wanted)
            continue;
        if (i->log.kind == LOG_KIND_APPLICATION && !i->application)
            i->log.kind = LOG_KIND_STANDARD;
        if (i->pinned)
            g_hash_table_add(pins, &i->log.id);
        g_array_append_val(out, i->log);
    }
    return out;
}

static GPtrArray *
members_of(struct core *c, const struct group *g)
{
    GPtrArray *out = g_ptr_array_new_with_free_func((GDestroyNotify)relation_unref);
    for (char **m = g->members; m && *m; m++) {
        struct uuid vm;
        struct relation *one = uuid_parse(*m, &vm) ? core_find(c, &vm, 0) : NULL;
        if (one)
            g_ptr_array_add(out, one);
    }
    return out;
}

static bool
decide(struct relation *rel, const struct group *g, const GPtrArray *members, GHashTable **out, GError **err)
{
    g_autoptr(GHashTable) by_point = g_hash_table_new_full(uuid_hash, uuid_same, g_free, g_free);
    g_autoptr(GHashTable) pins = g_hash_table_new(uuid_hash, uuid_same);
    g_autoptr(GArray) order = g_array_new(FALSE, FALSE, sizeof(struct uuid));
    struct joint j = { &g->id, by_point, order, 0 };
    if (!take_member(&j, rel, true, err))
        return false;
    for (guint i = 0; i < members->len; i++)
        if (members->pdata[i] != rel && !take_member(&j, members->pdata[i], false, err))
            return false;
    g_autoptr(GArray) logs = whole(&j, pins);
    g_autoptr(GHashTable) stays = retention_stays_new();
    bool any = false;
    for (guint i = 0; i < members->len; i++) {
        retention_rules_auto rules = maintain_own_rules(members->pdata[i]);
        any = any || retention_has_points(&rules);
        retention_stays(logs, &rules, pins, stays);
    }
    *out = any ? g_steal_pointer(&stays) : NULL;
    return true;
}

bool
groupkeep(struct core *c, struct relation *rel, GHashTable **out, GError **err)
{
    struct group g = { 0 };
    *out = NULL;
    if (rel->side != SIDE_RECEIVER || !groups_of(c->groups, &rel->vm, &g))
        return true;
    g_autoptr(GPtrArray) members = members_of(c, &g);
    const bool known = decide(rel, &g, members, out, err);
    group_clear(&g);
    return known;
}
