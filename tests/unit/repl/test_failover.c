/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "acts.h"

#include "base/clean.h"
#include "base/err.h"
#include "base/file.h"
#include "repl/failover.h"
#include "repl/serving.h"

#include <string.h>
#include <unistd.h>

/* Failover, revert, commit and removal on b, with the primary there or gone. */

static void
commit(struct world *w, const struct uuid *vm)
{
    char job[UUID_TEXT];
    g_autoptr(GError) err = NULL;
    g_assert_true(repl_commit(w->b.service, vm, "test", job, &err));
    g_assert_no_error(err);
    world_done(&w->b, job);
    g_assert_cmpuint(world_state(&w->b, vm), ==, STATE_COMMITTED);
}

static char *
overlay(struct world *w, const struct uuid *vm, const char *target)
{
    g_autofree char *folder = world_folder(w, vm);
    return g_strdup_printf("%s/failover/%s.qcow2", folder, target);
}

static bool
served(struct world *w, const struct uuid *vm, struct uuid *point)
{
    g_autofree char *socket = failover_socket(w->b.service->core, vm);
    return fake_serving(socket, point);
}

static void
check_failed_over(struct world *w, const struct uuid *vm, const struct uuid *point, bool named)
{
    struct uuid at;
    g_autofree char *path = overlay(w, vm, "vdb");
    g_autofree char *xml = fake_definition(w->b.fake, vm);
    char text[UUID_TEXT];
    g_autofree char *folder = world_folder(w, vm), *nvram = g_build_filename(folder, "guest", "nvram.fd", NULL), *variables = NULL;
    g_assert_true(g_file_get_contents(nvram, &variables, NULL, NULL));
    g_assert_cmpstr(variables, ==, uuid_format(point, text)); /* what the firmware knew at that point */
    g_assert_true(served(w, vm, &at));
    g_assert_true(uuid_equal(&at, point));
    g_assert_true(g_file_test(path, G_FILE_TEST_EXISTS));
    g_assert_nonnull(strstr(xml, path));
    g_assert_false(world_fenced(&w->b, vm));
    world_compare_point(w, vm, point);
    struct repl_relation r = world_relation(&w->b, vm);
    g_assert_cmpuint(r.failed_over_type, ==, 1);
    g_assert_true(named ? uuid_equal(&r.applied_point, point) : uuid_is_nil(&r.applied_point));
    repl_relation_clear(&r);
}

static void
check_replica(struct world *w, const struct uuid *vm)
{
    struct uuid at;
    g_autofree char *folder = world_folder(w, vm);
    g_autofree char *overlays = g_build_filename(folder, "failover", NULL);
    g_autofree char *xml = fake_definition(w->b.fake, vm);
    g_assert_false(served(w, vm, &at));
    g_assert_false(g_file_test(overlays, G_FILE_TEST_EXISTS));
    g_assert_nonnull(strstr(xml, "/base/disk-0.raw"));
    g_assert_true(world_fenced(&w->b, vm));
    struct repl_relation r = world_relation(&w->b, vm);
    g_assert_cmpuint(r.failed_over_type, ==, 0);
    g_assert_true(uuid_is_nil(&r.applied_point));
    repl_relation_clear(&r);
}

/* Every point, one after the other, and the latest. */
static void
test_every_point(void)
{
    struct world w = { 0 };
    world_open(&w);
    const struct uuid vm = world_with_points(&w, 2, 6);
    host_down(&w.a);
    world_drain(&w);
    g_autoptr(GArray) points = repl_points(w.b.service, &vm, NULL);
    g_assert_cmpuint(points->len, >=, 6);
    check_replica(&w, &vm);
    for (guint i = 0; i < points->len; i++) {
        const struct uuid id = g_array_index(points, struct repl_point, i).id;
        act_failover(&w.b, &vm, &id);
        check_failed_over(&w, &vm, &id, true);
        act_revert(&w.b, &vm);
        check_replica(&w, &vm);
    }
    act_failover(&w.b, &vm, NULL);
    check_failed_over(&w, &vm, &g_array_index(points, struct repl_point, points->len - 1).id, false);
    g_assert_true(world_healthy(&w.b, &vm, "failed-over"));
    COVERS("unplanned failover", "other host dies", "to every point there is, each byte for byte");
    COVERS("revert", "other host dies", "nobody is asked; every point is still there");
    world_close(&w);
}

static void
check_tpm(struct world *w, const struct uuid *vm, const struct uuid *point)
{
    char text[UUID_TEXT];
    g_autofree char *state = world_tpm(&w->b, vm);
    g_assert_cmpstr(state, ==, point ? uuid_format(point, text) : NULL);
}

/* The state of its TPM is that of the point, whatever was there before. */
static void
test_tpm(void)
{
    struct world w = { 0 };
    world_open(&w);
    const struct uuid vm = world_with_points(&w, 2, 3);
    const struct uuid without = world_point(&w, &vm, 1);
    fake_device_add(w.a.fake, &vm, WORLD_TPM);
    world_wait_cycle(&w, &vm);
    world_wait_cycle(&w, &vm);
    host_down(&w.a);
    world_drain(&w);
    g_autoptr(GArray) points = repl_points(w.b.service, &vm, NULL);
    const struct uuid last = g_array_index(points, struct repl_point, points->len - 1).id;
    const struct uuid before = g_array_index(points, struct repl_point, points->len - 2).id;
    act_failover(&w.b, &vm, &without);
    check_tpm(&w, &vm, NULL);
    act_revert(&w.b, &vm);
    act_failover(&w.b, &vm, &before);
    check_tpm(&w, &vm, &before);
    act_revert(&w.b, &vm);
    act_failover(&w.b, &vm, NULL);
    check_tpm(&w, &vm, &last);
    world_close(&w);
}

/* A TPM whose state is not known: libvirt has to make a new one, and that is said. */
static void
test_tpm_unknown(void)
{
    struct world w = { 0 };
    char job[UUID_TEXT];
    world_open(&w);
    fake_tpm_mute(w.a.fake, true);
    const struct uuid vm = world_with_points(&w, 2, 1);
    fake_device_add(w.a.fake, &vm, WORLD_TPM);
    world_wait_cycle(&w, &vm);
    world_wait_cycle(&w, &vm);
    g_assert_true(repl_failover(w.b.service, &vm, NULL, false, "test", job, NULL));
    struct job_info done = world_wait(&w.b, job);
    g_assert_nonnull(strstr(done.warning, "no state of its TPM"));
    job_info_clear(&done);
    check_tpm(&w, &vm, NULL);
    world_close(&w);
}

/* The primary learns that its replica failed over, stops, and goes on after revert and resume: no full read, no point lost. */
static void
test_primary_comes_back(void)
{
    struct world w = { 0 };
    world_open(&w);
    const struct uuid vm = world_with_points(&w, 2, 3);
    const guint before = world_compare(&w, &vm);
    world_cut(&w, true); /* a does not hear of it at first */
    const struct uuid id = world_point(&w, &vm, 1);
    act_failover(&w.b, &vm, &id);
    world_cut(&w, false);
    world_wait_state(&w.a, &vm, STATE_CRITICAL);
    struct repl_relation r = world_relation(&w.a, &vm);
    g_assert_nonnull(strstr(r.reason, "failed over"));
    repl_relation_clear(&r);
    act_request(&w.a, &vm, 3);
    world_wait_state(&w.a, &vm, STATE_CRITICAL); /* the cause persists */
    act_revert(&w.b, &vm);
    g_assert_cmpuint(world_state(&w.a, &vm), ==, STATE_CRITICAL);
    act_request(&w.a, &vm, 3);
    fake_scribble(w.a.fake, &vm, w.rand, 10);
    world_wait_cycle(&w, &vm);
    g_assert_cmpuint(world_compare(&w, &vm), >, before);
    g_assert_cmpuint(fake_full_reads(w.a.fake), ==, 1);
    world_close(&w);
}

/* Failed over and reverted while the link was cut: an old epoch is not let in before the operator says so. */
static void
test_old_epoch(void)
{
    struct world w = { 0 };
    world_open(&w);
    const struct uuid vm = world_with_points(&w, 2, 2);
    world_cut(&w, true);
    act_failover(&w.b, &vm, NULL);
    act_revert(&w.b, &vm);
    world_cut(&w, false);
    world_wait_state(&w.a, &vm, STATE_CRITICAL);
    act_request(&w.a, &vm, 3);
    world_wait_cycle(&w, &vm);
    struct repl_relation a = world_relation(&w.a, &vm), b = world_relation(&w.b, &vm);
    g_assert_cmpuint(a.epoch, ==, b.epoch);
    g_assert_cmpuint(a.epoch, ==, 3);
    repl_relation_clear(&a);
    repl_relation_clear(&b);
    world_close(&w);
}

/* Without its server a guest cannot read what is not filled yet. */
static void
test_server_dies(void)
{
    struct world w = { 0 };
    struct uuid at;
    world_open(&w);
    const struct uuid vm = world_with_points(&w, 2, 3), id = world_point(&w, &vm, 1);
    host_down(&w.a);
    act_failover(&w.b, &vm, &id);
    fake_hold_pulls(w.b.fake, true);
    act_power(&w.b, &vm, 2);
    g_autofree char *server = failover_socket(w.b.service->core, &vm);
    g_assert_cmpint(unlink(server), ==, 0);
    UNTIL(served(&w, &vm, &at));
    g_assert_true(uuid_equal(&at, &id));

    fake_fail(w.b.fake, FAKE_SERVE, ERR_IO, G_MAXUINT);
    g_assert_cmpint(unlink(server), ==, 0);
    fake_stall(w.b.fake, &vm);
    UNTIL(world_healthy(&w.b, &vm, "not-served"));
    fake_fail(w.b.fake, FAKE_SERVE, ERR_IO, 0);
    UNTIL(served(&w, &vm, &at));
    UNTIL(fake_power(w.b.fake, &vm) == VM_RUNNING);
    UNTIL(!world_healthy(&w.b, &vm, "not-served"));

    host_down(&w.b); /* both die */
    fake_stall(w.b.fake, &vm);
    g_assert_cmpint(unlink(server), ==, 0);
    host_up(&w, &w.b);
    UNTIL(served(&w, &vm, &at) && fake_power(w.b.fake, &vm) == VM_RUNNING);
    act_power(&w.b, &vm, 3);
    act_revert(&w.b, &vm);
    relation_auto rel = core_find(w.b.service->core, &vm, 0);
    g_assert_cmpint(serving_task(rel), ==, SCHEDULE_IDLE);
    g_assert_false(served(&w, &vm, &at));
    world_close(&w);
}

/* The next start must not look for the server of the recovery point. */
static void
stands_alone(struct world *w, const struct uuid *vm)
{
    g_autofree char *xml = fake_definition(w->b.fake, vm);
    g_assert_null(strstr(xml, "backingStore"));
}

/* The next daemon has another rate: also for what runs already. */
static void
test_fill_rate_changes(void)
{
    struct world w = { 0 };
    bool flat = false;
    w.fill_bytes_per_s = 64 << 20;
    world_open(&w);
    const struct uuid vm = world_with_points(&w, 2, 3);
    host_down(&w.a);
    act_failover(&w.b, &vm, NULL);
    fake_hold_pulls(w.b.fake, true);
    act_power(&w.b, &vm, 2);
    UNTIL(fake_pull_rate(w.b.fake) == 32 << 20);
    host_down(&w.b);
    w.fill_bytes_per_s = 16 << 20;
    host_up(&w, &w.b);
    UNTIL(fake_pull_rate(w.b.fake) == 8 << 20);
    fake_hold_pulls(w.b.fake, false);
    g_autofree char *path = overlay(&w, &vm, "vda");
    UNTIL(fake_vm_ops.overlay_is_flat(path, &flat, NULL) && flat);
    world_close(&w);
}

static bool
is_flat(struct relation *rel)
{
    HOLD(&rel->lock);
    return rel->r.flat;
}

static void
test_commit_while_running(void)
{
    struct world w = { 0 };
    bool flat = false;
    struct uuid at;
    w.fill_bytes_per_s = 64 << 20;
    world_open(&w);
    const struct uuid vm = world_with_points(&w, 2, 3);
    host_down(&w.a);
    const struct uuid id = world_point(&w, &vm, 1);
    act_failover(&w.b, &vm, &id);
    act_power(&w.b, &vm, 2);
    g_assert_cmpuint(fake_power(w.b.fake, &vm), ==, VM_RUNNING);
    g_autofree char *path = overlay(&w, &vm, "vda");
    UNTIL(fake_vm_ops.overlay_is_flat(path, &flat, NULL) && flat); /* filled by itself */
    UNTIL(!served(&w, &vm, &at)); /* and nobody needs the server any more */
    g_assert_cmpuint(fake_pull_rate(w.b.fake), ==, 32 << 20); /* each of two disks */
    commit(&w, &vm);
    g_assert_cmpuint(fake_power(w.b.fake, &vm), ==, VM_RUNNING);
    g_assert_false(served(&w, &vm, &at));
    g_assert_true(g_file_test(path, G_FILE_TEST_EXISTS));
    g_autofree char *folder = world_folder(&w, &vm);
    g_autofree char *base = g_build_filename(folder, "base", NULL), *logs = g_build_filename(folder, "logs", NULL);
    g_assert_false(g_file_test(base, G_FILE_TEST_EXISTS));
    g_assert_false(g_file_test(logs, G_FILE_TEST_EXISTS));
    g_autoptr(GArray) points = repl_points(w.b.service, &vm, NULL);
    g_assert_cmpuint(points->len, ==, 0);
    stands_alone(&w, &vm);
    act_power(&w.b, &vm, 3);
    act_power(&w.b, &vm, 2); /* it is a guest like any other */
    host_down(&w.b);
    host_up(&w, &w.b);
    g_assert_cmpuint(world_state(&w.b, &vm), ==, STATE_COMMITTED);
    COVERS("commit", "other host dies", "nobody is asked: the disks are filled, the guest runs on");
    world_close(&w);
}

/* A point has the disks that the guest had at its instant; what is filled before a commit are these. */
static void
test_unplugged(void)
{
    struct world w = { 0 };
    bool flat = false;
    world_open(&w);
    const struct uuid vm = world_with_points(&w, 2, 3);
    const struct uuid both = world_point(&w, &vm, 1);
    fake_disk_remove(w.a.fake, &vm, "vdb");
    world_wait_cycle(&w, &vm);
    world_wait_cycle(&w, &vm);
    g_autofree char *first = overlay(&w, &vm, "vda"), *second = overlay(&w, &vm, "vdb");
    act_failover(&w.b, &vm, NULL);
    g_assert_true(g_file_test(first, G_FILE_TEST_EXISTS));
    g_assert_false(g_file_test(second, G_FILE_TEST_EXISTS));
    act_revert(&w.b, &vm);
    act_failover(&w.b, &vm, &both);
    g_assert_true(g_file_test(second, G_FILE_TEST_EXISTS));
    act_revert(&w.b, &vm);
    act_failover(&w.b, &vm, NULL);
    act_power(&w.b, &vm, 2);
    UNTIL(fake_vm_ops.overlay_is_flat(first, &flat, NULL) && flat);
    commit(&w, &vm);
    g_assert_cmpuint(world_state(&w.b, &vm), ==, STATE_COMMITTED);
    world_close(&w);
}

static void
test_commit_while_off(void)
{
    struct world w = { 0 };
    bool flat = false;
    world_open(&w);
    const struct uuid vm = world_with_points(&w, 2, 2);
    act_failover(&w.b, &vm, NULL);
    g_autofree char *path = overlay(&w, &vm, "vdb");
    fake_fail(w.b.fake, FAKE_FLATTEN, ERR_NO_SPACE, 1);
    char job[UUID_TEXT];
    g_assert_true(repl_commit(w.b.service, &vm, "test", job, NULL));
    world_fails(&w.b, job, "no-space");
    g_assert_cmpuint(world_state(&w.b, &vm), ==, STATE_RECOVERED); /* still revertible */
    commit(&w, &vm);
    g_assert_true(fake_vm_ops.overlay_is_flat(path, &flat, NULL) && flat);
    stands_alone(&w, &vm);
    COVERS("commit", "disk full", "the job fails, the failover can still be reverted, or committed later");
    world_close(&w);
}

/* An image that cannot be looked at is not one that was never there: what it stands on stays. */
static void
test_commit_unseen(void)
{
    struct world w = { 0 };
    char job[UUID_TEXT];
    world_open(&w);
    const struct uuid vm = world_with_points(&w, 2, 2);
    act_failover(&w.b, &vm, NULL);
    g_autofree char *path = overlay(&w, &vm, "vdb"), *away = g_strconcat(path, ".away", NULL);
    g_autofree char *folder = g_path_get_dirname(path), *folder_away = g_strconcat(folder, "-away", NULL);
    g_assert_true(rename(path, away) == 0 && symlink(path, path) == 0);
    g_assert_true(repl_commit(w.b.service, &vm, "test", job, NULL));
    world_fails(&w.b, job, "io");
    g_assert_cmpint(rename(away, path), ==, 0);
    g_assert_cmpint(rename(folder, folder_away), ==, 0);
    g_assert_true(repl_commit(w.b.service, &vm, "test", job, NULL));
    world_fails(&w.b, job, "not-available");
    g_assert_cmpint(rename(folder_away, folder), ==, 0);
    commit(&w, &vm);
    stands_alone(&w, &vm);
    world_close(&w);
}

/* As the points have it, and not only by name. */
static bool
is_defined(struct world *w, const struct uuid *vm)
{
    relation_auto rel = core_find(w->b.service->core, vm, 0);
    HOLD(&rel->lock);
    return rel->in.xml_seen != NULL;
}

/* The administrator has moved the whole images elsewhere, and what was left of them is gone: nothing has to be filled any more. */
static void
test_commit_moved(void)
{
    struct world w = { 0 };
    struct uuid at;
    world_open(&w);
    const struct uuid vm = world_with_points(&w, 2, 2);
    act_failover(&w.b, &vm, NULL);
    act_power(&w.b, &vm, 2);
    relation_auto rel = core_find(w.b.service->core, &vm, 0);
    UNTIL(is_flat(rel) && !served(&w, &vm, &at));
    g_autofree char *path = overlay(&w, &vm, "vdb"), *folder = g_path_get_dirname(path), *away = g_strconcat(folder, "-away", NULL);
    g_assert_cmpint(rename(folder, away), ==, 0);
    commit(&w, &vm);
    world_close(&w);
}

/* A step fails: everything is as before, and the next try works. */
static void
test_steps_fail(void)
{
    static const enum fake_call STEPS[] = { FAKE_SERVE, FAKE_OVERLAY, FAKE_DEFINE };
    struct world w = { 0 };
    char job[UUID_TEXT];
    world_open(&w);
    const struct uuid vm = world_with_points(&w, 2, 2);
    UNTIL(is_defined(&w, &vm)); /* by maintenance, which must not be the one that fails */
    for (guint i = 0; i < G_N_ELEMENTS(STEPS); i++) {
        fake_fail(w.b.fake, STEPS[i], ERR_NO_SPACE, 1);
        g_assert_true(repl_failover(w.b.service, &vm, NULL, false, "test", job, NULL));
        world_fails(&w.b, job, "no-space");
        g_assert_cmpuint(world_state(&w.b, &vm), ==, STATE_REPLICATING);
        check_replica(&w, &vm);
        world_wait_cycle(&w, &vm); /* and logs come in as before, or again after back-off */
    }
    act_failover(&w.b, &vm, NULL);
    COVERS("unplanned failover", "disk full", "the job fails, the replica is as it was and goes on; the next try works");
    world_close(&w);
}

/* libvirt cannot list its networks `fails` times: does the guest's card get its network? */
static bool
fails_over_connected(struct world *w, const struct uuid *vm, guint fails)
{
    char job[UUID_TEXT];
    fake_fail(w->b.fake, FAKE_NETWORKS, ERR_NOT_AVAILABLE, fails);
    g_assert_true(repl_failover(w->b.service, vm, NULL, false, "test", job, NULL));
    struct job_info done = world_wait(&w->b, job);
    g_autofree char *xml = fake_definition(w->b.fake, vm);
    const bool connected = strstr(xml, "network=\"default\"") != NULL;
    fake_fail(w->b.fake, FAKE_NETWORKS, ERR_NOT_AVAILABLE, 0);
    g_assert_cmpuint(world_state(&w->b, vm), ==, STATE_RECOVERED);
    g_assert_cmpuint(done.state, ==, connected ? JOB_COMPLETED : JOB_WARNINGS);
    g_assert_true(connected || strstr(done.warning, "network 'default' is active on this host could not be found out"));
    job_info_clear(&done);
    return connected;
}

/* A network that is there is not taken for missing because libvirt was away for a moment; a disaster does not wait for ever, either. */
static void
test_networks_unknown(void)
{
    struct world w = { .network_map = "*=default" };
    world_open(&w);
    const struct uuid vm = world_with_points(&w, 2, 1);
    fake_card_add(w.a.fake, &vm, "52:54:00:00:00:01"); /* in the points from the next one on */
    world_wait_cycle(&w, &vm);
    world_wait_cycle(&w, &vm);
    g_assert_true(fails_over_connected(&w, &vm, 2));
    act_revert(&w.b, &vm);
    g_assert_false(fails_over_connected(&w, &vm, G_MAXUINT));
    world_close(&w);
}

/* Nor can it be undone at first: that is tried again, without a restart. */
static void
test_undo_fails(void)
{
    struct world w = { 0 };
    char job[UUID_TEXT];
    world_open(&w);
    const struct uuid vm = world_with_points(&w, 2, 2);
    fake_fail(w.b.fake, FAKE_DEFINE, ERR_IO, G_MAXUINT); /* the guest's new definition, and the old one */
    g_assert_true(repl_failover(w.b.service, &vm, NULL, false, "test", job, NULL));
    world_fails(&w.b, job, "io");
    g_assert_cmpuint(world_state(&w.b, &vm), ==, STATE_FAILING_OVER);
    fake_fail(w.b.fake, FAKE_DEFINE, ERR_IO, 0);
    world_wait_state(&w.b, &vm, STATE_REPLICATING);
    check_replica(&w, &vm);
    world_wait_cycle(&w, &vm);
    act_failover(&w.b, &vm, NULL);
    world_close(&w);
}

/* From a paused replica: a failed failover returns there. */
static void
test_from_suspended(void)
{
    struct world w = { 0 };
    char job[UUID_TEXT];
    world_open(&w);
    const struct uuid vm = world_with_points(&w, 2, 2);
    act_request(&w.b, &vm, 7);
    fake_fail(w.b.fake, FAKE_SERVE, ERR_IO, 1);
    g_assert_true(repl_failover(w.b.service, &vm, NULL, false, "test", job, NULL));
    world_fails(&w.b, job, "io");
    g_assert_cmpuint(world_state(&w.b, &vm), ==, STATE_SUSPENDED);
    act_request(&w.b, &vm, 3);
    world_wait_cycle(&w, &vm);
    world_close(&w);
}

static void
ask_at_port_of_a(struct world *w, const struct uuid *vm)
{
    relation_auto rel = core_find(w->b.service->core, vm, 0);
    HOLD(&rel->lock);
    rel->r.primary_port = w->a.port;
}

/* Split brain: b asks a. */
static void
test_primary_runs(void)
{
    struct world w = { 0 };
    char job[UUID_TEXT];
    world_open(&w);
    const struct uuid vm = world_with_points(&w, 2, 2);
    struct repl_host_settings s;
    bool listening;
    repl_host_settings(w.a.service, &s, &listening);
    s.recovery_enabled = true;
    s.allowed_authentication = 2;
    s.https_port = w.a.port;
    g_assert_cmpstr(s.thumbprint, ==, net_identity_thumbprint(w.a.identity)); /* the default */
    g_assert_true(repl_modify_service(w.a.service, &s, "test", job, NULL));
    repl_host_settings_clear(&s);
    world_done(&w.a, job);
    ask_at_port_of_a(&w, &vm);
    g_assert_true(repl_failover(w.b.service, &vm, NULL, false, "test", job, NULL));
    struct job_info i = world_wait(&w.b, job);
    g_assert_cmpuint(i.state, ==, JOB_WARNINGS);
    g_assert_nonnull(strstr(i.warning, "still runs on 'a.localhost'"));
    job_info_clear(&i);
    act_revert(&w.b, &vm);
    w.refuse_if_primary_running = true;
    host_down(&w.b);
    host_up(&w, &w.b);
    ask_at_port_of_a(&w, &vm);
    g_assert_true(repl_failover(w.b.service, &vm, NULL, false, "test", job, NULL));
    world_fails(&w.b, job, "invalid-state");
    g_assert_cmpuint(world_state(&w.b, &vm), ==, STATE_REPLICATING);
    fake_power_set(w.a.fake, &vm, VM_OFF);
    fake_fail(w.a.fake, FAKE_POWER, ERR_NOT_AVAILABLE, G_MAXUINT); /* nobody can tell whether it is off */
    g_assert_true(repl_failover(w.b.service, &vm, NULL, false, "test", job, NULL));
    world_fails(&w.b, job, "invalid-state");
    fake_fail(w.a.fake, FAKE_POWER, ERR_NOT_AVAILABLE, 0);
    act_failover(&w.b, &vm, NULL);
    world_close(&w);
}

static void
remove_on(struct world *w, struct host *h, const struct uuid *vm)
{
    char job[UUID_TEXT];
    g_autoptr(GError) err = NULL;
    g_assert_true(repl_remove(h->service, vm, 0, "test", job, &err));
    g_assert_no_error(err);
    world_done(h, job);
    g_assert_cmpuint(world_state(h, vm), ==, STATE_DISABLED);
}

/* Each side for itself; the replica's guest stays on whole disks. */
static void
test_remove(void)
{
    struct world w = { 0 };
    char job[UUID_TEXT];
    world_open(&w);
    const struct uuid vm = world_with_points(&w, 2, 3);
    remove_on(&w, &w.b, &vm);
    world_wait_state(&w.a, &vm, STATE_CRITICAL);
    g_autofree char *folder = world_folder(&w, &vm);
    g_autofree char *disk = g_build_filename(folder, "base", "disk-0.raw", NULL);
    g_autofree char *json = g_build_filename(folder, "store.json", NULL);
    g_assert_true(g_file_test(disk, G_FILE_TEST_EXISTS));
    g_assert_false(g_file_test(json, G_FILE_TEST_EXISTS));
    g_assert_false(world_fenced(&w.b, &vm));
    act_power(&w.b, &vm, 2);
    remove_on(&w, &w.a, &vm);
    struct repl_settings s = world_settings(&w, 250);
    g_assert_true(repl_create(w.a.service, &vm, &s, "test", job, NULL)); /* b has such a guest, and it is no replica */
    repl_settings_clear(&s);
    world_fails(&w.a, job, "exists");
    g_assert_cmpuint(world_state(&w.a, &vm), ==, STATE_DISABLED);
    host_down(&w.b);
    host_up(&w, &w.b);
    g_assert_cmpuint(world_state(&w.b, &vm), ==, STATE_DISABLED);
    world_close(&w);
}

static bool
is_removing(struct relation *rel)
{
    HOLD(&rel->lock);
    return rel->r.removing;
}

static void
count_upload(struct relation *rel, bool begins)
{
    HOLD(&rel->lock);
    if (begins)
        rel->in.uploads++;
    else
        rel->in.uploads--;
    g_cond_broadcast(&rel->changed);
}

/* What is being merged into the disks for good is no point any more. */
static void
test_remove_takes_points(void)
{
    struct world w = { 0 };
    struct repl_point p;
    char job[UUID_TEXT];
    world_open(&w);
    const struct uuid vm = world_with_points(&w, 2, 3), oldest = world_point(&w, &vm, 0);
    host_down(&w.a);
    relation_auto rel = core_find(w.b.service->core, &vm, 0);
    count_upload(rel, true); /* which the removal waits for */
    g_assert_true(repl_remove(w.b.service, &vm, 0, "test", job, NULL));
    UNTIL(is_removing(rel));
    g_autoptr(GArray) points = repl_points(w.b.service, &vm, NULL);
    g_assert_cmpuint(points->len, ==, 0);
    g_assert_false(repl_point_find(w.b.service, &oldest, &p));
    count_upload(rel, false);
    world_done(&w.b, job);
    world_close(&w);
}

static void
test_remove_failed_over(void)
{
    struct world w = { 0 };
    world_open(&w);
    const struct uuid vm = world_with_points(&w, 2, 2);
    act_failover(&w.b, &vm, NULL);
    act_power(&w.b, &vm, 2);
    remove_on(&w, &w.b, &vm); /* commits first */
    g_autofree char *path = overlay(&w, &vm, "vda");
    bool flat = false;
    g_assert_true(fake_vm_ops.overlay_is_flat(path, &flat, NULL) && flat);
    g_assert_cmpuint(fake_power(w.b.fake, &vm), ==, VM_RUNNING);
    world_close(&w);
}

/* The disk that it was on is gone for good. */
static void
test_remove_lost(void)
{
    struct world w = { 0 };
    char job[UUID_TEXT];
    world_open(&w);
    const struct uuid vm = world_with_points(&w, 2, 2);
    host_down(&w.a);
    host_down(&w.b);
    g_autofree char *folder = world_folder(&w, &vm), *away = g_strconcat(folder, "-away", NULL);
    g_assert_cmpint(rename(folder, away), ==, 0);
    g_assert_cmpint(symlink(folder, folder), ==, 0); /* it cannot be looked at: nobody knows what is there */
    host_up(&w, &w.b);
    g_autoptr(GError) err = NULL;
    g_assert_false(repl_remove(w.b.service, &vm, 0, "test", job, &err));
    g_assert_error(err, ERR, ERR_IO);
    g_assert_cmpint(unlink(folder), ==, 0);
    remove_on(&w, &w.b, &vm);
    host_down(&w.b);
    host_up(&w, &w.b);
    g_assert_cmpuint(world_state(&w.b, &vm), ==, STATE_DISABLED);
    world_close(&w);
}

static void
test_remove_before_data(void)
{
    struct world w = { 0 };
    world_open(&w);
    const struct uuid vm = world_guest(&w, 2);
    world_enable(&w, &vm, 250);
    remove_on(&w, &w.a, &vm);
    char job[UUID_TEXT];
    g_assert_true(repl_remove(w.b.service, &vm, 0, "test", job, NULL));
    world_done(&w.b, job);
    g_autofree char *folder = world_folder(&w, &vm);
    g_assert_false(g_file_test(folder, G_FILE_TEST_EXISTS));
    g_assert_null(fake_definition(w.b.fake, &vm));
    world_enable(&w, &vm, 250); /* as if nothing had been */
    world_start(&w, &vm);
    world_close(&w);
}

/* A guest that was undefined behind our back: its relationship is still seen, and can be removed. */
static void
test_remove_orphan(void)
{
    struct world w = { 0 };
    bool found = false;
    world_open(&w);
    const struct uuid vm = world_with_points(&w, 2, 2);
    g_assert_true(fake_vm_ops.undefine(fake_conn(w.b.fake), &vm, NULL));
    g_autoptr(GPtrArray) all = repl_relation_list(w.b.service, NULL);
    for (guint i = 0; i < all->len; i++) {
        const struct repl_relation *r = all->pdata[i];
        found |= uuid_equal(&r->vm, &vm) && r->state == STATE_REPLICATING;
    }
    g_assert_true(found);
    char job[UUID_TEXT];
    g_assert_true(repl_remove(w.b.service, &vm, 0, "test", job, NULL));
    world_done(&w.b, job);
    g_assert_null(core_find(w.b.service->core, &vm, 0));
    world_close(&w);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/repl/failover/server-dies", test_server_dies);
    g_test_add_func("/repl/failover/fill-rate-changes", test_fill_rate_changes);
    g_test_add_func("/repl/failover/every-point", test_every_point);
    g_test_add_func("/repl/failover/tpm", test_tpm);
    g_test_add_func("/repl/failover/tpm-unknown", test_tpm_unknown);
    g_test_add_func("/repl/failover/primary-comes-back", test_primary_comes_back);
    g_test_add_func("/repl/failover/old-epoch", test_old_epoch);
    g_test_add_func("/repl/failover/commit-while-running", test_commit_while_running);
    g_test_add_func("/repl/failover/commit-while-off", test_commit_while_off);
    g_test_add_func("/repl/failover/commit-unseen", test_commit_unseen);
    g_test_add_func("/repl/failover/commit-moved", test_commit_moved);
    g_test_add_func("/repl/failover/unplugged", test_unplugged);
    g_test_add_func("/repl/failover/steps-fail", test_steps_fail);
    g_test_add_func("/repl/failover/networks-unknown", test_networks_unknown);
    g_test_add_func("/repl/failover/undo-fails", test_undo_fails);
    g_test_add_func("/repl/failover/from-suspended", test_from_suspended);
    g_test_add_func("/repl/failover/primary-runs", test_primary_runs);
    g_test_add_func("/repl/failover/remove", test_remove);
    g_test_add_func("/repl/failover/remove-takes-points", test_remove_takes_points);
    g_test_add_func("/repl/failover/remove-failed-over", test_remove_failed_over);
    g_test_add_func("/repl/failover/remove-lost", test_remove_lost);
    g_test_add_func("/repl/failover/remove-before-data", test_remove_before_data);
    g_test_add_func("/repl/failover/remove-orphan", test_remove_orphan);
    return g_test_run();
}
