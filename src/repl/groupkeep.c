/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "repl/groupkeep.h"

#include "base/clean.h"
#include "repl/maintain.h"
#include "store/pins.h"

struct instant {
    struct store_log log; /* of the member that asks, as all of them have it */
    guint found, wanted;
    bool application, pinned;
};

struct joint {
    const struct uuid *group;
    GHashTable *by_point; /* struct uuid -> struct instant */
    GArray *order;        /* struct uuid: points in the order of the asking member's logs */
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

static void
take_member(struct joint *j, struct relation *rel, bool first)
{
    HOLD(&rel->lock);
    if (rel->side != SIDE_RECEIVER || !rel->in.store)
        return;
    g_autoptr(GArray) logs = retention_logs(rel->in.store);
    g_autoptr(GHashTable) pins = store_pinned(rel->in.store);
    for (guint i = 0; i < logs->len; i++) {
        const struct store_log *log = &g_array_index(logs, struct store_log, i);
        struct uuid group, point;
        guint members;
        if (!log->fuzzy && group_point_of_locked(rel, &log->id, &group, &point, &members) && uuid_equal(&group, j->group))
            join(j, log, &point, members, first, g_hash_table_contains(pins, &log->id));
    }
}

/* Whole instants as logs; those that must stay into pins (struct uuid *, borrowed). */
static GArray *
whole(const struct joint *j, GHashTable *pins)
{
    GArray *out = g_array_new(FALSE, FALSE, sizeof(struct store_log));
    for (guint n = 0; n < j->order->len; n++) {
        struct instant *i = g_hash_table_lookup(j->by_point, &g_array_index(j->order, struct uuid, n));
        if (i->found != i->wanted)
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

static GHashTable *
decide(struct relation *rel, const struct group *g, const GPtrArray *members)
{
    g_autoptr(GHashTable) by_point = g_hash_table_new_full(uuid_hash, uuid_same, g_free, g_free);
    g_autoptr(GHashTable) pins = g_hash_table_new(uuid_hash, uuid_same);
    g_autoptr(GArray) order = g_array_new(FALSE, FALSE, sizeof(struct uuid));
    struct joint j = { &g->id, by_point, order };
    take_member(&j, rel, true);
    for (guint i = 0; i < members->len; i++)
        if (members->pdata[i] != rel)
            take_member(&j, members->pdata[i], false);
    g_autoptr(GArray) logs = whole(&j, pins);
    g_autoptr(GHashTable) stays = retention_stays_new();
    bool any = false;
    for (guint i = 0; i < members->len; i++) {
        retention_rules_auto rules = maintain_own_rules(members->pdata[i]);
        any = any || retention_has_points(&rules);
        retention_stays(logs, &rules, pins, stays);
    }
    return any ? g_steal_pointer(&stays) : NULL;
}

GHashTable *
groupkeep(struct core *c, struct relation *rel)
{
    struct group g = { 0 };
    if (rel->side != SIDE_RECEIVER || !groups_of(c->groups, &rel->vm, &g))
        return NULL;
    g_autoptr(GPtrArray) members = members_of(c, &g);
    GHashTable *stays = decide(rel, &g, members);
    group_clear(&g);
    return stays;
}
