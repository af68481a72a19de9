/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <stdbool.h>

/* What has to be done when: one thread that knows due times (monotonic), and lanes of worker threads that do it.
 *
 * A task never runs twice at a time; when it is asked for while it runs, it runs once more.  Its function returns the monotonic time at
 * which it wants to run next, or SCHEDULE_IDLE.  Tasks of one lane share the lane's workers, so a slow link (sends) does not keep guests
 * from being captured.  LANE_GROUP is for cycles that wait for one another (round.h), so it has a worker for each; LANE_SERVE is for
 * servers that guests wait for (serving.h), which must not stand behind a merge.
 *
 * When more tasks are due than a lane has workers, they stand in line, the one with the nearest deadline first (schedule_turn); those whose
 * deadline was over when they joined, or who have none, by the time at which they joined.  So nobody starves: whoever joins later than a
 * waiting task's deadline comes after it, however often it comes.  The functions of long-lived tasks look at task_crowded now and then.
 *
 * Every step costs the logarithm of the number of tasks.  Any thread; the lock inside is a leaf. */

#define SCHEDULE_IDLE G_MAXINT64

enum lane { LANE_CAPTURE, LANE_READ, LANE_SEND, LANE_BACKGROUND, LANE_SAVE, LANE_GROUP, LANE_SERVE, LANES };

struct schedule;
struct task;
typedef gint64 (*task_fn)(void *user);

struct schedule *schedule_new(const guint workers[LANES]);
void schedule_free(struct schedule *s); /* no task may be left */

struct task *task_new(struct schedule *s, enum lane lane, task_fn fn, void *user); /* idle */
void task_at(struct task *t, gint64 mono_us);   /* not later than that */
void task_now(struct task *t);
/* When its next run should be over; from the next time on that it joins its lane's line.  0: no deadline, as at first. */
void task_deadline(struct task *t, gint64 mono_us);
void task_move(struct task *t, enum lane lane); /* where it runs from its next run on */
bool task_crowded(struct task *t);              /* of the task that runs: others of its lane wait, and no worker is free */
void task_stop(struct task *t);                 /* waits for the run under way; the task stays idle for good.  NULL is fine */
/* Keeps an idle task from running until task_release; false: it runs or waits for a worker, and nothing was done. */
bool task_hold(struct task *t);
void task_release(struct task *t);
void task_free(struct task *t);                 /* stops, too */

/* Place in the line, the smallest first. */
gint64 schedule_turn(gint64 deadline_us, gint64 queued_us);

/* Delay before the next try after `failures` (>= 1) in a row: contract 4.6 says 1, 2, 4, 8, 10, then every 30 minutes, and not more often
 * than the period.  Cycles shorter than a minute would lose many points that way, so for them it is period x 2^(failures - 1), at most one
 * minute. */
gint64 schedule_backoff_us(guint failures, guint period_ms);
