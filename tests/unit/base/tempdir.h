/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "base/file.h"

#include <errno.h>
#include <glib.h>
#include <sys/wait.h>

/* A folder for one test that goes away also when the test is killed: a guard in a session of its own waits for the end of a pipe that only
 * the test holds, and removes the folder. */

struct tempdir {
    char *path;
    GPid guard;
    int alive;
};

static inline void
tempdir_make(struct tempdir *t)
{
    GError *err = NULL;
    t->path = g_dir_make_tmp("vmr-test-XXXXXX", &err);
    g_assert_no_error(err);
    char *argv[] = {g_strdup("setsid"), g_strdup("sh"), g_strdup("-c"), g_strdup("cat; rm -rf \"$0\""), t->path, NULL};
    g_spawn_async_with_pipes(NULL, argv, NULL, G_SPAWN_SEARCH_PATH | G_SPAWN_DO_NOT_REAP_CHILD | G_SPAWN_STDOUT_TO_DEV_NULL, NULL, NULL,
                             &t->guard, &t->alive, NULL, NULL, &err);
    g_assert_no_error(err);
    for (int i = 0; i < 4; i++)
        g_free(argv[i]);
}

/* The test has to be able to remove it itself: that shows whether something is left open or locked. */
static inline void
tempdir_remove(struct tempdir *t)
{
    GError *err = NULL;
    g_assert_true(file_remove_tree(t->path, &err));
    g_assert_no_error(err);
    close(t->alive);
    while (waitpid(t->guard, NULL, 0) < 0 && errno == EINTR)
        continue;
    g_clear_pointer(&t->path, g_free);
}
