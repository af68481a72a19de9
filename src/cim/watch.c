/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cim/watch.h"

#include "base/clean.h"
#include "base/err.h"
#include "base/log.h"
#include "cim/eventquery.h"

#include <string.h>

static const gint64 LOOK_US = G_USEC_PER_SEC, LEAST_US = G_USEC_PER_SEC / 10;
static const struct cim_caller HUB = {"events", CIM_ADMINISTRATOR};

/* They change all the time by themselves. */
static const char *const VOLATILE[] = {
    "OnTimeInMilliseconds", "ElapsedTime", "UpTime", "LocalDateTime", "CurrentTimeZone", "LoadPercentage", "ProcessorLoad", "MemoryUsage",
    "FreePhysicalMemory", "FreeVirtualMemory", "EndStatisticTime", "PendingReplicationSize", "TotalRunTime", "Timestamp_Sys100NS",
};

struct cim_watcher {
    struct cim_watch *hub;
    struct watched *on;
    struct event_query *query;
    GQueue events;               /* under the hub's lock, as all below */
    guint limit, lost;
    bool woken;
};

/* A class that somebody watches.  `seen` belongs to whoever holds `looking`. */
struct watched {
    char *ns, *cls;
    guint users;                 /* under the hub's lock */
    gint64 due;                  /* monotonic, likewise */
    GMutex looking;
    GHashTable *seen;            /* path -> struct cim_instance; NULL: nobody looked yet */
};

/* Lock order: watched.looking -> lock. */
struct cim_watch {
    struct cim_broker *broker;
    GMutex lock;
    GCond changed, posted;       /* changed: the thread has something to do; posted: watchers have */
    GPtrArray *classes, *watchers;
    GThread *thread;
    bool stop, poked;
    guint64 sequence;
};

/* ---- events ---- */

struct cim_event *
cim_event_ref(struct cim_event *e)
{
    g_atomic_ref_count_inc(&e->refs);
    return e;
}

void
cim_event_unref(struct cim_event *e)
{
    if (!e || !g_atomic_ref_count_dec(&e->refs))
        return;
    cim_instance_free(e->now);
    cim_instance_free(e->before);
    g_free(e);
}

static void
push(struct cim_watcher *r, struct cim_event *e)
{
    g_queue_push_tail(&r->events, cim_event_ref(e));
    if (r->events.length <= r->limit)
        return;
    cim_event_unref(g_queue_pop_head(&r->events));
    r->lost++;
}

static bool
wants(const struct cim_watch *w, const struct cim_watcher *r, const struct cim_event *e)
{
    const struct expr_scope scope = {.event = true, .target = e->now ? e->now : e->before, .previous = e->now ? e->before : NULL,
                                     .server = cim_broker_host(w->broker)};
    return (r->query->kinds & 1u << e->kind) && expr_holds(r->query->where, &scope);
}

/* Takes now and before (NULL: none). */
static void
post(struct cim_watch *w, const struct watched *on, struct cim_instance *now, struct cim_instance *before)
{
    struct cim_event *e = g_new0(struct cim_event, 1);
    g_atomic_ref_count_init(&e->refs);
    e->kind = !before ? CIM_CREATED : now ? CIM_MODIFIED : CIM_DELETED;
    e->time_us = g_get_real_time();
    e->now = now;
    e->before = before;
    g_mutex_lock(&w->lock);
    e->sequence = ++w->sequence;
    for (guint i = 0; i < w->watchers->len; i++) {
        struct cim_watcher *r = w->watchers->pdata[i];
        if (r->on == on && wants(w, r, e))
            push(r, e);
    }
    g_cond_broadcast(&w->posted);
    g_mutex_unlock(&w->lock);
    cim_event_unref(e);
}

/* ---- what changed ---- */

bool
cim_watch_is_volatile(const char *name)
{
    for (guint i = 0; i < G_N_ELEMENTS(VOLATILE); i++)
        if (!g_ascii_strcasecmp(VOLATILE[i], name))
            return true;
    return false;
}

static bool
same_value(const struct cim_value *a, const struct cim_value *b)
{
    if (a->null != b->null || a->array != b->array)
        return false;
    if (a->null)
        return true;
    if (a->array) {
        bool same = a->items->len == b->items->len;
        for (guint i = 0; same && i < a->items->len; i++)
            same = same_value(a->items->pdata[i], b->items->pdata[i]);
        return same;
    }
    g_autofree char *left = cim_value_text(a), *right = cim_value_text(b);
    return g_strcmp0(left, right) == 0;
}

static bool
same_instance(const struct cim_instance *a, const struct cim_instance *b)
{
    bool same = a->cls == b->cls;
    for (guint i = 0; same && i < a->cls->property_count; i++)
        same = cim_watch_is_volatile(a->cls->properties[i].name) || same_value(&a->values[i], &b->values[i]);
    return same;
}

static GHashTable *
by_path(GPtrArray *instances)
{
    GHashTable *table = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, (GDestroyNotify)cim_instance_free);
    for (guint i = 0; i < instances->len; i++) {
        cim_path_auto path = cim_instance_path(instances->pdata[i]);
        g_hash_table_replace(table, cim_path_text(path), cim_instance_copy(instances->pdata[i]));
    }
    return table;
}

static void
tell_differences(struct cim_watch *w, struct watched *on, GHashTable *now)
{
    GHashTableIter it;
    gpointer path, instance;
    g_hash_table_iter_init(&it, now);
    while (g_hash_table_iter_next(&it, &path, &instance)) {
        const struct cim_instance *before = g_hash_table_lookup(on->seen, path);
        if (!before || !same_instance(instance, before))
            post(w, on, cim_instance_copy(instance), before ? cim_instance_copy(before) : NULL);
    }
    g_hash_table_iter_init(&it, on->seen);
    while (g_hash_table_iter_next(&it, &path, &instance))
        if (!g_hash_table_contains(now, path))
            post(w, on, NULL, cim_instance_copy(instance));
}

/* One look; `looking` is held.  A provider that fails now leaves what was seen as it was. */
static bool
look(struct cim_watch *w, struct watched *on, GError **err)
{
    g_autoptr(GPtrArray) all = cim_enumerate(w->broker, &HUB, on->ns, on->cls, err);
    if (!all)
        return false;
    GHashTable *now = by_path(all);
    if (on->seen)
        tell_differences(w, on, now);
    g_clear_pointer(&on->seen, g_hash_table_unref);
    on->seen = now;
    return true;
}

/* ---- the thread ---- */

static gint64
period_locked(const struct cim_watch *w, const struct watched *on)
{
    gint64 period = G_MAXINT64;
    for (guint i = 0; i < w->watchers->len; i++) {
        const struct cim_watcher *r = w->watchers->pdata[i];
        if (r->on == on)
            period = MIN(period, r->query->within_us ? r->query->within_us : LOOK_US);
    }
    return period == G_MAXINT64 ? LOOK_US : MAX(period, LEAST_US);
}

/* The next class to look at, held for that; NULL: none yet, and *when says until when to wait. */
static struct watched *
next_due_locked(struct cim_watch *w, gint64 *when)
{
    const gint64 now = g_get_monotonic_time();
    *when = G_MAXINT64;
    for (guint i = 0; i < w->classes->len; i++) {
        struct watched *on = w->classes->pdata[i];
        if (on->due <= now) {
            on->due = now + period_locked(w, on);
            on->users++;
            return on;
        }
        *when = MIN(*when, on->due);
    }
    return NULL;
}

static void
watched_free(struct watched *on)
{
    g_clear_pointer(&on->seen, g_hash_table_unref);
    g_mutex_clear(&on->looking);
    g_free(on->ns);
    g_free(on->cls);
    g_free(on);
}

static void
leave_locked(struct cim_watch *w, struct watched *on)
{
    if (--on->users)
        return;
    g_ptr_array_remove(w->classes, on);
    watched_free(on);
}

static void
obey_poke_locked(struct cim_watch *w)
{
    if (!w->poked)
        return;
    w->poked = false;
    for (guint i = 0; i < w->classes->len; i++) {
        struct watched *on = w->classes->pdata[i];
        if (on->due != G_MAXINT64) /* else whoever begins it looks first, or what he should be told would be the beginning */
            on->due = 0;
    }
}

static void
look_and_log(struct cim_watch *w, struct watched *on)
{
    g_autoptr(GError) why = NULL;
    HOLD(&on->looking);
    if (!look(w, on, &why))
        log_debug("Instances of '%s' could not be looked at for events: %s", on->cls, why->message);
}

static gpointer
run(gpointer user)
{
    struct cim_watch *w = user;
    g_mutex_lock(&w->lock);
    while (!w->stop) {
        gint64 when;
        obey_poke_locked(w);
        struct watched *on = next_due_locked(w, &when);
        if (!on) {
            if (when == G_MAXINT64)
                g_cond_wait(&w->changed, &w->lock);
            else
                g_cond_wait_until(&w->changed, &w->lock, when);
            continue;
        }
        g_mutex_unlock(&w->lock);
        look_and_log(w, on);
        g_mutex_lock(&w->lock);
        leave_locked(w, on);
    }
    g_mutex_unlock(&w->lock);
    return NULL;
}

struct cim_watch *
cim_watch_new(struct cim_broker *b)
{
    struct cim_watch *w = g_new0(struct cim_watch, 1);
    w->broker = b;
    g_mutex_init(&w->lock);
    g_cond_init(&w->changed);
    g_cond_init(&w->posted);
    w->classes = g_ptr_array_new();
    w->watchers = g_ptr_array_new();
    w->thread = g_thread_new("events", run, w);
    return w;
}

void
cim_watch_free(struct cim_watch *w)
{
    if (!w)
        return;
    g_mutex_lock(&w->lock);
    w->stop = true;
    g_cond_broadcast(&w->changed);
    g_mutex_unlock(&w->lock);
    g_thread_join(w->thread);
    g_assert(w->watchers->len == 0);
    g_ptr_array_unref(w->watchers);
    g_ptr_array_unref(w->classes);
    g_cond_clear(&w->changed);
    g_cond_clear(&w->posted);
    g_mutex_clear(&w->lock);
    g_free(w);
}

void
cim_watch_poke(struct cim_watch *w)
{
    HOLD(&w->lock);
    w->poked = true;
    g_cond_broadcast(&w->changed);
}

/* ---- watchers ---- */

static struct watched *
enter(struct cim_watch *w, const char *ns, const char *cls)
{
    HOLD(&w->lock);
    for (guint i = 0; i < w->classes->len; i++) {
        struct watched *on = w->classes->pdata[i];
        if (!g_ascii_strcasecmp(on->ns, ns) && !g_ascii_strcasecmp(on->cls, cls)) {
            on->users++;
            return on;
        }
    }
    struct watched *on = g_new0(struct watched, 1);
    on->ns = g_strdup(ns);
    on->cls = g_strdup(cls);
    on->users = 1;
    on->due = G_MAXINT64; /* until the first look is done */
    g_mutex_init(&on->looking);
    g_ptr_array_add(w->classes, on);
    return on;
}

static struct cim_watcher *
join(struct cim_watch *w, struct watched *on, struct event_query *q, guint queue)
{
    struct cim_watcher *r = g_new0(struct cim_watcher, 1);
    r->hub = w;
    r->on = on;
    r->query = q;
    r->limit = MAX(queue, 1);
    HOLD(&w->lock);
    g_ptr_array_add(w->watchers, r);
    on->due = MIN(on->due, g_get_monotonic_time() + period_locked(w, on));
    g_cond_broadcast(&w->changed);
    return r;
}

/* What is there now is known before anything can be missed. */
static struct cim_watcher *
look_and_join(struct cim_watch *w, struct watched *on, struct event_query *q, guint queue, GError **err)
{
    HOLD(&on->looking);
    return look(w, on, err) ? join(w, on, q, queue) : NULL;
}

struct cim_watcher *
cim_watch_open(struct cim_watch *w, const struct cim_caller *c, const char *ns, const char *query, guint queue, GError **err)
{
    struct event_query *q = event_query_parse(query, err);
    if (!q)
        return NULL;
    const struct cim_class *cls = cim_class_find(ns, q->cls);
    bool ok = c->role >= CIM_VIEWER || err_set(err, ERR_ACCESS_DENIED, "Access to events of '%s' is denied.", q->cls);
    ok = ok && (cls || err_set(err, ERR_BAD_QUERY, "There is no class '%s' in '%s' to watch.", q->cls, ns));
    struct watched *on = ok ? enter(w, ns, cls->name) : NULL;
    struct cim_watcher *r = on ? look_and_join(w, on, q, queue, err) : NULL;
    if (r)
        return r;
    event_query_free(q);
    HOLD(&w->lock);
    if (on)
        leave_locked(w, on);
    return NULL;
}

void
cim_watcher_close(struct cim_watcher *r)
{
    if (!r)
        return;
    g_mutex_lock(&r->hub->lock);
    g_ptr_array_remove(r->hub->watchers, r);
    leave_locked(r->hub, r->on);
    g_cond_broadcast(&r->hub->posted);
    g_mutex_unlock(&r->hub->lock);
    for (struct cim_event *e; (e = g_queue_pop_head(&r->events));)
        cim_event_unref(e);
    event_query_free(r->query);
    g_free(r);
}

struct cim_event *
cim_watcher_next(struct cim_watcher *r, gint64 timeout_us, guint *lost)
{
    const gint64 until = g_get_monotonic_time() + timeout_us;
    HOLD(&r->hub->lock);
    while (g_queue_is_empty(&r->events) && !r->woken && g_cond_wait_until(&r->hub->posted, &r->hub->lock, until))
        ;
    r->woken = false;
    if (lost) {
        *lost = r->lost;
        r->lost = 0;
    }
    return g_queue_pop_head(&r->events);
}

void
cim_watcher_wake(struct cim_watcher *r)
{
    HOLD(&r->hub->lock);
    r->woken = true;
    g_cond_broadcast(&r->hub->posted);
}
