/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "repl/schedule.h"

#include "base/clean.h"

enum phase { WAITING, QUEUED, RUNNING };

struct task {
    struct schedule *schedule;
    enum lane lane;
    task_fn fn;
    void *user;
    /* under the schedule's lock */
    gint64 due;
    enum phase phase;
    bool again, stopped;
    guint held;
    gint64 again_at;
};

struct schedule {
    GMutex lock;
    GCond changed; /* due times, and the end of runs */
    GPtrArray *tasks;
    GThreadPool *lanes[LANES];
    GThread *thread;
    bool ending;
};

static void
run(void *data, void *user)
{
    struct task *t = data;
    struct schedule *s = t->schedule;
    bool go;
    {
        HOLD(&s->lock);
        go = !t->stopped;
        t->phase = RUNNING;
    }
    const gint64 next = go ? t->fn(t->user) : SCHEDULE_IDLE;
    HOLD(&s->lock);
    t->phase = WAITING;
    t->due = t->stopped ? SCHEDULE_IDLE : t->again ? MIN(next, t->again_at) : next;
    t->again = false;
    g_cond_broadcast(&s->changed);
}

/* Hands out what is due; returns when the next one is. */
static gint64
look_locked(struct schedule *s)
{
    const gint64 now = g_get_monotonic_time();
    gint64 next = SCHEDULE_IDLE;
    for (guint i = 0; i < s->tasks->len; i++) {
        struct task *t = s->tasks->pdata[i];
        if (t->phase != WAITING || t->due == SCHEDULE_IDLE || t->held)
            continue;
        if (t->due > now) {
            next = MIN(next, t->due);
            continue;
        }
        t->phase = QUEUED;
        t->due = SCHEDULE_IDLE;
        g_thread_pool_push(s->lanes[t->lane], t, NULL);
    }
    return next;
}

static void *
loop(void *data)
{
    struct schedule *s = data;
    HOLD(&s->lock);
    while (!s->ending) {
        const gint64 next = look_locked(s);
        if (next == SCHEDULE_IDLE)
            g_cond_wait(&s->changed, &s->lock);
        else
            g_cond_wait_until(&s->changed, &s->lock, next);
    }
    return NULL;
}

struct schedule *
schedule_new(const guint workers[LANES])
{
    struct schedule *s = g_new0(struct schedule, 1);
    g_mutex_init(&s->lock);
    g_cond_init(&s->changed);
    s->tasks = g_ptr_array_new();
    for (guint i = 0; i < LANES; i++)
        s->lanes[i] = g_thread_pool_new(run, NULL, (gint)MAX(workers[i], 1), FALSE, NULL);
    s->thread = g_thread_new("schedule", loop, s);
    return s;
}

void
schedule_free(struct schedule *s)
{
    if (!s)
        return;
    g_mutex_lock(&s->lock);
    g_assert(s->tasks->len == 0);
    s->ending = true;
    g_cond_broadcast(&s->changed);
    g_mutex_unlock(&s->lock);
    g_thread_join(s->thread);
    for (guint i = 0; i < LANES; i++)
        g_thread_pool_free(s->lanes[i], FALSE, TRUE);
    g_ptr_array_unref(s->tasks);
    g_cond_clear(&s->changed);
    g_mutex_clear(&s->lock);
    g_free(s);
}

struct task *
task_new(struct schedule *s, enum lane lane, task_fn fn, void *user)
{
    struct task *t = g_new0(struct task, 1);
    t->schedule = s;
    t->lane = lane;
    t->fn = fn;
    t->user = user;
    t->due = SCHEDULE_IDLE;
    HOLD(&s->lock);
    g_ptr_array_add(s->tasks, t);
    return t;
}

void
task_at(struct task *t, gint64 mono_us)
{
    HOLD(&t->schedule->lock);
    if (t->stopped)
        return;
    if (t->phase == RUNNING) {
        t->again_at = t->again ? MIN(t->again_at, mono_us) : mono_us;
        t->again = true;
    } else if (t->phase == WAITING && mono_us < t->due) {
        t->due = mono_us;
        g_cond_broadcast(&t->schedule->changed);
    }
}

void
task_now(struct task *t)
{
    task_at(t, 0);
}

void
task_stop(struct task *t)
{
    if (!t)
        return;
    HOLD(&t->schedule->lock);
    t->stopped = true;
    t->due = SCHEDULE_IDLE;
    while (t->phase != WAITING)
        g_cond_wait(&t->schedule->changed, &t->schedule->lock);
}

bool
task_hold(struct task *t)
{
    HOLD(&t->schedule->lock);
    if (t->phase != WAITING)
        return false;
    t->held++;
    return true;
}

void
task_release(struct task *t)
{
    HOLD(&t->schedule->lock);
    if (t->held)
        t->held--;
    g_cond_broadcast(&t->schedule->changed);
}

void
task_free(struct task *t)
{
    if (!t)
        return;
    task_stop(t);
    g_mutex_lock(&t->schedule->lock);
    g_ptr_array_remove_fast(t->schedule->tasks, t);
    g_mutex_unlock(&t->schedule->lock);
    g_free(t);
}

gint64
schedule_backoff_us(guint failures, guint period_ms)
{
    static const guint MINUTES[] = { 1, 2, 4, 8, 10 };
    const gint64 period = (gint64)period_ms * 1000, minute = 60 * (gint64)G_USEC_PER_SEC;
    g_assert(failures >= 1);
    if (period < minute)
        return MIN(period << MIN(failures - 1, 16), minute);
    const gint64 wait = failures <= G_N_ELEMENTS(MINUTES) ? MINUTES[failures - 1] * minute : 30 * minute;
    return MAX(wait, period);
}
