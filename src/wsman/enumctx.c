/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "wsman/enumctx.h"

#include "base/clean.h"
#include "base/clock.h"
#include "base/uuid.h"
#include "wsman/fault.h"

#include <string.h>

struct context {
    char *user;
    gint64 expires_us; /* monotonic */
    struct cursor *cursor;
};

struct enumctx {
    GMutex lock;
    GHashTable *contexts; /* id -> struct context */
};

void
cursor_free(struct cursor *c)
{
    if (!c)
        return;
    g_ptr_array_unref(c->instances);
    if (c->select)
        g_ptr_array_unref(c->select);
    g_free(c->as);
    g_free(c);
}

bool
cursor_done(const struct cursor *c)
{
    return c->next >= c->instances->len;
}

static void
context_free(gpointer p)
{
    struct context *c = p;
    cursor_free(c->cursor); /* NULL when it was taken */
    g_free(c->user);
    g_free(c);
}

struct enumctx *
enumctx_new(void)
{
    struct enumctx *t = g_new0(struct enumctx, 1);
    g_mutex_init(&t->lock);
    t->contexts = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, context_free);
    return t;
}

void
enumctx_free(struct enumctx *t)
{
    if (!t)
        return;
    g_hash_table_unref(t->contexts);
    g_mutex_clear(&t->lock);
    g_free(t);
}

static gboolean
is_expired(gpointer id, gpointer context, gpointer now)
{
    return ((const struct context *)context)->expires_us <= *(const gint64 *)now;
}

static void
sweep_locked(struct enumctx *t)
{
    gint64 now = clock_mono_us();
    g_hash_table_foreach_remove(t->contexts, is_expired, &now);
}

static guint
count_of_locked(struct enumctx *t, const char *user)
{
    GHashTableIter it;
    gpointer context;
    guint count = 0;
    g_hash_table_iter_init(&it, t->contexts);
    while (g_hash_table_iter_next(&it, NULL, &context))
        count += strcmp(((const struct context *)context)->user, user) == 0;
    return count;
}

char *
enumctx_put(struct enumctx *t, const char *user, const char *id, struct cursor *cursor, GError **err)
{
    char text[UUID_TEXT];
    struct uuid fresh = uuid_random();

    HOLD(&t->lock);
    sweep_locked(t);
    if (g_hash_table_size(t->contexts) >= ENUMCTX_TOTAL || count_of_locked(t, user) >= ENUMCTX_PER_USER) {
        cursor_free(cursor);
        fault_set(err, FAULT_QUOTA, "User '%s' has too many open enumerations. Release some, or wait %d seconds.", user, ENUMCTX_IDLE_S);
        return NULL;
    }
    struct context *c = g_new(struct context, 1);
    gint64 ends = cursor->ends_us ? cursor->ends_us : clock_mono_us() + ENUMCTX_IDLE_S * G_USEC_PER_SEC;
    *c = (struct context){g_strdup(user), ends, cursor};
    char *key = id ? g_strdup(id) : g_strconcat("uuid:", uuid_format(&fresh, text), NULL);
    g_hash_table_insert(t->contexts, g_strdup(key), c);
    return key;
}

struct cursor *
enumctx_take(struct enumctx *t, const char *user, const char *id, GError **err)
{
    HOLD(&t->lock);
    sweep_locked(t);
    struct context *c = g_hash_table_lookup(t->contexts, id);
    if (!c || strcmp(c->user, user) != 0) {
        fault_set(err, FAULT_CONTEXT, "The enumeration context '%s' is unknown or has expired. Enumerate again.", id);
        return NULL;
    }
    struct cursor *cursor = g_steal_pointer(&c->cursor);
    g_hash_table_remove(t->contexts, id);
    return cursor;
}

guint
enumctx_count(struct enumctx *t)
{
    HOLD(&t->lock);
    sweep_locked(t);
    return g_hash_table_size(t->contexts);
}
