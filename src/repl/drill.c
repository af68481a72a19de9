/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "repl/drill.h"

#include "base/clean.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "repl/bootcheck.h"
#include "repl/pointvm.h"
#include "repl/testvm.h"
#include "vm/console.h"
#include "vm/domxml.h"

static const gint64 LOOK_US = G_USEC_PER_SEC / 4;

struct drill {
    struct core *core;
    struct relation *rel;
    struct job *job;
    struct uuid test;
    char *text;              /* NULL: the agent is asked */
    guint timeout_s;
    struct console *console; /* NULL: the agent is asked */
    bool judged;             /* that it failed says something about the point, and nothing about this host */
};

/* ---- waiting for a sign of life ---- */

static bool
read_settings(struct drill *d, GError **err)
{
    HOLD(&d->rel->lock);
    d->test = d->rel->r.test;
    d->text = g_strdup(d->rel->settings.verify_text);
    d->timeout_s = d->rel->settings.verify_timeout_s ? d->rel->settings.verify_timeout_s : DRILL_TIMEOUT_S;
    return true;
}

/* Before the guest is started: one that has no way to say that it has come up is not worth the wait. */
static bool
listen_to(struct drill *d, GError **err)
{
    vm_facts_auto facts = d->core->vm->facts_get(d->core->vms, &d->test, err);
    if (!facts)
        return false;
    if (!d->text) {
        d->judged = facts->machine.agent == VM_AGENT_NONE;
        return !d->judged || err_set(err, ERR_INVALID_STATE,
                                     "The guest has no channel for a guest agent, so nothing tells that it has come up; set verify_text to "
                                     "a text that it writes on its serial console.");
    }
    g_auto(GStrv) files = domxml_consoles(facts->xml, err);
    if (!files)
        return false;
    d->judged = !*files;
    if (d->judged)
        return err_set(err, ERR_INVALID_STATE, "The guest has no serial port on which verify_text '%s' could come.", d->text);
    d->console = console_new((const char *const *)files, d->text);
    return true;
}

static bool
is_up(struct drill *d, bool *up, GError **err)
{
    const struct repl_vm_ops *vm = d->core->vm;
    struct vm_agent_info info = { 0 };
    enum vm_power power;
    if (!vm->power_get(d->core->vms, &d->test, &power, err))
        return false;
    *up = d->console ? console_seen(d->console) : vm->agent_info(d->core->vms, &d->test, &info, NULL);
    vm_agent_info_clear(&info);
    d->judged = !*up && power == VM_OFF;
    return !d->judged || err_set(err, ERR_FAILED, "The test guest turned itself off.");
}

static bool
timed_out(struct drill *d, GError **err)
{
    if (!d->console)
        return err_set(err, ERR_TIMEOUT, "The guest agent did not answer within %u s.", d->timeout_s);
    g_autofree char *line = console_last_line(d->console);
    return err_set(err, ERR_TIMEOUT, "'%s' did not come on the serial console within %u s; %s%s%s", d->text, d->timeout_s,
                   line ? "its last line is '" : "nothing came at all", line ? line : "", line ? "'." : ".");
}

static void
pause_round(struct relation *rel)
{
    const gint64 until = g_get_monotonic_time() + LOOK_US;
    HOLD(&rel->lock);
    g_cond_wait_until(&rel->changed, &rel->lock, until);
}

static bool
wait_for_life(struct drill *d, GError **err)
{
    const gint64 begin = g_get_monotonic_time(), end = begin + d->timeout_s * (gint64)G_USEC_PER_SEC;
    job_progress(d->job, 90, d->text ? "Waiting for its word on the serial console" : "Waiting for the guest agent");
    for (;;) {
        bool up;
        if (job_cancelled(d->job, err) || !is_up(d, &up, err))
            return false;
        if (up)
            return true;
        d->judged = g_get_monotonic_time() >= end;
        if (d->judged)
            return timed_out(d, err);
        pause_round(d->rel);
    }
}

static bool
bring_up(struct drill *d, GError **err)
{
    const struct repl_vm_ops *vm = d->core->vm;
    job_set_cancellable(d->job, true);
    job_release(d->job);
    return read_settings(d, err) && listen_to(d, err) && vm->start(d->core->vms, &d->test, err) && wait_for_life(d, err);
}

/* ---- the result ---- */

static GBytes *
look_at(struct drill *d, char **suffix)
{
    g_autoptr(GError) why = NULL;
    GBytes *picture = uuid_is_nil(&d->test) ? NULL : d->core->vm->screenshot(d->core->vms, &d->test, suffix, &why);
    if (why)
        log_debug("Guest '%s': no screenshot of the test guest: %s", d->rel->r.name, why->message);
    return picture;
}

static void
keep(struct drill *d, const struct uuid *point, gint64 begin_us, const GError *failure)
{
    g_autofree char *suffix = NULL;
    g_autoptr(GBytes) picture = look_at(d, &suffix);
    g_autoptr(GError) why = NULL;
    struct repl_check check = { .at_us = clock_wall_us(), .took_us = g_get_monotonic_time() - begin_us, .passed = failure == NULL };
    g_strlcpy(check.why, failure ? failure->message : "", sizeof check.why);
    if (!bootcheck_save(d->rel, point, &check, picture, suffix, &why))
        log_warning("Guest '%s': the result of the boot check was not saved: %s", d->rel->r.name, why->message);
    if (failure)
        log_warning("Guest '%s': the boot check of a recovery point failed: %s", d->rel->r.name, failure->message);
    else
        log_info("Guest '%s': a recovery point passed its boot check in %.1f s.", d->rel->r.name, (double)check.took_us / G_USEC_PER_SEC);
}

static void
clear(struct drill *d)
{
    console_free(d->console);
    g_free(d->text);
}

static bool
check(struct drill *d, const struct store_log *point, GError **err)
{
    const gint64 begin = g_get_monotonic_time();
    g_autoptr(GError) why = NULL, left = NULL;
    const bool ok = testvm_make(d->core, d->rel, d->job, point, true, &why) && bring_up(d, &why);
    if (ok || d->judged || err_is(why, ERR_CORRUPT))
        keep(d, &point->id, begin, why);
    if (!testvm_end(d->core, d->rel, &left))
        job_warn(d->job, "The test guest could not be removed, which is tried again at the next start: %s", left->message);
    if (!ok)
        g_propagate_error(err, g_steal_pointer(&why));
    return ok;
}

bool
drill_work(struct job *job, void *work, GError **err)
{
    struct work *w = work;
    struct store_log point;
    struct drill d = { .core = w->core, .rel = w->rel, .job = job };
    if (!pointvm_choose(w->rel, w->named ? &w->point : NULL, &point, err))
        return false;
    const bool ok = check(&d, &point, err);
    clear(&d);
    core_tick_stats(w->core, w->rel, true);
    task_now(w->rel->in.maintain); /* the point is free */
    return ok;
}
