/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "repl/resync.h"

#include "base/clean.h"
#include "base/err.h"
#include "repl/activity.h"
#include "repl/difference.h"
#include "repl/supersede.h"

static const gint64 LOOK_US = G_USEC_PER_SEC / 2;

static bool
begin(struct relation *rel, GError **err)
{
    HOLD(&rel->lock);
    rel->s.want_compare = true;
    rel->s.failures = 0;
    rel->s.retry_at = 0;
    return rel->r.state == STATE_RESYNC || relation_event_locked(rel, EVENT_RESYNC_START, NULL, err);
}

/* True: it is over, and *ok or err say how. */
static bool
is_over_locked(struct relation *rel, bool *ok, GError **err)
{
    const enum repl_state now = rel->r.state;
    *ok = !rel->removed && now == STATE_REPLICATING;
    if (*ok || now == STATE_RESYNC || now == STATE_RESYNC_SUSPENDED)
        return *ok;
    return !err_set(err, ERR_FAILED, "The resynchronisation of guest '%s' stopped in state '%s'%s%s", rel->r.name, state_name(now),
                    rel->r.reason ? ": " : ".", rel->r.reason ? rel->r.reason : "");
}

static bool
wait_round(struct relation *rel, bool *ok, GError **err)
{
    const gint64 deadline = g_get_monotonic_time() + LOOK_US;
    HOLD(&rel->lock);
    if (is_over_locked(rel, ok, err))
        return true;
    g_cond_wait_until(&rel->changed, &rel->lock, deadline);
    return is_over_locked(rel, ok, err);
}

bool
resync_work(struct job *job, void *work, GError **err)
{
    struct work *w = work;
    struct relation *rel = w->rel;
    bool ok = false;
    if ((!rel->index && !supersede_check(w->core, rel, err)) || !activity_attach(w->core, rel, err) || !begin(rel, err))
        return false;
    activity_wake(rel);
    job_progress(job, 5, "Comparing the disks with the replica");
    while (!wait_round(rel, &ok, err))
        if (job_cancelled(job, err)) {
            if (core_running(w->core)) /* else the daemon stops, and goes on later */
                relation_event(rel, EVENT_RESYNC_CANCEL, NULL, NULL);
            return false;
        }
    if (ok)
        difference_forget(rel);
    return ok;
}

bool
resync_cancel_work(struct job *job, void *work, GError **err)
{
    struct work *w = work;
    if (!relation_event(w->rel, EVENT_RESYNC_CANCEL, NULL, err))
        return false;
    relation_halt(w->rel, true);
    return true;
}

void
resync_recover(struct relation *rel)
{
    HOLD(&rel->lock);
    rel->s.want_compare = rel->r.state == STATE_RESYNC || rel->r.state == STATE_RESYNC_SUSPENDED;
}
