/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/err.h"
#include "vm/run.h"

#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static void
test_output(void)
{
    const char *const argv[] = { "sh", "-c", "printf 'a b'; echo noise >&2", NULL };
    g_autofree char *out = NULL;
    g_autoptr(GError) why = NULL;
    g_assert_true(run_program(argv, NULL, &out, &why));
    g_assert_cmpstr(out, ==, "a b");
}

static void
test_much_output(void)
{
    const char *const argv[] = { "sh", "-c", "head -c 300000 /dev/zero | tr '\\0' x; head -c 300000 /dev/zero >&2", NULL };
    g_autofree char *out = NULL;
    g_assert_true(run_program(argv, NULL, &out, NULL));
    g_assert_cmpuint(strlen(out), ==, 300000);
}

static void
test_failure(void)
{
    const char *const argv[] = { "sh", "-c", "echo 'qemu-img: no such image' >&2; exit 3", NULL };
    const char *const absent[] = { "no-such-program-of-ours", NULL };
    g_autoptr(GError) why = NULL, missing = NULL;
    g_assert_false(run_program(argv, NULL, NULL, &why));
    g_assert_error(why, ERR, ERR_FAILED);
    g_assert_nonnull(strstr(why->message, "no such image"));
    g_assert_false(run_program(absent, NULL, NULL, &missing));
    g_assert_error(missing, ERR, ERR_NOT_AVAILABLE);
}

static void *
cancel_soon(void *flag)
{
    g_usleep(50000);
    g_atomic_int_set((gint *)flag, 1);
    return NULL;
}

static void
test_cancel(void)
{
    const char *const argv[] = { "sleep", "60", NULL };
    gint cancel = 0;
    GThread *t = g_thread_new("cancel", cancel_soon, &cancel);
    g_autoptr(GError) why = NULL;
    g_assert_false(run_program(argv, &cancel, NULL, &why));
    g_assert_error(why, ERR, ERR_CANCELLED);
    g_thread_join(t);
}

/* ---- tethers ---- */

/* The server writes its pid into `path` and stays. */
static struct tether *
start_server(const char *path)
{
    g_autofree char *line = g_strdup_printf("echo $$ >'%s.new' && mv '%s.new' '%s' && exec sleep 600", path, path, path);
    const char *const argv[] = { "sh", "-c", line, NULL };
    return tether_start(argv, NULL);
}

static pid_t
pid_in(const char *path)
{
    g_autofree char *text = NULL;
    for (int i = 0; i < 1000 && !g_file_get_contents(path, &text, NULL, NULL); i++)
        g_usleep(5000);
    g_assert_nonnull(text);
    return (pid_t)g_ascii_strtoull(text, NULL, 10);
}

static bool
ends(pid_t pid)
{
    for (int i = 0; i < 1000; i++) {
        if (kill(pid, 0) != 0)
            return true;
        g_usleep(5000);
    }
    return false;
}

static void
test_tether_stop(void)
{
    g_autofree char *dir = g_dir_make_tmp("vmr-run.XXXXXX", NULL), *path = g_build_filename(dir, "pid", NULL);
    struct tether *t = start_server(path);
    const pid_t pid = pid_in(path);
    g_assert_true(tether_alive(t, NULL));
    tether_stop(t);
    g_assert_true(ends(pid));
    unlink(path);
    rmdir(dir);
}

/* The daemon blocks SIGTERM in all its threads; what it starts must still obey it. */
static void
test_tether_stop_when_blocked(void)
{
    sigset_t set, before;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    pthread_sigmask(SIG_BLOCK, &set, &before);
    test_tether_stop();
    pthread_sigmask(SIG_SETMASK, &before, NULL);
}

/* Some servers need to be told more than once. */
static void
test_tether_stop_when_deaf(void)
{
    static const char deaf[] = "n=0; trap 'n=$((n+1)); [ $n -lt 3 ] || exit' TERM; echo $$ >\"$0.new\"; mv \"$0.new\" \"$0\"; "
                               "while :; do sleep 0.02; done";
    g_autofree char *dir = g_dir_make_tmp("vmr-run.XXXXXX", NULL), *path = g_build_filename(dir, "pid", NULL);
    const char *const argv[] = { "/bin/sh", "-c", deaf, path, NULL };
    struct tether *t = tether_start(argv, NULL);
    const pid_t pid = pid_in(path);
    tether_stop(t);
    g_assert_true(ends(pid));
    unlink(path);
    rmdir(dir);
}

static void
test_tether_ended(void)
{
    const char *const argv[] = { "sh", "-c", "echo 'Failed to get shared lock' >&2; exit 1", NULL };
    struct tether *t = tether_start(argv, NULL);
    g_autoptr(GError) why = NULL;
    while (tether_alive(t, &why))
        g_usleep(2000);
    g_assert_error(why, ERR, ERR_FAILED);
    g_assert_nonnull(strstr(why->message, "shared lock"));
    tether_stop(t);
}

/* The owner dies without a word. */
static void
test_tether_orphan(void)
{
    g_autofree char *dir = g_dir_make_tmp("vmr-run.XXXXXX", NULL), *path = g_build_filename(dir, "pid", NULL);
    const char *const argv[] = { "/proc/self/exe", "orphan", path, NULL };
    g_auto(GStrv) copy = g_strdupv((char **)(gsize)argv);
    int status = 0;
    g_assert_true(g_spawn_sync(NULL, copy, NULL, 0, NULL, NULL, NULL, NULL, &status, NULL));
    g_assert_true(WIFSIGNALED(status));
    g_assert_true(ends(pid_in(path)));
    unlink(path);
    rmdir(dir);
}

int
main(int argc, char **argv)
{
    if (argc == 3 && g_str_equal(argv[1], "orphan")) {
        struct tether *t = start_server(argv[2]);
        pid_in(argv[2]);
        g_assert_true(tether_alive(t, NULL));
        kill(getpid(), SIGKILL);
    }
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/vm/run/output", test_output);
    g_test_add_func("/vm/run/much-output", test_much_output);
    g_test_add_func("/vm/run/failure", test_failure);
    g_test_add_func("/vm/run/cancel", test_cancel);
    g_test_add_func("/vm/tether/stop", test_tether_stop);
    g_test_add_func("/vm/tether/stop-when-blocked", test_tether_stop_when_blocked);
    g_test_add_func("/vm/tether/stop-when-deaf", test_tether_stop_when_deaf);
    g_test_add_func("/vm/tether/ended", test_tether_ended);
    g_test_add_func("/vm/tether/orphan", test_tether_orphan);
    return g_test_run();
}
