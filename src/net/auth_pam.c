/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "net/auth_pam.h"

#include "base/clean.h"
#include "base/err.h"
#include "base/file.h"
#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <unistd.h>

struct auth_pam {
    char *program, *service;
    guint limit_s;
    GMutex lock;
    GCond freed;
    guint asking;
};

struct auth_pam *
auth_pam_new(const char *program, const char *service, guint limit_s, GError **err)
{
    static const char NAME[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-";
    if (!*service || strspn(service, NAME) != strlen(service)) {
        err_set(err, ERR_USAGE, "'%s' cannot be a PAM service; it is the name of a file in /etc/pam.d.", service);
        return NULL;
    }
    if (access(program, X_OK) != 0) {
        err_errno(err, "Cannot run '%s'", program);
        return NULL;
    }
    struct auth_pam *p = g_new0(struct auth_pam, 1);
    p->program = g_strdup(program);
    p->service = g_strdup(service);
    p->limit_s = limit_s;
    g_mutex_init(&p->lock);
    g_cond_init(&p->freed);
    return p;
}

void
auth_pam_free(struct auth_pam *p)
{
    if (!p)
        return;
    g_mutex_clear(&p->lock);
    g_cond_clear(&p->freed);
    g_free(p->program);
    g_free(p->service);
    g_free(p);
}

static bool
enter(struct auth_pam *p)
{
    const gint64 until = g_get_monotonic_time() + AUTH_PAM_QUEUE_S * (gint64)G_USEC_PER_SEC;
    HOLD(&p->lock);
    while (p->asking >= AUTH_PAM_AT_ONCE)
        if (!g_cond_wait_until(&p->freed, &p->lock, until))
            return false;
    p->asking++;
    return true;
}

static void
leave(struct auth_pam *p)
{
    HOLD(&p->lock);
    p->asking--;
    g_cond_signal(&p->freed);
}

/* A pipe that holds the whole question already, so that nobody waits for the program to read; credentials are shorter than its buffer. */
static int
question(const char *user, const char *password, const char *address)
{
    const char *const texts[] = {user, password, address ? address : ""};
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0)
        return -1;
    auto_fd in = ends[0], out = ends[1];
    for (guint i = 0; i < G_N_ELEMENTS(texts); i++) {
        const ssize_t len = (ssize_t)strlen(texts[i]) + 1;
        if (len > PIPE_BUF || TEMP_FAILURE_RETRY(write(out, texts[i], (size_t)len)) != len)
            return -1;
    }
    return g_steal_fd(&in);
}

/* In the child, before the program: a group of its own, which is killed as a whole, and no signals blocked. */
static void
in_child(gpointer user)
{
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    setpgid(0, 0);
}

static GPid
start(const struct auth_pam *p, int in)
{
    char *const argv[] = {p->program, p->service, NULL};
    char *const environment[] = {(char[]){"PATH=/usr/sbin:/usr/bin:/sbin:/bin"}, NULL};
    g_autoptr(GError) why = NULL;
    GPid pid = 0;
    const GSpawnFlags flags = G_SPAWN_DO_NOT_REAP_CHILD | G_SPAWN_STDOUT_TO_DEV_NULL;
    if (!g_spawn_async_with_pipes_and_fds("/", (const char *const *)argv, (const char *const *)environment, flags, in_child, NULL, in, -1,
                                          -1, NULL, NULL, 0, &pid, NULL, NULL, NULL, &why))
        log_error("Passwords cannot be checked with PAM. %s", why->message);
    return pid;
}

/* The wait status; -1: it took too long and is dead now. */
static int
finish(GPid pid, guint limit_s)
{
    auto_fd handle = pidfd_open(pid, 0);
    struct pollfd over = {.fd = handle, .events = POLLIN};
    int status = -1;
    const bool ended = handle >= 0 && TEMP_FAILURE_RETRY(poll(&over, 1, (int)limit_s * 1000)) == 1;
    kill(-pid, SIGKILL); /* also what a module left behind */
    if (!ended)
        kill(pid, SIGKILL);
    if (TEMP_FAILURE_RETRY(waitpid(pid, &status, 0)) != pid || !ended)
        return -1;
    return status;
}

static enum auth_pam_answer
judge(int status, guint limit_s)
{
    if (status != -1 && WIFEXITED(status) && WEXITSTATUS(status) == 0)
        return AUTH_PAM_YES;
    if (status != -1 && WIFEXITED(status) && WEXITSTATUS(status) == 1)
        return AUTH_PAM_NO;
    if (status == -1)
        log_error("PAM did not say within %u s whether a password is right.", limit_s);
    else
        log_error("The program that asks PAM ended with status %d; see the lines before.", status);
    return AUTH_PAM_BROKEN;
}

enum auth_pam_answer
auth_pam_ask(struct auth_pam *p, const char *user, const char *password, const char *address)
{
    if (!enter(p))
        return AUTH_PAM_BUSY;
    auto_fd in = question(user, password, address);
    const GPid pid = in >= 0 ? start(p, in) : 0;
    const enum auth_pam_answer answer = pid > 0 ? judge(finish(pid, p->limit_s), p->limit_s) : AUTH_PAM_BROKEN;
    leave(p);
    return answer;
}
