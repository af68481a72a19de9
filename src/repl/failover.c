/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "repl/failover.h"

#include "base/clean.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/file.h"
#include "base/log.h"
#include "repl/addresses.h"
#include "repl/flatten.h"
#include "repl/intake.h"
#include "repl/keep.h"
#include "repl/maintain.h"
#include "repl/placeholder.h"
#include "repl/pointvm.h"
#include "repl/probe.h"
#include "repl/serving.h"
#include "vm/fence.h"
#include "vm/netmap.h"

#include <string.h>

static const gint64 INTAKE_WAIT_US = 2 * (gint64)G_USEC_PER_SEC;
static const gint64 NETWORKS_WAIT_US = 5 * (gint64)G_USEC_PER_SEC;
static const gint64 COMMIT_WAIT_US = 90 * (gint64)G_USEC_PER_SEC; /* longer than the replication port lets an upload stall */

char *
failover_socket(struct core *c, const struct uuid *vm)
{
    char text[UUID_TEXT];
    return g_strdup_printf("%s/view-%s.sock", c->config.runtime_dir, uuid_format_lower(vm, text));
}

static char *
overlay_folder(struct relation *rel)
{
    return g_build_filename(rel->r.folder, "failover", NULL);
}

static struct pointvm
places(struct core *c, struct relation *rel, const struct uuid *point)
{
    return (struct pointvm){ *point, rel->vm, failover_socket(c, &rel->vm), overlay_folder(rel),
                             g_build_filename(rel->r.folder, "guest", NULL) };
}

char *
failover_overlay(struct relation *rel, const char *target)
{
    return g_strdup_printf("%s/failover/%s.qcow2", rel->r.folder, target);
}

/* ---- steps ---- */

static bool
note_step(struct relation *rel, enum failover_step step, GError **err)
{
    HOLD(&rel->lock);
    rel->r.steps |= step;
    return relation_save_locked(rel, err);
}

static bool
forget_steps(struct relation *rel, guint steps, GError **err)
{
    HOLD(&rel->lock);
    rel->r.steps &= ~steps;
    return relation_save_locked(rel, err);
}

static bool
must_be_off(struct core *c, struct relation *rel, GError **err)
{
    enum vm_power power;
    g_autoptr(GError) why = NULL;
    if (!c->vm->power_get(c->vms, &rel->vm, &power, &why)) {
        if (err_is(why, ERR_NO_SUCH_INSTANCE))
            return true;
        g_propagate_error(err, g_steal_pointer(&why));
        return false;
    }
    return power == VM_OFF || err_set(err, ERR_INVALID_STATE, "Guest '%s' is not off; turn it off first.", rel->r.name);
}

static bool
undo_definition(struct core *c, struct relation *rel, GError **err)
{
    g_autofree char *xml = core_definition(c, &rel->vm, err);
    return xml && placeholder_define(c, rel, xml, err);
}

bool
failover_undo(struct core *c, struct relation *rel, GError **err)
{
    guint steps;
    {
        HOLD(&rel->lock);
        steps = rel->r.steps;
    }
    g_autofree char *socket = failover_socket(c, &rel->vm);
    g_autofree char *overlays = overlay_folder(rel);
    /* The fence first: nobody may start the guest between the look at its power and the end of its disks. */
    if (!placeholder_fence(c, rel, err))
        return false;
    if (!must_be_off(c, rel, err)) {
        if (steps & STEP_UNFENCED)
            fence_lower(c->fence_dir, &rel->vm, NULL);
        return false;
    }
    if ((steps & STEP_DEFINED) && !undo_definition(c, rel, err))
        return false;
    if (!forget_steps(rel, STEP_DEFINED | STEP_UNFENCED, err))
        return false;
    if ((steps & STEP_OVERLAYS) && !(file_remove_tree(overlays, err) && forget_steps(rel, STEP_OVERLAYS, err)))
        return false;
    return !(steps & STEP_SERVED) || (serving_stop(rel, socket, err) && forget_steps(rel, STEP_SERVED, err));
}

/* ---- doing it ---- */

struct look {
    struct core *core;
    struct job *job;
    GPtrArray *networks; /* struct vm_network; NULL: not asked yet, or */
    GError *why;         /* they could not be listed, so which are active is not known */
    const char *unknown; /* a network that was asked about nevertheless */
};

static void
look_clear(struct look *look)
{
    g_clear_pointer(&look->networks, g_ptr_array_unref);
    g_clear_error(&look->why);
}

/* Once for all cards.  libvirt's daemon may just be starting, or stay away for ever. */
static void
list_networks(struct look *look)
{
    enum { PAUSE_US = 200000 };
    const struct core *c = look->core;
    const gint64 end = clock_mono_us() + NETWORKS_WAIT_US;
    if (look->networks || look->why)
        return;
    while (!(look->networks = c->vm->networks(c->vms, &look->why)) && clock_mono_us() < end && !job_cancelled(look->job, NULL)) {
        g_clear_error(&look->why);
        g_usleep(PAUSE_US);
    }
}

static bool
network_is_there(void *user, const struct netmap_entry *e)
{
    struct look *look = user;
    g_autofree char *bridge = g_strdup_printf("/sys/class/net/%s/bridge", e->to);
    if (e->bridge)
        return g_file_test(bridge, G_FILE_TEST_IS_DIR);
    list_networks(look);
    if (!look->networks)
        look->unknown = e->to;
    for (guint i = 0; look->networks && i < look->networks->len; i++) {
        const struct vm_network *n = look->networks->pdata[i];
        if (n->active && !g_strcmp0(n->name, e->to))
            return true;
    }
    return false;
}

/* A disaster is no time to refuse a guest for want of a network, nor for libvirt not saying whether it is there. */
static char *
connected(struct core *c, struct relation *rel, struct job *job, const char *xml, GError **err)
{
    g_autoptr(GPtrArray) missing = g_ptr_array_new_with_free_func(g_free);
    struct look look = { .core = c, .job = job };
    g_autofree char *out = netmap_connect(xml, c->networks, network_is_there, &look, missing, err);
    for (guint i = 0; out && i < missing->len; i++)
        job_warn(job, "A card of guest '%s' stays disconnected: there is no active network '%s' on this host (network_map).", rel->r.name,
                 (const char *)missing->pdata[i]);
    /* A job keeps its last warning only. */
    if (out && look.unknown)
        job_warn(job, "Whether network '%s' is active on this host could not be found out: %s  The card of guest '%s' stays disconnected.",
                 look.unknown, look.why->message, rel->r.name);
    look_clear(&look);
    return g_steal_pointer(&out);
}

static bool
define(struct core *c, struct relation *rel, struct job *job, const struct log_info *info, const struct pointvm *p, GError **err)
{
    g_autofree char *plain = pointvm_definition(c, rel, info, p, err);
    g_autofree char *xml = plain ? connected(c, rel, job, plain, err) : NULL;
    return xml && pointvm_put_tpm(c, rel, p, xml, job, err) && c->vm->define(c->vms, xml, err);
}

static bool
take_steps(struct core *c, struct relation *rel, struct job *job, const struct log_info *info, const struct pointvm *p, GError **err)
{
    job_progress(job, 20, "Serving the recovery point");
    if (!note_step(rel, STEP_SERVED, err) || !pointvm_serve(rel, p, err) || job_cancelled(job, err))
        return false;
    job_progress(job, 50, "Making overlays");
    if (!note_step(rel, STEP_OVERLAYS, err) || !pointvm_make_overlays(c, info, p, err) || job_cancelled(job, err))
        return false;
    job_progress(job, 80, "Defining the guest");
    if (!note_step(rel, STEP_DEFINED, err) || !define(c, rel, job, info, p, err) || job_cancelled(job, err))
        return false;
    job_set_cancellable(job, false);
    return note_step(rel, STEP_UNFENCED, err) && fence_lower(c->fence_dir, &rel->vm, err);
}

static bool
begin(struct relation *rel, struct job *job, const struct work *w, GError **err)
{
    struct job_info info;
    job_info_of(job, &info);
    HOLD(&rel->lock);
    g_free(rel->r.failover_job);
    rel->r.failover_job = g_strdup(info.id);
    job_info_clear(&info);
    rel->r.point_named = w->named;
    rel->r.point = w->point;
    /* After a crash the state says so already. */
    return rel->r.state == STATE_FAILING_OVER ? relation_save_locked(rel, err)
                                              : relation_event_locked(rel, EVENT_FAILOVER_START, NULL, err);
}

static bool
end_well(struct relation *rel, const struct store_log *point, GError **err)
{
    HOLD(&rel->lock);
    const guint type = rel->r.failed_over_type;
    const guint64 epoch = rel->r.epoch;
    rel->r.point = point->id;
    rel->r.point_sequence = point->sequence;
    rel->r.failed_over_type = point->kind;
    rel->r.epoch++;
    if (relation_event_locked(rel, EVENT_FAILOVER_DONE, NULL, err))
        return true;
    rel->r.failed_over_type = type;
    rel->r.epoch = epoch;
    return false;
}

/* The primary is ready for a planned failover, yet an older point was named: contract 2.6. */
static void
warn_of_loss(struct relation *rel, struct job *job, const struct store_log *point)
{
    struct store_log newest;
    if (store_latest_point(rel->in.store, &newest) && newest.kind == LOG_KIND_PLANNED && !uuid_equal(&newest.id, &point->id))
        job_warn(job, "Guest '%s' could have failed over without loss; the named recovery point is older than the planned one.",
                 rel->r.name);
}

static bool
run(struct core *c, struct relation *rel, struct job *job, const struct work *w, GError **err)
{
    struct store_log point;
    struct log_info info = { 0 };
    job_progress(job, 5, "Waiting for logs under way");
    intake_quiesce(rel, INTAKE_WAIT_US);
    /* What an earlier run of this job left. */
    if (!failover_undo(c, rel, err) || !probe_primary(c, rel, job, err) || !pointvm_choose(rel, w->named ? &w->point : NULL, &point, err) ||
        !pointvm_disks(rel, &point.id, &info, err))
        return false;
    warn_of_loss(rel, job, &point);
    struct pointvm p = places(c, rel, &point.id);
    const bool ok = take_steps(c, rel, job, &info, &p, err) && end_well(rel, &point, err);
    pointvm_clear(&p);
    log_info_clear(&info);
    return ok;
}

/* What it was. */
static bool
owe_undo(struct relation *rel, bool owe)
{
    HOLD(&rel->lock);
    const bool was = rel->in.undo;
    rel->in.undo = owe;
    return was;
}

static bool
go_back(struct relation *rel, GError **err)
{
    return failover_undo(rel->core, rel, err) && relation_event(rel, EVENT_FAILOVER_FAILED, NULL, err);
}

/* Nobody else changes the relationship meanwhile: everything is refused in that state.  Nothing is owed from before it ends, since another
 * failover may begin at once. */
bool
failover_go_back(struct relation *rel)
{
    g_autoptr(GError) why = NULL;
    if (!owe_undo(rel, false))
        return true;
    if (!go_back(rel, &why)) {
        owe_undo(rel, true);
        log_debug("Guest '%s': its failed failover still cannot be undone: %s", rel->r.name, why->message);
        return false;
    }
    log_info("Guest '%s': its failed failover was undone.", rel->r.name);
    return true;
}

bool
failover_work(struct job *job, void *work, GError **err)
{
    struct work *w = work;
    struct core *c = w->core;
    struct relation *rel = w->rel;
    g_autoptr(GError) undo = NULL;
    if (!begin(rel, job, w, err))
        return false;
    relation_halt(rel, true); /* cuts a merge that is under way */
    if (run(c, rel, job, w, err)) {
        addresses_want(c->addresses, &rel->vm, &rel->vm);
        log_info("Guest '%s' has failed over and can be started.", rel->r.name);
        return true;
    }
    const bool back = go_back(rel, &undo);
    relation_halt(rel, false);
    if (!back) {
        log_error("Guest '%s': a failed failover could not be undone: %s  It is tried again by itself.", rel->r.name, undo->message);
        owe_undo(rel, true);
        task_now(rel->in.maintain);
    }
    return false;
}

/* ---- revert ---- */

static bool
set_busy(struct relation *rel, struct job *job, bool *flag, bool on, GError **err)
{
    struct job_info info;
    job_info_of(job, &info);
    HOLD(&rel->lock);
    g_free(rel->r.failover_job);
    rel->r.failover_job = g_strdup(info.id);
    job_info_clear(&info);
    *flag = on;
    return relation_save_locked(rel, err);
}

static bool
finish_revert(struct relation *rel, GError **err)
{
    HOLD(&rel->lock);
    rel->r.reverting = rel->r.point_named = rel->r.flat = false;
    rel->r.point = UUID_NIL;
    rel->r.failed_over_type = 0;
    rel->r.epoch++;
    rel->in.flat_done = rel->in.flat_total = 0;
    return relation_event_locked(rel, EVENT_REVERT, NULL, err);
}

/* As long as the guest is still defined over its overlays nothing is lost: then the failover stands. */
static void
keep_failover(struct core *c, struct relation *rel, struct job *job)
{
    bool whole;
    {
        HOLD(&rel->lock);
        whole = (rel->r.steps & STEP_DEFINED) != 0;
    }
    if (whole && fence_lower(c->fence_dir, &rel->vm, NULL))
        set_busy(rel, job, &rel->r.reverting, false, NULL);
}

bool
failover_revert_work(struct job *job, void *work, GError **err)
{
    struct work *w = work;
    struct relation *rel = w->rel;
    if (relation_state(rel) != STATE_RECOVERED)
        return err_set(err, ERR_INVALID_STATE, "Guest '%s' is not failed over; there is nothing to revert.", rel->r.name);
    if (!must_be_off(w->core, rel, err) || !set_busy(rel, job, &rel->r.reverting, true, err))
        return false;
    job_progress(job, 10, "Discarding the failover");
    HOLD(&rel->in.filling);
    if (!failover_undo(w->core, rel, err)) {
        keep_failover(w->core, rel, job);
        return false;
    }
    if (!finish_revert(rel, err))
        return false;
    addresses_cancel(w->core->addresses, &rel->vm, &rel->vm);
    relation_halt(rel, false);
    task_now(rel->in.maintain);
    return true;
}

/* ---- commit ---- */

bool
failover_remove_but(const char *folder, const char *const *keep, GError **err)
{
    g_autoptr(GError) why = NULL;
    g_autoptr(GDir) d = g_dir_open(folder, 0, &why);
    const char *name;
    if (!d)
        return g_error_matches(why, G_FILE_ERROR, G_FILE_ERROR_NOENT) || err_set(err, ERR_IO, "%s", why->message);
    while ((name = g_dir_read_name(d))) {
        g_autofree char *path = g_build_filename(folder, name, NULL);
        if (!g_strv_contains(keep, name) && !file_remove_tree(path, err))
            return false;
    }
    return true;
}

bool
failover_drop_store(struct core *c, struct relation *rel, GError **err)
{
    static const char *const KEEP[] = { "failover", "guest", "test", "test-guest", NULL }; /* a test guest outlives the points */
    g_autofree char *socket = failover_socket(c, &rel->vm);
    struct store *store;
    if (!intake_quiesce(rel, COMMIT_WAIT_US))
        return err_set(err, ERR_IN_USE, "An upload for guest '%s' does not end; commit again.", rel->r.name);
    if (!serving_stop(rel, socket, err))
        return false;
    {
        HOLD(&rel->lock);
        store = g_steal_pointer(&rel->in.store);
    }
    if (store)
        store_close(store);
    if (!failover_remove_but(rel->r.folder, KEEP, err))
        return false;
    HOLD(&rel->lock);
    rel->r.committing = false;
    rel->r.steps = 0;
    return relation_save_locked(rel, err);
}

bool
failover_fill_and_commit(struct core *c, struct relation *rel, struct job *job, GError **err)
{
    if (relation_state(rel) == STATE_COMMITTED)
        return true;
    if (!flatten_wait(c, rel, job, err))
        return false;
    job_set_cancellable(job, false);
    HOLD(&rel->lock);
    return keep_refuse_locked(rel, "Committing the failover", err) && relation_event_locked(rel, EVENT_COMMIT, NULL, err);
}

bool
failover_commit_work(struct job *job, void *work, GError **err)
{
    struct work *w = work;
    struct relation *rel = w->rel;
    if (!set_busy(rel, job, &rel->r.committing, true, err))
        return false;
    if (!failover_fill_and_commit(w->core, rel, job, err)) {
        /* A daemon that stops goes on with it at the next start. */
        if (core_running(w->core) && relation_state(rel) == STATE_RECOVERED && !set_busy(rel, job, &rel->r.committing, false, NULL))
            log_warning("Guest '%s': committing was cut short.", rel->r.name);
        return false;
    }
    job_progress(job, 98, "Removing recovery points");
    return failover_drop_store(w->core, rel, err);
}
