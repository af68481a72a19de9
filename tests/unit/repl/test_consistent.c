/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "world.h"

#include "base/clock.h"
#include "base/err.h"
#include "repl/record.h"

#include <string.h>

/* Application-consistent points over two services and a real link; the guest's agent is the fake's. */

static struct repl_settings
wishes(struct world *w, bool consistent)
{
    struct repl_settings s = world_settings(w, 250);
    g_free(s.additional);
    s.additional = g_strdup_printf("{\"interval_ms\": 250, \"keep_every_cycle_s\": 3600%s}",
                                   consistent ? ", \"application_interval_s\": 1" : "");
    return s;
}

static struct uuid
protect(struct world *w, bool consistent)
{
    char job[UUID_TEXT];
    g_autoptr(GError) err = NULL;
    const struct uuid vm = world_guest(w, 2);
    struct repl_settings s = wishes(w, consistent);
    repl_create(w->a.service, &vm, &s, "test", job, &err);
    g_assert_no_error(err);
    repl_settings_clear(&s);
    world_done(&w->a, job);
    world_start(w, &vm);
    return vm;
}

/* How many points of the kind b has; the newest of them. */
static guint
points_of(struct world *w, const struct uuid *vm, enum log_kind kind, struct repl_point *newest)
{
    guint n = 0;
    g_autoptr(GArray) all = repl_points(w->b.service, vm, NULL);
    for (guint i = 0; i < all->len; i++) {
        const struct repl_point *p = &g_array_index(all, struct repl_point, i);
        if (p->kind != kind)
            continue;
        n++;
        if (newest)
            *newest = *p;
    }
    return n;
}

static guint
failures(struct world *w, const struct uuid *vm)
{
    struct repl_statistics s;
    g_assert_true(repl_statistics(w->a.service, vm, 0, &s, NULL, NULL));
    return s.app_failures;
}

static void
check_evidence(struct world *w, const struct repl_point *p)
{
    g_autofree char *text = repl_point_quiesce(w->b.service, p);
    g_assert_nonnull(text);
    json_scoped_record o = record_parse(text, NULL);
    g_assert_nonnull(o);
    g_assert_cmpint(json_integer_value(json_object_get(o, "frozen")), ==, 2);
    g_assert_cmpint(json_integer_value(json_object_get(o, "thawed")), ==, 2);
    g_assert_cmpint(json_integer_value(json_object_get(o, "frozen_us")), ==, 12000);
    g_assert_cmpstr(json_string_value(json_array_get(json_object_get(o, "filesystems"), 1)), ==, "/data");
}

static void
check_frozen_only_for(struct world *w, const struct uuid *vm)
{
    g_autoptr(GArray) all = repl_points(w->b.service, vm, NULL);
    for (guint i = 0; i < all->len; i++) {
        const struct repl_point *p = &g_array_index(all, struct repl_point, i);
        g_autofree char *evidence = repl_point_quiesce(w->b.service, p);
        g_assert_true(fake_instant_frozen(w->a.fake, &p->id) == (p->kind == LOG_KIND_APPLICATION));
        g_assert_true((evidence != NULL) == (p->kind == LOG_KIND_APPLICATION));
    }
}

static void
test_points(void)
{
    struct world w = {0};
    char job[UUID_TEXT];
    struct repl_point p;
    g_autoptr(GError) err = NULL;
    world_open(&w);
    const struct uuid vm = protect(&w, true);
    UNTIL(points_of(&w, &vm, LOG_KIND_APPLICATION, &p) >= 2 && points_of(&w, &vm, LOG_KIND_STANDARD, NULL) >= 2);
    check_evidence(&w, &p);
    check_frozen_only_for(&w, &vm);
    world_compare(&w, &vm);
    g_assert_cmpuint(failures(&w, &vm), ==, 0);
    UNTIL(world_on_its_way(&w.a, &vm) && !fake_frozen(w.a.fake, &vm));
    struct repl_relation a = world_relation(&w.a, &vm), b = world_relation(&w.b, &vm);
    g_assert_cmpint(a.last_app_us, >, 0);
    g_assert_cmpint(b.last_app_us, >, 0);
    repl_relation_clear(&a);
    repl_relation_clear(&b);
    repl_failover(w.b.service, &vm, &p.id, false, "test", job, &err);
    g_assert_no_error(err);
    world_done(&w.b, job);
    b = world_relation(&w.b, &vm);
    g_assert_cmpuint(b.failed_over_type, ==, LOG_KIND_APPLICATION);
    repl_relation_clear(&b);
    world_close(&w);
}

static void
test_no_interval(void)
{
    struct world w = {0};
    world_open(&w);
    const struct uuid vm = protect(&w, false);
    fake_fail(w.a.fake, FAKE_FREEZE, ERR_NOT_AVAILABLE, G_MAXUINT);
    UNTIL(points_of(&w, &vm, LOG_KIND_STANDARD, NULL) >= 8);
    g_assert_cmpuint(failures(&w, &vm), ==, 0);
    UNTIL(world_on_its_way(&w.a, &vm));
    g_assert_cmpuint(fake_freezes(w.a.fake), ==, 0);
    world_close(&w);
}

static void
test_no_agent(void)
{
    struct world w = {0};
    char job[UUID_TEXT];
    g_autoptr(GError) err = NULL;
    world_open(&w);
    fake_fail(w.a.fake, FAKE_FREEZE, ERR_NOT_AVAILABLE, G_MAXUINT);
    const struct uuid vm = protect(&w, true);
    UNTIL(failures(&w, &vm) >= 1);
    world_wait_cycle(&w, &vm); /* the points come all the same */
    UNTIL(world_healthy(&w.a, &vm, "not-consistent"));
    g_assert_cmpuint(failures(&w, &vm), >=, 3);
    g_assert_cmpuint(points_of(&w, &vm, LOG_KIND_APPLICATION, NULL), ==, 0);
    UNTIL(world_healthy(&w.b, &vm, "not-consistent")); /* the replica sees it, too */
    fake_fail(w.a.fake, FAKE_FREEZE, ERR_NOT_AVAILABLE, 0);
    UNTIL(points_of(&w, &vm, LOG_KIND_APPLICATION, NULL) >= 1);
    UNTIL(!world_healthy(&w.a, &vm, "not-consistent"));
    UNTIL(!world_healthy(&w.b, &vm, "not-consistent"));
    fake_fail(w.a.fake, FAKE_FREEZE, ERR_NOT_AVAILABLE, G_MAXUINT);
    UNTIL(world_healthy(&w.a, &vm, "not-consistent"));
    struct repl_settings s = wishes(&w, false);
    repl_modify(w.a.service, &vm, &s, "test", job, &err);
    g_assert_no_error(err);
    repl_settings_clear(&s);
    world_done(&w.a, job);
    UNTIL(!world_healthy(&w.a, &vm, "not-consistent"));
    world_wait_cycle(&w, &vm);
    g_assert_false(world_healthy(&w.b, &vm, "not-consistent")); /* none are wanted */
    world_close(&w);
}

static void
test_thawed_early(void)
{
    struct world w = {0};
    world_open(&w);
    fake_thaw_early(w.a.fake, true);
    const struct uuid vm = protect(&w, true);
    UNTIL(failures(&w, &vm) >= 2);
    world_wait_cycle(&w, &vm);
    g_assert_cmpuint(points_of(&w, &vm, LOG_KIND_APPLICATION, NULL), ==, 0);
    g_assert_cmpuint(fake_freezes(w.a.fake), >=, 2);
    world_close(&w);
}

/* The thaw fails: the record says so, and the next cycle, or the next daemon, thaws. */
static void
test_left_frozen(void)
{
    struct world w = {0};
    world_open(&w);
    fake_fail(w.a.fake, FAKE_THAW, ERR_NOT_AVAILABLE, G_MAXUINT);
    const struct uuid vm = protect(&w, true);
    UNTIL(fake_frozen(w.a.fake, &vm) && failures(&w, &vm) >= 1);
    world_wait_cycle(&w, &vm);
    g_assert_true(fake_frozen(w.a.fake, &vm));
    host_down(&w.a);
    g_assert_true(fake_frozen(w.a.fake, &vm));
    fake_fail(w.a.fake, FAKE_THAW, ERR_NOT_AVAILABLE, 0);
    fake_fail(w.a.fake, FAKE_FREEZE, ERR_NOT_AVAILABLE, G_MAXUINT);
    host_up(&w, &w.a);
    UNTIL(!fake_frozen(w.a.fake, &vm));
    g_assert_cmpuint(points_of(&w, &vm, LOG_KIND_APPLICATION, NULL), ==, 0);
    world_close(&w);
}

static void
test_replica_gone(void)
{
    struct world w = {0};
    world_open(&w);
    const struct uuid vm = protect(&w, true);
    UNTIL(points_of(&w, &vm, LOG_KIND_APPLICATION, NULL) >= 1);
    world_cut(&w, true);
    const guint before = points_of(&w, &vm, LOG_KIND_APPLICATION, NULL), freezes = fake_freezes(w.a.fake);
    UNTIL(fake_freezes(w.a.fake) >= freezes + 2 && !fake_frozen(w.a.fake, &vm));
    world_cut(&w, false);
    UNTIL(points_of(&w, &vm, LOG_KIND_APPLICATION, NULL) >= before + 2);
    check_frozen_only_for(&w, &vm);
    world_compare(&w, &vm);
    COVERS("consistent point", "other host dies", "they are made and wait; nobody is frozen longer; they are points once the link is back");
    world_close(&w);
}

/* The instant has no place for what changed. */
static void
test_scratch_full(void)
{
    struct world w = {0};
    world_open(&w);
    const struct uuid vm = protect(&w, true);
    UNTIL(points_of(&w, &vm, LOG_KIND_APPLICATION, NULL) >= 1);
    fake_fail(w.a.fake, FAKE_BEGIN, ERR_NO_SPACE, 6);
    const guint freezes = fake_freezes(w.a.fake);
    UNTIL(fake_freezes(w.a.fake) > freezes);
    UNTIL(!fake_frozen(w.a.fake, &vm));
    const guint before = points_of(&w, &vm, LOG_KIND_APPLICATION, NULL);
    UNTIL(points_of(&w, &vm, LOG_KIND_APPLICATION, NULL) > before);
    check_frozen_only_for(&w, &vm);
    COVERS("consistent point", "disk full", "(the scratch folder) the guest is thawed, the instant is tried again");
    world_close(&w);
}

static void
test_between(void)
{
    struct world w = {0};
    char job[UUID_TEXT], pause[UUID_TEXT];
    g_autoptr(GError) err = NULL;
    world_open(&w);
    const struct uuid vm = protect(&w, true);
    UNTIL(points_of(&w, &vm, LOG_KIND_APPLICATION, NULL) >= 1);
    struct repl_settings s = wishes(&w, true);
    g_free(s.recovery_host);
    g_free(s.thumbprint);
    s.recovery_host = g_strdup("c.localhost");
    s.thumbprint = g_strdup(net_identity_thumbprint(w.b.identity));
    s.interval_s = 300;
    g_assert_false(repl_modify(w.b.service, &vm, &s, "test", job, &err));
    g_assert_error(err, ERR, ERR_INVALID_STATE);
    repl_settings_clear(&s);
    COVERS("consistent point", "wrong side", "the interval is refused (32775) on the replica");
    g_assert_true(repl_state_change(w.a.service, &vm, 0, 7, "test", pause, NULL));
    world_done(&w.a, pause);
    fake_block_reads(w.a.fake, true);
    g_assert_true(repl_resynchronize(w.a.service, &vm, 0, "test", job, NULL));
    UNTIL(fake_reads_waiting(w.a.fake) > 0);
    g_assert_false(fake_frozen(w.a.fake, &vm));
    fake_block_reads(w.a.fake, false);
    world_done(&w.a, job);
    const guint before = points_of(&w, &vm, LOG_KIND_APPLICATION, NULL);
    UNTIL(points_of(&w, &vm, LOG_KIND_APPLICATION, NULL) > before);
    check_frozen_only_for(&w, &vm);
    COVERS("consistent point", "during another job", "the guest is not frozen while its disks are read; the next ones come after it");
    world_close(&w);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/repl/consistent/points", test_points);
    g_test_add_func("/repl/consistent/no-interval", test_no_interval);
    g_test_add_func("/repl/consistent/no-agent", test_no_agent);
    g_test_add_func("/repl/consistent/thawed-early", test_thawed_early);
    g_test_add_func("/repl/consistent/left-frozen", test_left_frozen);
    g_test_add_func("/repl/consistent/replica-gone", test_replica_gone);
    g_test_add_func("/repl/consistent/scratch-full", test_scratch_full);
    g_test_add_func("/repl/consistent/between", test_between);
    return g_test_run();
}
