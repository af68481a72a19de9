/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "repl/guest.h"
#include "repl/recover.h"

#include "base/clean.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "repl/activity.h"
#include "repl/establish.h"
#include "repl/extend.h"
#include "repl/failover.h"
#include "repl/maystart.h"
#include "repl/placeholder.h"
#include "repl/prepare.h"
#include "repl/resync.h"
#include "repl/reverse.h"
#include "repl/round.h"
#include "repl/seed.h"
#include "repl/serving.h"
#include "repl/testvm.h"
#include "store/store.h"
#include "vm/fence.h"

#include <string.h>

static struct work *
work_for(struct core *c, struct relation *rel)
{
    return work_new(c, rel, &rel->vm);
}

/* ---- senders ---- */

static bool
is_replica(struct core *c, const struct uuid *vm)
{
    relation_auto base = core_find(c, vm, 0);
    return base && base->side == SIDE_RECEIVER;
}

static bool
resume_initial(struct core *c, struct relation *rel, GError **err)
{
    struct work *w = work_for(c, rel);
    w->requested = rel->r.initial_type;
    return work_resume(w, rel->r.initial_job, establish_start_job(w->requested), true, establish_start_work, err);
}

static bool
recover_sender(struct core *c, struct relation *rel, GError **err)
{
    if (rel->r.state == STATE_DISABLED || (rel->index && !is_replica(c, &rel->vm))) /* the end of a creation, or of a promotion */
        return core_remove(c, rel, err);
    resync_recover(rel);
    if ((!rel->index && !prepare_recover(c, rel, err)) || !activity_attach(c, rel, err))
        return false;
    if (rel->r.removing)
        return work_resume(work_for(c, rel), NULL, JOB_REMOVE, false, establish_remove_work, err);
    if (rel->r.state != STATE_WAITING_INITIAL && rel->r.state != STATE_READY)
        return true;
    g_autoptr(GPtrArray) cut = job_interrupted(c->jobs);
    bool there = rel->r.state == STATE_WAITING_INITIAL && !rel->r.exported;
    for (guint i = 0; i < cut->len; i++)
        there |= rel->r.initial_job && !strcmp(((const struct job_info *)cut->pdata[i])->id, rel->r.initial_job);
    return !there || resume_initial(c, rel, err);
}

/* ---- receivers ---- */

static void
find_part(struct relation *rel)
{
    g_autofree char *dir = g_build_filename(rel->r.folder, "incoming", NULL);
    g_autoptr(GDir) d = g_dir_open(dir, 0, NULL);
    const char *name;
    while (d && (name = g_dir_read_name(d))) {
        char text[UUID_TEXT];
        g_strlcpy(text, name, sizeof text);
        if (g_str_has_suffix(name, ".part") && uuid_parse(text, &rel->in.part))
            return;
    }
}

/* The store is the truth about what arrived. */
static bool
follow_store(struct relation *rel, GError **err)
{
    struct store_log log;
    if (!rel->in.store)
        return true;
    find_part(rel);
    HOLD(&rel->lock);
    if (store_head(rel->in.store, &log))
        rel->r.last_us = rel->r.last_apply_us = MAX(rel->r.last_us, log.received_us);
    if (!store_latest_point(rel->in.store, &log))
        return true;
    rel->r.last_type = log.kind;
    return rel->r.state != STATE_WAITING_INITIAL || relation_event_locked(rel, EVENT_INITIAL_DONE, NULL, err);
}

static bool
set_fence(struct core *c, struct relation *rel, GError **err)
{
    const enum repl_state s = rel->r.state;
    if (s == STATE_COMMITTED || (s == STATE_RECOVERED && !rel->r.reverting))
        return fence_lower(c->fence_dir, &rel->vm, err);
    return placeholder_fence(c, rel, err);
}

/* After a reboot nothing serves the point any more; a running guest keeps its server. */
static bool
serve_again(struct core *c, struct relation *rel, GError **err)
{
    g_autofree char *socket = failover_socket(c, &rel->vm);
    if (rel->r.flat)
        return serving_stop(rel, socket, err); /* the last step of filling was cut short */
    return !rel->in.store || serving_start(rel, &rel->r.point, socket, &rel->vm, err);
}

static bool
resume_failover(struct core *c, struct relation *rel, GError **err)
{
    struct work *w = work_for(c, rel);
    w->named = rel->r.point_named;
    w->point = rel->r.point;
    return work_resume(w, rel->r.failover_job, JOB_FAILOVER, true, failover_work, err);
}

static bool
resume_reverse(struct core *c, struct relation *rel, GError **err)
{
    struct work *w = work_for(c, rel);
    w->settings = g_new0(struct repl_settings, 1);
    repl_settings_copy(w->settings, &rel->settings);
    return work_resume(w, NULL, JOB_REVERSE, true, reverse_work, err);
}

static bool
take_up(struct core *c, struct relation *rel, GError **err)
{
    const struct relation_record *r = &rel->r;
    if (r->removing)
        return work_resume(work_for(c, rel), NULL, JOB_REMOVE, false, establish_remove_work, err);
    if (r->state == STATE_FAILING_OVER)
        return resume_failover(c, rel, err);
    if (r->reverting)
        return work_resume(work_for(c, rel), r->failover_job, JOB_REVERT, false, failover_revert_work, err);
    if (r->state == STATE_RECOVERED && !serve_again(c, rel, err))
        return false;
    if (r->reversing)
        return resume_reverse(c, rel, err);
    return !r->committing || work_resume(work_for(c, rel), r->failover_job, JOB_COMMIT, true, failover_commit_work, err);
}

static bool
recover_receiver(struct core *c, struct relation *rel, GError **err)
{
    if (rel->r.state == STATE_DISABLED)
        return placeholder_remove(c, rel, err);
    if (rel->r.emptying && !placeholder_empty(c, rel, err))
        return false;
    if (rel->r.seeding)
        return placeholder_fence(c, rel, err) && work_resume(work_for(c, rel), NULL, JOB_IMPORT, true, seed_work, err);
    /* The removal of a replica or a commit may have closed the store for good. */
    g_autoptr(GError) why = NULL;
    if (!activity_attach(c, rel, &why) && !rel->r.removing) {
        g_propagate_error(err, g_steal_pointer(&why));
        return false;
    }
    return follow_store(rel, err) && set_fence(c, rel, err) && testvm_recover(c, rel, err) && take_up(c, rel, err);
}

static bool
is_shut(struct relation *rel)
{
    HOLD(&rel->lock);
    return rel->in.shut && !rel->removed;
}

static void
set_shut(struct relation *rel, bool shut)
{
    HOLD(&rel->lock);
    rel->in.shut = shut;
}

bool
recover_again(struct relation *rel)
{
    g_autoptr(GError) why = NULL;
    if (!failover_go_back(rel))
        return false;
    if (!is_shut(rel))
        return true;
    if (!recover_receiver(rel->core, rel, &why) ||
        (relation_state(rel) == STATE_CRITICAL && !relation_event(rel, EVENT_RESUME, NULL, &why))) {
        log_debug("Guest '%s': replication still cannot go on: %s", rel->r.name, why->message);
        return false;
    }
    set_shut(rel, false);
    relation_trouble(rel, true, NULL);
    activity_wake(rel);
    return true;
}

/* ---- all ---- */

/* It may be missing: an older program made the record, or the last write failed. */
static void
note(struct relation *rel)
{
    HOLD(&rel->lock);
    maystart_note_locked(rel);
}

static void
recover_one(struct core *c, struct relation *rel)
{
    g_autoptr(GError) why = NULL;
    guest_follow_name(c, rel);
    note(rel);
    const bool ok = rel->side == SIDE_SENDER ? recover_sender(c, rel, &why) : recover_receiver(c, rel, &why);
    if (ok) {
        activity_wake(rel);
        return;
    }
    log_error("Guest '%s': replication cannot go on: %s", rel->r.name, why->message);
    relation_trouble(rel, true, why);
    if (state_next(rel->side, relation_state(rel), EVENT_FAIL) && !relation_event(rel, EVENT_FAIL, why->message, NULL))
        log_error("Guest '%s': its state could not be saved.", rel->r.name);
    set_shut(rel, rel->side == SIDE_RECEIVER);
    activity_wake(rel);
}

static bool
load_all(struct core *c, GError **err)
{
    g_autoptr(GPtrArray) docs = db_list(c->db, DB_RELATIONS, err);
    for (guint i = 0; docs && i < docs->len; i++) {
        relation_auto rel = relation_load(c, c->db, docs->pdata[i], err);
        if (!rel || !core_add(c, rel, err))
            return false;
    }
    return docs != NULL;
}

bool
recover_all(struct core *c, GError **err)
{
    rounds_recover(c);
    if (!load_all(c, err))
        return false;
    g_autoptr(GPtrArray) all = core_list(c);
    for (guint i = 0; i < all->len; i++)
        recover_one(c, all->pdata[i]);
    job_settle(c->jobs);
    return true;
}
