/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "wsman/subscription.h"

#include "base/clean.h"
#include "base/err.h"
#include "base/uuid.h"
#include "cim/eventquery.h"
#include "wsman/fault.h"

#include <string.h>

struct subscriptions {
    struct cim_watch *watch;
    GMutex lock;
    GHashTable *table; /* id -> struct subscription */
    GCond given_back;
    guint taken;
    bool closing;
};

static void
subscription_free(struct subscription *s)
{
    cim_watcher_close(s->watcher);
    g_free(s->user);
    g_free(s->event);
    g_free(s);
}

/* Out of the table; who works on it frees it. */
static void
drop(gpointer p)
{
    struct subscription *s = p;
    s->removed = true;
    if (!s->busy) {
        subscription_free(s);
        return;
    }
    cim_watcher_wake(s->watcher);
    if (s->interrupt)
        s->interrupt(s->who);
}

struct subscriptions *
subscriptions_new(struct cim_watch *watch)
{
    struct subscriptions *t = g_new0(struct subscriptions, 1);
    t->watch = watch;
    g_mutex_init(&t->lock);
    g_cond_init(&t->given_back);
    t->table = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, drop);
    return t;
}

void
subscriptions_free(struct subscriptions *t)
{
    if (!t)
        return;
    g_mutex_lock(&t->lock);
    t->closing = true;
    g_hash_table_remove_all(t->table);
    while (t->taken)
        g_cond_wait(&t->given_back, &t->lock);
    g_mutex_unlock(&t->lock);
    g_hash_table_unref(t->table);
    g_cond_clear(&t->given_back);
    g_mutex_clear(&t->lock);
    g_free(t);
}

static gboolean
is_over(gpointer id, gpointer subscription, gpointer now)
{
    return ((struct subscription *)subscription)->ends_us <= *(const gint64 *)now;
}

static void
purge_locked(struct subscriptions *t)
{
    gint64 now = g_get_monotonic_time();
    g_hash_table_foreach_remove(t->table, is_over, &now);
}

static struct subscription *
find_locked(struct subscriptions *t, const char *user, const char *id, GError **err)
{
    purge_locked(t);
    struct subscription *s = g_hash_table_lookup(t->table, id);
    if (s && g_strcmp0(s->user, user) == 0)
        return s;
    fault_set(err, FAULT_CONTEXT, "There is no subscription '%s' (any more).", id);
    return NULL;
}

static gint64
end_of(gint64 *lives_us, bool pushed)
{
    const gint64 longest = (pushed ? SUBSCRIPTION_LONGEST_PUSHED_S : SUBSCRIPTION_LONGEST_S) * (gint64)G_USEC_PER_SEC;
    *lives_us = *lives_us ? MIN(*lives_us, longest) : SUBSCRIPTION_DEFAULT_S * (gint64)G_USEC_PER_SEC;
    return g_get_monotonic_time() + *lives_us;
}

static bool
has_room_locked(struct subscriptions *t, const struct subscription *more, GError **err)
{
    GHashTableIter it;
    gpointer p;
    guint own = 0, pushed = 0;
    purge_locked(t);
    g_hash_table_iter_init(&it, t->table);
    while (g_hash_table_iter_next(&it, NULL, &p)) {
        const struct subscription *s = p;
        own += g_strcmp0(s->user, more->user) == 0;
        pushed += s->pushed;
    }
    return (own < SUBSCRIPTION_PER_USER && g_hash_table_size(t->table) < SUBSCRIPTION_TOTAL &&
            (!more->pushed || pushed < SUBSCRIPTION_PUSHED)) ||
           fault_set(err, FAULT_QUOTA, "There are too many subscriptions; end one with Unsubscribe.");
}

static struct subscription *
subscription_new(struct subscriptions *t, const struct cim_caller *caller, const char *ns, const char *query, bool pushed,
                 gint64 *lives_us, GError **err)
{
    struct event_query *q = event_query_parse(query, err);
    struct cim_watcher *watcher = q ? cim_watch_open(t->watch, caller, ns, query, SUBSCRIPTION_QUEUE, err) : NULL;
    struct subscription *s = NULL;
    if (watcher) {
        s = g_new0(struct subscription, 1);
        s->user = g_strdup(caller->user);
        s->watcher = watcher;
        s->event = g_strdup(q->name);
        s->indication = q->indication;
        s->pushed = pushed;
        s->ends_us = end_of(lives_us, pushed);
    }
    event_query_free(q);
    return s;
}

char *
subscriptions_add(struct subscriptions *t, const struct cim_caller *caller, const char *ns, const char *query, bool pushed,
                  gint64 *lives_us, GError **err)
{
    char id[UUID_TEXT];
    const struct uuid random = uuid_random();
    struct subscription *s = subscription_new(t, caller, ns, query, pushed, lives_us, err);
    if (!s)
        return NULL;
    HOLD(&t->lock);
    if (!has_room_locked(t, s, err)) {
        subscription_free(s);
        return NULL;
    }
    g_hash_table_insert(t->table, g_strdup(uuid_format(&random, id)), s);
    return g_strdup(id);
}

bool
subscriptions_pulled(struct subscriptions *t, const char *user, const char *id)
{
    HOLD(&t->lock);
    const struct subscription *s = find_locked(t, user, id, NULL);
    return s && !s->pushed;
}

bool
subscriptions_renew(struct subscriptions *t, const char *user, const char *id, gint64 *lives_us, GError **err)
{
    HOLD(&t->lock);
    struct subscription *s = find_locked(t, user, id, err);
    if (s)
        s->ends_us = end_of(lives_us, s->pushed);
    return s != NULL;
}

bool
subscriptions_remove(struct subscriptions *t, const char *user, const char *id, GError **err)
{
    HOLD(&t->lock);
    return find_locked(t, user, id, err) && g_hash_table_remove(t->table, id);
}

struct subscription *
subscriptions_take(struct subscriptions *t, const char *user, const char *id, GError **err)
{
    HOLD(&t->lock);
    struct subscription *s = find_locked(t, user, id, err);
    if (s && s->busy) {
        fault_set(err, FAULT_CONCURRENCY, "Another Pull works on this subscription.");
        return NULL;
    }
    if (s) {
        s->busy = true;
        t->taken++;
    }
    return s;
}

void
subscriptions_give_back(struct subscriptions *t, struct subscription *s)
{
    HOLD(&t->lock);
    s->busy = false;
    s->interrupt = NULL;
    t->taken--;
    g_cond_broadcast(&t->given_back);
    if (s->removed)
        subscription_free(s);
}

void
subscriptions_on_end(struct subscriptions *t, struct subscription *s, void (*interrupt)(void *who), void *who)
{
    HOLD(&t->lock);
    s->interrupt = interrupt;
    s->who = who;
    if (s->removed && interrupt)
        interrupt(who);
}

enum subscription_state
subscriptions_look(struct subscriptions *t, struct subscription *s, gint64 *left_us)
{
    HOLD(&t->lock);
    purge_locked(t);
    *left_us = MAX(s->ends_us - g_get_monotonic_time(), 0);
    return t->closing ? SUBSCRIPTION_CLOSING : s->removed ? SUBSCRIPTION_OVER : SUBSCRIPTION_GOES_ON;
}
