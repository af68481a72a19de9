/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "repl/late.h"

#include "base/clean.h"
#include "base/log.h"
#include "repl/core.h"

static const gint64 LATE_US = G_USEC_PER_SEC;
static const gint64 RETRY_US = 5 * (gint64)G_USEC_PER_SEC;

struct late {
    struct core *core;
    struct task *task;
    gint failing;           /* atomic */
    gint planned;           /* atomic: the task will run */
    GMutex lock;
    GHashTable *noted;      /* struct relation -> guint64 *, sequence; under lock */
};

static gint64
late_task(void *user)
{
    struct late *l = user;
    g_autoptr(GError) why = NULL;
    g_atomic_int_set(&l->planned, 0);
    if (late_flush(l, &why))
        return SCHEDULE_IDLE;
    log_warning("Acknowledgements could not be saved, and are tried again: %s", why->message);
    return g_get_monotonic_time() + RETRY_US;
}

struct late *
late_new(struct core *c)
{
    struct late *l = g_new0(struct late, 1);
    l->core = c;
    l->noted = g_hash_table_new_full(NULL, NULL, (GDestroyNotify)relation_unref, g_free);
    g_mutex_init(&l->lock);
    l->task = task_new(c->schedule, LANE_SAVE, late_task, l);
    return l;
}

void
late_free(struct late *l)
{
    if (!l)
        return;
    task_free(l->task);
    g_hash_table_unref(l->noted);
    g_mutex_clear(&l->lock);
    g_free(l);
}

void
late_soon(struct late *l)
{
    if (g_atomic_int_compare_and_exchange(&l->planned, 0, 1))
        task_at(l->task, g_get_monotonic_time() + LATE_US);
}

void
late_note(struct late *l, struct relation *rel, guint64 sequence)
{
    {
        HOLD(&l->lock);
        guint64 *known = g_hash_table_lookup(l->noted, rel);
        if (known)
            *known = sequence;
        else
            g_hash_table_insert(l->noted, relation_ref(rel), g_memdup2(&sequence, sizeof sequence));
    }
    late_soon(l);
}

bool
late_now(struct late *l)
{
    return g_atomic_int_get(&l->failing);
}

static GHashTable *
take(struct late *l)
{
    HOLD(&l->lock);
    GHashTable *all = l->noted;
    l->noted = g_hash_table_new_full(NULL, NULL, (GDestroyNotify)relation_unref, g_free);
    return all;
}

/* What came meanwhile is newer. */
static void
give_back(struct late *l, GHashTable *all)
{
    GHashTableIter it;
    gpointer rel, sequence;
    HOLD(&l->lock);
    g_hash_table_iter_init(&it, all);
    while (g_hash_table_iter_next(&it, &rel, &sequence))
        if (!g_hash_table_contains(l->noted, rel))
            g_hash_table_insert(l->noted, relation_ref(rel), g_memdup2(sequence, sizeof(guint64)));
}

static void
sweep(struct relation *rel, guint64 sequence)
{
    g_autoptr(GError) why = NULL;
    if (!outbox_sweep(rel->s.outbox, sequence, &why))
        log_warning("Guest '%s': %s", rel->r.name, why->message);
}

bool
late_flush(struct late *l, GError **err)
{
    GHashTableIter it;
    gpointer rel, sequence;
    g_autoptr(GHashTable) all = take(l); /* before the write, so that it covers them */
    const bool ok = db_flush(l->core->db, err);
    g_atomic_int_set(&l->failing, !ok);
    if (!ok) {
        give_back(l, all);
        return false;
    }
    g_hash_table_iter_init(&it, all);
    while (g_hash_table_iter_next(&it, &rel, &sequence))
        sweep(rel, *(const guint64 *)sequence);
    return true;
}
