/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "world.h"

#include "base/err.h"
#include "base/file.h"
#include "repl/failover.h"
#include "vm/fence.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

/* The daemon of the replica dies in the middle of a failover, a revert, a commit, a removal, a test failover or its end: before and after
 * every change that it makes outside of its database, and at random moments.  The next one must find its way, from files alone.
 *
 * The dying daemon is this program again with --child; it works on the same folder as the test, whose own services are down. */

static const char *self;

enum op { FAILOVER, REVERT, COMMIT, REMOVE, TEST, UNTEST, OPS };
static const char *const NAMES[OPS] = { "failover", "revert", "commit", "remove", "test", "end-of-test" };

struct scene {
    struct world w;
    struct uuid vm, point;
    guint points;
    char *copy;
};

/* ---- the child ---- */

static bool
end_test(struct repl_service *s, char job[UUID_TEXT])
{
    g_autoptr(GArray) tests = repl_tests(s);
    g_assert_cmpuint(tests->len, ==, 1);
    return repl_destroy_guest(s, &g_array_index(tests, struct repl_test, 0).test, "test", job, NULL);
}

static bool
begin(struct repl_service *s, enum op op, const struct uuid *vm, const struct uuid *point, char job[UUID_TEXT])
{
    switch (op) {
    case FAILOVER: return repl_failover(s, vm, point, false, "test", job, NULL);
    case REVERT: return repl_revert(s, vm, "test", job, NULL);
    case COMMIT: return repl_commit(s, vm, "test", job, NULL);
    case TEST: return repl_test_failover(s, vm, point, false, "test", job, NULL);
    case UNTEST: return end_test(s, job);
    default: return repl_remove(s, vm, 0, "test", job, NULL);
    }
}

/* --child OP N DIR PORT VM POINT */
static int
child(char **argv)
{
    struct world w = { 0 };
    struct uuid vm, point;
    char job[UUID_TEXT];
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    g_assert_true(uuid_parse(argv[6], &vm) && uuid_parse(argv[7], &point));
    world_borrow(&w, argv[4], (guint)atoi(argv[5]));
    host_up(&w, &w.b);
    fake_die_in(w.b.fake, (guint)atoi(argv[3]));
    g_assert_true(begin(w.b.service, (enum op)atoi(argv[2]), &vm, &point, job));
    g_print("begun\n");
    fflush(stdout);
    struct job_info i = world_wait(&w.b, job);
    _exit(i.state == JOB_COMPLETED || i.state == JOB_WARNINGS ? 0 : 3);
}

/* n 0: dies only by the parent's hand, after_us after the job began.  True: it ended its work. */
static bool
run_child(struct scene *s, enum op op, guint n, gulong after_us)
{
    char vm[UUID_TEXT], point[UUID_TEXT];
    g_autofree char *which = g_strdup_printf("%d", op), *number = g_strdup_printf("%u", n), *port = g_strdup_printf("%u", s->w.b.port);
    const char *argv[] = {self, "--child", which, number, s->w.box.dir, port, uuid_format(&s->vm, vm), uuid_format(&s->point, point), NULL};
    GPid pid;
    int out, status;
    char line[8];
    g_autoptr(GError) err = NULL;
    g_assert_true(
        g_spawn_async_with_pipes(NULL, (char **)(gpointer)argv, NULL, G_SPAWN_DO_NOT_REAP_CHILD, NULL, NULL, &pid, NULL, &out, NULL, &err));
    g_assert_no_error(err);
    const ssize_t got = read(out, line, sizeof line);
    if (after_us && got > 0) {
        g_usleep(after_us);
        kill(pid, SIGKILL);
    }
    g_assert_cmpint(waitpid(pid, &status, 0), ==, pid);
    close(out);
    g_assert_true(WIFSIGNALED(status) ? WTERMSIG(status) == SIGKILL : WEXITSTATUS(status) == 0 || WEXITSTATUS(status) == 9);
    return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

/* ---- the parent ---- */

static void
copy_tree(const char *from, const char *to)
{
    g_assert_true(file_remove_tree(to, NULL));
    const char *argv[] = { "cp", "-a", from, to, NULL };
    g_assert_true(g_spawn_sync(NULL, (char **)(gpointer)argv, NULL, G_SPAWN_SEARCH_PATH, NULL, NULL, NULL, NULL, NULL, NULL));
}

static void
do_now(struct scene *s, enum op op)
{
    char job[UUID_TEXT];
    g_assert_true(begin(s->w.b.service, op, &s->vm, &s->point, job));
    world_done(&s->w.b, job);
}

static void
scene_open(struct scene *s, enum op op)
{
    struct world *w = &s->w;
    world_open(w);
    s->vm = world_guest(w, 2);
    world_enable(w, &s->vm, 250);
    world_start(w, &s->vm);
    for (int i = 0; i < 3; i++) {
        fake_scribble(w->a.fake, &s->vm, w->rand, 10);
        world_wait_cycle(w, &s->vm);
    }
    host_down(&w->a);
    world_drain(w);
    g_autoptr(GArray) points = repl_points(w->b.service, &s->vm, NULL);
    s->points = points->len;
    s->point = g_array_index(points, struct repl_point, 1).id;
    if (op == REVERT || op == COMMIT)
        do_now(s, FAILOVER);
    if (op == UNTEST)
        do_now(s, TEST);
    host_down(&w->b);
    s->copy = g_strdup_printf("%s.copy", w->b.dir);
    copy_tree(w->b.dir, s->copy);
}

static void
scene_close(struct scene *s)
{
    if (s->w.b.service)
        host_down(&s->w.b);
    g_assert_true(file_remove_tree(s->copy, NULL));
    g_free(s->copy);
    world_close(&s->w);
}

static bool
all_final(struct host *h)
{
    g_autoptr(GPtrArray) jobs = job_list(repl_jobs(h->service));
    for (guint i = 0; i < jobs->len; i++)
        if (!job_state_final(((const struct job_info *)jobs->pdata[i])->state))
            return false;
    return true;
}

static void
check_replica(struct scene *s)
{
    struct core *c = s->w.b.service->core;
    struct uuid at;
    g_autofree char *socket = failover_socket(c, &s->vm), *folder = world_folder(&s->w, &s->vm);
    g_autofree char *overlays = g_build_filename(folder, "failover", NULL);
    g_autofree char *xml = fake_definition(s->w.b.fake, &s->vm);
    g_assert_false(fake_serving(socket, &at));
    g_assert_false(g_file_test(overlays, G_FILE_TEST_EXISTS));
    g_assert_nonnull(strstr(xml, "disk-0.raw"));
    g_assert_true(fence_is_up(c->fence_dir, &s->vm));
    g_assert_cmpuint(world_compare(&s->w, &s->vm), ==, s->points);
}

static void
check_recovered(struct scene *s)
{
    struct core *c = s->w.b.service->core;
    struct uuid at;
    g_autofree char *socket = failover_socket(c, &s->vm);
    g_autofree char *xml = fake_definition(s->w.b.fake, &s->vm);
    g_assert_true(fake_serving(socket, &at));
    g_assert_true(uuid_equal(&at, &s->point));
    g_assert_nonnull(strstr(xml, "vda.qcow2"));
    g_assert_nonnull(strstr(xml, "vdb.qcow2"));
    g_assert_false(fence_is_up(c->fence_dir, &s->vm));
    g_assert_cmpuint(world_compare(&s->w, &s->vm), ==, s->points);
}

static void
check_committed(struct scene *s)
{
    g_autofree char *folder = world_folder(&s->w, &s->vm);
    bool flat = false;
    for (const char *t = "ab"; *t; t++) {
        g_autofree char *path = g_strdup_printf("%s/failover/vd%c.qcow2", folder, *t);
        g_assert_true(fake_vm_ops.overlay_is_flat(path, &flat, NULL) && flat);
    }
    g_autofree char *logs = g_build_filename(folder, "logs", NULL);
    g_assert_false(g_file_test(logs, G_FILE_TEST_EXISTS));
}

static void
check_removed(struct scene *s)
{
    g_autofree char *folder = world_folder(&s->w, &s->vm);
    g_autofree char *base = g_build_filename(folder, "base", "disk-1.raw", NULL), *logs = g_build_filename(folder, "logs", NULL);
    g_assert_true(g_file_test(base, G_FILE_TEST_EXISTS));
    g_assert_false(g_file_test(logs, G_FILE_TEST_EXISTS));
    g_assert_false(fence_is_up(s->w.b.service->core->fence_dir, &s->vm));
}

/* How much of a test guest there is: record, definition, server, overlays. */
static guint
parts_of_test(struct scene *s)
{
    struct uuid at;
    char text[UUID_TEXT];
    g_autoptr(GArray) tests = repl_tests(s->w.b.service);
    g_autoptr(GPtrArray) guests = fake_vm_ops.list(fake_conn(s->w.b.fake), NULL);
    g_autofree char *folder = world_folder(&s->w, &s->vm), *overlays = g_build_filename(folder, "test", NULL);
    g_autofree char *socket = g_strdup_printf("%s/test-%s.sock", s->w.b.service->core->config.runtime_dir,
                                              uuid_format_lower(&s->vm, text));
    return tests->len + (guests->len - 1) + fake_serving(socket, &at) + g_file_test(overlays, G_FILE_TEST_EXISTS);
}

/* There is all of it, or nothing; then it can be made (again) and removed. */
static void
check_test(struct scene *s)
{
    enum { NOTHING, ALL = 4 };
    UNTIL(parts_of_test(s) == NOTHING || parts_of_test(s) == ALL);
    if (parts_of_test(s) == NOTHING)
        do_now(s, TEST);
    g_assert_cmpuint(parts_of_test(s), ==, ALL);
    do_now(s, UNTEST);
    g_assert_cmpuint(parts_of_test(s), ==, NOTHING);
    g_assert_cmpuint(world_state(&s->w.b, &s->vm), ==, STATE_REPLICATING);
    check_replica(s);
}

/* Either it never began, or the new daemon finished it; then it can be done (again). */
static void
check(struct scene *s, enum op op)
{
    UNTIL(all_final(&s->w.b));
    if (op == TEST || op == UNTEST) {
        check_test(s);
        return;
    }
    const enum repl_state now = world_state(&s->w.b, &s->vm);
    if (now == STATE_REPLICATING)
        check_replica(s);
    else if (now == STATE_RECOVERED)
        check_recovered(s);
    else if (now == STATE_COMMITTED)
        check_committed(s);
    else
        check_removed(s);
    static const enum repl_state BEFORE[] = { STATE_REPLICATING, STATE_RECOVERED, STATE_RECOVERED, STATE_REPLICATING };
    static const enum repl_state AFTER[] = { STATE_RECOVERED, STATE_REPLICATING, STATE_COMMITTED, STATE_DISABLED };
    g_assert_true(now == BEFORE[op] || now == AFTER[op]);
    if (now == BEFORE[op])
        do_now(s, op);
    g_assert_cmpuint(world_state(&s->w.b, &s->vm), ==, AFTER[op]);
}

static bool
die_once(struct scene *s, enum op op, guint n, gulong after_us)
{
    copy_tree(s->copy, s->w.b.dir);
    const bool ended = run_child(s, op, n, after_us);
    host_up(&s->w, &s->w.b);
    check(s, op);
    host_down(&s->w.b);
    return ended;
}

static void
test_op(gconstpointer data)
{
    const enum op op = (enum op)GPOINTER_TO_INT(data);
    struct scene s = { 0 };
    scene_open(&s, op);
    guint n = 1;
    while (!die_once(&s, op, n, 0))
        n++;
    g_test_message("%s: died at %u changes", NAMES[op], n - 1);
    g_assert_cmpuint(n, >, op == REMOVE ? 0 : 2);
    for (int i = 0; i < 12; i++)
        die_once(&s, op, 0, 1 + (gulong)g_rand_int(s.w.rand) % 30000);
    if (op == FAILOVER)
        COVERS("unplanned failover", "daemon killed", "before and after each change: the next one is where it began, or at its end");
    if (op == REVERT)
        COVERS("revert", "daemon killed", "before and after each change: the next one is where it began, or at its end");
    if (op == COMMIT)
        COVERS("commit", "daemon killed", "before and after each change: the next one is where it began, or at its end");
    if (op == TEST)
        COVERS("test failover", "daemon killed", "before and after each change: the test guest is whole, or nothing of it is left");
    scene_close(&s);
}

int
main(int argc, char **argv)
{
    self = argv[0];
    if (argc == 8 && !strcmp(argv[1], "--child"))
        return child(argv);
    g_test_init(&argc, &argv, NULL);
    for (int op = 0; op < OPS; op++) {
        g_autofree char *name = g_strdup_printf("/repl/crash/%s", NAMES[op]);
        g_test_add_data_func(name, GINT_TO_POINTER(op), test_op);
    }
    return g_test_run();
}
