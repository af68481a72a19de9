/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "acts.h"

#include "base/clean.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/file.h"
#include "repl/forecast.h"
#include "repl/work.h"
#include "small_disk.h"

#include <stdio.h>
#include <string.h>

/* A replica on a file system that gets full: a real one, a small tmpfs in a mount namespace of the test's own. */

#define DAY (G_GINT64_CONSTANT(86400) * G_USEC_PER_SEC)
enum { MIB = 1 << 20 };

/* ---- the forecast ---- */

static void
test_slope(void)
{
    struct forecast_sample line[24], flat[3] = {{0, 5}, {DAY / 2, 5}, {DAY, 5}}, same[4] = {{7, 1}, {7, 2}, {7, 3}, {7, 4}};
    double per_day = 0;
    for (int i = 0; i < 24; i++)
        line[i] = (struct forecast_sample){G_GINT64_CONSTANT(1700000000) * G_USEC_PER_SEC + i * DAY / 24,
                                           (guint64)(10 * MIB + i * MIB + (i % 2 ? 1000 : -1000))};
    g_assert_true(forecast_slope(line, 24, &per_day));
    g_assert_cmpfloat(per_day, >, 23.9 * MIB);
    g_assert_cmpfloat(per_day, <, 24.1 * MIB);
    g_assert_true(forecast_slope(flat, 3, &per_day));
    g_assert_cmpfloat(per_day, ==, 0);
    g_assert_false(forecast_slope(line, 2, &per_day));
    g_assert_false(forecast_slope(same, 4, &per_day));
    g_assert_cmpint(forecast_days(100, 10), ==, 10);
    g_assert_cmpint(forecast_days(100, 0), ==, -1);
    g_assert_cmpint(forecast_days(100, -5), ==, -1);
    g_assert_cmpint(forecast_days(G_MAXUINT64, 1), ==, -1);
}

static void
test_samples(void)
{
    struct forecast f = {0};
    for (int i = 0; i < 1000; i++)
        forecast_add(&f, i * 60 * (gint64)G_USEC_PER_SEC, (guint64)i);
    g_assert_cmpuint(f.count, ==, 100); /* every tenth minute */
    for (int i = 1000; i < 3000; i++)
        forecast_add(&f, i * 60 * (gint64)G_USEC_PER_SEC, (guint64)i);
    g_assert_cmpuint(f.count, ==, FORECAST_SAMPLES);
    g_assert_cmpuint(f.sample[FORECAST_SAMPLES - 1].bytes, ==, 2990);
    g_assert_cmpuint(f.sample[0].bytes, ==, 2990 - 10 * (FORECAST_SAMPLES - 1));
}

/* ---- the small file system ---- */

static bool may_mount;

static bool
open_small(struct world *w)
{
    if (!may_mount) {
        g_test_skip("mounting a small file system needs root or user namespaces");
        return false;
    }
    w->reserve_percent = 20;
    world_open(w);
    g_autofree char *place = g_build_filename(w->b.dir, "replicas", NULL);
    small_disk_open(place, "16m");
    return true;
}

static void
close_small(struct world *w)
{
    g_autofree char *place = g_build_filename(w->b.dir, "replicas", NULL);
    host_down(&w->b);
    small_disk_close(place);
    world_close(w);
}

static struct repl_statistics
look(struct world *w, const struct uuid *vm)
{
    struct repl_statistics s;
    g_assert_true(repl_statistics(w->b.service, vm, 0, &s, NULL, NULL));
    return s;
}

/* 512 KiB that do not compress. */
static void
change(struct world *w, const struct uuid *vm)
{
    guint32 data[16384];
    for (guint i = 0; i < 8; i++) {
        for (guint n = 0; n < G_N_ELEMENTS(data); n++)
            data[n] = g_rand_int(w->rand);
        fake_write(w->a.fake, vm, 0, (guint64)g_rand_int_range(w->rand, 0, 32) * sizeof data, data, sizeof data);
    }
}

static void
cycle(struct world *w, const struct uuid *vm)
{
    change(w, vm);
    world_wait_cycle(w, vm);
}

static bool
has_space(struct world *w)
{
    guint64 free, total;
    g_autofree char *place = g_build_filename(w->b.dir, "replicas", NULL);
    g_assert_true(file_space(place, &free, &total, NULL));
    return free >= total / 100 * w->reserve_percent;
}

/* While nothing comes, points go until there is space again, and then no more. */
static void
compare_all(struct world *w, const struct uuid *vm, guint least)
{
    act_request(&w->a, vm, 7);
    UNTIL(has_space(w));
    g_assert_cmpuint(world_compare(w, vm), >=, least);
    act_request(&w->a, vm, 3);
}

static void
compare_newest(struct world *w, const struct uuid *vm)
{
    g_autoptr(GArray) points = repl_points(w->b.service, vm, NULL);
    world_compare_point(w, vm, &g_array_index(points, struct repl_point, points->len - 1).id);
}

static void
test_full(void)
{
    struct world w = {0};
    g_autoptr(GError) err = NULL;
    struct repl_point p;
    if (!open_small(&w))
        return;
    const struct uuid vm = world_guest(&w, 1);
    world_enable(&w, &vm, 250);
    world_start(&w, &vm);
    for (int i = 0; i < 3; i++)
        cycle(&w, &vm);
    g_autoptr(GArray) first = repl_points(w.b.service, &vm, NULL);
    const struct uuid pinned = g_array_index(first, struct repl_point, 1).id, oldest = g_array_index(first, struct repl_point, 0).id;
    const bool yes = true;
    g_assert_true(repl_point_keep(w.b.service, &pinned, &yes, 0, &err));
    g_assert_cmpuint(look(&w, &vm).given_up, ==, 0);

    for (int i = 0; i < 100 && look(&w, &vm).given_up < 5; i++) { /* the oldest go, replication goes on */
        cycle(&w, &vm);
        UNTIL(has_space(&w));
    }
    g_assert_cmpuint(look(&w, &vm).given_up, >=, 5);
    g_assert_false(repl_point_find(w.b.service, &oldest, &p));
    g_assert_true(repl_point_find(w.b.service, &pinned, &p));
    g_assert_true(world_healthy(&w.b, &vm, "space"));
    cycle(&w, &vm);
    compare_all(&w, &vm, 2);
    world_compare_point(&w, &vm, &pinned);

    /* Somebody else takes the rest: replication stops at last, and what there is stays whole. */
    g_autofree char *place = g_build_filename(w.b.dir, "replicas", NULL);
    small_disk_fill(place);
    change(&w, &vm);
    UNTIL(!world_healthy(&w.a, &vm, NULL));
    world_compare_point(&w, &vm, &pinned);
    compare_newest(&w, &vm);
    host_down(&w.b);
    host_up(&w, &w.b); /* nothing is half deleted */
    world_compare_point(&w, &vm, &pinned);
    compare_newest(&w, &vm);
    host_down(&w.a);
    small_disk_free(place);
    host_up(&w, &w.a); /* it would wait up to a minute before it tries again */
    cycle(&w, &vm);
    compare_all(&w, &vm, 1);
    world_compare_point(&w, &vm, &pinned);
    close_small(&w);
}

static void
keep_all(struct world *w, const struct uuid *vm)
{
    const bool yes = true;
    g_autoptr(GArray) points = repl_points(w->b.service, vm, NULL);
    for (guint i = 0; i < points->len; i++)
        repl_point_keep(w->b.service, &g_array_index(points, struct repl_point, i).id, &yes, 0, NULL);
}

/* Nothing may go: that is said, and nothing goes. */
static void
test_stuck(void)
{
    struct world w = {0};
    struct repl_point p;
    if (!open_small(&w))
        return;
    const struct uuid vm = world_guest(&w, 1);
    world_enable(&w, &vm, 250);
    world_start(&w, &vm);
    for (int i = 0; i < 100 && !world_healthy(&w.b, &vm, "space"); i++) {
        const gint64 now = clock_wall_us();
        change(&w, &vm);
        UNTIL(world_point_since(&w.b, &vm, now) || world_healthy(&w.b, &vm, "space")); /* it may be full before that is said */
        keep_all(&w, &vm);
    }
    g_assert_true(world_healthy(&w.b, &vm, "space"));
    g_autoptr(GArray) points = repl_points(w.b.service, &vm, NULL);
    guint kept = 0;
    for (int round = 0; round < 2; round++) {
        for (guint i = 0; i < points->len; i++) { /* one that came since may go */
            const struct repl_point *was = &g_array_index(points, struct repl_point, i);
            if (!was->pinned)
                continue;
            kept++;
            g_assert_true(repl_point_find(w.b.service, &was->id, &p));
            world_compare_point(&w, &vm, &was->id);
        }
        change(&w, &vm);
        host_down(&w.b);
        host_up(&w, &w.b);
    }
    g_assert_cmpuint(kept, >=, 2);
    close_small(&w);
}

int
main(int argc, char **argv)
{
    may_mount = small_disk_namespace();
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/space/slope", test_slope);
    g_test_add_func("/space/samples", test_samples);
    g_test_add_func("/space/full", test_full);
    g_test_add_func("/space/stuck", test_stuck);
    return g_test_run();
}
