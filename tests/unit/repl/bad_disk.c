/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "bad_disk.h"

#include <glib.h>
#include <glib/gstdio.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

static bool may_mount;

#define UNTIL_THERE(path) \
    do { \
        for (int i_ = 0; !g_file_test(path, G_FILE_TEST_EXISTS); i_++) { \
            g_assert_cmpint(i_, <, 60000); \
            g_usleep(1000); \
        } \
    } while (0)

void
bad_disk_namespace(void)
{
    may_mount = geteuid() == 0 && unshare(CLONE_NEWNS) == 0 && mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0;
}

const char *
bad_disk_lacks(void)
{
    static const char *const programs[] = { "nbdkit", "nbdfuse", "mkfs.ext4", "e2fsck", "mount" };
    if (!may_mount)
        return "needs root for mounts of its own";
    if (!g_file_test("/dev/fuse", G_FILE_TEST_EXISTS) || !g_file_test("/dev/loop-control", G_FILE_TEST_EXISTS))
        return "needs FUSE and loop devices";
    for (guint i = 0; i < G_N_ELEMENTS(programs); i++) {
        g_autofree char *path = g_find_program_in_path(programs[i]);
        if (!path)
            return "needs nbdkit, nbdfuse and the programs of ext4";
    }
    return NULL;
}

static void
die_with_parent(gpointer unused)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
}

pid_t
bad_disk_server(const char *const *argv)
{
    g_autoptr(GError) err = NULL;
    GPid pid;
    g_spawn_async(NULL, (char **)(uintptr_t)argv, NULL,
                  G_SPAWN_SEARCH_PATH | G_SPAWN_DO_NOT_REAP_CHILD | G_SPAWN_STDOUT_TO_DEV_NULL | G_SPAWN_STDERR_TO_DEV_NULL,
                  die_with_parent, NULL, &pid, &err);
    g_assert_no_error(err);
    return pid;
}

static int
status_of(const char *const *argv)
{
    g_autoptr(GError) err = NULL;
    int status;
    g_spawn_sync(NULL, (char **)(uintptr_t)argv, NULL, G_SPAWN_SEARCH_PATH | G_SPAWN_STDOUT_TO_DEV_NULL | G_SPAWN_STDERR_TO_DEV_NULL, NULL,
                 NULL, NULL, NULL, &status, &err);
    g_assert_no_error(err);
    return WEXITSTATUS(status);
}

void
bad_disk_run(const char *const *argv)
{
    g_assert_cmpint(status_of(argv), ==, 0);
}

static char *
in(const struct bad_disk *d, const char *name)
{
    return g_build_filename(d->dir, name, NULL);
}

static void
mount_it(const struct bad_disk *d)
{
    g_autofree char *image = in(d, "fuse/disk");
    g_autofree char *found = g_build_filename(d->place, "lost+found", NULL);
    const char *const argv[] = { "mount", "-o", "loop,errors=remount-ro", image, d->place, NULL };
    bad_disk_run(argv);
    g_rmdir(found); /* a folder of the program holds nothing of others */
}

static void
start_servers(struct bad_disk *d)
{
    g_autofree char *socket = in(d, "nbd"), *image = in(d, "fuse/disk"), *fuse = in(d, "fuse");
    g_autofree char *trigger = in(d, "fails"), *file = g_strconcat("error-file=", trigger, NULL);
    g_autofree char *uri = g_strconcat("nbd+unix:///?socket=", socket, NULL);
    const char *const nbdkit[] = { "nbdkit", "-f", "-U", socket, "--filter=error", "memory", "64M", "error-pwrite=EIO",
                                   "error-pwrite-rate=100%", file, NULL };
    const char *const nbdfuse[] = { "nbdfuse", image, uri, NULL };
    g_assert_cmpint(g_mkdir_with_parents(fuse, 0700), ==, 0);
    d->nbdkit = bad_disk_server(nbdkit);
    UNTIL_THERE(socket);
    d->nbdfuse = bad_disk_server(nbdfuse);
    UNTIL_THERE(image);
}

void
bad_disk_open(struct bad_disk *d, const char *dir, const char *place)
{
    d->dir = g_strdup(dir);
    d->place = g_strdup(place);
    start_servers(d);
    g_autofree char *image = in(d, "fuse/disk"), *was = g_strconcat(place, ".was", NULL), *all = g_strconcat(was, "/.", NULL);
    g_autofree char *to = g_strconcat(place, "/", NULL);
    const char *const mkfs[] = { "mkfs.ext4", "-q", "-F", image, NULL }, *const copy[] = { "cp", "-a", all, to, NULL };
    const char *const gone[] = { "rm", "-rf", was, NULL }, *const sync[] = { "sync", "-f", place, NULL };
    bad_disk_run(mkfs);
    g_assert_cmpint(g_rename(place, was), ==, 0);
    g_assert_cmpint(g_mkdir(place, 0755), ==, 0);
    mount_it(d);
    bad_disk_run(copy);
    bad_disk_run(sync);
    bad_disk_run(gone);
}

void
bad_disk_fail(struct bad_disk *d, bool fail)
{
    g_autofree char *trigger = in(d, "fails");
    if (fail)
        g_assert_true(g_file_set_contents(trigger, "", 0, NULL));
    else
        g_assert_cmpint(g_unlink(trigger), ==, 0);
}

void
bad_disk_read_only(struct bad_disk *d)
{
    const char *const argv[] = { "mount", "-o", "remount,abort", d->place, NULL };
    bad_disk_run(argv);
}

void
bad_disk_repair(struct bad_disk *d)
{
    g_autofree char *image = in(d, "fuse/disk");
    const char *const umount[] = { "umount", d->place, NULL }, *const check[] = { "e2fsck", "-fy", image, NULL };
    bad_disk_run(umount);
    g_assert_cmpint(status_of(check), <=, 1); /* 1: errors were corrected */
    mount_it(d);
}

static void
stop(pid_t pid)
{
    kill(pid, SIGTERM);
    g_assert_cmpint(waitpid(pid, NULL, 0), ==, pid);
}

void
bad_disk_close(struct bad_disk *d)
{
    g_autofree char *image = in(d, "fuse/disk");
    umount2(d->place, MNT_DETACH);
    umount2(image, MNT_DETACH);
    stop(d->nbdfuse);
    stop(d->nbdkit);
    g_free(d->dir);
    g_free(d->place);
}
