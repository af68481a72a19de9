/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "acts.h"

#include "base/err.h"
#include "repl/testvm.h"
#include "repl/work.h"

#include <string.h>

/* Test failover on b while a goes on replicating. */

static char *
place(struct world *w, const struct uuid *vm, const char *name)
{
    g_autofree char *folder = world_folder(w, vm);
    return g_build_filename(folder, name, NULL);
}

static bool
served(struct world *w, const struct uuid *vm, struct uuid *point)
{
    char text[UUID_TEXT];
    g_autofree char *socket = g_strdup_printf("%s/test-%s.sock", w->b.service->core->config.runtime_dir, uuid_format_lower(vm, text));
    return fake_serving(socket, point);
}

/* The test guest of that replica; nil: none. */
static struct uuid
test_guest(struct world *w, const struct uuid *vm)
{
    g_autoptr(GArray) tests = repl_tests(w->b.service);
    for (guint i = 0; i < tests->len; i++)
        if (uuid_equal(&g_array_index(tests, struct repl_test, i).replica, vm))
            return g_array_index(tests, struct repl_test, i).test;
    return UUID_NIL;
}

static struct uuid
begin(struct world *w, const struct uuid *vm, const struct uuid *point)
{
    char job[UUID_TEXT];
    g_autoptr(GError) err = NULL;
    g_assert_true(repl_test_failover(w->b.service, vm, point, false, "test", job, &err));
    g_assert_no_error(err);
    world_done(&w->b, job);
    const struct uuid test = test_guest(w, vm);
    g_assert_false(uuid_is_nil(&test));
    return test;
}

static void
nothing_left(struct world *w, const struct uuid *vm)
{
    struct uuid at;
    const struct uuid test = test_guest(w, vm);
    g_autofree char *overlays = place(w, vm, "test"), *files = place(w, vm, "test-guest");
    g_assert_true(uuid_is_nil(&test));
    g_assert_false(served(w, vm, &at));
    g_assert_false(g_file_test(overlays, G_FILE_TEST_EXISTS));
    g_assert_false(g_file_test(files, G_FILE_TEST_EXISTS));
}

static void
destroy(struct world *w, const struct uuid *vm, const struct uuid *test)
{
    char job[UUID_TEXT];
    g_autoptr(GError) err = NULL;
    g_assert_true(repl_destroy_guest(w->b.service, test, "test", job, &err));
    g_assert_no_error(err);
    world_done(&w->b, job);
    g_autofree char *xml = fake_definition(w->b.fake, test);
    g_assert_null(xml);
    nothing_left(w, vm);
}

static void
check(struct world *w, const struct uuid *vm, const struct uuid *test, const struct uuid *point)
{
    struct uuid at;
    char text[UUID_TEXT];
    g_autofree char *overlays = place(w, vm, "test"), *image = g_build_filename(overlays, "vdb.qcow2", NULL);
    g_autofree char *xml = fake_definition(w->b.fake, test);
    g_assert_true(served(w, vm, &at));
    g_assert_true(uuid_equal(&at, point));
    g_assert_true(g_file_test(image, G_FILE_TEST_EXISTS));
    g_assert_nonnull(strstr(xml, image));
    g_assert_nonnull(strstr(xml, " - Test</name>"));
    g_autofree char *id = g_strdup_printf("<uuid>%s</uuid>", uuid_format_lower(test, text));
    g_assert_nonnull(strstr(xml, id));
    struct repl_relation r = world_relation(&w->b, test);
    g_assert_cmpuint(r.mode, ==, MODE_TEST);
    g_assert_cmpuint(r.state, ==, STATE_DISABLED);
    repl_relation_clear(&r);
    g_assert_cmpuint(world_state(&w->b, vm), ==, STATE_REPLICATING);
}

static void
test_point_and_latest(void)
{
    struct world w = { 0 };
    char job[UUID_TEXT];
    g_autoptr(GError) err = NULL;
    world_open(&w);
    const struct uuid vm = world_with_points(&w, 2, 3);
    const struct uuid middle = world_point(&w, &vm, 1);
    struct uuid test = begin(&w, &vm, &middle);
    check(&w, &vm, &test, &middle);
    act_power(&w.b, &test, 2);
    g_assert_cmpuint(fake_power(w.b.fake, &test), ==, VM_RUNNING);
    world_wait_cycle(&w, &vm); /* replication goes on beneath */
    g_assert_false(repl_destroy_guest(w.b.service, &test, "test", job, &err));
    g_assert_error(err, ERR, ERR_INVALID_STATE); /* it runs */
    act_power(&w.b, &test, 3);
    destroy(&w, &vm, &test);
    struct repl_statistics st;
    g_assert_true(repl_statistics(w.b.service, &vm, 0, &st, NULL, NULL));
    g_assert_cmpint(st.last_test_us, >, 0);
    test = begin(&w, &vm, NULL);
    destroy(&w, &vm, &test);
    world_close(&w);
}

static void
refused(struct world *w, struct host *h, const struct uuid *vm, const struct uuid *point, enum err_code code)
{
    char job[UUID_TEXT];
    g_autoptr(GError) err = NULL;
    g_assert_false(repl_test_failover(h->service, vm, point, false, "test", job, &err));
    g_assert_error(err, ERR, (gint)code);
}

/* Its own copy of the TPM as it was at the point, gone with it. */
static void
test_tpm(void)
{
    struct world w = { 0 };
    char text[UUID_TEXT];
    world_open(&w);
    const struct uuid vm = world_guest(&w, 1);
    fake_device_add(w.a.fake, &vm, WORLD_TPM);
    world_enable(&w, &vm, 250);
    world_start(&w, &vm);
    world_wait_cycle(&w, &vm);
    const struct uuid first = world_point(&w, &vm, 0), test = begin(&w, &vm, &first);
    g_autofree char *state = world_tpm(&w.b, &test), *of_replica = world_tpm(&w.b, &vm);
    g_assert_cmpstr(state, ==, uuid_format(&first, text));
    g_assert_null(of_replica);
    destroy(&w, &vm, &test);
    g_autofree char *folder = g_strdup_printf("%s/swtpm/%s", w.b.dir, uuid_format_lower(&test, text));
    g_assert_false(g_file_test(folder, G_FILE_TEST_EXISTS));
    world_close(&w);
}

/* Housekeeping looks for test guests that somebody else undefined, also while one is removed by us. */
struct look {
    struct world *w;
    struct relation *rel;
    gint stop;
};

static gpointer
look_on(gpointer user)
{
    struct look *l = user;
    while (!g_atomic_int_get(&l->stop))
        testvm_follow(l->w->b.service->core, l->rel);
    return NULL;
}

static void
test_looked_at_meanwhile(void)
{
    enum { ROUNDS = 40 };
    struct world w = { 0 };
    world_open(&w);
    const struct uuid vm = world_with_points(&w, 2, 1);
    struct look l = { &w, core_find(w.b.service->core, &vm, 0), 0 };
    GThread *thread = g_thread_new("look", look_on, &l);
    for (guint i = 0; i < ROUNDS; i++) {
        const struct uuid test = begin(&w, &vm, NULL);
        destroy(&w, &vm, &test);
    }
    g_atomic_int_set(&l.stop, 1);
    g_thread_join(thread);
    relation_unref(l.rel);
    world_close(&w);
}

struct call {
    struct world *w;
    const struct uuid *vm, *point;
    char job[UUID_TEXT];
    bool taken;
};

static gpointer
call_test(gpointer user)
{
    struct call *c = user;
    c->taken = repl_test_failover(c->w->b.service, c->vm, c->point, false, "test", c->job, NULL);
    return NULL;
}

static bool
worked(struct call *c)
{
    if (!c->taken)
        return false;
    struct job_info done = world_wait(&c->w->b, c->job);
    const bool ok = done.state == JOB_COMPLETED;
    job_info_clear(&done);
    return ok;
}

/* Two points are asked for at the same moment, again and again: there is one test guest, on the point of whoever won. */
static void
test_two_at_once(void)
{
    enum { ROUNDS = 8 };
    struct world w = { 0 };
    world_open(&w);
    const struct uuid vm = world_with_points(&w, 2, 3);
    for (guint i = 0; i < ROUNDS; i++) {
        const struct uuid points[] = { world_point(&w, &vm, 0), world_point(&w, &vm, 1) };
        struct call calls[] = { { &w, &vm, &points[i % 2], "", false }, { &w, &vm, &points[(i + 1) % 2], "", false } };
        GThread *other = g_thread_new("call", call_test, &calls[1]);
        call_test(&calls[0]);
        g_thread_join(other);
        const bool first = worked(&calls[0]), second = worked(&calls[1]);
        g_assert_true(first != second);
        const struct uuid test = test_guest(&w, &vm);
        check(&w, &vm, &test, first ? calls[0].point : calls[1].point);
        destroy(&w, &vm, &test);
    }
    world_close(&w);
}

/* ---- networks ---- */

static void
set_network(struct world *w, const struct uuid *vm, const char *mac, const char *network, enum err_code code)
{
    g_autoptr(GError) err = NULL;
    g_autoptr(GPtrArray) list = g_ptr_array_new_with_free_func((GDestroyNotify)repl_test_network_free);
    const struct repl_test_network card = { g_strdup(mac), g_strdup(network) };
    g_ptr_array_add(list, g_memdup2(&card, sizeof card));
    const bool ok = repl_test_networks_set(w->b.service, vm, list, &err);
    if (code)
        g_assert_error(err, ERR, (gint)code);
    else
        g_assert_no_error(err);
    g_assert_true(ok == !code);
}

static bool
network_made(struct world *w, const char *name)
{
    g_autofree char *path = g_strdup_printf("%s/network-%s", w->b.dir, name);
    return g_file_test(path, G_FILE_TEST_EXISTS);
}

/* One card has a network of its own, also after a restart; the other one has none, or test_network. */
static void
test_networks(void)
{
    struct world w = { 0 };
    world_open(&w);
    const struct uuid vm = world_guest(&w, 2);
    fake_card_add(w.a.fake, &vm, "52:54:00:00:00:02");
    fake_card_add(w.a.fake, &vm, "52:54:00:00:00:01");
    world_enable(&w, &vm, 250);
    world_start(&w, &vm);
    set_network(&w, &vm, "52:54:00:00:00:09", "lab", ERR_INVALID_PARAMETER); /* no such card */
    set_network(&w, &vm, "52:54:00:00:00:01", "a/b", ERR_INVALID_PARAMETER);
    set_network(&w, &vm, "52:54:00:00:00:01", "lab", 0);
    set_network(&w, &vm, "52:54:00:00:00:02", "other", 0);
    set_network(&w, &vm, "52:54:00:00:00:02", NULL, 0);
    host_down(&w.b);
    host_up(&w, &w.b);
    struct uuid test = begin(&w, &vm, NULL);
    g_autofree char *xml = fake_definition(w.b.fake, &test);
    const char *own = strstr(xml, "<source network=\"lab\"/>"), *down = strstr(xml, "<link state=\"down\"/>");
    g_assert_true(own && down && own < down); /* the first card, and the second one */
    g_assert_true(network_made(&w, "lab") && !network_made(&w, "other"));
    set_network(&w, &test, "52:54:00:00:00:01", "lab", ERR_INVALID_STATE);
    destroy(&w, &vm, &test);
    struct repl_settings s = world_settings(&w, 250);
    char job[UUID_TEXT];
    g_free(s.additional);
    s.additional = g_strdup("{\"interval_ms\":250,\"test_network\":\"all\"}");
    g_assert_true(repl_modify(w.a.service, &vm, &s, "test", job, NULL));
    repl_settings_clear(&s);
    world_done(&w.a, job);
    test = begin(&w, &vm, NULL);
    g_autofree char *both = fake_definition(w.b.fake, &test);
    own = strstr(both, "<source network=\"lab\"/>");
    g_assert_true(own && strstr(own, "<source network=\"all\"/>") && !strstr(both, "<link"));
    destroy(&w, &vm, &test);
    world_close(&w);
}

static void
test_refusals(void)
{
    struct world w = { 0 };
    char job[UUID_TEXT];
    g_autoptr(GError) err = NULL;
    world_open(&w);
    const struct uuid plain = world_guest(&w, 1), nobody = uuid_random();
    const struct uuid vm = world_with_points(&w, 2, 2), point = world_point(&w, &vm, 0);
    refused(&w, &w.b, &nobody, NULL, ERR_NO_SUCH_INSTANCE);
    refused(&w, &w.a, &plain, NULL, ERR_INVALID_STATE);
    refused(&w, &w.a, &vm, NULL, ERR_INVALID_STATE); /* the primary */
    refused(&w, &w.b, &vm, &nobody, ERR_INVALID_PARAMETER);
    const struct uuid test = begin(&w, &vm, &point);
    refused(&w, &w.b, &vm, NULL, ERR_INVALID_STATE);   /* one at a time */
    refused(&w, &w.b, &test, NULL, ERR_INVALID_STATE); /* no replica itself */
    g_assert_false(repl_remove(w.b.service, &vm, 0, "test", job, &err));
    g_assert_error(err, ERR, ERR_INVALID_STATE);
    g_clear_error(&err);
    g_assert_false(repl_destroy_guest(w.b.service, &vm, "test", job, &err));
    g_assert_error(err, ERR, ERR_INVALID_STATE);
    destroy(&w, &vm, &test);
    COVERS("test failover", "called twice", "the second is refused (32775): one test guest at a time");
    COVERS("test failover", "wrong side", "refused (32775) on the primary and for a test guest");
    world_close(&w);
}

static void
test_steps_fail(void)
{
    static const enum fake_call STEPS[] = { FAKE_SERVE, FAKE_OVERLAY, FAKE_DEFINE };
    struct world w = { 0 };
    char job[UUID_TEXT];
    world_open(&w);
    const struct uuid vm = world_with_points(&w, 2, 2);
    for (guint i = 0; i < G_N_ELEMENTS(STEPS); i++) {
        fake_fail(w.b.fake, STEPS[i], ERR_NO_SPACE, 1);
        g_assert_true(repl_test_failover(w.b.service, &vm, NULL, false, "test", job, NULL));
        world_fails(&w.b, job, "no-space");
        nothing_left(&w, &vm);
        world_wait_cycle(&w, &vm);
    }
    const struct uuid test = begin(&w, &vm, NULL);
    destroy(&w, &vm, &test);
    COVERS("test failover", "disk full", "the job fails, nothing is left; the next one works");
    world_close(&w);
}

/* A drill must never stand in the way of the disaster. */
static void
test_failover_beside(void)
{
    struct world w = { 0 };
    char job[UUID_TEXT];
    world_open(&w);
    const struct uuid vm = world_with_points(&w, 2, 3);
    const struct uuid point = world_point(&w, &vm, 1);
    const struct uuid test = begin(&w, &vm, &point);
    act_failover(&w.b, &vm, NULL);
    act_revert(&w.b, &vm);
    check(&w, &vm, &test, &point);
    act_failover(&w.b, &vm, NULL);
    g_assert_true(repl_commit(w.b.service, &vm, "test", job, NULL));
    world_done(&w.b, job);
    g_autofree char *overlays = place(&w, &vm, "test");
    g_assert_true(g_file_test(overlays, G_FILE_TEST_EXISTS)); /* it keeps what is its own */
    destroy(&w, &vm, &test);
    world_close(&w);
}

static void
test_restart(void)
{
    struct world w = { 0 };
    world_open(&w);
    const struct uuid vm = world_with_points(&w, 2, 3);
    const struct uuid point = world_point(&w, &vm, 1);
    const struct uuid test = begin(&w, &vm, &point);
    host_down(&w.b);
    host_up(&w, &w.b);
    check(&w, &vm, &test, &point);
    world_wait_cycle(&w, &vm);
    /* Somebody takes the guest away with libvirt's own tools. */
    g_assert_true(fake_vm_ops.undefine(fake_conn(w.b.fake), &test, NULL));
    world_wait_cycle(&w, &vm);
    UNTIL(({ const struct uuid left = test_guest(&w, &vm); uuid_is_nil(&left); }));
    nothing_left(&w, &vm);
    world_close(&w);
}

static void
test_alone(void)
{
    struct world w = { 0 };
    struct busy busy;
    world_open(&w);
    const struct uuid vm = world_with_points(&w, 2, 2), point = world_point(&w, &vm, 0);
    world_busy(&w.b, &vm, &busy);
    refused(&w, &w.b, &vm, NULL, ERR_IN_USE);
    world_idle(&busy);
    COVERS("test failover", "during another job", "refused (32774), nothing changes; later it works");
    host_down(&w.a);
    const struct uuid test = begin(&w, &vm, &point);
    check(&w, &vm, &test, &point);
    destroy(&w, &vm, &test);
    COVERS("test failover", "other host dies", "nobody is asked; test guest and clean-up work");
    host_up(&w, &w.a);
    world_wait_cycle(&w, &vm);
    world_close(&w);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/repl/testvm/point-and-latest", test_point_and_latest);
    g_test_add_func("/repl/testvm/alone", test_alone);
    g_test_add_func("/repl/testvm/tpm", test_tpm);
    g_test_add_func("/repl/testvm/looked-at-meanwhile", test_looked_at_meanwhile);
    g_test_add_func("/repl/testvm/two-at-once", test_two_at_once);
    g_test_add_func("/repl/testvm/networks", test_networks);
    g_test_add_func("/repl/testvm/refusals", test_refusals);
    g_test_add_func("/repl/testvm/steps-fail", test_steps_fail);
    g_test_add_func("/repl/testvm/failover-beside", test_failover_beside);
    g_test_add_func("/repl/testvm/restart", test_restart);
    return g_test_run();
}
