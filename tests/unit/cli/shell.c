/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "shell.h"

#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

void
shell_clear(struct shell *s)
{
    g_clear_pointer(&s->out, g_free);
    g_clear_pointer(&s->err, g_free);
}

/* Dies with the test; standard input is a file or nothing. */
static void
child(gpointer user)
{
    int fd = *(int *)user;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (fd >= 0)
        dup2(fd, STDIN_FILENO);
}

static int
input_of(const struct shell *s)
{
    int fd = s->input ? memfd_create("input", 0) : open("/dev/null", O_RDONLY);
    g_assert_cmpint(fd, >=, 0);
    if (s->input) {
        g_assert_cmpint(write(fd, s->input, strlen(s->input)), ==, (gssize)strlen(s->input));
        lseek(fd, 0, SEEK_SET);
    }
    return fd;
}

static void
run(struct shell *s, char *const *connection, const char *verb, va_list args)
{
    g_autoptr(GPtrArray) argv = g_ptr_array_new();
    g_autoptr(GError) err = NULL;
    int fd = input_of(s), status = 0;
    shell_clear(s);
    g_ptr_array_add(argv, (gpointer)(guintptr)s->program);
    g_ptr_array_add(argv, (gpointer)(guintptr)verb);
    for (guint i = 0; connection && connection[i]; i++)
        g_ptr_array_add(argv, connection[i]);
    for (const char *a = va_arg(args, const char *); a; a = va_arg(args, const char *))
        g_ptr_array_add(argv, (gpointer)(guintptr)a);
    g_ptr_array_add(argv, NULL);
    g_spawn_sync(NULL, (char **)argv->pdata, NULL, G_SPAWN_CHILD_INHERITS_STDIN, child, &fd, &s->out, &s->err, &status, &err);
    g_assert_no_error(err);
    s->status = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
    close(fd);
}

void
shell_run(struct shell *s, const char *verb, ...)
{
    va_list args;
    va_start(args, verb);
    run(s, s->connection, verb, args);
    va_end(args);
}

void
shell_plain(struct shell *s, const char *verb, ...)
{
    va_list args;
    va_start(args, verb);
    run(s, NULL, verb, args);
    va_end(args);
}

void
shell_expect(struct shell *s, int status, const char *out, const char *err)
{
    bool fine = s->status == status && (!out || strstr(s->out, out)) && (!err || strstr(s->err, err));
    if (!fine) {
        g_test_message("status %d, wanted %d; out wanted '%s', got: %s; err wanted '%s', got: %s", s->status, status, out ? out : "",
                       s->out, err ? err : "", s->err);
        g_assert_true(fine);
    }
}

json_t *
shell_json(struct shell *s)
{
    json_error_t why;
    json_t *value = json_loads(s->out, 0, &why);
    if (!value)
        g_test_message("no JSON: %s (%s)", s->out, s->err);
    g_assert_nonnull(value);
    return value;
}
