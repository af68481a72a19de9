/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "acts.h"

#include "base/clean.h"
#include "base/err.h"
#include "link.h"
#include "repl/work.h"
#include "store/store.h"
#include "vm/fence.h"

/* Planned failover: the primary's part, and what the replica makes of it. */

static void
refused(struct host *h, const struct uuid *vm, guint state, enum err_code code)
{
    char job[UUID_TEXT];
    g_autoptr(GError) err = NULL;
    g_assert_false(repl_state_change(h->service, vm, 0, state, "test", job, &err));
    g_assert_error(err, ERR, (gint)code);
}

static struct repl_point
newest(struct world *w, const struct uuid *vm)
{
    g_autoptr(GArray) points = repl_points(w->b.service, vm, NULL);
    g_assert_cmpuint(points->len, >, 0);
    return g_array_index(points, struct repl_point, points->len - 1);
}

static void
turn_off(struct world *w, const struct uuid *vm)
{
    fake_scribble(w->a.fake, vm, w->rand, 20); /* not yet captured when it goes off */
    fake_power_set(w->a.fake, vm, VM_OFF);
}

static void
test_nothing_lost(void)
{
    struct world w = { 0 };
    char job[UUID_TEXT];
    world_open(&w);
    const struct uuid vm = world_replicated(&w);
    refused(&w.a, &vm, 4, ERR_INVALID_STATE); /* it runs */
    turn_off(&w, &vm);
    act_request(&w.a, &vm, 4);
    act_request(&w.a, &vm, 4); /* again: nothing to do */
    g_assert_cmpuint(world_state(&w.a, &vm), ==, STATE_PREPARED);
    g_assert_true(world_fenced(&w.a, &vm));
    g_assert_false(repl_power(w.a.service, &vm, 2, "test", job, NULL));
    const struct repl_point last = newest(&w, &vm);
    g_assert_cmpuint(last.kind, ==, LOG_KIND_PLANNED);
    world_compare_point(&w, &vm, &last.id);
    act_failover(&w.b, &vm, NULL);
    struct repl_relation r = world_relation(&w.b, &vm);
    g_assert_cmpuint(r.failed_over_type, ==, 3);
    repl_relation_clear(&r);
    /* Too late to call it off. */
    g_assert_true(repl_state_change(w.a.service, &vm, 0, 3, "test", job, NULL));
    world_fails(&w.a, job, "invalid-state");
    g_assert_cmpuint(world_state(&w.a, &vm), ==, STATE_PREPARED);
    g_assert_true(world_fenced(&w.a, &vm));
    COVERS("planned failover", "called twice", "preparing again is done at once, nothing changes");
    world_close(&w);
}

static void
test_older_point_warns(void)
{
    struct world w = { 0 };
    char job[UUID_TEXT];
    world_open(&w);
    const struct uuid vm = world_replicated(&w);
    g_autoptr(GArray) points = repl_points(w.b.service, &vm, NULL);
    turn_off(&w, &vm);
    act_request(&w.a, &vm, 4);
    g_assert_true(repl_failover(w.b.service, &vm, &g_array_index(points, struct repl_point, 0).id, false, "test", job, NULL));
    struct job_info info = world_wait(&w.b, job);
    g_assert_cmpuint(info.state, ==, JOB_WARNINGS);
    g_assert_nonnull(info.warning);
    job_info_clear(&info);
    world_close(&w);
}

static void
test_called_off(void)
{
    struct world w = { 0 };
    char job[UUID_TEXT];
    world_open(&w);
    const struct uuid vm = world_replicated(&w);
    turn_off(&w, &vm);
    act_request(&w.a, &vm, 4);
    act_request(&w.a, &vm, 3);
    g_assert_cmpuint(world_state(&w.a, &vm), ==, STATE_REPLICATING);
    g_assert_false(world_fenced(&w.a, &vm));
    act_power(&w.a, &vm, 2);
    fake_scribble(w.a.fake, &vm, w.rand, 20);
    world_wait_cycle(&w, &vm);
    g_assert_cmpuint(newest(&w, &vm).kind, ==, LOG_KIND_STANDARD);
    g_assert_cmpuint(world_compare(&w, &vm), >, 1);
    /* And with the replica away: nobody can say that it has failed over. */
    turn_off(&w, &vm);
    act_request(&w.a, &vm, 4);
    host_down(&w.b);
    g_assert_true(repl_state_change(w.a.service, &vm, 0, 3, "test", job, NULL));
    struct job_info info = world_wait(&w.a, job);
    g_assert_cmpuint(info.state, ==, JOB_WARNINGS);
    job_info_clear(&info);
    g_assert_cmpuint(world_state(&w.a, &vm), ==, STATE_REPLICATING);
    world_close(&w);
}

static bool
asked_for_last(struct world *w, const struct uuid *vm)
{
    relation_auto rel = core_find(w->a.service->core, vm, 0);
    HOLD(&rel->lock);
    return rel->s.want_last;
}

/* A cycle that froze its instant before the guest went off is not the last one, nor is its failure the last one's. */
static void
cycle_under_way(bool fails)
{
    struct world w = { 0 };
    char job[UUID_TEXT];
    world_open(&w);
    const struct uuid vm = world_replicated(&w);
    fake_block_reads(w.a.fake, true);
    fake_scribble(w.a.fake, &vm, w.rand, 20);
    UNTIL(fake_reads_waiting(w.a.fake) > 0);
    turn_off(&w, &vm);
    g_assert_true(repl_state_change(w.a.service, &vm, 0, 4, "test", job, NULL));
    UNTIL(asked_for_last(&w, &vm));
    fake_fail(w.a.fake, FAKE_COPY, ERR_NETWORK, fails ? 1 : 0);
    fake_block_reads(w.a.fake, false);
    world_done(&w.a, job);
    const struct repl_point last = newest(&w, &vm);
    g_assert_cmpuint(last.kind, ==, LOG_KIND_PLANNED);
    world_compare_point(&w, &vm, &last.id);
    world_close(&w);
}

static void
test_cycle_under_way(void)
{
    cycle_under_way(false);
    COVERS("planned failover", "during another job", "a cycle under way is waited for; then the last changes are sent");
}

static void
test_failing_cycle_under_way(void)
{
    cycle_under_way(true);
}

/* The replica was brought up, looked at and reverted: the primary goes on, nothing is lost. */
static void
test_called_off_after_failover(void)
{
    struct world w = { 0 };
    world_open(&w);
    const struct uuid vm = world_replicated(&w);
    turn_off(&w, &vm);
    act_request(&w.a, &vm, 4);
    act_failover(&w.b, &vm, NULL);
    act_revert(&w.b, &vm);
    act_request(&w.a, &vm, 3);
    act_power(&w.a, &vm, 2);
    fake_scribble(w.a.fake, &vm, w.rand, 20);
    world_wait_cycle(&w, &vm);
    g_assert_cmpuint(world_state(&w.a, &vm), ==, STATE_REPLICATING);
    g_assert_cmpuint(world_compare(&w, &vm), >, 1);
    world_close(&w);
}

static void
test_link_cut(void)
{
    struct world w = { 0 };
    char job[UUID_TEXT];
    world_open(&w);
    const struct uuid vm = world_replicated(&w);
    turn_off(&w, &vm);
    world_cut(&w, true);
    g_assert_true(repl_state_change(w.a.service, &vm, 0, 4, "test", job, NULL));
    world_fails(&w.a, job, "network");
    g_assert_cmpuint(world_state(&w.a, &vm), ==, STATE_REPLICATING);
    g_assert_false(world_fenced(&w.a, &vm));
    world_cut(&w, false);
    act_request(&w.a, &vm, 4); /* does not wait for the back-off */
    const struct repl_point last = newest(&w, &vm);
    g_assert_cmpuint(last.kind, ==, LOG_KIND_PLANNED);
    world_compare_point(&w, &vm, &last.id);
    COVERS("planned failover", "other host dies",
           "the preparation fails (32768), the guest is free again and replicates; later it works at once");
    world_close(&w);
}

static void
test_restart(void)
{
    struct world w = { 0 };
    char job[UUID_TEXT];
    world_open(&w);
    const struct uuid vm = world_replicated(&w);
    turn_off(&w, &vm);
    act_request(&w.a, &vm, 4);
    host_down(&w.a);
    host_up(&w, &w.a);
    g_assert_cmpuint(world_state(&w.a, &vm), ==, STATE_PREPARED);
    g_assert_true(world_fenced(&w.a, &vm));
    g_assert_false(repl_power(w.a.service, &vm, 2, "test", job, NULL));
    /* A daemon that ended in the middle left the fence up without the state. */
    act_request(&w.a, &vm, 3);
    g_assert_true(fence_raise(w.a.service->core->fence_dir, &vm, "left", NULL));
    host_down(&w.a);
    host_up(&w, &w.a);
    g_assert_false(world_fenced(&w.a, &vm));
    COVERS("planned failover", "daemon killed",
           "prepared, it stays so and fenced; ended while it was being prepared, the guest is free again and replicates");
    world_close(&w);
}

static void
test_refusals(void)
{
    struct world w = { 0 };
    world_open(&w);
    const struct uuid plain = world_guest(&w, 1);
    const struct uuid vm = world_replicated(&w);
    turn_off(&w, &vm);
    refused(&w.a, &plain, 4, ERR_INVALID_STATE);
    refused(&w.b, &vm, 4, ERR_INVALID_STATE); /* the replica */
    act_request(&w.a, &vm, 7);
    refused(&w.a, &vm, 4, ERR_INVALID_STATE); /* paused */
    act_request(&w.a, &vm, 3);
    fake_power_set(w.a.fake, &vm, VM_SAVED);
    refused(&w.a, &vm, 4, ERR_INVALID_STATE);
    COVERS("planned failover", "wrong side",
           "refused (32775), nothing changes; so it is while paused, and for a guest without replication");
    world_close(&w);
}

/* In the middle of the last change log. */
static void
test_link_breaks(void)
{
    struct world w = { 0 };
    char job[UUID_TEXT];
    guint32 page[1024];
    world_open(&w);
    const struct uuid vm = world_replicated(&w);
    act_request(&w.a, &vm, 7);
    for (guint64 at = 0; at < (1 << 20); at += sizeof page) { /* does not compress */
        for (guint i = 0; i < G_N_ELEMENTS(page); i++)
            page[i] = g_rand_int(w.rand);
        fake_write(w.a.fake, &vm, 0, at, page, sizeof page);
    }
    fake_power_set(w.a.fake, &vm, VM_OFF);
    link_cut_after(w.link, 300 << 10);
    act_request(&w.a, &vm, 3);
    g_assert_true(repl_state_change(w.a.service, &vm, 0, 4, "test", job, NULL));
    world_fails(&w.a, job, "network");
    g_assert_cmpuint(world_state(&w.a, &vm), ==, STATE_REPLICATING);
    g_assert_false(world_fenced(&w.a, &vm));
    const gint64 sent = link_bytes(w.link);
    world_cut(&w, false);
    act_request(&w.a, &vm, 4);
    g_assert_cmpint(link_bytes(w.link) - sent, <, 1 << 20); /* from where it stopped */
    const struct repl_point last = newest(&w, &vm);
    world_compare_point(&w, &vm, &last.id);
    COVERS("planned failover", "other host dies", "in the middle of the last change log: the next preparation goes on at that byte");
    world_close(&w);
}

static bool
is_preparing(struct relation *rel, guint *troubles)
{
    HOLD(&rel->lock);
    *troubles = rel->troubles;
    return rel->s.preparing;
}

/* Half a log, of a connection that is gone: the replica host is not done with it yet. */
static void
test_replica_busy(void)
{
    struct world w = { 0 };
    char job[UUID_TEXT];
    world_open(&w);
    const struct uuid vm = world_replicated(&w), half = uuid_random();
    relation_auto a = core_find(w.a.service->core, &vm, 0);
    relation_auto b = core_find(w.b.service->core, &vm, 0);
    struct store_intake *in = NULL;
    guint before, now;
    UNTIL((in = store_intake_open(b->in.store, &half, 0, NULL)) != NULL);
    turn_off(&w, &vm);
    g_assert_true(repl_state_change(w.a.service, &vm, 0, 4, "test", job, NULL));
    UNTIL(is_preparing(a, &before));
    UNTIL(is_preparing(a, &now) && now != before);
    store_intake_close(in);
    world_done(&w.a, job);
    const struct repl_point last = newest(&w, &vm);
    g_assert_cmpuint(last.kind, ==, LOG_KIND_PLANNED);
    world_compare_point(&w, &vm, &last.id);
    world_close(&w);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/repl/planned/nothing-lost", test_nothing_lost);
    g_test_add_func("/repl/planned/older-point-warns", test_older_point_warns);
    g_test_add_func("/repl/planned/cycle-under-way", test_cycle_under_way);
    g_test_add_func("/repl/planned/failing-cycle-under-way", test_failing_cycle_under_way);
    g_test_add_func("/repl/planned/called-off", test_called_off);
    g_test_add_func("/repl/planned/called-off-after-failover", test_called_off_after_failover);
    g_test_add_func("/repl/planned/link-cut", test_link_cut);
    g_test_add_func("/repl/planned/link-breaks", test_link_breaks);
    g_test_add_func("/repl/planned/replica-busy", test_replica_busy);
    g_test_add_func("/repl/planned/restart", test_restart);
    g_test_add_func("/repl/planned/refusals", test_refusals);
    return g_test_run();
}
