/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "job/job.h"

#include "base/clean.h"
#include "base/clock.h"
#include "base/log.h"

#include <string.h>

/* A job is NEW while it waits for its start time, STARTING while it waits for a thread, RUNNING while its work runs, then final.
 * An interrupted job (loaded from the store, no work yet) is in the list with work NULL until job_resume or job_settle.
 *
 * One lock per registry; no caller's code runs under it but the store's save and remove.  Lock order: caller's locks, registry, store. */

static const gint64 KEEP_US = 5 * 60 * G_USEC_PER_SEC; /* contract 0.4: TimeBeforeRemoval */
static const gint64 LOOK_US = 30 * G_USEC_PER_SEC;     /* wall time may jump: schedules are looked at this often */

struct job {
    gatomicrefcount refs;
    struct job_registry *registry;
    /* fixed once work is set */
    job_work work;
    void *user;
    GDestroyNotify user_free;
    /* under the registry's lock */
    char *conflict; /* NULL: none (any more) */
    struct job_info info;
    gint64 ended_mono_us;
    bool asked; /* somebody cancelled this very job */
    /* atomic */
    gint cancel;
};

struct job_registry {
    struct job_store store;
    GThreadPool *pool;
    GThread *clock;
    GMutex lock;
    GCond changed;
    GPtrArray *jobs; /* struct job, oldest first */
    guint active;    /* queued or running in the pool */
    bool stopping;
};

bool
job_state_final(enum job_state s)
{
    return s == JOB_COMPLETED || s == JOB_TERMINATED || s == JOB_KILLED || s == JOB_EXCEPTION || s == JOB_WARNINGS;
}

void
job_info_clear(struct job_info *i)
{
    g_free(i->name);
    g_free(i->owner);
    g_free(i->status);
    g_free(i->error_text);
    g_free(i->error_summary);
    g_free(i->error_id);
    g_strfreev(i->causes);
    g_free(i->warning);
    memset(i, 0, sizeof *i);
}

void
job_info_copy(struct job_info *to, const struct job_info *from)
{
    *to = *from;
    to->name = g_strdup(from->name);
    to->owner = g_strdup(from->owner);
    to->status = g_strdup(from->status);
    to->error_text = g_strdup(from->error_text);
    to->error_summary = g_strdup(from->error_summary);
    to->error_id = g_strdup(from->error_id);
    to->causes = g_strdupv(from->causes);
    to->warning = g_strdup(from->warning);
}

void
job_info_free(struct job_info *i)
{
    if (!i)
        return;
    job_info_clear(i);
    g_free(i);
}

static void
unref(void *p)
{
    struct job *j = p;
    if (!g_atomic_ref_count_dec(&j->refs))
        return;
    if (j->user_free)
        j->user_free(j->user);
    g_free(j->conflict);
    job_info_clear(&j->info);
    g_free(j);
}

static struct job *
find_locked(struct job_registry *r, const char *id)
{
    for (guint i = 0; i < r->jobs->len; i++) {
        struct job *j = r->jobs->pdata[i];
        if (!g_ascii_strcasecmp(j->info.id, id))
            return j;
    }
    return NULL;
}

/* Must hold before others see the change; a job that runs goes on even if the store is in trouble. */
static bool
save_locked(struct job_registry *r, struct job *j, GError **err)
{
    j->info.changed_us = clock_wall_us();
    return !r->store.save || r->store.save(r->store.user, &j->info, err);
}

static void
save_or_log_locked(struct job_registry *r, struct job *j)
{
    g_autoptr(GError) why = NULL;
    if (!save_locked(r, j, &why))
        log_warning("Job '%s' could not be saved: %s", j->info.name, why->message);
}

static void
prune_locked(struct job_registry *r)
{
    const gint64 now = clock_mono_us();
    for (guint i = r->jobs->len; i-- > 0;) {
        struct job *j = r->jobs->pdata[i];
        if (!job_state_final(j->info.state) || now - j->ended_mono_us < KEEP_US)
            continue;
        g_autoptr(GError) why = NULL;
        if (r->store.remove && !r->store.remove(r->store.user, j->info.id, &why))
            log_warning("Job '%s' could not be removed: %s", j->info.id, why->message);
        g_ptr_array_remove_index(r->jobs, i);
    }
}

static void
end_locked(struct job_registry *r, struct job *j, enum job_state state)
{
    j->info.state = state;
    j->info.ended_us = clock_wall_us();
    j->ended_mono_us = clock_mono_us();
    j->info.cancellable = false;
    save_or_log_locked(r, j);
    g_cond_broadcast(&r->changed);
}

static char **
causes_of(const GError *why)
{
    g_autoptr(GStrvBuilder) list = g_strv_builder_new();
    for (const GError *c = err_cause(why); c; c = err_cause(c)) {
        g_autofree char *line = g_strdup_printf("%s %s", err_info_of(c)->id, c->message);
        g_strv_builder_add(list, line);
    }
    return err_cause(why) ? g_strv_builder_end(list) : NULL;
}

static void
set_error_locked(struct job *j, const GError *why)
{
    char vm[UUID_TEXT];
    const struct err_info *info = err_info_of(why);
    j->info.error_code = info->cim;
    g_free(j->info.error_text);
    g_free(j->info.error_summary);
    g_free(j->info.error_id);
    j->info.error_text = uuid_is_nil(&j->info.vm)
                             ? g_strdup(why->message)
                             : g_strdup_printf("%s (Virtual machine ID %s)", why->message, uuid_format(&j->info.vm, vm));
    j->info.error_summary = g_strdup(why->message);
    j->info.error_id = g_strdup(info->id);
    g_strfreev(j->info.causes);
    j->info.causes = causes_of(why);
}

static void
finish(struct job_registry *r, struct job *j, bool ok, const GError *why)
{
    HOLD(&r->lock);
    if (ok) {
        j->info.percent = 100;
        end_locked(r, j, j->info.warning ? JOB_WARNINGS : JOB_COMPLETED);
        return;
    }
    if (r->stopping && !j->asked && err_is(why, ERR_CANCELLED)) /* stays unfinished in the store: interrupted */
        return;
    set_error_locked(j, why);
    end_locked(r, j, err_is(why, ERR_CANCELLED) ? JOB_TERMINATED : JOB_EXCEPTION);
    if (err_is(why, ERR_CANCELLED))
        log_info("Job '%s' was cancelled: %s job=%s", j->info.name, why->message, j->info.id);
    else
        log_event(LOG_LEVEL_WARNING, err_is(why, ERR_INVALID_STATE) ? LOG_EVENT_WRONG_STATE : LOG_EVENT_JOB_FAILED,
                  "Job '%s' failed: %s job=%s", j->info.name, why->message, j->info.id);
}

static void
run(void *data, void *user)
{
    struct job *j = data;
    struct job_registry *r = user;
    g_autoptr(GError) why = NULL;
    bool ok = false;
    g_mutex_lock(&r->lock);
    j->info.state = JOB_RUNNING;
    j->info.started_us = clock_wall_us();
    save_or_log_locked(r, j);
    g_mutex_unlock(&r->lock);
    if (!job_cancelled(j, &why))
        ok = j->work(j, j->user, &why);
    if (!ok && !why)
        err_set(&why, ERR_FAILED, "Job '%s' failed without a reason.", j->info.name);
    finish(r, j, ok, why);
    g_mutex_lock(&r->lock);
    r->active--;
    g_cond_broadcast(&r->changed);
    g_mutex_unlock(&r->lock);
    unref(j);
}

static void
launch_locked(struct job_registry *r, struct job *j)
{
    j->info.state = JOB_STARTING;
    r->active++;
    g_atomic_ref_count_inc(&j->refs);
    g_thread_pool_push(r->pool, j, NULL);
}

/* Starts what is due, returns how long nothing will be. */
static gint64
tick_locked(struct job_registry *r)
{
    gint64 next = LOOK_US;
    const gint64 wall = clock_wall_us();
    prune_locked(r);
    for (guint i = 0; i < r->jobs->len; i++) {
        struct job *j = r->jobs->pdata[i];
        if (j->info.state != JOB_NEW || !j->work)
            continue;
        if (j->info.scheduled_us <= wall)
            launch_locked(r, j);
        else
            next = MIN(next, j->info.scheduled_us - wall);
    }
    return next;
}

static void *
clock_thread(void *data)
{
    struct job_registry *r = data;
    HOLD(&r->lock);
    while (!r->stopping)
        g_cond_wait_until(&r->changed, &r->lock, g_get_monotonic_time() + tick_locked(r));
    return NULL;
}

static bool
load(struct job_registry *r, GError **err)
{
    if (!r->store.load)
        return true;
    g_autoptr(GPtrArray) found = r->store.load(r->store.user, err);
    if (!found)
        return false;
    for (guint i = 0; i < found->len; i++) {
        struct job *j = g_new0(struct job, 1);
        g_atomic_ref_count_init(&j->refs);
        j->registry = r;
        job_info_copy(&j->info, found->pdata[i]);
        j->ended_mono_us = clock_mono_us();
        g_ptr_array_add(r->jobs, j);
    }
    return true;
}

struct job_registry *
job_registry_new(const struct job_store *store, guint threads, GError **err)
{
    struct job_registry *r = g_new0(struct job_registry, 1);
    if (store)
        r->store = *store;
    g_mutex_init(&r->lock);
    g_cond_init(&r->changed);
    r->jobs = g_ptr_array_new_with_free_func(unref);
    r->pool = g_thread_pool_new(run, r, threads ? (gint)threads : -1, FALSE, NULL);
    if (!load(r, err)) {
        job_registry_free(r);
        return NULL;
    }
    r->clock = g_thread_new("jobs", clock_thread, r);
    return r;
}

void
job_registry_stop(struct job_registry *r)
{
    g_mutex_lock(&r->lock);
    r->stopping = true;
    for (guint i = 0; i < r->jobs->len; i++)
        g_atomic_int_set(&((struct job *)r->jobs->pdata[i])->cancel, 1);
    g_cond_broadcast(&r->changed);
    while (r->active)
        g_cond_wait(&r->changed, &r->lock);
    g_mutex_unlock(&r->lock);
    if (r->clock)
        g_thread_join(g_steal_pointer(&r->clock));
}

void
job_registry_free(struct job_registry *r)
{
    if (!r)
        return;
    job_registry_stop(r);
    g_thread_pool_free(r->pool, FALSE, TRUE);
    g_ptr_array_unref(r->jobs);
    g_cond_clear(&r->changed);
    g_mutex_clear(&r->lock);
    g_free(r);
}

static bool
busy_locked(struct job_registry *r, const char *conflict, const struct job *except)
{
    for (guint i = 0; conflict && i < r->jobs->len; i++) {
        const struct job *j = r->jobs->pdata[i];
        /* A job that only waits for its time does not hold the guest. */
        if (j != except && j->work && !job_state_final(j->info.state) && j->info.state != JOB_NEW && !g_strcmp0(j->conflict, conflict))
            return true;
    }
    return false;
}

static void
adopt(struct job *j, const struct job_request *q)
{
    j->work = q->work;
    j->user = q->user;
    j->user_free = q->user_free;
    j->conflict = g_strdup(q->conflict);
    j->info.cancellable = q->cancellable;
}

static struct job *
make(struct job_registry *r, const struct job_request *q)
{
    struct job *j = g_new0(struct job, 1);
    const struct uuid id = uuid_random();
    g_atomic_ref_count_init(&j->refs);
    j->registry = r;
    uuid_format(&id, j->info.id);
    j->info.type = q->type;
    j->info.name = g_strdup(q->name);
    j->info.vm = q->vm;
    j->info.owner = g_strdup(q->owner);
    j->info.state = JOB_NEW;
    j->info.submitted_us = clock_wall_us();
    j->info.scheduled_us = q->start_us;
    adopt(j, q);
    return j;
}

/* Takes j. */
static bool
enter_locked(struct job_registry *r, struct job *j, GError **err)
{
    char vm[UUID_TEXT];
    if (r->stopping)
        return err_set(err, ERR_NOT_AVAILABLE, "The daemon is stopping; ask again when it is back.");
    if (busy_locked(r, j->conflict, j))
        return err_set(err, ERR_IN_USE, "Another job works on virtual machine '%s'; wait for its end.", uuid_format(&j->info.vm, vm));
    return save_locked(r, j, err);
}

static void
begin_locked(struct job_registry *r, struct job *j)
{
    if (j->info.scheduled_us <= clock_wall_us())
        launch_locked(r, j);
    g_cond_broadcast(&r->changed);
}

bool
job_start(struct job_registry *r, const struct job_request *q, char id[UUID_TEXT], GError **err)
{
    struct job *j = make(r, q);
    bool ok;
    {
        HOLD(&r->lock);
        prune_locked(r);
        ok = enter_locked(r, j, err);
        if (ok) {
            memcpy(id, j->info.id, UUID_TEXT);
            g_ptr_array_add(r->jobs, j);
            begin_locked(r, j);
        }
    }
    if (!ok)
        unref(j); /* outside of the lock: frees the caller's data */
    return ok;
}

GPtrArray *
job_interrupted(struct job_registry *r)
{
    GPtrArray *out = g_ptr_array_new_with_free_func((GDestroyNotify)job_info_free);
    HOLD(&r->lock);
    for (guint i = 0; i < r->jobs->len; i++) {
        const struct job *j = r->jobs->pdata[i];
        if (j->work || job_state_final(j->info.state))
            continue;
        struct job_info *copy = g_new0(struct job_info, 1);
        job_info_copy(copy, &j->info);
        g_ptr_array_add(out, copy);
    }
    return out;
}

bool
job_resume(struct job_registry *r, const char *id, const struct job_request *q, GError **err)
{
    struct job *j;
    {
        HOLD(&r->lock);
        j = find_locked(r, id);
        if (j && (j->work || job_state_final(j->info.state)))
            j = NULL;
        if (j) {
            adopt(j, q);
            if (j->info.state != JOB_NEW)
                j->info.scheduled_us = 0;
            begin_locked(r, j);
        }
    }
    if (j)
        return true;
    if (q->user_free)
        q->user_free(q->user);
    return err_set(err, ERR_NOT_FOUND, "There is no interrupted job '%s'.", id);
}

void
job_settle(struct job_registry *r)
{
    g_autoptr(GError) why = NULL;
    err_set(&why, ERR_FAILED, "The job was interrupted by the end of the daemon; ask for the same again.");
    HOLD(&r->lock);
    for (guint i = 0; i < r->jobs->len; i++) {
        struct job *j = r->jobs->pdata[i];
        if (j->work || job_state_final(j->info.state))
            continue;
        set_error_locked(j, why);
        end_locked(r, j, JOB_EXCEPTION);
    }
}

bool
job_get(struct job_registry *r, const char *id, struct job_info *out)
{
    HOLD(&r->lock);
    prune_locked(r);
    const struct job *j = find_locked(r, id);
    if (j)
        job_info_copy(out, &j->info);
    return j != NULL;
}

static void
add_copy(GPtrArray *out, const struct job *j)
{
    struct job_info *copy = g_new0(struct job_info, 1);
    job_info_copy(copy, &j->info);
    g_ptr_array_add(out, copy);
}

GPtrArray *
job_list(struct job_registry *r)
{
    GPtrArray *out = g_ptr_array_new_with_free_func((GDestroyNotify)job_info_free);
    HOLD(&r->lock);
    prune_locked(r);
    for (guint i = 0; i < r->jobs->len; i++)
        add_copy(out, r->jobs->pdata[i]);
    return out;
}

GPtrArray *
job_active(struct job_registry *r, const struct uuid *vm)
{
    GPtrArray *out = g_ptr_array_new_with_free_func((GDestroyNotify)job_info_free);
    HOLD(&r->lock);
    for (guint i = 0; i < r->jobs->len; i++) {
        const struct job *j = r->jobs->pdata[i];
        if (j->work && uuid_equal(&j->info.vm, vm) && !job_state_final(j->info.state) && j->info.state != JOB_NEW)
            add_copy(out, j);
    }
    return out;
}

bool
job_cancel(struct job_registry *r, const char *id, GError **err)
{
    HOLD(&r->lock);
    struct job *j = find_locked(r, id);
    if (!j)
        return err_set(err, ERR_NO_SUCH_INSTANCE, "There is no job '%s'.", id);
    if (job_state_final(j->info.state))
        return err_set(err, ERR_INVALID_STATE, "Job '%s' has ended already.", id);
    if (!j->info.cancellable && j->info.state != JOB_NEW)
        return err_set(err, ERR_INVALID_STATE, "Job '%s' (%s) cannot be cancelled now.", id, j->info.name);
    j->asked = true;
    g_atomic_int_set(&j->cancel, 1);
    if (j->info.state == JOB_NEW) {
        g_autoptr(GError) why = NULL;
        err_set(&why, ERR_CANCELLED, "The job was cancelled before its start time.");
        set_error_locked(j, why);
        end_locked(r, j, JOB_TERMINATED);
    }
    g_cond_broadcast(&r->changed);
    return true;
}

bool
job_wait(struct job_registry *r, const char *id, gint64 timeout_us, struct job_info *out)
{
    const gint64 deadline = g_get_monotonic_time() + timeout_us;
    HOLD(&r->lock);
    for (;;) {
        const struct job *j = find_locked(r, id);
        if (!j)
            return false;
        if (job_state_final(j->info.state)) {
            job_info_copy(out, &j->info);
            return true;
        }
        if (!g_cond_wait_until(&r->changed, &r->lock, deadline))
            return false;
    }
}

bool
job_busy(struct job_registry *r, const char *conflict)
{
    HOLD(&r->lock);
    return busy_locked(r, conflict, NULL);
}

/* ---- for work ---- */

void
job_progress(struct job *j, guint percent, const char *status)
{
    HOLD(&j->registry->lock);
    j->info.percent = MIN(percent, 99);
    if (status && g_strcmp0(status, j->info.status)) {
        g_free(j->info.status);
        j->info.status = g_strdup(status);
    }
}

void
job_set_cancellable(struct job *j, bool yes)
{
    HOLD(&j->registry->lock);
    j->info.cancellable = yes;
}

void
job_release(struct job *j)
{
    HOLD(&j->registry->lock);
    g_clear_pointer(&j->conflict, g_free);
}

void
job_warn(struct job *j, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    char *text = g_strdup_vprintf(format, args);
    va_end(args);
    HOLD(&j->registry->lock);
    g_free(j->info.warning);
    j->info.warning = text;
}

bool
job_cancelled(struct job *j, GError **err)
{
    if (!g_atomic_int_get(&j->cancel))
        return false;
    err_set(err, ERR_CANCELLED, "The job was cancelled.");
    return true;
}

const gint *
job_cancel_flag(struct job *j)
{
    return &j->cancel;
}

void
job_info_of(struct job *j, struct job_info *out)
{
    HOLD(&j->registry->lock);
    job_info_copy(out, &j->info);
}
