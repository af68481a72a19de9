/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fake_watch.h"
#include "patience.h"

#include "base/clean.h"
#include "base/err.h"

#include <string.h>

struct cim_watch {
    GMutex lock;
    GCond changed;
    GPtrArray *watchers;
    char *query;
    guint64 sequence;
};
struct cim_watcher {
    struct cim_watch *hub;
    GQueue events;
    guint limit, lost;
    bool woken;
};

struct cim_event *
cim_event_ref(struct cim_event *e)
{
    g_atomic_int_inc(&e->refs);
    return e;
}

void
cim_event_unref(struct cim_event *e)
{
    if (!e || !g_atomic_int_dec_and_test(&e->refs))
        return;
    cim_instance_free(e->now);
    cim_instance_free(e->before);
    g_free(e);
}

struct cim_watch *
fake_watch_new(void)
{
    struct cim_watch *w = g_new0(struct cim_watch, 1);
    g_mutex_init(&w->lock);
    g_cond_init(&w->changed);
    w->watchers = g_ptr_array_new();
    return w;
}

void
fake_watch_free(struct cim_watch *w)
{
    g_assert_cmpuint(w->watchers->len, ==, 0);
    g_ptr_array_unref(w->watchers);
    g_mutex_clear(&w->lock);
    g_cond_clear(&w->changed);
    g_free(w->query);
    g_free(w);
}

struct cim_watcher *
cim_watch_open(struct cim_watch *w, const struct cim_caller *c, const char *ns, const char *query, guint queue, GError **err)
{
    if (strstr(query, "bad")) {
        err_set(err, ERR_BAD_QUERY, "It is bad at position 7.");
        return NULL;
    }
    struct cim_watcher *r = g_new0(struct cim_watcher, 1);
    r->hub = w;
    r->limit = queue;
    HOLD(&w->lock);
    g_free(w->query);
    w->query = g_strdup(query);
    g_ptr_array_add(w->watchers, r);
    g_cond_broadcast(&w->changed);
    return r;
}

void
cim_watcher_close(struct cim_watcher *r)
{
    if (!r)
        return;
    g_mutex_lock(&r->hub->lock);
    g_ptr_array_remove(r->hub->watchers, r);
    g_cond_broadcast(&r->hub->changed);
    g_mutex_unlock(&r->hub->lock);
    for (struct cim_event *e; (e = g_queue_pop_head(&r->events));)
        cim_event_unref(e);
    g_free(r);
}

struct cim_event *
cim_watcher_next(struct cim_watcher *r, gint64 timeout_us, guint *lost)
{
    gint64 until = g_get_monotonic_time() + timeout_us;
    HOLD(&r->hub->lock);
    while (g_queue_is_empty(&r->events) && !r->woken && r->lost == 0)
        if (!g_cond_wait_until(&r->hub->changed, &r->hub->lock, until))
            break;
    r->woken = false;
    *lost = r->lost;
    r->lost = 0;
    return g_queue_pop_head(&r->events);
}

void
cim_watcher_wake(struct cim_watcher *r)
{
    HOLD(&r->hub->lock);
    r->woken = true;
    g_cond_broadcast(&r->hub->changed);
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

guint64
fake_watch_post(struct cim_watch *w, enum cim_event_kind kind, struct cim_instance *now, struct cim_instance *before)
{
    struct cim_event *e = g_new0(struct cim_event, 1);
    g_atomic_int_set(&e->refs, 1);
    e->kind = kind;
    e->now = now;
    e->before = before;
    e->time_us = G_GINT64_CONSTANT(1795000000) * G_USEC_PER_SEC;
    g_mutex_lock(&w->lock);
    guint64 sequence = e->sequence = ++w->sequence;
    for (guint i = 0; i < w->watchers->len; i++)
        push(w->watchers->pdata[i], e);
    g_cond_broadcast(&w->changed);
    g_mutex_unlock(&w->lock);
    cim_event_unref(e);
    return sequence;
}

void
fake_watch_lose(struct cim_watch *w, guint count)
{
    HOLD(&w->lock);
    for (guint i = 0; i < w->watchers->len; i++)
        ((struct cim_watcher *)w->watchers->pdata[i])->lost += count;
    g_cond_broadcast(&w->changed);
}

void
fake_watch_wait(struct cim_watch *w, guint count)
{
    gint64 until = g_get_monotonic_time() + PATIENCE_S * (gint64)G_USEC_PER_SEC;
    HOLD(&w->lock);
    while (w->watchers->len != count)
        g_assert_true(g_cond_wait_until(&w->changed, &w->lock, until));
}

char *
fake_watch_query(struct cim_watch *w)
{
    HOLD(&w->lock);
    return g_strdup(w->query);
}

guint
fake_watch_count(struct cim_watch *w)
{
    HOLD(&w->lock);
    return w->watchers->len;
}
