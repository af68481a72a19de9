/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "world.h"

#include "base/err.h"
#include "repl/work.h"

/* Resynchronize: both sides are equal afterwards whatever was believed before, and the recovery points stay. */

static struct uuid
replicated(struct world *w)
{
    const struct uuid vm = world_guest(w, 2);
    world_enable(w, &vm, 250);
    world_start(w, &vm);
    fake_scribble(w->a.fake, &vm, w->rand, 20);
    world_wait_cycle(w, &vm);
    return vm;
}

static void
request(struct host *h, const struct uuid *vm, guint state)
{
    char job[UUID_TEXT];
    g_autoptr(GError) err = NULL;
    g_assert_true(repl_state_change(h->service, vm, 0, state, "test", job, &err));
    g_assert_no_error(err);
    if (*job)
        world_done(h, job);
}

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
    const struct uuid vm = replicated(&w);
    request(&w.a, &vm, 7);
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
    const struct uuid vm = replicated(&w);
    request(&w.a, &vm, 7);
    world_cut(&w, true); /* it cannot end */
    g_assert_true(repl_resynchronize(w.a.service, &vm, 0, "test", job, NULL));
    world_wait_state(&w.a, &vm, STATE_RESYNC);
    g_assert_false(repl_resynchronize(w.a.service, &vm, 0, "test", job, NULL));
    request(&w.a, &vm, 9);
    g_assert_cmpuint(world_state(&w.a, &vm), ==, STATE_WAITING_RESYNC);
    world_cut(&w, false);
    host_down(&w.a);
    host_up(&w, &w.a);
    g_assert_cmpuint(world_state(&w.a, &vm), ==, STATE_WAITING_RESYNC);
    g_assert_true(repl_resynchronize(w.a.service, &vm, 0, "test", job, NULL));
    world_done(&w.a, job);
    world_wait_cycle(&w, &vm);
    g_assert_cmpuint(world_compare(&w, &vm), >, 1);
    world_close(&w);
}

/* The daemon ends in the middle: it begins again. */
static void
test_restart(void)
{
    struct world w = { 0 };
    char job[UUID_TEXT];
    world_open(&w);
    const struct uuid vm = replicated(&w);
    request(&w.a, &vm, 7);
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
    world_close(&w);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/repl/resync/paused", test_paused);
    g_test_add_func("/repl/resync/cancel", test_cancel);
    g_test_add_func("/repl/resync/restart", test_restart);
    return g_test_run();
}
