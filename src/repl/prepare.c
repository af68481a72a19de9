/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "repl/prepare.h"

#include "base/clean.h"
#include "base/err.h"
#include "base/log.h"
#include "repl/activity.h"
#include "repl/probe.h"
#include "repl/supersede.h"
#include "vm/fence.h"

enum { TRIES = 8 }; /* two seconds apart */
static const gint64 LOOK_US = G_USEC_PER_SEC / 2;

static bool
fence(struct core *c, struct relation *rel, GError **err)
{
    return fence_raise(c->fence_dir, &rel->vm,
                       "This guest is prepared for a planned failover to its replica host; call that off before it is started here "
                       "(vmreplica resume).",
                       err);
}

/* ---- the last log ---- */

static bool
ask_last(struct relation *rel, guint *troubles, GError **err)
{
    HOLD(&rel->lock);
    if (rel->r.state != STATE_REPLICATING)
        return err_set(err, ERR_INVALID_STATE, "Guest '%s' is in replication state '%s' by now.", rel->r.name, state_name(rel->r.state));
    *troubles = rel->troubles;
    rel->s.last_log = UUID_NIL;
    rel->s.want_last = rel->s.preparing = true;
    rel->s.retry_at = 0; /* whoever asks does not wait for a back-off */
    return true;
}

static void
forget_last(struct relation *rel)
{
    HOLD(&rel->lock);
    rel->s.want_last = rel->s.preparing = false;
    rel->s.last_log = UUID_NIL;
}

/* Half a log went with its connection: while the replica host is still busy with that half, it refuses the rest, or has more by then than
 * it said.  A later try finds out where it stands. */
static bool
may_pass_locked(const struct relation *rel, guint troubles)
{
    return rel->trouble_domain == ERR && (rel->trouble_code == ERR_IN_USE || rel->trouble_code == ERR_OUT_OF_SEQUENCE) &&
           rel->troubles - troubles < TRIES;
}

/* True: it is over, and *ok or err say how. */
static bool
is_over_locked(struct relation *rel, guint troubles, bool *ok, GError **err)
{
    *ok = !uuid_is_nil(&rel->s.last_log) && uuid_equal(&rel->s.last_log, &rel->r.acked);
    if (*ok)
        return true;
    if (rel->removed || rel->r.state != STATE_REPLICATING)
        return !err_set(err, ERR_NETWORK, "Replication of guest '%s' stopped before its last changes were sent: %s", rel->r.name,
                        rel->r.reason ? rel->r.reason : state_name(rel->r.state));
    return rel->troubles != troubles && rel->trouble && !may_pass_locked(rel, troubles) &&
           !err_set(err, ERR_NETWORK, "The last changes of guest '%s' could not be sent: %s", rel->r.name, rel->trouble);
}

static bool
wait_acknowledged(struct relation *rel, struct job *job, guint troubles, GError **err)
{
    bool ok = false;
    for (;;) {
        if (job_cancelled(job, err))
            return false;
        const gint64 deadline = g_get_monotonic_time() + LOOK_US;
        HOLD(&rel->lock);
        if (is_over_locked(rel, troubles, &ok, err))
            return ok;
        g_cond_wait_until(&rel->changed, &rel->lock, deadline);
    }
}

static bool
is_off(struct core *c, struct relation *rel, GError **err)
{
    enum vm_power power;
    if (!c->vm->power_get(c->vms, &rel->vm, &power, err))
        return false;
    return power == VM_OFF || err_set(err, ERR_INVALID_STATE, "Guest '%s' is not off; shut it down first.", rel->r.name);
}

static bool
send_last(struct core *c, struct relation *rel, struct job *job, GError **err)
{
    guint troubles = 0;
    /* Looked at again behind the fence: now nobody starts it any more. */
    if (!is_off(c, rel, err) || !ask_last(rel, &troubles, err))
        return false;
    task_now(rel->s.cycle);
    task_now(rel->s.send);
    job_progress(job, 20, "Sending the last changes");
    if (!wait_acknowledged(rel, job, troubles, err))
        return false;
    job_set_cancellable(job, false);
    if (!relation_event(rel, EVENT_PREPARE, NULL, err))
        return false;
    forget_last(rel);
    return true;
}

bool
prepare_work(struct job *job, void *work, GError **err)
{
    struct work *w = work;
    g_autoptr(GError) why = NULL;
    if (!fence(w->core, w->rel, err))
        return false;
    if (send_last(w->core, w->rel, job, err)) {
        log_info("Guest '%s' is ready for a planned failover; it cannot be started here until that is done or called off.",
                 w->rel->r.name);
        return true;
    }
    forget_last(w->rel);
    if (!supersede_fence(w->core, w->rel, &why))
        log_error("Guest '%s' cannot be started: %s", w->rel->r.name, why->message);
    return false;
}

/* ---- calling it off ---- */

/* The guest could not run here meanwhile: whatever the replica's epoch is by now, a failover there that was reverted left nothing
 * behind. */
static bool
call_off(struct relation *rel, GError **err)
{
    HOLD(&rel->lock);
    const bool adopt = rel->r.adopt_epoch;
    rel->r.adopt_epoch = true;
    rel->s.peer_known = false; /* the replica is asked where it stands before anything is sent */
    if (relation_event_locked(rel, EVENT_RESUME, NULL, err))
        return true;
    rel->r.adopt_epoch = adopt;
    return false;
}

bool
prepare_cancel_work(struct job *job, void *work, GError **err)
{
    struct work *w = work;
    struct wire_status st = { 0 };
    g_autoptr(GError) why = NULL;
    job_progress(job, 20, "Asking the replica host");
    if (!probe_replica(w->core, w->rel, &st, &why))
        job_warn(job, "Whether the replica of guest '%s' has failed over is not known: %s", w->rel->r.name, why->message);
    const bool over = supersede_where(&st, "") != NULL;
    wire_status_clear(&st);
    if (over)
        return err_set(err, ERR_INVALID_STATE, "The replica of guest '%s' has failed over; revert that first, or reverse replication.",
                       w->rel->r.name);
    if (!call_off(w->rel, err) || !supersede_fence(w->core, w->rel, err))
        return false;
    activity_wake(w->rel);
    return true;
}

bool
prepare_recover(struct core *c, struct relation *rel, GError **err)
{
    return rel->r.state == STATE_PREPARED ? fence(c, rel, err) : supersede_fence(c, rel, err);
}
