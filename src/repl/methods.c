/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/clean.h"
#include "base/clock.h"
#include "base/err.h"
#include "repl/additional.h"
#include "repl/keep.h"
#include "repl/difference.h"
#include "repl/establish.h"
#include "repl/export.h"
#include "repl/exportdir.h"
#include "repl/extend.h"
#include "repl/guest.h"
#include "repl/import.h"
#include "repl/prepare.h"
#include "repl/resync.h"
#include "repl/reverse.h"

/* Methods that work on a relationship: every check in the order of contract 0.3, then a job. */

static const gint64 SCHEDULE_MAX_US = 7 * 24 * 3600 * (gint64)G_USEC_PER_SEC;

static gboolean
wrong_state(struct relation *rel, const char *what, GError **err)
{
    HOLD(&rel->lock);
    return err_set(err, ERR_INVALID_STATE, "Guest '%s' is in replication state '%s', which does not permit to %s.", rel->r.name,
                   state_name(rel->r.state), what);
}

static const char *
own_thumbprint(const struct core *c)
{
    return c->own_thumbprint ? c->own_thumbprint : "none";
}

static struct repl_settings *
settings_copy(const struct repl_settings *s)
{
    struct repl_settings *copy = g_new0(struct repl_settings, 1);
    repl_settings_copy(copy, s);
    return copy;
}

/* ---- create ---- */

static bool
same_targets(char **a, char **b)
{
    bool same = g_strv_length(a) == g_strv_length(b);
    for (char **d = a; same && *d; d++)
        same = g_strv_contains((const char *const *)b, *d);
    return same;
}

/* Chains only (contract 2.7): the same disks, and no shorter a period than that of what is passed on. */
static bool
check_extended(struct relation *base, const struct repl_settings *settings, GError **err)
{
    HOLD(&base->lock);
    if (settings->disks && !same_targets(settings->disks, base->r.disks))
        return err_set(err, ERR_INVALID_PARAMETER, "IncludedDisks must be the disks that guest '%s' is replicated with.", base->r.name);
    return repl_settings_period_ms(settings) >= repl_settings_period_ms(&base->settings) ||
           err_set(err, ERR_INVALID_PARAMETER, "ReplicationInterval must not be shorter than that of the relationship with the primary.");
}

static bool
check_create_state(struct core *c, struct relation *rel, const struct vm_facts *facts, GError **err)
{
    if (!rel || relation_state(rel) == STATE_DISABLED)
        return true;
    if (rel->side == SIDE_SENDER)
        return wrong_state(rel, "create a relationship", err);
    relation_auto extended = extend_of(c, &rel->vm);
    HOLD(&rel->lock);
    if (rel->r.mode == MODE_EXTENDED)
        return err_set(err, ERR_INVALID_STATE, "Guest '%s' is an extended replica, which cannot be extended again.", facts->name);
    if (extended)
        return err_set(err, ERR_INVALID_STATE, "The replica of guest '%s' is extended already.", facts->name);
    return rel->r.state == STATE_REPLICATING ||
           err_set(err, ERR_INVALID_STATE, "Guest '%s' is in replication state '%s'; it can be extended when it replicates.", facts->name,
                   state_name(rel->r.state));
}

static bool
check_create_disks(struct relation *rel, const struct vm_facts *facts, const struct repl_settings *settings, GError **err)
{
    if (rel && rel->side == SIDE_RECEIVER)
        return check_extended(rel, settings, err);
    g_auto(GStrv) targets = guest_targets(facts, settings, err);
    return targets != NULL;
}

bool
repl_create(struct repl_service *s, const struct uuid *vm, struct repl_settings *settings, const char *owner, char job[UUID_TEXT],
            GError **err)
{
    struct core *c = s->core;
    vm_facts_auto facts = c->vm->facts_get(c->vms, vm, err);
    relation_auto rel = core_find(c, vm, 0);
    const bool extend = rel && rel->side == SIDE_RECEIVER;
    if (!facts || !repl_settings_check(settings, c->config.host, own_thumbprint(c), extend, err) ||
        !check_create_disks(rel, facts, settings, err) || !check_create_state(c, rel, facts, err))
        return false;
    struct work *w = work_new(c, NULL, vm);
    w->settings = settings_copy(settings);
    return work_post(w, JOB_CREATE, true, true, 0, owner, establish_create_work, job, err);
}

/* ---- modify ---- */

static bool
check_same_disks(struct relation *rel, const struct repl_settings *settings, GError **err)
{
    HOLD(&rel->lock);
    const char *const *now = (const char *const *)rel->r.targets;
    if (!settings->disks)
        return true;
    bool same = g_strv_length(settings->disks) == g_strv_length(rel->r.targets);
    for (char **d = settings->disks; same && *d; d++)
        same = g_strv_contains(now, *d);
    return same ||
           err_set(err, ERR_NOT_SUPPORTED,
                   "The disks of a relationship cannot be changed; remove the replication of guest '%s' and create it anew.", rel->r.name);
}

static bool
check_modify_state(struct relation *rel, GError **err)
{
    static const enum repl_state ALLOWED[] = { STATE_READY, STATE_REPLICATING, STATE_SUSPENDED, STATE_CRITICAL, STATE_WAITING_RESYNC,
                                               STATE_RESYNC_SUSPENDED, STATE_DISK_UPDATE_CRITICAL };
    const enum repl_state now = relation_state(rel);
    for (guint i = 0; rel->side == SIDE_SENDER && i < G_N_ELEMENTS(ALLOWED); i++)
        if (ALLOWED[i] == now)
            return true;
    return wrong_state(rel, "modify its settings here", err);
}

static bool
check_engine(struct core *c, struct relation *rel, const struct repl_settings *settings, GError **err)
{
    if (rel->side != SIDE_SENDER || !settings->pull)
        return true;
    vm_facts_auto facts = c->vm->facts_get(c->vms, &rel->vm, err);
    return facts && guest_fits_engine(facts, (const char *const *)rel->r.targets, true, err);
}

bool
repl_modify(struct repl_service *s, const struct uuid *vm, struct repl_settings *settings, const char *owner, char job[UUID_TEXT],
            GError **err)
{
    struct core *c = s->core;
    g_autoptr(GError) why = NULL;
    relation_auto rel = work_relation(c, vm, 0, &why);
    if (!rel && !err_is(why, ERR_INVALID_STATE)) {
        g_propagate_error(err, g_steal_pointer(&why));
        return false;
    }
    relation_auto base = rel ? relation_ref(rel) : NULL;
    if (rel)
        rel = extend_or_self(c, rel);
    const bool extended = rel && rel->index == 1;
    /* A sender adds what was left out; otherwise there is nothing that could be whole, and the state is what is wrong. */
    const bool sends = rel && rel->side == SIDE_SENDER, whole = settings->recovery_host && *settings->recovery_host;
    if (((sends || whole) && !repl_settings_check(settings, c->config.host, own_thumbprint(c), extended, err)) ||
        (extended && !check_extended(base, settings, err)))
        return false;
    if (!rel) {
        g_propagate_error(err, g_steal_pointer(&why));
        return false;
    }
    if ((rel->side == SIDE_SENDER && !check_same_disks(rel, settings, err)) || !check_engine(c, rel, settings, err) ||
        !check_modify_state(rel, err))
        return false;
    struct work *w = work_new(c, rel, vm);
    w->settings = settings_copy(settings);
    return work_post(w, JOB_MODIFY, true, false, 0, owner, establish_modify_work, job, err);
}

/* ---- resynchronise ---- */

static bool
check_start_time(gint64 start_us, GError **err)
{
    const gint64 now = clock_wall_us();
    if (start_us && start_us <= now)
        return err_set(err, ERR_INVALID_PARAMETER, "Parameter 'StartTime' lies in the past.");
    return start_us <= now + SCHEDULE_MAX_US ||
           err_set(err, ERR_INVALID_PARAMETER, "Parameter 'StartTime' lies more than seven days ahead.");
}

/* The relationship of a guest that exists: *why holds the refusal of one that is not replicated, which comes after other checks. */
static bool
find_later(struct core *c, const struct uuid *vm, struct relation **rel, GError **why, GError **err)
{
    *rel = work_relation(c, vm, 0, why);
    if (*rel || err_is(*why, ERR_INVALID_STATE))
        return true;
    g_propagate_error(err, g_steal_pointer(why));
    return false;
}

static bool
check_resync_state(struct relation *rel, GError **err)
{
    const enum repl_state now = relation_state(rel);
    if (rel->side == SIDE_SENDER && now == STATE_RESYNC)
        return err_set(err, ERR_IN_USE, "Guest '%s' is being resynchronised already.", rel->r.name);
    return (rel->side == SIDE_SENDER && state_next(rel->side, now, EVENT_RESYNC_START)) || wrong_state(rel, "resynchronise it here", err);
}

bool
repl_resynchronize(struct repl_service *s, const struct uuid *vm, gint64 start_us, const char *owner, char job[UUID_TEXT], GError **err)
{
    struct core *c = s->core;
    g_autoptr(GError) why = NULL;
    relation_auto rel = NULL;
    if (!find_later(c, vm, &rel, &why, err) || !check_start_time(start_us, err))
        return false;
    if (!rel) {
        g_propagate_error(err, g_steal_pointer(&why));
        return false;
    }
    rel = extend_or_self(c, rel);
    if (!check_resync_state(rel, err) || !work_free_to_change(c, vm, err))
        return false;
    /* As long as the comparison runs others must be able to pause or remove: no conflict key. */
    const enum job_number type = rel->index ? JOB_RESYNC_EXTENDED : JOB_RESYNC;
    return work_post(work_new(c, rel, vm), type, false, true, start_us, owner, resync_work, job, err);
}

static bool
check_compare_state(struct relation *rel, GError **err)
{
    if (rel->side != SIDE_SENDER || relation_state(rel) != STATE_REPLICATING)
        return wrong_state(rel, "compare it with its replica here", err);
    HOLD(&rel->lock);
    return !rel->s.comparing || err_set(err, ERR_IN_USE, "Guest '%s' is being compared already.", rel->r.name);
}

bool
repl_compare(struct repl_service *s, const struct uuid *vm, bool repair, const char *owner, char job[UUID_TEXT], GError **err)
{
    relation_auto rel = work_relation(s->core, vm, 0, err);
    if (!rel)
        return false;
    rel = extend_or_self(s->core, rel);
    if (!check_compare_state(rel, err) || !work_free_to_change(s->core, vm, err))
        return false;
    struct work *w = work_new(s->core, rel, vm);
    w->repair = repair;
    /* It takes hours and changes nothing: whoever wants to pause or remove need not wait for it. */
    return work_post(w, JOB_COMPARE, false, true, 0, owner, difference_work, job, err);
}

/* ---- import ---- */

static bool
check_import_state(struct relation *rel, GError **err)
{
    HOLD(&rel->lock);
    return (rel->side == SIDE_RECEIVER && rel->r.state == STATE_WAITING_INITIAL && !rel->r.seeding) ||
           err_set(err, ERR_INVALID_STATE, "Guest '%s' is in replication state '%s' on %s, which does not permit to import.", rel->r.name,
                   state_name(rel->r.state), rel->side == SIDE_SENDER ? "its primary host" : "this host");
}

bool
repl_import(struct repl_service *s, const struct uuid *vm, const char *location, const char *owner, char job[UUID_TEXT], GError **err)
{
    g_autoptr(GError) why = NULL;
    relation_auto rel = NULL;
    if (!find_later(s->core, vm, &rel, &why, err))
        return false;
    if (!location || !g_path_is_absolute(location))
        return err_set(err, ERR_INVALID_PARAMETER, "Parameter 'InitialReplicationImportLocation' must be an absolute path.");
    g_autofree char *dir = exportdir_find(location, vm, err);
    if (!dir)
        return false;
    if (!rel) {
        g_propagate_error(err, g_steal_pointer(&why));
        return false;
    }
    if (!check_import_state(rel, err))
        return false;
    struct work *w = work_new(s->core, rel, vm);
    w->location = g_steal_pointer(&dir);
    return work_post(w, JOB_IMPORT, true, true, 0, owner, import_work, job, err);
}

/* ---- a replica goes on as the primary of its extended replica ---- */

static bool
check_promote_state(struct relation *base, struct relation *rel, GError **err)
{
    static const enum repl_state ALLOWED[] = { STATE_REPLICATING, STATE_SUSPENDED, STATE_CRITICAL, STATE_WAITING_RESYNC };
    const enum repl_state now = relation_state(rel);
    HOLD(&base->lock);
    if (base->side != SIDE_RECEIVER || base->r.state != STATE_COMMITTED || base->r.committing || base->r.reversing)
        return err_set(err, ERR_INVALID_STATE, "Guest '%s' is in replication state '%s'; commit its failover first.", base->r.name,
                       state_name(base->r.state));
    for (guint i = 0; i < G_N_ELEMENTS(ALLOWED); i++)
        if (ALLOWED[i] == now)
            return true;
    return err_set(err, ERR_INVALID_STATE, "The extended replication of guest '%s' is in state '%s', which does not permit this.",
                   base->r.name, state_name(now));
}

bool
repl_promote(struct repl_service *s, const struct uuid *vm, guint index, const char *owner, char job[UUID_TEXT], GError **err)
{
    struct core *c = s->core;
    g_autoptr(GError) why = NULL;
    relation_auto rel = NULL;
    if (!find_later(c, vm, &rel, &why, err))
        return false;
    relation_auto extended = index == 1 ? extend_of(c, vm) : NULL;
    if (!extended)
        return err_set(err, ERR_INVALID_PARAMETER, "An extended relationship (HVR\\1) that is enabled is needed; this one %s.",
                       index ? "is not" : "is the primary relationship");
    if (!rel) {
        g_propagate_error(err, g_steal_pointer(&why));
        return false;
    }
    return check_promote_state(rel, extended, err) &&
           work_post(work_new(c, extended, vm), JOB_PROMOTE, true, false, 0, owner, extend_promote_work, job, err);
}

/* ---- start ---- */

static bool
check_start_arguments(guint type, const char *location, gint64 start_us, GError **err)
{
    if (type < 1 || type > 3)
        return err_set(err, ERR_INVALID_PARAMETER, "Parameter 'InitialReplicationType' must be 1, 2 or 3.");
    if (type == 2 && (!location || !g_path_is_absolute(location)))
        return err_set(err, ERR_INVALID_PARAMETER, "Parameter 'InitialReplicationExportLocation' must be an absolute path.");
    if (type != 2)
        return check_start_time(start_us, err);
    return g_file_test(location, G_FILE_TEST_IS_DIR) ||
           err_set(err, ERR_NOT_FOUND, "Folder '%s' does not exist; make it, or mount the disk.", location);
}

/* An earlier schedule is replaced.  True: there was one. */
static bool
cancel_schedule(struct core *c, struct relation *rel)
{
    struct job_info info;
    g_autofree char *id = NULL;
    {
        HOLD(&rel->lock);
        id = g_strdup(rel->r.state == STATE_READY ? rel->r.initial_job : NULL);
    }
    if (!id || !job_get(c->jobs, id, &info))
        return false;
    const bool waits = info.state == JOB_NEW;
    job_info_clear(&info);
    return waits && job_cancel(c->jobs, id, NULL);
}

static bool
note_initial_job(struct relation *rel, const char *job, guint type, GError **err)
{
    HOLD(&rel->lock);
    g_free(rel->r.initial_job);
    rel->r.initial_job = g_strdup(job);
    rel->r.initial_type = type;
    return relation_save_locked(rel, err);
}

bool
repl_start(struct repl_service *s, const struct uuid *vm, guint type, const char *location, gint64 start_us, const char *owner,
           char job[UUID_TEXT], GError **err)
{
    struct core *c = s->core;
    g_autoptr(GError) why = NULL;
    relation_auto rel = work_relation(c, vm, 0, &why);
    if (!rel && !err_is(why, ERR_INVALID_STATE)) {
        g_propagate_error(err, g_steal_pointer(&why));
        return false;
    }
    if (!check_start_arguments(type, location, start_us, err))
        return false;
    if (!rel) {
        g_propagate_error(err, g_steal_pointer(&why));
        return false;
    }
    rel = extend_or_self(c, rel);
    if (rel->side != SIDE_SENDER || relation_state(rel) != STATE_READY)
        return wrong_state(rel, "start the initial replication here", err);
    if (!work_free_to_change(c, vm, err))
        return false;
    cancel_schedule(c, rel);
    /* It runs as long as the copy does and must not keep others from pausing or removing: no conflict key. */
    struct work *w = work_new(c, rel, vm);
    w->requested = type;
    w->location = g_strdup(location);
    if (type == 2) /* its StartTime is ignored */
        start_us = 0;
    return work_post(w, establish_start_job(type), false, true, start_us, owner, establish_start_work, job, err) &&
           (!start_us || note_initial_job(rel, job, type, err));
}

/* ---- RequestReplicationStateChange ---- */

static bool
check_requested(guint requested, GError **err)
{
    if (requested < 1 || requested > 9 || requested == 5 || requested == 6 || requested == 8)
        return err_set(err, ERR_INVALID_PARAMETER, "Replication state %u cannot be requested; 1, 2, 3, 4, 7 and 9 can.", requested);
    return true;
}

/* The guest must be off, and nothing but its images may hold its state. */
static bool
post_prepare(struct core *c, struct relation *rel, const char *owner, char job[UUID_TEXT], GError **err)
{
    enum vm_power power;
    if (rel->side != SIDE_SENDER || rel->index || relation_state(rel) != STATE_REPLICATING)
        return wrong_state(rel, "prepare a planned failover here", err);
    if (!c->vm->power_get(c->vms, &rel->vm, &power, err))
        return false;
    if (power != VM_OFF)
        return err_set(err, ERR_INVALID_STATE, "Guest '%s' is not off%s; shut it down first.", rel->r.name,
                       power == VM_SAVED ? " but saved" : "");
    return work_post(work_new(c, rel, &rel->vm), JOB_PREPARE, true, true, 0, owner, prepare_work, job, err);
}

static bool
post_change(struct core *c, struct relation *rel, guint requested, const char *owner, char job[UUID_TEXT], GError **err)
{
    const bool pause = requested == STATE_SUSPENDED;
    if (!state_next(rel->side, relation_state(rel), pause ? EVENT_SUSPEND : EVENT_RESUME))
        return wrong_state(rel, pause ? "be paused" : "be resumed", err);
    struct work *w = work_new(c, rel, &rel->vm);
    w->requested = requested;
    return work_post(w, JOB_STATE_CHANGE, true, false, 0, owner, establish_state_work, job, err);
}

static bool
post_stop_initial(struct core *c, struct relation *rel, const char *owner, char job[UUID_TEXT], GError **err)
{
    if (rel->side == SIDE_SENDER && relation_state(rel) == STATE_READY && cancel_schedule(c, rel))
        return true;
    if (rel->side != SIDE_SENDER || relation_state(rel) != STATE_WAITING_INITIAL)
        return wrong_state(rel, "cancel an initial replication", err);
    if (export_waits(rel))
        return err_set(err, ERR_INVALID_STATE,
                       "The export of guest '%s' is finished and cannot be cancelled; import it on the replica host, or remove the "
                       "replication.",
                       rel->r.name);
    return work_post(work_new(c, rel, &rel->vm), JOB_STOP_INITIAL, true, false, 0, owner, establish_stop_work, job, err);
}

bool
repl_state_change(struct repl_service *s, const struct uuid *vm, guint index, guint requested, const char *owner, char job[UUID_TEXT],
                  GError **err)
{
    struct core *c = s->core;
    g_autoptr(GError) why = NULL;
    *job = '\0';
    relation_auto rel = work_relation(c, vm, index, &why);
    if (!rel && !err_is(why, ERR_INVALID_STATE)) {
        g_propagate_error(err, g_steal_pointer(&why));
        return false;
    }
    if (!check_requested(requested, err))
        return false;
    if (requested == STATE_WAITING_INITIAL && !index)
        return reverse_become_replica(c, vm, owner, job, err);
    if (!rel) {
        g_propagate_error(err, g_steal_pointer(&why));
        return false;
    }
    const enum repl_state now = relation_state(rel);
    if (requested == now && (now == STATE_REPLICATING || now == STATE_SUSPENDED || now == STATE_PREPARED))
        return true;
    if (requested == STATE_PREPARED || requested == STATE_WAITING_INITIAL) /* the latter of \HVR\1 */
        return post_prepare(c, rel, owner, job, err);
    if (requested == STATE_REPLICATING && now == STATE_PREPARED)
        return work_post(work_new(c, rel, &rel->vm), JOB_PREPARE_CANCEL, true, false, 0, owner, prepare_cancel_work, job, err);
    if (requested == STATE_READY)
        return post_stop_initial(c, rel, owner, job, err);
    if (requested == STATE_WAITING_RESYNC)
        return rel->side == SIDE_SENDER && state_next(rel->side, now, EVENT_RESYNC_CANCEL)
                   ? work_post(work_new(c, rel, vm), JOB_STOP_RESYNC, true, false, 0, owner, resync_cancel_work, job, err)
                   : wrong_state(rel, "cancel a resynchronisation", err);
    return post_change(c, rel, requested, owner, job, err);
}

/* ---- remove ---- */

bool
repl_remove(struct repl_service *s, const struct uuid *vm, guint index, const char *owner, char job[UUID_TEXT], GError **err)
{
    relation_auto rel = work_relation(s->core, vm, index, err);
    if (!rel)
        return false;
    const enum repl_state now = relation_state(rel);
    if (now == STATE_FAILING_OVER || now == STATE_DISK_UPDATE)
        return err_set(err, ERR_IN_USE, "A failover of guest '%s' is under way; wait for its end.", rel->r.name);
    if (!state_next(rel->side, now, EVENT_REMOVE))
        return wrong_state(rel, "remove its replication", err);
    relation_auto extended = index ? NULL : extend_of(s->core, vm);
    if (extended)
        return err_set(err, ERR_INVALID_STATE, "The replica of guest '%s' is extended to another host; remove that replication first.",
                       rel->r.name);
    if (!uuid_is_nil(&rel->r.test))
        return err_set(err, ERR_INVALID_STATE, "Guest '%s' has a test guest; remove that first (vmreplica test-failover --stop).",
                       rel->r.name);
    if (!keep_refuse(rel, "Removing the replication", err))
        return false;
    cancel_schedule(s->core, rel);
    return work_post(work_new(s->core, rel, vm), JOB_REMOVE, true, false, 0, owner, establish_remove_work, job, err);
}

/* ---- connection test ---- */

bool
repl_test_connection(struct repl_service *s, const char *host, guint port, const char *owner, char job[UUID_TEXT], GError **err)
{
    if (!settings_check_host(host, NULL, "RecoveryConnectionPoint", err))
        return false;
    if (port < 1 || port > 65535)
        return err_set(err, ERR_INVALID_PARAMETER, "Parameter 'RecoveryServerPortNumber' must be 1 to 65535.");
    struct work *w = work_new(s->core, NULL, NULL);
    w->peer = g_strdup(host);
    w->port = port;
    return work_post(w, JOB_TEST_CONNECTION, false, true, 0, owner, establish_test_work, job, err);
}
