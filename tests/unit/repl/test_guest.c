/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "acts.h"

#include "link.h"

#include "base/clean.h"
#include "repl/work.h"

#include <string.h>

/* What becomes of a guest while it is protected: its disks get another size, it moves to another host. */

static struct uuid
protected_guest(struct world *w, guint interval_ms)
{
    const struct uuid vm = world_guest(w, 2);
    world_enable(w, &vm, interval_ms);
    world_start(w, &vm);
    return vm;
}

static void
failover_to(struct world *w, const struct uuid *vm, const struct uuid *point)
{
    act_failover(&w->b, vm, point);
    act_revert(&w->b, vm);
}

/* Down, up and down again, running and off: nothing is read anew, and every point has the sizes and the bytes of its instant. */
static void
test_resized(void)
{
    enum { FULL = 4 << 20 };
    static const guint64 sizes[] = { 3 << 20, (5 << 18) + 4096, 7 << 19, 3 << 18 };
    struct world w = { 0 };
    world_open(&w);
    const struct uuid vm = protected_guest(&w, 250);
    g_autofree guint8 *noise = g_malloc(FULL);
    for (gsize i = 0; i < FULL; i++)
        noise[i] = (guint8)g_rand_int(w.rand);
    fake_disk_resize(w.a.fake, &vm, 0, FULL);
    fake_write(w.a.fake, &vm, 0, 0, noise, FULL);
    world_wait_cycle(&w, &vm);
    const gint64 before = link_bytes(w.link);
    for (gsize i = 0; i < G_N_ELEMENTS(sizes); i++) {
        fake_power_set(w.a.fake, &vm, i % 2 ? VM_OFF : VM_RUNNING);
        fake_disk_resize(w.a.fake, &vm, 0, sizes[i]);
        world_wait_cycle(&w, &vm);
        fake_power_set(w.a.fake, &vm, VM_RUNNING);
        fake_write(w.a.fake, &vm, 0, sizes[i] - 4096, noise, 4096); /* its new end */
        world_wait_cycle(&w, &vm);
    }
    g_assert_cmpint(link_bytes(w.link) - before, <, 1 << 20);
    g_assert_cmpuint(fake_full_reads(w.a.fake), ==, 1);
    g_assert_cmpuint(world_compare(&w, &vm), >, 8);
    g_assert_false(world_healthy(&w.a, &vm, "tracking-lost"));
    host_down(&w.a);
    g_autoptr(GArray) points = repl_points(w.b.service, &vm, NULL);
    for (guint i = 0; i < points->len; i += 2)
        failover_to(&w, &vm, &g_array_index(points, struct repl_point, i).id);
    world_compare(&w, &vm);
    world_close(&w);
}

/* ---- live migration to another host ---- */

static void
away(struct world *w, const struct uuid *vm)
{
    UNTIL(world_healthy(&w->a, vm, "migrated"));
    g_assert_false(world_healthy(&w->a, vm, "cycle-failed"));
    const guint instants = fake_instants(w->a.fake);
    struct repl_statistics before, now;
    g_assert_true(repl_statistics(w->a.service, vm, 0, &before, NULL, NULL));
    UNTIL(repl_statistics(w->a.service, vm, 0, &now, NULL, NULL) && now.failures >= before.failures + 2); /* cycles go on */
    g_assert_cmpuint(fake_instants(w->a.fake), ==, instants); /* and leave its images alone */
    struct repl_relation r = world_relation(&w->a, vm);
    g_assert_nonnull(strstr(r.reason, "Migrate it back"));
    repl_relation_clear(&r);
}

static void
back(struct world *w, const struct uuid *vm)
{
    fake_power_set(w->a.fake, vm, VM_RUNNING);
    UNTIL(!world_healthy(&w->a, vm, "migrated")); /* cycles may be missed on a busy machine */
    fake_scribble(w->a.fake, vm, w->rand, 10);
    world_wait_cycle(w, vm);
    world_compare(w, vm);
}

/* Its definition stayed here.  A planned failover would lose what it writes there. */
static void
test_migrated(void)
{
    struct world w = { 0 };
    char job[UUID_TEXT];
    world_open(&w);
    const struct uuid vm = protected_guest(&w, 250);
    world_wait_cycle(&w, &vm);
    fake_migrate(w.a.fake, &vm, false);
    away(&w, &vm);
    host_down(&w.a);
    fake_migrate_forget(w.a.fake, &vm); /* libvirt was started again and only knows that the guest is off */
    host_up(&w, &w.a);
    away(&w, &vm);
    g_assert_true(repl_state_change(w.a.service, &vm, 0, 4, "test", job, NULL));
    world_fails(&w.a, job, "network");
    g_assert_cmpuint(world_state(&w.a, &vm), ==, STATE_REPLICATING);
    fake_scribble(w.a.fake, &vm, w.rand, 10); /* there, on the shared storage */
    back(&w, &vm);
    g_assert_cmpuint(fake_full_reads(w.a.fake), ==, 1);
    world_close(&w);
}

/* The replica host can ask the primary. */
static void
answer(struct world *w, const struct uuid *vm)
{
    struct repl_host_settings s;
    bool listening;
    char job[UUID_TEXT];
    repl_host_settings(w->a.service, &s, &listening);
    s.recovery_enabled = true;
    s.allowed_authentication = 2;
    s.https_port = w->a.port;
    g_assert_true(repl_modify_service(w->a.service, &s, "test", job, NULL));
    repl_host_settings_clear(&s);
    world_done(&w->a, job);
    relation_auto rel = core_find(w->b.service->core, vm, 0);
    HOLD(&rel->lock);
    rel->r.primary_port = w->a.port;
}

/* It took its definition along, and its bitmaps are lost: the disks are compared. */
static void
test_migrated_whole(void)
{
    struct world w = { 0 };
    char job[UUID_TEXT];
    g_autoptr(GError) err = NULL;
    world_open(&w);
    const struct uuid vm = protected_guest(&w, 250);
    world_wait_cycle(&w, &vm);
    g_autofree char *xml = fake_definition(w.a.fake, &vm);
    fake_migrate(w.a.fake, &vm, true);
    away(&w, &vm);
    g_assert_true(fake_vm_ops.define(fake_conn(w.a.fake), xml, &err));
    const gint64 before = link_bytes(w.link);
    fake_kill(w.a.fake, &vm);
    back(&w, &vm);
    g_assert_cmpuint(fake_full_reads(w.a.fake), ==, 2);
    g_assert_cmpint(link_bytes(w.link) - before, <, 1 << 20);
    answer(&w, &vm);
    fake_migrate(w.a.fake, &vm, true);
    away(&w, &vm);
    g_assert_true(repl_failover(w.b.service, &vm, NULL, false, "test", job, &err));
    struct job_info done = world_wait(&w.b, job);
    g_assert_nonnull(strstr(done.warning, "still runs on 'a.localhost'")); /* behind it, as far as it knows */
    job_info_clear(&done);
    world_close(&w);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/repl/guest/resized", test_resized);
    g_test_add_func("/repl/guest/migrated", test_migrated);
    g_test_add_func("/repl/guest/migrated-whole", test_migrated_whole);
    return g_test_run();
}
