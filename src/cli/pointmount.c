/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cli/mounted.h"
#include "cli/show.h"

#include "base/file.h"
#include "store/view.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sched.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/syscall.h>

/* point mount, umount, ls, cp. */

static void
print_filesystems(struct cli *c, const GPtrArray *list)
{
    json_t *out = json_array();
    struct table *t = table_new("NAME", "TYPE", ">SIZE", "MOUNTED AT", NULL);
    for (guint i = 0; i < list->len; i++) {
        const struct mounted_fs *f = list->pdata[i];
        g_autofree char *size = show_bytes(f->bytes);
        table_add(t, f->name);
        table_add(t, f->type);
        table_add(t, size);
        table_add(t, f->path);
        json_array_append_new(out, json_pack("{s:s, s:s, s:I, s:s?}", "name", f->name, "type", f->type, "bytes", (json_int_t)f->bytes,
                                             "path", f->path));
    }
    if (c->json)
        show_print_json(json_incref(out));
    else if (list->len)
        table_print(t, stdout);
    json_decref(out);
    table_free(t);
}

static bool
is_empty(const char *at, GError **err)
{
    g_autoptr(GDir) all = g_dir_open(at, 0, NULL);
    return !all || !g_dir_read_name(all) || err_set(err, ERR_EXISTS, "The folder '%s' is not empty. Name another with --at.", at);
}

bool
point_mount(struct cli *c, const struct point_place *place, struct view *v, const struct point_wish *w, GError **err)
{
    g_autoptr(GPtrArray) list = mounted_list_new();
    if (!w->at)
        return err_set(err, ERR_USAGE, "Say with --at in which folder the disks shall appear.");
    g_autofree char *at = g_canonicalize_filename(w->at, NULL);
    if (!is_empty(at, err) || !file_make_dirs(at, 0700, err))
        return false;
    g_autofree char *real = realpath(at, NULL);
    if (!real)
        return err_errno(err, "The folder '%s' cannot be looked at", at);
    if (!mounted_start(place, v, w, real, false, list, err))
        return false;
    print_filesystems(c, list);
    if (!c->json)
        printf("Until vmreplica point umount %s the replica keeps what this point needs.\n", at);
    return true;
}

bool
point_umount(const char *at, GError **err)
{
    g_autofree char *real = realpath(at, NULL);
    if (!real)
        return err_errno(err, "The folder '%s' cannot be looked at", at);
    return mounted_stop(real, err);
}

/* --- single files -------------------------------------------------------------------------------------------------------------------- */

/* "vda1:/etc/fstab", or "/etc/fstab" when there is one file system only. */
static const struct mounted_fs *
choose(const GPtrArray *list, const char *word, const char **path, GError **err)
{
    const char *colon = strchr(word, ':');
    g_autofree char *name = colon ? g_strndup(word, (gsize)(colon - word)) : NULL;
    const struct mounted_fs *found = NULL;
    guint count = 0;
    GString *names = g_string_new(NULL);
    for (guint i = 0; i < list->len; i++) {
        const struct mounted_fs *f = list->pdata[i];
        if (!f->path)
            continue;
        g_string_append_printf(names, "%s%s", names->len ? ", " : "", f->name);
        count++;
        if (!name || strcmp(name, f->name) == 0)
            found = f;
    }
    if (!found || (!name && count > 1)) {
        err_set(err, ERR_INVALID_PARAMETER, "'%s': say in which file system, as in NAME:/path. There are: %s.", word,
                count ? names->str : "none that can be mounted");
        found = NULL;
    }
    g_string_free(names, TRUE);
    *path = colon ? colon + 1 : word;
    return found;
}

/* Links in the guest's file system must not lead out of it. */
static char *
resolve(const struct mounted_fs *f, const char *path, GError **err)
{
    struct open_how how = {.flags = O_PATH | O_NOFOLLOW | O_CLOEXEC, .resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS};
    auto_fd root = open(f->path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    auto_fd fd = root < 0 ? -1 : (int)syscall(SYS_openat2, root, *path ? path : "/", &how, sizeof how);
    if (fd < 0) {
        err_errno(err, "There is no '%s' in '%s'", path, f->name);
        return NULL;
    }
    g_autofree char *link = g_strdup_printf("/proc/self/fd/%d", fd);
    return g_file_read_link(link, NULL);
}

static bool
run_tool(const GPtrArray *argv, const char *cwd, GError **err)
{
    g_autoptr(GError) why = NULL;
    int status = 0;
    if (!g_spawn_sync(cwd, (char **)argv->pdata, NULL, G_SPAWN_SEARCH_PATH | G_SPAWN_CHILD_INHERITS_STDIN, NULL, NULL, NULL, NULL, &status,
                      &why))
        return err_set(err, ERR_NOT_AVAILABLE, "'%s' cannot be run: %s.", (const char *)argv->pdata[0], why->message);
    return g_spawn_check_wait_status(status, NULL) || err_set(err, ERR_FAILED, "'%s' failed.", (const char *)argv->pdata[0]);
}

static bool
use_files(struct cli *c, const GPtrArray *list, bool copies, char **words, GError **err)
{
    g_autoptr(GPtrArray) argv = g_ptr_array_new_with_free_func(g_free);
    const guint count = g_strv_length(words), sources = copies ? count - 1 : count;
    if (count == 0) {
        print_filesystems(c, list);
        return true;
    }
    g_ptr_array_add(argv, g_strdup(copies ? "cp" : "ls"));
    g_ptr_array_add(argv, g_strdup(copies ? "-a" : "-la"));
    g_ptr_array_add(argv, g_strdup("--"));
    for (guint i = 0; i < sources; i++) {
        const char *path;
        const struct mounted_fs *f = choose(list, words[i], &path, err);
        g_autofree char *real = f ? resolve(f, path, err) : NULL;
        if (!real)
            return false;
        g_ptr_array_add(argv, g_steal_pointer(&real));
    }
    if (copies)
        g_ptr_array_add(argv, g_strdup(words[count - 1]));
    g_ptr_array_add(argv, NULL);
    fflush(stdout);
    return run_tool(argv, NULL, err);
}

/* Mounts of our own, which nobody else sees and which go with this process. */
static char *
private_folder(GError **err)
{
    if (unshare(CLONE_NEWNS) != 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0) {
        err_errno(err, "A mount namespace cannot be made; this needs root");
        return NULL;
    }
    g_autoptr(GError) why = NULL;
    g_autofree char *at = g_dir_make_tmp("vmreplica-XXXXXX", &why);
    if (!at) {
        err_set(err, ERR_IO, "A temporary folder cannot be made: %s.", why->message);
        return NULL;
    }
    if (mount("vmreplica", at, "tmpfs", MS_NOSUID | MS_NODEV, "mode=0700") == 0)
        return g_steal_pointer(&at);
    err_errno(err, "A tmpfs cannot be mounted on '%s'", at);
    rmdir(at);
    return NULL;
}

bool
point_files(struct cli *c, const struct point_place *place, struct view *v, const struct point_wish *w, bool copies, char **words,
            GError **err)
{
    g_autoptr(GPtrArray) list = mounted_list_new();
    if (copies && g_strv_length(words) < 2)
        return err_set(err, ERR_USAGE, "Say which files to copy, and where to.");
    g_autofree char *at = private_folder(err);
    bool fine = at && mounted_start(place, v, w, at, true, list, err);
    if (fine) {
        fine = use_files(c, list, copies, words, err);
        mounted_stop(at, NULL);
    }
    if (at && umount2(at, MNT_DETACH) == 0)
        rmdir(at);
    return fine;
}
