/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "vm/serve.h"

#include "base/clean.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/file.h"
#include "vm/nbdblock.h"
#include "vm/run.h"
#include "vm/scratch.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { PID_FILE_MAX = 256, CMDLINE_MAX = 64 << 10, POLL_FIRST_US = 1000, POLL_MAX_US = 20000 };
static const gint64 START_TIMEOUT_US = 5 * G_USEC_PER_SEC, READY_TIMEOUT_US = 30 * G_USEC_PER_SEC, STOP_TIMEOUT_US = 2 * G_USEC_PER_SEC;

/* ---- who serves ---- */

struct server {
    pid_t pid;
    guint64 started; /* field 22 of /proc/PID/stat: with it a number that was given out again is told apart */
};

static char *
pid_path(const char *socket)
{
    return g_strconcat(socket, ".pid", NULL);
}

/* Its file in /proc; *text NULL: there is no such process (any more). */
static bool
read_process(pid_t pid, const char *name, char **text, gsize *len, GError **err)
{
    g_autofree char *path = g_strdup_printf("/proc/%d/%s", (int)pid, name);
    g_autoptr(GError) why = NULL;
    *text = NULL;
    if (g_file_get_contents(path, text, len, &why))
        return true;
    return (kill(pid, 0) != 0 && errno == ESRCH) ||
           err_set(err, ERR_IO, "It cannot be found out whether process %d is there: %s.", (int)pid, why->message);
}

/* *started 0: it is not there, or has ended. */
static bool
start_time_of(pid_t pid, guint64 *started, GError **err)
{
    g_autofree char *stat = NULL;
    *started = 0;
    if (!read_process(pid, "stat", &stat, NULL, err))
        return false;
    const char *at = stat ? strrchr(stat, ')') : NULL;
    const bool zombie = at && strlen(at) > 2 && at[2] == 'Z';
    for (int field = 2; at && field < 22; field++)
        at = strchr(at + 1, ' ');
    if (at && !zombie)
        *started = g_ascii_strtoull(at, NULL, 10);
    return true;
}

/* Whether one argument of the process is `word`. */
static bool
has_argument(pid_t pid, const char *word, bool *has, GError **err)
{
    g_autofree char *line = NULL;
    gsize len = 0;
    *has = false;
    if (!read_process(pid, "cmdline", &line, &len, err))
        return false;
    for (const char *at = line; at && at < line + len; at += strlen(at) + 1)
        *has = *has || g_str_equal(at, word);
    return true;
}

/* out->pid 0: there is none.  nbdkit writes "<pid>", we add the start time; a crash in between leaves the first form, and the command line
 * has to vouch. */
static bool
find_server(const char *socket, struct server *out, GError **err)
{
    g_autofree char *path = pid_path(socket), *text = NULL;
    g_autoptr(GError) why = NULL;
    *out = (struct server){ 0 };
    if (!file_read_all(path, PID_FILE_MAX, &text, NULL, &why)) {
        if (err_is(why, ERR_NOT_FOUND))
            return true;
        g_propagate_error(err, g_steal_pointer(&why));
        return false;
    }
    char *end = NULL;
    struct server s = { 0 };
    const guint64 pid = g_ascii_strtoull(text, &end, 10);
    const guint64 wanted = g_ascii_strtoull(end, NULL, 10);
    if (pid == 0 || pid > G_MAXINT)
        return true;
    s.pid = (pid_t)pid;
    if (!start_time_of(s.pid, &s.started, err))
        return false;
    bool it = wanted == s.started;
    if (!wanted && !has_argument(s.pid, socket, &it, err))
        return false;
    if (s.started && it)
        *out = s;
    return true;
}

bool
serve_running(const char *socket, bool *running, GError **err)
{
    struct server s;
    const bool known = find_server(socket, &s, err);
    *running = s.pid != 0;
    return known;
}

/* ---- starting ---- */

static void
own_session(gpointer unused)
{
    run_child_setup(unused);
    setsid();
}

/* nbdkit goes into the background by itself once it listens, so its exit status says whether it does.  Its pid file comes later. */
static bool
launch(char **argv, GError **err)
{
    g_autoptr(GError) why = NULL;
    g_autofree char *words = NULL;
    int status = 0;
    if (!g_spawn_sync(NULL, argv, NULL, G_SPAWN_SEARCH_PATH | G_SPAWN_STDOUT_TO_DEV_NULL, own_session, NULL, NULL, &words, &status, &why))
        return err_set(err, ERR_NOT_AVAILABLE, "Program '%s' cannot be started: %s.", argv[0], why->message);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
        return true;
    g_strchomp(words);
    return err_set(err, ERR_FAILED, "Program '%s' does not serve the recovery point: %s.", argv[0], *words ? words : "it gave no reason");
}

static bool
wait_for_answer(const char *socket, GError **err)
{
    const gint64 deadline = clock_mono_us() + READY_TIMEOUT_US;
    gulong pause_us = POLL_FIRST_US;
    bool running;
    while (!nbdblock_answers(socket)) {
        if (!serve_running(socket, &running, err))
            return false;
        if (!running)
            return err_set(err, ERR_NOT_AVAILABLE, "The server at '%s' ended.", socket);
        if (clock_mono_us() > deadline)
            return err_set(err, ERR_TIMEOUT, "The server at '%s' does not answer.", socket);
        g_usleep(pause_us);
        pause_us = MIN(pause_us * 2, POLL_MAX_US);
    }
    return true;
}

/* QEMU's user must reach the socket and write to it; nobody else needs to. */
static bool
open_to_qemu(const struct serve_config *config, const char *socket, GError **err)
{
    uid_t uid;
    gid_t gid;
    if (!scratch_owner(config->qemu_user, &uid, &gid, err))
        return false;
    if (chown(socket, uid, gid) != 0 || chmod(socket, 0600) != 0)
        return err_errno(err, "Socket '%s' cannot be given to QEMU", socket);
    return true;
}

static bool
remember(const char *socket, GError **err)
{
    const gint64 deadline = clock_mono_us() + START_TIMEOUT_US;
    gulong pause_us = POLL_FIRST_US;
    struct server s;
    g_autofree char *path = pid_path(socket);
    for (;;) {
        if (!find_server(socket, &s, err))
            return false;
        if (s.pid)
            break;
        if (clock_mono_us() > deadline)
            return err_set(err, ERR_NOT_AVAILABLE, "The server at '%s' ended.", socket);
        g_usleep(pause_us);
        pause_us = MIN(pause_us * 2, POLL_MAX_US);
    }
    g_autofree char *text = g_strdup_printf("%d %" G_GUINT64_FORMAT "\n", (int)s.pid, s.started);
    return file_replace(path, text, strlen(text), 0644, err);
}

static bool
start_new(const struct serve_config *config, const char *store, const char *point, const char *socket, GError **err)
{
    g_autofree char *pid_file = pid_path(socket), *folder = g_path_get_dirname(socket);
    if (!file_make_dirs(folder, 0711, err))
        return false;
    unlink(socket);
    unlink(pid_file);
    const char *const argv[] = { config->nbdkit, "--readonly", "--unix", socket, "--pidfile", pid_file, config->plugin, store, point,
                                 NULL };
    g_auto(GStrv) copy = g_strdupv((char **)(gsize)argv);
    return launch(copy, err) && open_to_qemu(config, socket, err) && remember(socket, err) && wait_for_answer(socket, err);
}

bool
serve_start(const struct serve_config *config, const char *store_dir, const struct uuid *point, const char *socket, GError **err)
{
    char text[UUID_TEXT];
    g_autofree char *store_arg = g_strconcat("store=", store_dir, NULL);
    g_autofree char *point_arg = g_strconcat("point=", uuid_format_lower(point, text), NULL);
    struct server s;
    bool store, same;
    if (!find_server(socket, &s, err))
        return false;
    if (s.pid) {
        if (!has_argument(s.pid, store_arg, &store, err) || !has_argument(s.pid, point_arg, &same, err))
            return false;
        if (!store || !same)
            return err_set(err, ERR_IN_USE, "Socket '%s' serves another recovery point.", socket);
        return open_to_qemu(config, socket, err) && remember(socket, err) && wait_for_answer(socket, err);
    }
    if (start_new(config, store_arg, point_arg, socket, err))
        return true;
    serve_stop(socket, NULL);
    return false;
}

/* ---- stopping ---- */

static bool
wait_for_end(const struct server *s, gint64 timeout_us)
{
    const gint64 deadline = clock_mono_us() + timeout_us;
    gulong pause_us = POLL_FIRST_US;
    guint64 now;
    while (!start_time_of(s->pid, &now, NULL) || now == s->started) {
        if (clock_mono_us() > deadline)
            return false;
        g_usleep(pause_us);
        pause_us = MIN(pause_us * 2, POLL_MAX_US);
    }
    return true;
}

bool
serve_stop(const char *socket, GError **err)
{
    g_autofree char *pid_file = pid_path(socket);
    struct server s;
    if (!find_server(socket, &s, err))
        return false;
    if (s.pid) {
        kill(s.pid, SIGTERM); /* nbdkit waits for its clients, who may stay; being read-only it has nothing to lose */
        if (!wait_for_end(&s, STOP_TIMEOUT_US)) {
            kill(s.pid, SIGKILL);
            if (!wait_for_end(&s, STOP_TIMEOUT_US))
                return err_set(err, ERR_TIMEOUT, "The server at '%s' (process %d) does not end.", socket, (int)s.pid);
        }
    }
    unlink(socket);
    return file_unlink_durably(pid_file, err);
}
