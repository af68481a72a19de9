/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "repl/activity.h"

#include "base/clean.h"
#include "base/err.h"
#include "repl/bootcheck.h"
#include "repl/cycle.h"
#include "repl/extend.h"
#include "repl/flatten.h"
#include "repl/maintain.h"
#include "repl/proof.h"
#include "repl/send.h"
#include "repl/serving.h"

#include <string.h>

static struct outbox *
open_outbox(struct core *c, struct relation *rel, GError **err)
{
    char text[UUID_TEXT];
    g_autofree char *name = g_strdup_printf(rel->index ? "%s-extended" : "%s", uuid_format(&rel->vm, text));
    g_autofree char *dir = g_build_filename(c->outbox_dir, name, NULL);
    HOLD(&rel->lock);
    return outbox_open(dir, rel->r.acked_sequence, err);
}

static bool
has_outbox(struct relation *rel)
{
    HOLD(&rel->lock);
    return rel->s.outbox != NULL;
}

/* A job that was posted before a removal must not bring back what that ended. */
static bool
may_attach_locked(const struct relation *rel, GError **err)
{
    return !rel->ended ||
           err_set(err, ERR_NO_SUCH_INSTANCE, "The replication of guest '%s' was removed meanwhile.", rel->r.name);
}

static bool
attach_sender(struct core *c, struct relation *rel, GError **err)
{
    struct outbox *outbox = has_outbox(rel) ? NULL : open_outbox(c, rel, err);
    HOLD(&rel->lock);
    if (outbox) {
        rel->s.outbox = outbox;
        g_free(rel->s.lost);
        rel->s.lost = g_strdup(outbox_cut(outbox));
    }
    if (!rel->s.outbox || !may_attach_locked(rel, err))
        return false;
    if (!rel->s.cycle) {
        rel->s.reads = false;
        rel->s.cycle = task_new(c->schedule, LANE_CAPTURE, rel->index ? extend_task : cycle_task, rel);
        rel->s.send = task_new(c->schedule, LANE_SEND, send_task, rel);
    }
    return true;
}

static bool
attach_receiver(struct core *c, struct relation *rel, GError **err)
{
    struct store *store = NULL;
    bool needs_store;
    HOLD(&rel->in.opening);
    {
        HOLD(&rel->lock);
        if (!may_attach_locked(rel, err))
            return false;
        needs_store = rel->r.state != STATE_COMMITTED && !rel->in.store;
        if (!rel->in.maintain) {
            rel->in.maintain = task_new(c->schedule, LANE_BACKGROUND, maintain_task, rel);
            rel->in.fill = task_new(c->schedule, LANE_BACKGROUND, flatten_task, rel);
            rel->in.prove = task_new(c->schedule, LANE_BACKGROUND, proof_task, rel);
            rel->in.serve = task_new(c->schedule, LANE_SERVE, serving_task, rel);
            task_now(rel->in.prove); /* it comes back by itself */
        }
    }
    if (needs_store && !(store = store_open(rel->r.folder, err)))
        return false;
    if (store && !proof_open(rel, err)) { /* else what is damaged would count as whole */
        store_close(store);
        return false;
    }
    GHashTable *checks = store ? bootcheck_load(rel->r.folder) : NULL;
    {
        HOLD(&rel->lock);
        if (store)
            rel->in.store = store;
        if (checks) {
            g_clear_pointer(&rel->in.checks, g_hash_table_unref);
            rel->in.checks = checks;
        }
        if (rel->in.store)
            store_set_throttle(rel->in.store, c->merging);
    }
    return true;
}

bool
activity_attach(struct core *c, struct relation *rel, GError **err)
{
    {
        HOLD(&rel->lock);
        if (!may_attach_locked(rel, err))
            return false;
        g_atomic_int_set(&rel->halt, 0);
    }
    return rel->side == SIDE_SENDER ? attach_sender(c, rel, err) : attach_receiver(c, rel, err);
}

void
activity_wake(struct relation *rel)
{
    HOLD(&rel->lock);
    struct task *const tasks[] = { rel->s.cycle, rel->s.send, rel->in.maintain, rel->in.fill, rel->in.prove, rel->in.serve };
    for (guint i = 0; i < G_N_ELEMENTS(tasks); i++)
        if (tasks[i])
            task_now(tasks[i]);
}

void
activity_detach(struct relation *rel)
{
    relation_halt(rel, true);
    struct task *tasks[6];
    {
        HOLD(&rel->lock);
        struct task *const now[] = { rel->s.cycle, rel->s.send, rel->in.maintain, rel->in.fill, rel->in.prove, rel->in.serve };
        memcpy(tasks, now, sizeof tasks);
    }
    for (guint i = 0; i < G_N_ELEMENTS(tasks); i++)
        task_stop(tasks[i]);
    HOLD(&rel->lock);
    for (guint i = 0; i < G_N_ELEMENTS(tasks); i++)
        task_free(tasks[i]);
    rel->s.cycle = rel->s.send = rel->in.maintain = rel->in.fill = rel->in.prove = rel->in.serve = NULL;
}

void
activity_end(struct relation *rel)
{
    {
        HOLD(&rel->lock);
        rel->ended = true;
    }
    activity_detach(rel);
}

bool
activity_revive(struct core *c, struct relation *rel, GError **err)
{
    {
        HOLD(&rel->lock);
        rel->ended = false;
    }
    return activity_attach(c, rel, err);
}

static const gint64 LOOK_US = 20 * 1000;

void
activity_hold(struct relation *rel)
{
    relation_halt(rel, true);
    HOLD(&rel->lock);
    while (rel->s.cycle && !task_hold(rel->s.cycle))
        g_cond_wait_until(&rel->changed, &rel->lock, g_get_monotonic_time() + LOOK_US);
}

void
activity_release(struct relation *rel)
{
    {
        HOLD(&rel->lock);
        if (rel->s.cycle)
            task_release(rel->s.cycle);
    }
    g_atomic_int_set(&rel->halt, 0);
    activity_wake(rel);
}

void
activity_guest_event(struct core *c, const struct uuid *vm, const char *what)
{
    g_autoptr(GPtrArray) all = core_list(c);
    for (guint i = 0; i < all->len; i++) {
        struct relation *rel = all->pdata[i];
        if (!uuid_is_nil(vm) && !uuid_equal(vm, &rel->vm))
            continue;
        HOLD(&rel->lock);
        rel->s.facts_stale = true;
        if (rel->s.cycle && rel->r.state == STATE_WAITING_INITIAL)
            task_now(rel->s.cycle);
        if (rel->in.fill)
            task_now(rel->in.fill);
    }
}
