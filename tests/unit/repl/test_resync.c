/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "acts.h"

#include "base/err.h"
#include "repl/resync.h"
#include "repl/window.h"

#include <time.h>

/* Resynchronize: both sides are equal afterwards whatever was believed before, and the recovery points stay. */

static guint
points(struct world *w, const struct uuid *vm)
{
    g_autoptr(GArray) all = repl_points(w->b.service, vm, NULL);
    return all->len;
}

static void
test_paused(void)
{
    struct world w = { 0 };
    char job[UUID_TEXT];
    g_autoptr(GError) err = NULL;
    world_open(&w);
    const struct uuid vm = world_replicated(&w);
    act_request(&w.a, &vm, 7);
    const guint before = points(&w, &vm);
    fake_scribble(w.a.fake, &vm, w.rand, 30);
    g_assert_true(repl_resynchronize(w.a.service, &vm, 0, "test", job, &err));
    g_assert_no_error(err);
    world_done(&w.a, job);
    g_assert_cmpuint(world_state(&w.a, &vm), ==, STATE_REPLICATING);
    g_assert_cmpuint(points(&w, &vm), >, before); /* none was given up */
    world_wait_cycle(&w, &vm);
    g_assert_cmpuint(world_compare(&w, &vm), >, before);
    struct repl_statistics st;
    g_assert_true(repl_statistics(w.a.service, &vm, 0, &st, NULL, NULL));
    g_assert_cmpuint(st.scans, ==, 1);
    g_assert_cmpuint(st.full_copies, ==, 0); /* the replica said what it has */
    world_close(&w);
}

static void
test_cancel(void)
{
    struct world w = { 0 };
    char job[UUID_TEXT];
    world_open(&w);
    const struct uuid vm = world_replicated(&w);
    act_request(&w.a, &vm, 7);
    world_cut(&w, true); /* it cannot end */
    g_assert_true(repl_resynchronize(w.a.service, &vm, 0, "test", job, NULL));
    world_wait_state(&w.a, &vm, STATE_RESYNC);
    g_assert_false(repl_resynchronize(w.a.service, &vm, 0, "test", job, NULL));
    act_request(&w.a, &vm, 9);
    g_assert_cmpuint(world_state(&w.a, &vm), ==, STATE_WAITING_RESYNC);
    world_cut(&w, false);
    host_down(&w.a);
    host_up(&w, &w.a);
    g_assert_cmpuint(world_state(&w.a, &vm), ==, STATE_WAITING_RESYNC);
    g_assert_true(repl_resynchronize(w.a.service, &vm, 0, "test", job, NULL));
    world_done(&w.a, job);
    world_wait_cycle(&w, &vm);
    g_assert_cmpuint(world_compare(&w, &vm), >, 1);
    COVERS("resynchronisation", "called twice",
           "the second is refused (32775); cancelled, it waits for the next call also over a restart");
    world_close(&w);
}

/* The daemon ends in the middle: it begins again. */
static void
test_restart(void)
{
    struct world w = { 0 };
    char job[UUID_TEXT];
    world_open(&w);
    const struct uuid vm = world_replicated(&w);
    act_request(&w.a, &vm, 7);
    fake_scribble(w.a.fake, &vm, w.rand, 30);
    world_cut(&w, true);
    g_assert_true(repl_resynchronize(w.a.service, &vm, 0, "test", job, NULL));
    world_wait_state(&w.a, &vm, STATE_RESYNC);
    host_down(&w.a);
    world_cut(&w, false);
    host_up(&w, &w.a);
    world_wait_state(&w.a, &vm, STATE_REPLICATING);
    world_wait_cycle(&w, &vm);
    g_assert_cmpuint(world_compare(&w, &vm), >, 1);
    COVERS("resynchronisation", "other host dies", "it goes on when the link is back; points stay");
    COVERS("resynchronisation", "daemon killed", "ended in the middle: the next one begins again; points stay");
    world_close(&w);
}

/* ---- by itself ---- */

static const gint64 HOUR_US = 3600 * (gint64)G_USEC_PER_SEC;

/* 2026-03-28T23:00Z: in Central Europe the midnight at which the day begins that has 23 hours, since summer time begins. */
static const gint64 MIDNIGHT_US = 1774738800 * (gint64)G_USEC_PER_SEC;

static void
test_window(void)
{
    static const struct {
        gint64 now_h, start_h, end_h;
        bool open;
        gint64 opened_h, opens_h; /* hours of the clock for start and end, else real ones since that midnight */
    } CASES[] = {
        { -4, 8, 17, false, -16, 7 },  { 7, 8, 17, true, 7, 31 },     { 15, 8, 17, true, 7, 31 },   { 16, 8, 17, false, 7, 31 },
        { -3, 18, 6, true, -6, 17 },   { -6, 18, 6, true, -6, 17 },   { -7, 18, 6, false, -30, -6 }, { 4, 18, 6, true, -6, 17 },
        { 5, 18, 6, false, -6, 17 },   { 23, 0, 1, true, 23, 47 },    { 22, 0, 1, false, 0, 23 },
    };
    g_autofree char *zone = g_strdup(g_getenv("TZ"));
    g_setenv("TZ", "CET-1CEST,M3.5.0,M10.5.0/3", TRUE);
    tzset();
    for (guint i = 0; i < G_N_ELEMENTS(CASES); i++) {
        const gint64 now = MIDNIGHT_US + CASES[i].now_h * HOUR_US, start = CASES[i].start_h * HOUR_US, end = CASES[i].end_h * HOUR_US;
        g_test_message("case %u", i);
        g_assert_cmpint(window_is_open(now, start, end), ==, CASES[i].open);
        g_assert_cmpint((window_opened(now, start) - MIDNIGHT_US) / HOUR_US, ==, CASES[i].opened_h);
        g_assert_cmpint((window_opens(now, start) - MIDNIGHT_US) / HOUR_US, ==, CASES[i].opens_h);
    }
    if (zone)
        g_setenv("TZ", zone, TRUE);
    else
        g_unsetenv("TZ");
    tzset();
}

static void
set_window(struct world *w, const struct uuid *vm, gint64 start_us, gint64 end_us)
{
    char job[UUID_TEXT];
    g_autoptr(GError) err = NULL;
    struct repl_settings s = world_settings(w, 250);
    s.auto_resync = true;
    s.resync_start_us = start_us;
    s.resync_end_us = end_us;
    g_assert_true(repl_modify(w->a.service, vm, &s, "test", job, &err));
    g_assert_no_error(err);
    repl_settings_clear(&s);
    world_done(&w->a, job);
}

/* Half a day from now on, or the other half. */
static void
half_a_day(bool now, gint64 *start_us, gint64 *end_us)
{
    const gint64 day = 24 * HOUR_US;
    g_autoptr(GDateTime) t = g_date_time_new_now_local();
    const gint64 of_day = (g_date_time_get_hour(t) * 60 + g_date_time_get_minute(t)) * 60 * (gint64)G_USEC_PER_SEC;
    *start_us = (of_day + (now ? day - 6 * HOUR_US : 6 * HOUR_US)) % day;
    *end_us = (*start_us + day / 2) % day;
}

static void
test_automatic(void)
{
    struct world w = { 0 };
    char job[UUID_TEXT];
    gint64 start, end;
    world_open(&w);
    const struct uuid vm = world_replicated(&w);
    act_request(&w.a, &vm, 7);
    world_cut(&w, true);
    g_assert_true(repl_resynchronize(w.a.service, &vm, 0, "test", job, NULL));
    world_wait_state(&w.a, &vm, STATE_RESYNC);
    act_request(&w.a, &vm, 9);
    world_cut(&w, false);
    half_a_day(false, &start, &end);
    set_window(&w, &vm, start, end);
    host_down(&w.a);
    host_up(&w, &w.a);
    g_assert_cmpuint(world_state(&w.a, &vm), ==, STATE_WAITING_RESYNC);
    half_a_day(true, &start, &end);
    set_window(&w, &vm, start, end);
    world_wait_state(&w.a, &vm, STATE_REPLICATING);
    world_wait_cycle(&w, &vm);
    g_assert_cmpuint(world_compare(&w, &vm), >, 1);
    /* Who cancels one does not want it back in the same window. */
    act_request(&w.a, &vm, 7);
    world_cut(&w, true);
    g_assert_true(repl_resynchronize(w.a.service, &vm, 0, "test", job, NULL));
    world_wait_state(&w.a, &vm, STATE_RESYNC);
    act_request(&w.a, &vm, 9);
    world_cut(&w, false);
    relation_auto rel = core_find(w.a.service->core, &vm, 0);
    g_assert_cmpint(resync_auto(rel), >, 0);
    g_assert_cmpuint(world_state(&w.a, &vm), ==, STATE_WAITING_RESYNC);
    world_close(&w);
}

static void
test_refusals(void)
{
    struct world w = { 0 };
    struct busy busy;
    char job[UUID_TEXT];
    g_autoptr(GError) err = NULL;
    world_open(&w);
    const struct uuid vm = world_replicated(&w), plain = world_guest(&w, 1);
    g_assert_false(repl_resynchronize(w.b.service, &vm, 0, "test", job, &err));
    g_assert_error(err, ERR, ERR_INVALID_STATE);
    g_clear_error(&err);
    g_assert_false(repl_resynchronize(w.a.service, &plain, 0, "test", job, &err));
    g_assert_error(err, ERR, ERR_INVALID_STATE);
    g_clear_error(&err);
    COVERS("resynchronisation", "wrong side", "refused (32775) on the replica, and for a guest without replication");
    act_request(&w.a, &vm, 7);
    world_busy(&w.a, &vm, &busy);
    g_assert_false(repl_resynchronize(w.a.service, &vm, 0, "test", job, &err));
    g_assert_error(err, ERR, ERR_IN_USE);
    g_assert_cmpuint(world_state(&w.a, &vm), ==, STATE_SUSPENDED);
    world_idle(&busy);
    g_assert_true(repl_resynchronize(w.a.service, &vm, 0, "test", job, NULL));
    world_done(&w.a, job);
    COVERS("resynchronisation", "during another job", "refused (32774), nothing changes; later it works");
    world_close(&w);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/repl/resync/paused", test_paused);
    g_test_add_func("/repl/resync/cancel", test_cancel);
    g_test_add_func("/repl/resync/restart", test_restart);
    g_test_add_func("/repl/resync/refusals", test_refusals);
    g_test_add_func("/repl/resync/window", test_window);
    g_test_add_func("/repl/resync/automatic", test_automatic);
    return g_test_run();
}
