/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "small_disk.h"

#include "base/file.h"

#include <fcntl.h>
#include <glib.h>
#include <sched.h>
#include <sys/mount.h>
#include <unistd.h>

bool
small_disk_namespace(void)
{
    const bool own = unshare(CLONE_NEWNS) == 0 || unshare(CLONE_NEWUSER | CLONE_NEWNS) == 0;
    return own && mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0;
}

static void
copy(const char *from, const char *to)
{
    int status;
    g_autoptr(GError) err = NULL;
    g_autofree char *what = g_strconcat(from, "/.", NULL);
    const char *argv[] = { "cp", "-a", what, to, NULL };
    g_assert_true(g_spawn_sync(NULL, (char **)(gpointer)argv, NULL, G_SPAWN_SEARCH_PATH, NULL, NULL, NULL, NULL, &status, &err));
    g_assert_no_error(err);
    g_assert_cmpint(status, ==, 0);
}

void
small_disk_open(const char *place, const char *size)
{
    g_autofree char *options = g_strdup_printf("mode=0755,size=%s", size), *aside = g_strconcat(place, ".aside", NULL);
    g_assert_true(file_make_dirs(aside, 0755, NULL));
    copy(place, aside);
    g_assert_cmpint(mount("tmpfs", place, "tmpfs", 0, options), ==, 0);
    copy(aside, place);
    g_assert_true(file_remove_tree(aside, NULL));
}

static char *
filler(const char *place)
{
    return g_build_filename(place, "filler", NULL);
}

void
small_disk_fill(const char *place)
{
    static const char data[64 << 10] = "x";
    g_autofree char *path = filler(place);
    auto_fd fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    g_assert_cmpint(fd, >=, 0);
    while (write(fd, data, sizeof data) > 0)
        ;
}

void
small_disk_free(const char *place)
{
    g_autofree char *path = filler(place);
    g_assert_cmpint(unlink(path), ==, 0);
}

void
small_disk_close(const char *place)
{
    g_assert_cmpint(umount2(place, MNT_DETACH), ==, 0);
}
