/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "vm/run.h"

#include "base/clean.h"
#include "base/err.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>

enum { OUTPUT_MAX = 16 << 20, WORDS_MAX = 600, TICK_MS = 100 };

/* A copy that g_spawn accepts; the strings stay the caller's. */
static char **
mutable_argv(const char *const *argv)
{
    return g_strdupv((char **)(gsize)argv);
}

void
run_child_setup(gpointer unused)
{
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    signal(SIGPIPE, SIG_DFL);
}

static void
last_words(GString *text)
{
    g_strchomp(text->str);
    text->len = strlen(text->str);
    if (text->len > WORDS_MAX)
        g_string_erase(text, 0, (gssize)(text->len - WORDS_MAX));
    if (text->len == 0)
        g_string_assign(text, "it gave no reason");
}

/* Appends what is there; false at the end of the stream. */
static bool
drain(int fd, GString *to)
{
    char buf[16384];
    const ssize_t n = read(fd, buf, sizeof buf);
    if (n > 0 && to->len < OUTPUT_MAX)
        g_string_append_len(to, buf, n);
    return n > 0 || (n < 0 && (errno == EINTR || errno == EAGAIN));
}

/* Reads both streams until they end; false when cancelled. */
static bool
collect(int out_fd, int err_fd, GString *out, GString *words, const gint *cancel)
{
    struct pollfd fds[2] = { { .fd = out_fd, .events = POLLIN }, { .fd = err_fd, .events = POLLIN } };
    GString *const to[2] = { out, words };
    while (fds[0].fd >= 0 || fds[1].fd >= 0) {
        if (cancel && __atomic_load_n(cancel, __ATOMIC_SEQ_CST))
            return false;
        if (poll(fds, 2, TICK_MS) <= 0)
            continue;
        for (int i = 0; i < 2; i++)
            if (fds[i].fd >= 0 && fds[i].revents && !drain(fds[i].fd, to[i]))
                fds[i].fd = -1;
    }
    return true;
}

static int
reap(pid_t pid)
{
    int status = 0;
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    return status;
}

bool
run_program(const char *const *argv, const gint *cancel, char **out, GError **err)
{
    g_auto(GStrv) copy = mutable_argv(argv);
    g_autoptr(GError) why = NULL;
    GPid pid;
    auto_fd out_fd = -1;
    auto_fd err_fd = -1;
    if (!g_spawn_async_with_pipes(NULL, copy, NULL, G_SPAWN_SEARCH_PATH | G_SPAWN_DO_NOT_REAP_CHILD, run_child_setup, NULL, &pid, NULL,
                                  &out_fd, &err_fd, &why))
        return err_set(err, ERR_NOT_AVAILABLE, "Program '%s' cannot be started: %s.", argv[0], why->message);
    g_autoptr(GString) stdout_text = g_string_new(NULL);
    g_autoptr(GString) words = g_string_new(NULL);
    const bool finished = collect(out_fd, err_fd, stdout_text, words, cancel);
    if (!finished)
        kill(pid, SIGTERM);
    const int status = reap(pid);
    if (!finished)
        return err_set(err, ERR_CANCELLED, "Program '%s' was cancelled.", argv[0]);
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
        last_words(words);
        return err_set(err, ERR_FAILED, "Program '%s' failed: %s.", argv[0], words->str);
    }
    if (out)
        *out = g_strdup(stdout_text->str);
    return true;
}

/* ---- tethered servers ---- */

struct tether {
    char *name;
    GPid supervisor;
    int leash;    /* write end: closing it is the command to stop */
    int words_fd; /* stderr of the server */
    bool reaped;
};

/* The server runs in the background of the shell; `read` returns when the pipe ends.  Background jobs of sh have no stdin, hence fd 3.
 * qemu-storage-daemon 7.2 misses a SIGTERM that comes just before it waits for events, and waits for ever: so it gets more, in the end
 * SIGKILL.  What is tethered only reads. */
static const char supervise[] =
    "exec 3<&0 </dev/null; \"$@\" 3<&- & p=$!; "
    "(read -r _ <&3; n=0; while kill $p; do sleep 0.1; n=$((n+1)); [ $n -lt 100 ] || kill -9 $p; done) 2>/dev/null & q=$!; "
    "exec 3<&-; wait $p; s=$?; kill $q 2>/dev/null; exit $s";

struct tether *
tether_start(const char *const *argv, GError **err)
{
    g_autoptr(GPtrArray) full = g_ptr_array_new();
    const char *const head[] = { "/bin/sh", "-c", supervise, "sh" };
    for (gsize i = 0; i < G_N_ELEMENTS(head); i++)
        g_ptr_array_add(full, (gpointer)(gsize)head[i]);
    for (gsize i = 0; argv[i]; i++)
        g_ptr_array_add(full, (gpointer)(gsize)argv[i]);
    g_ptr_array_add(full, NULL);
    g_auto(GStrv) copy = mutable_argv((const char *const *)full->pdata);
    g_autoptr(GError) why = NULL;
    struct tether *t = g_new0(struct tether, 1);
    t->name = g_strdup(argv[0]);
    if (!g_spawn_async_with_pipes(NULL, copy, NULL, G_SPAWN_DO_NOT_REAP_CHILD | G_SPAWN_STDOUT_TO_DEV_NULL, run_child_setup, NULL,
                                  &t->supervisor, &t->leash, NULL, &t->words_fd, &why)) {
        err_set(err, ERR_NOT_AVAILABLE, "Program '%s' cannot be started: %s.", argv[0], why->message);
        g_free(t->name);
        g_free(t);
        return NULL;
    }
    fcntl(t->leash, F_SETFD, FD_CLOEXEC);
    fcntl(t->words_fd, F_SETFD, FD_CLOEXEC);
    return t;
}

bool
tether_alive(struct tether *t, GError **err)
{
    if (!t->reaped && waitpid(t->supervisor, NULL, WNOHANG) == 0)
        return true;
    t->reaped = true;
    g_autoptr(GString) words = g_string_new(NULL);
    fcntl(t->words_fd, F_SETFL, O_NONBLOCK);
    drain(t->words_fd, words);
    last_words(words);
    return err_set(err, ERR_FAILED, "Program '%s' ended: %s.", t->name, words->str);
}

void
tether_stop(struct tether *t)
{
    if (!t)
        return;
    close(t->leash);
    if (!t->reaped)
        reap(t->supervisor);
    close(t->words_fd);
    g_free(t->name);
    g_free(t);
}
