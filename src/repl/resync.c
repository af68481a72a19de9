/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "repl/resync.h"

#include "base/clean.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "repl/activity.h"
#include "repl/window.h"
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
    rel->s.resync_us = clock_wall_us();
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
    {
        HOLD(&w->rel->lock);
        w->rel->s.resync_us = clock_wall_us(); /* that was the one of this window */
    }
    activity_wake(w->rel);
    return true;
}

/* ---- by itself ---- */

static bool
is_due(struct relation *rel, gint64 now_us, gint64 *opens_us)
{
    HOLD(&rel->lock);
    const gint64 start = rel->settings.resync_start_us, end = rel->settings.resync_end_us;
    *opens_us = 0;
    if (rel->r.state != STATE_WAITING_RESYNC || !rel->settings.auto_resync)
        return false;
    *opens_us = window_opens(now_us, start);
    return window_is_open(now_us, start, end) && rel->s.resync_us < window_opened(now_us, start);
}

gint64
resync_auto(struct relation *rel)
{
    static const gint64 LOOK_AGAIN_US = 60 * (gint64)G_USEC_PER_SEC; /* somebody may set the clock */
    const gint64 now_us = clock_wall_us();
    char job[UUID_TEXT];
    gint64 opens_us;
    g_autoptr(GError) why = NULL;
    if (is_due(rel, now_us, &opens_us)) {
        log_info("Guest '%s': the window for resynchronisation is open; it begins by itself.", rel->r.name);
        if (!work_post(work_new(rel->core, rel, &rel->vm), rel->index ? JOB_RESYNC_EXTENDED : JOB_RESYNC, false, true, 0, "vmreplicad",
                       resync_work, job, &why))
            log_warning("Guest '%s': the resynchronisation cannot begin: %s", rel->r.name, why->message);
        HOLD(&rel->lock);
        rel->s.resync_us = now_us;
    }
    return opens_us ? g_get_monotonic_time() + MIN(opens_us - now_us, LOOK_AGAIN_US) : SCHEDULE_IDLE;
}

void
resync_recover(struct relation *rel)
{
    HOLD(&rel->lock);
    rel->s.want_compare = rel->r.state == STATE_RESYNC || rel->r.state == STATE_RESYNC_SUSPENDED;
}
