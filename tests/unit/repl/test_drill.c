/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "world.h"

#include "base/clean.h"
#include "base/err.h"
#include "repl/work.h"
#include "vm/domxml.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

/* Boot checks on b: of a guest whose agent answers or not, that says its text or not, while other things happen. */

static struct uuid
replicated(struct world *w, const char *settings, bool agent, const char *device)
{
    const struct uuid vm = world_guest(w, 1);
    char job[UUID_TEXT];
    g_autoptr(GError) err = NULL;
    if (agent)
        fake_agent_add(w->a.fake, &vm);
    if (device)
        fake_device_add(w->a.fake, &vm, device);
    struct repl_settings s = world_settings(w, 250);
    s.history = 1;
    g_free(s.additional);
    s.additional = g_strdup(settings);
    g_assert_true(repl_create(w->a.service, &vm, &s, "test", job, &err));
    g_assert_no_error(err);
    world_done(&w->a, job);
    repl_settings_clear(&s);
    world_start(w, &vm);
    return vm;
}

#define SETTINGS(more) "{\"interval_ms\":250,\"keep_every_cycle_s\":3600" more "}"

static void
begin(struct world *w, const struct uuid *vm, char job[UUID_TEXT])
{
    g_autoptr(GError) err = NULL;
    g_assert_true(repl_verify(w->b.service, vm, NULL, "test", job, &err));
    g_assert_no_error(err);
}

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
running(struct world *w, const struct uuid *vm)
{
    struct uuid test;
    UNTIL((test = test_guest(w, vm), !uuid_is_nil(&test) && fake_power(w->b.fake, &test) == VM_RUNNING));
    return test;
}

static bool
left(struct world *w, const struct uuid *vm, const char *name)
{
    g_autofree char *folder = world_folder(w, vm), *path = g_build_filename(folder, name, NULL);
    return g_file_test(path, G_FILE_TEST_EXISTS);
}

static void
nothing_left(struct world *w, const struct uuid *vm)
{
    const struct uuid test = test_guest(w, vm);
    g_autoptr(GPtrArray) guests = repl_guests(w->b.service, NULL);
    g_assert_true(uuid_is_nil(&test));
    g_assert_false(left(w, vm, "test"));
    g_assert_false(left(w, vm, "test-guest"));
    for (guint i = 0; i < guests->len; i++)
        g_assert_null(strstr(((const struct vm_facts *)guests->pdata[i])->name, "Test"));
}

/* The only point of b with a result, and how many there are. */
static struct repl_point
checked(struct world *w, const struct uuid *vm, guint count)
{
    struct repl_point found = { 0 };
    guint n = 0;
    g_autoptr(GArray) points = repl_points(w->b.service, vm, NULL);
    for (guint i = 0; i < points->len; i++)
        if (g_array_index(points, struct repl_point, i).check.at_us) {
            found = g_array_index(points, struct repl_point, i);
            n++;
        }
    g_assert_cmpuint(n, ==, count);
    return found;
}

static void
test_agent(void)
{
    struct world w = { 0 };
    char job[UUID_TEXT], id[UUID_TEXT];
    world_open(&w);
    const struct uuid vm = replicated(&w, SETTINGS(",\"verify_timeout_s\":100"), true, NULL);
    begin(&w, &vm, job);
    world_done(&w.b, job);
    nothing_left(&w, &vm);
    struct repl_point p = checked(&w, &vm, 1);
    g_assert_true(p.check.passed);
    g_assert_cmpstr(p.check.why, ==, "");
    g_assert_cmpint(p.check.took_us, >, 0);
    g_autofree char *name = g_strdup_printf("checks/%s.%s", uuid_format(&p.id, id), p.check.picture);
    g_assert_true(g_str_has_suffix(name, ".ppm") && left(&w, &vm, name));
    g_assert_true(world_healthy(&w.b, &vm, NULL));
    struct repl_statistics st;
    g_assert_true(repl_statistics(w.b.service, &vm, 0, &st, NULL, NULL));
    g_assert_true(st.check.passed && uuid_equal(&st.check_point, &p.id));
    /* It survives the daemon; a guest without a screen has no picture. */
    host_down(&w.b);
    host_up(&w, &w.b);
    g_assert_true(checked(&w, &vm, 1).check.passed);
    world_wait_cycle(&w, &vm);
    fake_fail(w.b.fake, FAKE_SCREENSHOT, ERR_NOT_SUPPORTED, 1);
    begin(&w, &vm, job);
    world_done(&w.b, job);
    checked(&w, &vm, 2);
    g_assert_true(repl_statistics(w.b.service, &vm, 0, &st, NULL, NULL));
    g_assert_cmpstr(st.check.picture, ==, "");
    world_close(&w);
}

/* The time is over, the guest gives up, nothing can tell: each is a failed check that says so, and a warning until the next one passes. */
static void
test_failures(void)
{
    struct world w = { 0 };
    char job[UUID_TEXT];
    world_open(&w);
    const struct uuid vm = replicated(&w, SETTINGS(",\"verify_timeout_s\":1"), true, NULL);
    const struct uuid mute = replicated(&w, SETTINGS(""), false, NULL);
    const struct uuid portless = replicated(&w, SETTINGS(",\"verify_text\":\"login:\""), true, NULL);
    fake_fail(w.b.fake, FAKE_AGENT, ERR_NOT_AVAILABLE, G_MAXUINT);
    begin(&w, &vm, job);
    world_fails(&w.b, job, "timeout");
    struct repl_point p = checked(&w, &vm, 1);
    g_assert_false(p.check.passed);
    g_assert_nonnull(strstr(p.check.why, "did not answer"));
    g_assert_true(world_healthy(&w.b, &vm, "boot-check"));
    nothing_left(&w, &vm);
    begin(&w, &mute, job);
    world_fails(&w.b, job, "invalid-state");
    g_assert_nonnull(strstr(checked(&w, &mute, 1).check.why, "verify_text"));
    begin(&w, &portless, job);
    world_fails(&w.b, job, "invalid-state");
    g_assert_nonnull(strstr(checked(&w, &portless, 1).check.why, "serial port"));
    fake_fail(w.b.fake, FAKE_AGENT, ERR_NOT_AVAILABLE, 0);
    world_wait_cycle(&w, &vm);
    fake_fail(w.b.fake, FAKE_OVERLAY, ERR_NO_SPACE, 1);
    begin(&w, &vm, job);
    world_fails(&w.b, job, "no-space");
    g_assert_cmpstr(checked(&w, &vm, 1).check.why, ==, p.check.why); /* that was the host, not the point */
    nothing_left(&w, &vm);
    begin(&w, &vm, job);
    world_done(&w.b, job);
    g_assert_true(world_healthy(&w.b, &vm, NULL));
    world_close(&w);
}

static void
test_turns_itself_off(void)
{
    struct world w = { 0 };
    char job[UUID_TEXT];
    world_open(&w);
    const struct uuid vm = replicated(&w, SETTINGS(",\"verify_timeout_s\":1000"), true, NULL);
    fake_fail(w.b.fake, FAKE_AGENT, ERR_NOT_AVAILABLE, G_MAXUINT);
    begin(&w, &vm, job);
    const struct uuid test = running(&w, &vm);
    fake_power_set(w.b.fake, &test, VM_OFF);
    world_fails(&w.b, job, "failed");
    g_assert_nonnull(strstr(checked(&w, &vm, 1).check.why, "off"));
    nothing_left(&w, &vm);
    world_close(&w);
}

static void
test_console_text(void)
{
    struct world w = { 0 };
    char job[UUID_TEXT];
    world_open(&w);
    const struct uuid vm = replicated(&w, SETTINGS(",\"verify_text\":\"web login:\",\"verify_timeout_s\":1000"), true,
                                      "<serial type='pty'><target port='0'/></serial>");
    begin(&w, &vm, job);
    const struct uuid test = running(&w, &vm);
    g_autofree char *xml = fake_definition(w.b.fake, &test);
    g_auto(GStrv) files = domxml_consoles(xml, NULL);
    g_assert_cmpuint(g_strv_length(files), ==, 1);
    struct job_info info;
    g_assert_true(job_get(repl_jobs(w.b.service), job, &info) && !job_state_final(info.state)); /* its agent alone does not count */
    job_info_clear(&info);
    FILE *f = fopen(files[0], "a");
    g_assert_nonnull(f);
    fputs("Debian GNU/Linux\nweb login: ", f);
    fclose(f);
    world_done(&w.b, job);
    g_assert_true(checked(&w, &vm, 1).check.passed);
    nothing_left(&w, &vm);
    world_close(&w);
}

/* Meanwhile replication goes on, nobody removes the test guest, and a failover is not kept waiting. */
static void
test_beside(void)
{
    struct world w = { 0 };
    char job[UUID_TEXT], other[UUID_TEXT];
    world_open(&w);
    const struct uuid vm = replicated(&w, SETTINGS(",\"verify_timeout_s\":1000"), true, NULL);
    fake_fail(w.b.fake, FAKE_AGENT, ERR_NOT_AVAILABLE, G_MAXUINT);
    begin(&w, &vm, job);
    const struct uuid test = running(&w, &vm);
    world_wait_cycle(&w, &vm);
    g_autoptr(GError) twice = NULL, gone = NULL;
    g_assert_false(repl_verify(w.b.service, &vm, NULL, "test", other, &twice));
    g_assert_error(twice, ERR, ERR_INVALID_STATE);
    g_assert_true(repl_power(w.b.service, &test, 3, "test", other, NULL)); /* somebody turns it off, and at once: */
    g_assert_false(repl_destroy_guest(w.b.service, &test, "test", other, &gone));
    g_assert_true(err_is(gone, ERR_IN_USE) || err_is(gone, ERR_NO_SUCH_INSTANCE)); /* the check was quicker */
    world_fails(&w.b, job, "failed");
    begin(&w, &vm, job);
    running(&w, &vm);
    g_assert_true(repl_failover(w.b.service, &vm, NULL, false, "test", other, NULL));
    world_done(&w.b, other);
    fake_fail(w.b.fake, FAKE_AGENT, ERR_NOT_AVAILABLE, 0);
    world_done(&w.b, job);
    nothing_left(&w, &vm);
    g_assert_cmpuint(world_state(&w.b, &vm), ==, STATE_RECOVERED);
    COVERS("test failover", "during another job", "a boot check does not keep a failover waiting: it ends, its guest goes");
    world_close(&w);
}

/* Between the look at the test guest and the question whose it is, its check ends: as if nobody had looked. */
static struct {
    struct world *w;
    GThread *thread;
    struct uuid test;
    const char *job;
} late;

static struct vm_facts *
look_and_wait(struct vm_conn *c, const struct uuid *vm, GError **err)
{
    const bool mine = late.thread == g_thread_self() && late.job && uuid_equal(vm, &late.test);
    if (mine)
        fake_power_set(late.w->b.fake, vm, VM_OFF);
    struct vm_facts *facts = fake_vm_ops.facts_get(c, vm, err);
    if (mine)
        world_fails(&late.w->b, g_steal_pointer(&late.job), "failed");
    return facts;
}

static void
test_gone_meanwhile(void)
{
    struct repl_vm_ops ops = fake_vm_ops;
    struct world w = { .ops = &ops };
    char job[UUID_TEXT], other[UUID_TEXT];
    g_autoptr(GError) err = NULL;
    ops.facts_get = look_and_wait;
    late.thread = g_thread_self();
    world_open(&w);
    const struct uuid vm = replicated(&w, SETTINGS(",\"verify_timeout_s\":1000"), true, NULL);
    fake_fail(w.b.fake, FAKE_AGENT, ERR_NOT_AVAILABLE, G_MAXUINT);
    begin(&w, &vm, job);
    late.test = running(&w, &vm);
    late.w = &w;
    late.job = job;
    g_assert_false(repl_destroy_guest(w.b.service, &late.test, "test", other, &err));
    g_assert_error(err, ERR, ERR_NO_SUCH_INSTANCE);
    g_assert_null(late.job);
    world_close(&w);
}

static void
test_cancel(void)
{
    struct world w = { 0 };
    char job[UUID_TEXT];
    world_open(&w);
    const struct uuid vm = replicated(&w, SETTINGS(",\"verify_timeout_s\":1000"), true, NULL);
    fake_fail(w.b.fake, FAKE_AGENT, ERR_NOT_AVAILABLE, G_MAXUINT);
    begin(&w, &vm, job);
    running(&w, &vm);
    g_assert_true(job_cancel(repl_jobs(w.b.service), job, NULL));
    struct job_info info = world_wait(&w.b, job);
    g_assert_cmpuint(info.state, ==, JOB_TERMINATED);
    job_info_clear(&info);
    nothing_left(&w, &vm);
    checked(&w, &vm, 0); /* that is no result */
    /* The daemon is stopped in the middle. */
    begin(&w, &vm, job);
    running(&w, &vm);
    host_down(&w.b);
    host_up(&w, &w.b);
    nothing_left(&w, &vm);
    world_close(&w);
}

static void
tend(struct world *w, const struct uuid *vm)
{
    relation_auto rel = core_find(w->b.service->core, vm, 0);
    task_now(rel->in.maintain);
}

/* A check of a point that is merged away goes with it; the newest check stays. */
static void
test_sweep(void)
{
    struct world w = { 0 };
    char job[UUID_TEXT], id[UUID_TEXT];
    world_open(&w);
    const struct uuid vm = replicated(&w, "{\"interval_ms\":250}", true, NULL);
    fake_scribble(w.a.fake, &vm, w.rand, 10);
    world_wait_cycle(&w, &vm); /* the first one is the hour's point */
    begin(&w, &vm, job);
    world_done(&w.b, job);
    struct repl_statistics st;
    g_assert_true(repl_statistics(w.b.service, &vm, 0, &st, NULL, NULL));
    g_autofree char *first = g_strdup_printf("checks/%s.json", uuid_format(&st.check_point, id));
    for (guint i = 0; i < 3; i++) {
        fake_scribble(w.a.fake, &vm, w.rand, 10);
        world_wait_cycle(&w, &vm);
    }
    begin(&w, &vm, job);
    world_done(&w.b, job);
    g_assert_true(repl_statistics(w.b.service, &vm, 0, &st, NULL, NULL));
    g_autofree char *second = g_strdup_printf("checks/%s.json", uuid_format(&st.check_point, id));
    g_assert_cmpstr(first, !=, second);
    for (guint i = 0; i < 3; i++) {
        fake_scribble(w.a.fake, &vm, w.rand, 10);
        world_wait_cycle(&w, &vm);
    }
    UNTIL((tend(&w, &vm), !left(&w, &vm, first)));
    g_assert_true(left(&w, &vm, second));
    world_close(&w);
}

/* ---- the daemon dies before and after every change that it makes outside of its database ---- */

static const char *self;

/* --child DIR PORT VM N: this program again, as the daemon that dies. */
static int
child(char **argv)
{
    struct world w = { 0 };
    struct uuid vm;
    char job[UUID_TEXT];
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    g_assert_true(uuid_parse(argv[4], &vm));
    world_borrow(&w, argv[2], (guint)atoi(argv[3]));
    host_up(&w, &w.b);
    fake_die_in(w.b.fake, (guint)atoi(argv[5]));
    begin(&w, &vm, job);
    struct job_info i = world_wait(&w.b, job);
    _exit(i.state == JOB_COMPLETED ? 0 : 3);
}

/* True: it came to its end. */
static bool
run_child(struct world *w, const struct uuid *vm, guint n)
{
    char id[UUID_TEXT];
    int status;
    g_autofree char *number = g_strdup_printf("%u", n), *port = g_strdup_printf("%u", w->b.port);
    const char *argv[] = { self, "--child", w->box.dir, port, uuid_format(vm, id), number, NULL };
    g_autoptr(GError) err = NULL;
    g_assert_true(g_spawn_sync(NULL, (char **)(gpointer)argv, NULL, G_SPAWN_DEFAULT, NULL, NULL, NULL, NULL, &status, &err));
    g_assert_no_error(err);
    g_assert_true(WIFEXITED(status) && (WEXITSTATUS(status) == 0 || WEXITSTATUS(status) == 9));
    return WEXITSTATUS(status) == 0;
}

static void
test_crash(void)
{
    struct world w = { 0 };
    world_open(&w);
    const struct uuid vm = replicated(&w, SETTINGS(""), true, NULL);
    bool over = false;
    guint n;
    for (n = 1; !over; n++) {
        g_assert_cmpuint(n, <, 60);
        host_down(&w.b);
        over = run_child(&w, &vm, n);
        host_up(&w, &w.b);
        nothing_left(&w, &vm);
    }
    g_assert_cmpuint(n, >, 6); /* it did die on the way */
    /* Pausing and resuming lets a try again at once. */
    for (guint state = 7; state; state = state == 7 ? 3 : 0) {
        char job[UUID_TEXT];
        g_assert_true(repl_state_change(w.a.service, &vm, 0, state, "test", job, NULL));
        world_done(&w.a, job);
    }
    world_wait_cycle(&w, &vm);
    COVERS("test failover", "daemon killed",
           "killed before and after each change: the next daemon removes the test guest, nothing is left");
    world_close(&w);
}

int
main(int argc, char **argv)
{
    if (argc == 6 && !strcmp(argv[1], "--child"))
        return child(argv);
    self = argv[0];
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/repl/drill/agent", test_agent);
    g_test_add_func("/repl/drill/failures", test_failures);
    g_test_add_func("/repl/drill/turns-itself-off", test_turns_itself_off);
    g_test_add_func("/repl/drill/console-text", test_console_text);
    g_test_add_func("/repl/drill/beside", test_beside);
    g_test_add_func("/repl/drill/gone-meanwhile", test_gone_meanwhile);
    g_test_add_func("/repl/drill/cancel", test_cancel);
    g_test_add_func("/repl/drill/sweep", test_sweep);
    g_test_add_func("/repl/drill/crash", test_crash);
    return g_test_run();
}
