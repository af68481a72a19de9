/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "repl/schedule.h"

#include "base/clean.h"
#include "base/order.h"

enum phase { WAITING, QUEUED, RUNNING };

struct task {
    struct order_item place; /* first: an item is its task; among those that are due some time, or in its lane's line */
    struct schedule *schedule;
    task_fn fn;
    void *user;
    /* under the schedule's lock */
    enum lane lane, next_lane;
    gint64 due, deadline;
    enum phase phase;
    bool again, stopped;
    guint held;
    gint64 again_at;
};

struct line {
    struct schedule *schedule;
    GThreadPool *pool;   /* gets one token for each task that joins the line; who takes a token runs the first of the line.  It comes
                            after the lock is free: who wakes up for it wants the lock at once */
    struct order *tasks; /* QUEUED */
    guint workers, running;
};

struct schedule {
    GMutex lock;
    GCond wake;  /* the first due time changed */
    GCond ended; /* a run is over */
    struct order *due; /* WAITING, not held, with a due time */
    guint tasks;
    struct line lines[LANES];
    GThread *thread;
    bool ending;
};

static struct task *
task_of(struct order_item *item)
{
    return (struct task *)item;
}

gint64
schedule_turn(gint64 deadline_us, gint64 queued_us)
{
    return MAX(deadline_us, queued_us);
}

/* When it waits for its time, it is among those that do, at the right place. */
static void
place_locked(struct task *t)
{
    struct schedule *s = t->schedule;
    if (t->phase != WAITING)
        return;
    order_remove(s->due, &t->place);
    if (t->held || t->due == SCHEDULE_IDLE)
        return;
    order_add(s->due, &t->place, t->due);
    if (order_first(s->due) == &t->place)
        g_cond_signal(&s->wake);
}

static struct task *
take_locked(struct line *line)
{
    struct order_item *first = order_first(line->tasks);
    if (!first)
        return NULL; /* its task was stopped */
    order_remove(line->tasks, first);
    task_of(first)->phase = RUNNING;
    line->running++;
    return task_of(first);
}

static void
run(void *token, void *data)
{
    struct line *line = data;
    struct schedule *s = line->schedule;
    struct task *t;
    {
        HOLD(&s->lock);
        if (!(t = take_locked(line)))
            return;
    }
    const gint64 next = t->fn(t->user);
    HOLD(&s->lock);
    line->running--;
    t->phase = WAITING;
    t->due = t->stopped ? SCHEDULE_IDLE : t->again ? MIN(next, t->again_at) : next;
    t->again = false;
    place_locked(t);
    g_cond_broadcast(&s->ended);
}

/* The token of its line, which is due when the lock is free. */
static struct line *
queue_locked(struct schedule *s, struct task *t, gint64 now)
{
    struct line *line = &s->lines[t->lane = t->next_lane];
    order_remove(s->due, &t->place);
    t->phase = QUEUED;
    t->due = SCHEDULE_IDLE;
    order_add(line->tasks, &t->place, schedule_turn(t->deadline, now));
    return line;
}

static void
give_token(struct line *line)
{
    if (line)
        g_thread_pool_push(line->pool, line, NULL);
}

/* Hands out what is due; returns when the next one is.  Lets the lock go meanwhile. */
static gint64
look_locked(struct schedule *s)
{
    const gint64 now = g_get_monotonic_time();
    struct order_item *first;
    while ((first = order_first(s->due)) && task_of(first)->due <= now) {
        struct line *line = queue_locked(s, task_of(first), now);
        g_mutex_unlock(&s->lock);
        give_token(line);
        g_mutex_lock(&s->lock);
    }
    return first ? task_of(first)->due : SCHEDULE_IDLE;
}

static void *
loop(void *data)
{
    struct schedule *s = data;
    HOLD(&s->lock);
    while (!s->ending) {
        const gint64 next = look_locked(s);
        if (s->ending) /* since the lock was free for a while */
            break;
        if (next == SCHEDULE_IDLE)
            g_cond_wait(&s->wake, &s->lock);
        else
            g_cond_wait_until(&s->wake, &s->lock, next);
    }
    return NULL;
}

struct schedule *
schedule_new(const guint workers[LANES])
{
    struct schedule *s = g_new0(struct schedule, 1);
    g_mutex_init(&s->lock);
    g_cond_init(&s->wake);
    g_cond_init(&s->ended);
    s->due = order_new();
    for (guint i = 0; i < LANES; i++) {
        struct line *line = &s->lines[i];
        line->schedule = s;
        line->tasks = order_new();
        line->workers = MAX(workers[i], 1);
        line->pool = g_thread_pool_new(run, line, (gint)line->workers, FALSE, NULL);
    }
    s->thread = g_thread_new("schedule", loop, s);
    return s;
}

void
schedule_free(struct schedule *s)
{
    if (!s)
        return;
    g_mutex_lock(&s->lock);
    g_assert(s->tasks == 0);
    s->ending = true;
    g_cond_signal(&s->wake);
    g_mutex_unlock(&s->lock);
    g_thread_join(s->thread);
    for (guint i = 0; i < LANES; i++) {
        g_thread_pool_free(s->lines[i].pool, FALSE, TRUE);
        order_free(s->lines[i].tasks);
    }
    order_free(s->due);
    g_cond_clear(&s->wake);
    g_cond_clear(&s->ended);
    g_mutex_clear(&s->lock);
    g_free(s);
}

struct task *
task_new(struct schedule *s, enum lane lane, task_fn fn, void *user)
{
    struct task *t = g_new0(struct task, 1);
    t->schedule = s;
    t->lane = t->next_lane = lane;
    t->fn = fn;
    t->user = user;
    t->due = SCHEDULE_IDLE;
    HOLD(&s->lock);
    s->tasks++;
    return t;
}

/* What is due joins its line here: to wake the thread of due times for it would wake two. */
static struct line *
ask_locked(struct task *t, gint64 mono_us)
{
    const gint64 now = g_get_monotonic_time();
    if (t->stopped)
        return NULL;
    if (t->phase == RUNNING) {
        t->again_at = t->again ? MIN(t->again_at, mono_us) : mono_us;
        t->again = true;
    } else if (t->phase == WAITING && mono_us < t->due) {
        t->due = mono_us;
        if (mono_us <= now && !t->held)
            return queue_locked(t->schedule, t, now);
        place_locked(t);
    }
    return NULL;
}

void
task_at(struct task *t, gint64 mono_us)
{
    struct line *line;
    {
        HOLD(&t->schedule->lock);
        line = ask_locked(t, mono_us);
    }
    give_token(line);
}

void
task_now(struct task *t)
{
    task_at(t, 0);
}

void
task_deadline(struct task *t, gint64 mono_us)
{
    HOLD(&t->schedule->lock);
    t->deadline = mono_us;
}

void
task_move(struct task *t, enum lane lane)
{
    HOLD(&t->schedule->lock);
    t->next_lane = lane;
}

bool
task_crowded(struct task *t)
{
    HOLD(&t->schedule->lock);
    const struct line *line = &t->schedule->lines[t->lane];
    return line->running >= line->workers && order_first(line->tasks);
}

void
task_stop(struct task *t)
{
    if (!t)
        return;
    HOLD(&t->schedule->lock);
    t->stopped = true;
    t->due = SCHEDULE_IDLE;
    if (t->phase == QUEUED) {
        order_remove(t->schedule->lines[t->lane].tasks, &t->place);
        t->phase = WAITING;
    }
    while (t->phase != WAITING)
        g_cond_wait(&t->schedule->ended, &t->schedule->lock);
    place_locked(t);
}

bool
task_hold(struct task *t)
{
    HOLD(&t->schedule->lock);
    if (t->phase != WAITING)
        return false;
    t->held++;
    place_locked(t);
    return true;
}

void
task_release(struct task *t)
{
    HOLD(&t->schedule->lock);
    if (t->held)
        t->held--;
    place_locked(t);
}

void
task_free(struct task *t)
{
    if (!t)
        return;
    task_stop(t);
    g_mutex_lock(&t->schedule->lock);
    t->schedule->tasks--;
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
