/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "repl/establish.h"

#include "base/clean.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "repl/activity.h"
#include "repl/export.h"
#include "repl/exportdir.h"
#include "repl/extend.h"
#include "repl/farewell.h"
#include "repl/guest.h"
#include "repl/initial.h"
#include "repl/prints.h"
#include "repl/seed.h"
#include "repl/send.h"
#include "vm/fence.h"

#include <string.h>

enum { EXPORTED = 2, SEEDED = 3 };
static const gint64 LOOK_US = G_USEC_PER_SEC / 2;

/* ---- the other host ---- */

struct wire_peer *
establish_dial(struct core *c, const char *host, guint port, GError **err)
{
    if (c->config.identity)
        return wire_peer_new(host, port, c->config.identity, err);
    err_set(err, ERR_NOT_AVAILABLE, "This host has no certificate; see 'vmreplica pki'.");
    return NULL;
}

struct wire_peer *
establish_dial_replica(struct relation *rel, GError **err)
{
    g_autofree char *host = NULL;
    guint port;
    {
        HOLD(&rel->lock);
        host = g_strdup(rel->settings.recovery_host);
        port = rel->settings.recovery_port;
    }
    return establish_dial(rel->core, host, port, err);
}

bool
establish_ask(struct wire_peer *peer, const char *host, char **other, GError **err)
{
    struct wire_hello hello;
    bool ok = wire_peer_hello(peer, &hello, err);
    if (!ok)
        return false;
    if (!hello.recovery_enabled)
        ok = err_set(err, ERR_PEER_REFUSED, "Host '%s' is not enabled as a replica server; enable it there.", host);
    else if (!hello.authorised)
        ok = err_set(err, ERR_PEER_REFUSED, "Host '%s' has no authorisation entry for this host; add one there.", host);
    else if (other)
        *other = g_steal_pointer(&hello.host);
    if (ABS(hello.skew_us) > 60 * (gint64)G_USEC_PER_SEC)
        log_warning("The clock of host '%s' differs by %.0f s from ours; times of recovery points are the sender's.", host,
                    (double)hello.skew_us / G_USEC_PER_SEC);
    wire_hello_clear(&hello);
    return ok;
}

bool
establish_test_work(struct job *job, void *work, GError **err)
{
    struct work *w = work;
    struct wire_peer *peer = establish_dial(w->core, w->peer, w->port, err);
    const bool ok = peer && establish_ask(peer, w->peer, NULL, err);
    wire_peer_free(peer);
    return ok;
}

/* ---- create ---- */

static struct relation *
new_primary(struct work *w, const struct vm_facts *facts, GError **err)
{
    relation_auto base = core_find(w->core, &w->vm, 0);
    if (base && base->side == SIDE_RECEIVER)
        return extend_new(w->core, base, w->settings);
    char **targets = guest_targets(facts, w->settings, err);
    if (!targets)
        return NULL;
    struct relation *rel = relation_new(w->core, w->core->db, &w->vm, 0, SIDE_SENDER);
    rel->r.targets = targets;
    rel->r.mode = MODE_PRIMARY;
    rel->r.name = g_strdup(facts->name);
    rel->r.epoch = 1;
    rel->r.active_us = clock_wall_us();
    repl_settings_clear(&rel->settings);
    repl_settings_copy(&rel->settings, w->settings);
    return rel;
}

static bool
offer_guest(struct work *w, struct relation *rel, const struct vm_facts *facts, struct wire_peer *peer, GError **err)
{
    struct wire_offer offer;
    struct wire_status st = { 0 };
    if (!rel->index)
        send_make_offer(w->core, rel, facts, &offer);
    else if (!extend_offer(w->core, rel, &offer, err))
        return false;
    const bool ok = wire_peer_offer(peer, &offer, &st, err);
    wire_offer_clear(&offer);
    /* An adopted placeholder may hold logs of an earlier try: the chain goes on from there. */
    if (ok) {
        rel->s.peer_log_version = st.log_version;
        rel->r.epoch = MAX(rel->r.epoch, st.epoch);
        rel->r.acked = st.has_head ? st.head : UUID_NIL;
        rel->r.acked_sequence = st.has_head ? st.head_sequence : 0;
    }
    wire_status_clear(&st);
    return ok;
}

static bool
keep_primary(struct work *w, struct relation *rel, GError **err)
{
    if (!core_add(w->core, rel, err))
        return false;
    if (activity_attach(w->core, rel, err) && outbox_clear(rel->s.outbox, err) && relation_event(rel, EVENT_CREATE, NULL, err))
        return true;
    g_autoptr(GError) why = NULL;
    if (!core_remove(w->core, rel, &why))
        log_warning("A relationship that could not be made was not removed: %s", why->message);
    return false;
}

static bool
create_with(struct work *w, struct job *job, struct relation *rel, const struct vm_facts *facts, struct wire_peer *peer, GError **err)
{
    g_autoptr(GError) undo = NULL;
    job_progress(job, 20, "Asking the replica host");
    if (!establish_ask(peer, w->settings->recovery_host, &rel->settings.recovery_host_system, err) || job_cancelled(job, err))
        return false;
    rel->settings.primary_host_system = g_strdup(w->core->config.host);
    rel->settings.primary_connection_point = g_strdup(w->core->config.host);
    job_set_cancellable(job, false);
    job_progress(job, 50, "Making the placeholder");
    if (!offer_guest(w, rel, facts, peer, err))
        return false;
    if (keep_primary(w, rel, err))
        return true;
    if (!wire_peer_withdraw(peer, &w->vm, &undo))
        log_warning("The placeholder of guest '%s' on '%s' could not be withdrawn: %s", facts->name, w->settings->recovery_host,
                    undo->message);
    return false;
}

bool
establish_create_work(struct job *job, void *work, GError **err)
{
    struct work *w = work;
    vm_facts_auto facts = w->core->vm->facts_get(w->core->vms, &w->vm, err);
    relation_auto rel = facts ? new_primary(w, facts, err) : NULL;
    struct wire_peer *peer = rel ? establish_dial(w->core, w->settings->recovery_host, w->settings->recovery_port, err) : NULL;
    const bool ok = peer && create_with(w, job, rel, facts, peer, err);
    wire_peer_free(peer);
    return ok;
}

/* ---- initial replication ---- */

static bool
enter_initial(struct work *w, char *job, char *dir, GError **err)
{
    struct relation *rel = w->rel;
    HOLD(&rel->lock);
    const struct uuid acked = rel->r.acked;
    g_free(rel->r.initial_job);
    rel->r.initial_job = job;
    rel->r.initial_type = w->requested;
    rel->r.export_dir = dir;
    rel->r.export_point = UUID_NIL;
    if (dir)
        rel->r.acked = UUID_NIL; /* the chain of a folder begins with nothing */
    if (relation_event_locked(rel, EVENT_START, NULL, err))
        return true;
    rel->r.acked = acked;
    g_clear_pointer(&rel->r.export_dir, g_free);
    return false;
}

static bool
begin_initial(struct work *w, struct job *job, GError **err)
{
    struct job_info info;
    g_autofree char *dir = NULL;
    if (!activity_attach(w->core, w->rel, err))
        return false;
    if (relation_state(w->rel) != STATE_READY) /* taken up again after a restart */
        return true;
    if (w->requested == EXPORTED) {
        g_autofree char *name = relation_name(w->rel);
        dir = exportdir_of(w->location, name, &w->vm);
        if (!export_begin(w->core, w->rel, dir, err))
            return false;
    }
    job_info_of(job, &info);
    g_autofree char *id = g_strdup(info.id);
    job_info_clear(&info);
    return enter_initial(w, g_steal_pointer(&id), g_steal_pointer(&dir), err);
}

/* True: it is over, and *ok or err say how. */
static bool
initial_over_locked(struct relation *rel, bool *ok, GError **err)
{
    *ok = false;
    if (rel->removed || rel->r.state == STATE_READY)
        return !err_set(err, ERR_CANCELLED, "The initial replication of guest '%s' was cancelled.", rel->r.name);
    if (rel->r.state == STATE_CRITICAL)
        return !err_set(err, ERR_FAILED, "The initial replication of guest '%s' stopped: %s", rel->r.name,
                        rel->r.reason ? rel->r.reason : "");
    if (rel->s.export_error) {
        g_propagate_error(err, g_error_copy(rel->s.export_error));
        return true;
    }
    *ok = rel->r.exported || (rel->r.state != STATE_WAITING_INITIAL && rel->r.state != STATE_SUSPENDED);
    return *ok;
}

static bool
wait_round(struct relation *rel, bool *ok, GError **err)
{
    const gint64 deadline = g_get_monotonic_time() + LOOK_US;
    HOLD(&rel->lock);
    if (initial_over_locked(rel, ok, err))
        return true;
    g_cond_wait_until(&rel->changed, &rel->lock, deadline);
    return initial_over_locked(rel, ok, err);
}

static bool
discard_initial(struct core *c, struct relation *rel, GError **err)
{
    if (relation_state(rel) == STATE_WAITING_INITIAL && !relation_event(rel, EVENT_CANCEL_INITIAL, NULL, err))
        return false;
    activity_detach(rel);
    rel->s.tracked = false;
    g_clear_pointer(&rel->s.off_stamp, g_free);
    export_discard(rel);
    return outbox_clear(rel->s.outbox, err) && (rel->index || guest_forget(c, rel, err));
}

/* Type 3: only differences travel, so there must be something to differ from. */
static bool
check_seed(struct work *w, GError **err)
{
    struct wire_status st = { 0 };
    const struct repl_settings *s = &w->rel->settings;
    struct wire_peer *peer = establish_dial(w->core, s->recovery_host, s->recovery_port, err);
    bool ok = peer && wire_peer_status(peer, &w->vm, &st, err);
    if (ok && !st.has_head)
        ok = err_set(err, ERR_INVALID_STATE,
                     "Host '%s' has no copy of guest '%s' to begin with; start the initial replication over the network (type 1).",
                     s->recovery_host, w->rel->r.name);
    wire_status_clear(&st);
    wire_peer_free(peer);
    return ok;
}

enum job_number
establish_start_job(guint type)
{
    return type == EXPORTED ? JOB_EXPORT : type == SEEDED ? JOB_START_SEEDED : JOB_START;
}

static void
give_up(struct work *w)
{
    g_autoptr(GError) why = NULL;
    if (core_running(w->core) && !discard_initial(w->core, w->rel, &why)) /* else the daemon stops, and goes on later */
        log_warning("The initial replication that was given up was not cleaned up: %s", why->message);
}

static bool
export_failed(struct relation *rel)
{
    HOLD(&rel->lock);
    return rel->s.export_error != NULL;
}

bool
establish_start_work(struct job *job, void *work, GError **err)
{
    struct work *w = work;
    bool ok = false;
    const char *what = w->requested == EXPORTED ? "Exporting the disks" : "Copying the disks";
    if ((w->requested == SEEDED && relation_state(w->rel) == STATE_READY && !check_seed(w, err)) || !begin_initial(w, job, err))
        return false;
    activity_wake(w->rel);
    job_progress(job, 0, what);
    while (!wait_round(w->rel, &ok, err)) {
        job_progress(job, initial_percent(w->rel), what);
        if (!job_cancelled(job, err))
            continue;
        give_up(w);
        return false;
    }
    if (export_failed(w->rel))
        give_up(w);
    return ok;
}

bool
establish_stop_work(struct job *job, void *work, GError **err)
{
    struct work *w = work;
    return discard_initial(w->core, w->rel, err);
}

/* ---- pause and resume ---- */

static bool
pause_now(struct work *w, GError **err)
{
    if (!relation_event(w->rel, EVENT_SUSPEND, NULL, err))
        return false;
    if (w->rel->side == SIDE_SENDER)
        relation_halt(w->rel, true);
    return true;
}

static bool
resume_locked(struct relation *rel, GError **err)
{
    const bool adopt = rel->r.adopt_epoch;
    if (rel->side == SIDE_SENDER && rel->r.state == STATE_CRITICAL)
        rel->r.adopt_epoch = true;
    if (!relation_event_locked(rel, EVENT_RESUME, NULL, err)) {
        rel->r.adopt_epoch = adopt;
        return false;
    }
    rel->s.failures = 0;
    rel->s.retry_at = 0;
    rel->r.active_us = clock_wall_us();
    return true;
}

static bool
resume_now(struct work *w, struct job *job, GError **err)
{
    {
        HOLD(&w->rel->lock);
        if (!resume_locked(w->rel, err))
            return false;
    }
    if (w->rel->r.seeding)
        return seed_work(job, w, err);
    /* A replica that was stopped by its store gets it opened again here. */
    g_autoptr(GError) why = NULL;
    if (!activity_attach(w->core, w->rel, &why)) {
        relation_event(w->rel, EVENT_FAIL, why->message, NULL);
        g_propagate_error(err, g_steal_pointer(&why));
        return false;
    }
    relation_trouble(w->rel, true, NULL);
    activity_wake(w->rel);
    return true;
}

bool
establish_state_work(struct job *job, void *work, GError **err)
{
    struct work *w = work;
    return w->requested == STATE_SUSPENDED ? pause_now(w, err) : resume_now(w, job, err);
}

/* ---- modify ---- */

static bool
same_endpoint(const struct repl_settings *a, const struct repl_settings *b)
{
    return !g_strcmp0(a->recovery_host, b->recovery_host) && a->recovery_port == b->recovery_port;
}

static bool
concerns_peer(const struct repl_settings *a, const struct repl_settings *b)
{
    return a->history != b->history || a->keep_every_s != b->keep_every_s || g_strcmp0(a->retention, b->retention) ||
           g_strcmp0(a->test_network, b->test_network) || g_strcmp0(a->verify_text, b->verify_text) ||
           a->verify_timeout_s != b->verify_timeout_s || repl_settings_app_s(a) != repl_settings_app_s(b) || !same_endpoint(a, b) ||
           repl_settings_period_ms(a) != repl_settings_period_ms(b);
}

static bool
push_settings(struct work *w, GError **err)
{
    struct wire_offer offer;
    struct wire_status st = { 0 };
    struct wire_peer *peer = establish_dial(w->core, w->settings->recovery_host, w->settings->recovery_port, err);
    if (!peer)
        return false;
    send_make_offer(w->core, w->rel, NULL, &offer);
    offer.interval_ms = repl_settings_period_ms(w->settings);
    offer.history = w->settings->history;
    offer.keep_every_s = w->settings->keep_every_s;
    offer.app_interval_h = w->settings->app_interval_h;
    g_free(offer.additional);
    offer.additional = g_strdup(w->settings->additional);
    const bool ok = wire_peer_status(peer, &w->vm, &st, err) && wire_peer_settings(peer, &offer, err);
    wire_offer_clear(&offer);
    wire_status_clear(&st);
    wire_peer_free(peer);
    return ok;
}

/* What only the other side knows is kept. */
static void
keep_derived(struct repl_settings *to, const struct repl_settings *from)
{
    char **const fields[] = { &to->recovery_host_system, &to->primary_host_system, &to->primary_connection_point, &to->root_thumbprint };
    const char *const values[] = { from->recovery_host_system, from->primary_host_system, from->primary_connection_point,
                                   from->root_thumbprint };
    for (guint i = 0; i < G_N_ELEMENTS(fields); i++) {
        g_free(*fields[i]);
        *fields[i] = g_strdup(values[i]);
    }
}

static bool
take_settings(struct relation *rel, struct repl_settings *fresh, GError **err)
{
    HOLD(&rel->lock);
    keep_derived(fresh, &rel->settings);
    struct repl_settings old = rel->settings;
    repl_settings_copy(&rel->settings, fresh);
    if (!relation_save_locked(rel, err)) {
        repl_settings_clear(&rel->settings);
        rel->settings = old;
        return false;
    }
    rel->s.peer_stale |= !same_endpoint(&old, fresh);
    rel->s.resync_us = 0; /* another window, or another wish */
    relation_pace_locked(rel);
    repl_settings_clear(&old);
    return true;
}

bool
establish_modify_work(struct job *job, void *work, GError **err)
{
    struct work *w = work;
    g_autoptr(GError) why = NULL;
    bool needed;
    {
        HOLD(&w->rel->lock);
        needed = concerns_peer(&w->rel->settings, w->settings);
    }
    job_progress(job, 20, "Telling the replica host");
    if (needed && !push_settings(w, &why)) {
        g_propagate_error(err, g_steal_pointer(&why));
        return false;
    }
    if (!take_settings(w->rel, w->settings, err))
        return false;
    activity_wake(w->rel);
    return true;
}

/* ---- remove ---- */

static bool
set_removing(struct relation *rel, bool on, GError **err)
{
    HOLD(&rel->lock);
    rel->r.removing = on;
    return relation_save_locked(rel, err);
}

static bool
remove_primary(struct core *c, struct relation *rel, GError **err)
{
    g_autoptr(GError) why = NULL;
    activity_end(rel);
    /* A guest that is gone has no bitmaps left. */
    if (!rel->index && !guest_forget(c, rel, &why) && !err_is(why, ERR_NO_SUCH_INSTANCE))
        log_warning("Guest '%s': its dirty bitmaps were not removed: %s", rel->r.name, why->message);
    if (rel->s.outbox && !outbox_clear(rel->s.outbox, err))
        return false;
    return (rel->index || (prints_remove(c, rel, err) && fence_lower(c->fence_dir, &rel->vm, err))) && core_remove(c, rel, err);
}

bool
establish_remove_work(struct job *job, void *work, GError **err)
{
    struct work *w = work;
    g_autofree char *name = relation_name(w->rel);
    if (!set_removing(w->rel, true, err))
        return false;
    const bool ok = w->rel->side == SIDE_SENDER ? remove_primary(w->core, w->rel, err) : farewell_replica(w->core, w->rel, job, err);
    if (ok)
        log_info("Replication of guest '%s' was removed on this host.", name);
    else if (core_running(w->core)) {
        set_removing(w->rel, false, NULL);
        if (activity_revive(w->core, w->rel, NULL))
            activity_wake(w->rel);
    }
    return ok;
}
