/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "vm/release.h"

#include "base/clean.h"
#include "base/err.h"
#include "vm/handle.h"

#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

struct release {
    int word; /* write end of its standard input: its end says that we are gone */
    int out;  /* its standard output: an end says that it is gone */
};

/* Its first word says that it is connected. */
static bool
wait_ready(int fd)
{
    enum { READY_MS = 30000 };
    char word[8];
    struct pollfd p = { .fd = fd, .events = POLLIN };
    return poll(&p, 1, READY_MS) == 1 && read(fd, word, sizeof word) > 0 && word[0] == 'r';
}

struct release *
release_start(struct vm_conn *c, const char *program, const char *runtime_dir, GError **err)
{
    g_autofree char *folder = g_build_filename(runtime_dir, RELEASE_FOLDER, NULL);
    g_autoptr(GError) why = NULL;
    char *argv[] = { (char *)(gsize)program, (char *)(gsize)conn_uri(c), (char *)(gsize)"held", folder, NULL };
    struct release *r = g_new0(struct release, 1);
    *r = (struct release){ -1, -1 };
    if (!g_spawn_async_with_pipes("/", argv, NULL, G_SPAWN_DEFAULT, NULL, NULL, NULL, &r->word, &r->out, NULL, &why))
        err_set(err, ERR_NOT_AVAILABLE, "Program '%s', without which no guest is paused, cannot be started: %s.", program, why->message);
    else if (fcntl(r->word, F_SETFD, FD_CLOEXEC) < 0 || fcntl(r->out, F_SETFD, FD_CLOEXEC) < 0 || !wait_ready(r->out))
        err_set(err, ERR_NOT_AVAILABLE, "Program '%s', without which no guest is paused, is not ready.", program);
    else
        return r;
    release_stop(r);
    return NULL;
}

bool
release_runs(const struct release *r)
{
    struct pollfd p = { .fd = r->out, .events = POLLIN };
    return poll(&p, 1, 0) == 0; /* it says nothing more: whatever comes is its end */
}

void
release_stop(struct release *r)
{
    if (!r)
        return;
    if (r->word >= 0)
        close(r->word);
    if (r->out >= 0)
        close(r->out);
    g_free(r);
}
