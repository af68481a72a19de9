/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cli/mounted.h"

#include "base/clean.h"
#include "base/file.h"
#include "store/view.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <signal.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/wait.h>

static const gulong LOOK_US = 5000;
static const gint64 START_US = 60 * (gint64)G_USEC_PER_SEC;

static void
fs_free(gpointer p)
{
    struct mounted_fs *f = p;
    g_free(f->name);
    g_free(f->type);
    g_free(f->path);
    g_free(f);
}

GPtrArray *
mounted_list_new(void)
{
    return g_ptr_array_new_with_free_func(fs_free);
}

/* --- programs ------------------------------------------------------------------------------------------------------------------------ */

static bool
check_tools(GError **err)
{
    static const struct {
        const char *program, *package;
    } tools[] = {{"nbdkit", "nbdkit"}, {"nbdfuse", "libnbd-bin"}, {"sfdisk", "fdisk"}, {"blkid", "util-linux"}, {"losetup", "mount"},
                 {"mount", "mount"}};
    if (geteuid() != 0)
        return err_set(err, ERR_ACCESS_DENIED, "Mounting a recovery point needs root. point export needs no more than its files.");
    for (size_t i = 0; i < G_N_ELEMENTS(tools); i++) {
        g_autofree char *path = g_find_program_in_path(tools[i].program);
        if (!path)
            return err_set(err, ERR_NOT_AVAILABLE, "The program '%s' is not there. Install the package '%s'.", tools[i].program,
                           tools[i].package);
    }
    return g_file_test("/dev/fuse", G_FILE_TEST_EXISTS) ||
           err_set(err, ERR_NOT_AVAILABLE, "There is no /dev/fuse; load the module 'fuse'.");
}

/* out may be NULL.  False with err unset is not possible. */
static bool
run(const char *const *argv, char **out, GError **err)
{
    g_autofree char *text = NULL, *words = NULL;
    g_autoptr(GError) why = NULL;
    int status = 0;
    if (!g_spawn_sync(NULL, (char **)(guintptr)argv, NULL, G_SPAWN_SEARCH_PATH, NULL, NULL, &text, &words, &status, &why))
        return err_set(err, ERR_NOT_AVAILABLE, "The program '%s' cannot be run: %s.", argv[0], why->message);
    if (!g_spawn_check_wait_status(status, NULL))
        return err_set(err, ERR_FAILED, "'%s' failed: %s", argv[0], *g_strchomp(words) ? words : "it gave no reason");
    if (out)
        *out = g_strchomp(g_steal_pointer(&text));
    return true;
}

/* --- a disk --------------------------------------------------------------------------------------------------------------------------- */

static void
alone(gpointer tied)
{
    if (tied)
        prctl(PR_SET_PDEATHSIG, SIGTERM);
    setsid();
}

static GPtrArray *
server_command(const struct point_place *place, struct view *v, const struct point_wish *w, const char *target, const char *path,
               const char *pid_file)
{
    char id[UUID_TEXT];
    GPtrArray *a = g_ptr_array_new_with_free_func(g_free);
    const char *const first[] = {"nbdfuse", "-P", pid_file, path, "[", "nbdkit", "--exit-with-parent", "--filter=exportname",
                                 "--filter=cow", w->plugin ? w->plugin : VMR_PLUGIN_PATH};
    for (size_t i = 0; i < G_N_ELEMENTS(first); i++)
        g_ptr_array_add(a, g_strdup(first[i]));
    g_ptr_array_add(a, g_strconcat("store=", place->dir, NULL));
    g_ptr_array_add(a, g_strconcat("point=", uuid_format(&view_info(v)->id, id), NULL));
    g_ptr_array_add(a, g_strconcat("default-export=", target, NULL));
    g_ptr_array_add(a, g_strdup("]"));
    g_ptr_array_add(a, NULL);
    return a;
}

static bool
says_why(int fd, GError **err)
{
    char words[1024] = "";
    const ssize_t n = pread(fd, words, sizeof words - 1, 0);
    words[MAX(0, n)] = '\0';
    return err_set(err, ERR_FAILED, "The recovery point is not served: %s", *g_strchomp(words) ? words : "nbdfuse gave no reason.");
}

/* nbdfuse writes its pid when the file can be used. */
static bool
wait_ready(GPid pid, const char *pid_file, int words, GError **err)
{
    const gint64 deadline = g_get_monotonic_time() + START_US;
    while (!g_file_test(pid_file, G_FILE_TEST_EXISTS)) {
        if (waitpid(pid, NULL, WNOHANG) == pid)
            return says_why(words, err);
        if (g_get_monotonic_time() > deadline) {
            kill(pid, SIGTERM);
            return err_set(err, ERR_TIMEOUT, "The recovery point is not served in time.");
        }
        g_usleep(LOOK_US);
    }
    return true;
}

static bool
serve_disk(const struct point_place *place, struct view *v, const struct point_wish *w, const char *target, const char *path, bool tied,
           GError **err)
{
    g_autofree char *pid_file = g_strconcat(path, ".pid", NULL), *words = NULL;
    g_autoptr(GPtrArray) argv = server_command(place, v, w, target, path, pid_file);
    g_autoptr(GError) why = NULL;
    GPid pid;
    auto_fd said = g_file_open_tmp("vmreplica-XXXXXX", &words, NULL), null = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (words)
        unlink(words);
    if (said < 0 || null < 0 || !g_file_set_contents(path, "", 0, NULL))
        return err_errno(err, "The file '%s' cannot be made", path);
    const GSpawnFlags flags = G_SPAWN_SEARCH_PATH | G_SPAWN_DO_NOT_REAP_CHILD;
    if (!g_spawn_async_with_fds(NULL, (char **)argv->pdata, NULL, flags, alone, tied ? (gpointer)argv : NULL, &pid, null, null, said, &why))
        return err_set(err, ERR_NOT_AVAILABLE, "nbdfuse cannot be run: %s.", why->message);
    const bool ready = wait_ready(pid, pid_file, said, err);
    unlink(pid_file);
    return ready;
}

/* --- file systems --------------------------------------------------------------------------------------------------------------------- */

struct part {
    char *name;
    guint64 from, bytes; /* bytes 0: the whole disk */
};

static void
part_clear(gpointer p)
{
    g_free(((struct part *)p)->name);
}

static void
add_part(GArray *out, const char *target, const json_t *o, guint64 sector)
{
    const char *node = json_string_value(json_object_get(o, "node"));
    const char *digits = node ? node + strlen(node) : "";
    while (node && digits > node && g_ascii_isdigit(digits[-1]))
        digits--;
    const struct part p = {g_strconcat(target, digits, NULL), (guint64)json_integer_value(json_object_get(o, "start")) * sector,
                           (guint64)json_integer_value(json_object_get(o, "size")) * sector};
    g_array_append_val(out, p);
}

/* A disk without a partition table is one file system, or none. */
static GArray *
find_parts(const char *path, const char *target)
{
    const char *const argv[] = {"sfdisk", "--json", path, NULL};
    g_autofree char *text = NULL;
    GArray *out = g_array_new(FALSE, FALSE, sizeof(struct part));
    g_array_set_clear_func(out, part_clear);
    json_t *root = run(argv, &text, NULL) ? json_loads(text, 0, NULL) : NULL;
    const json_t *table = json_object_get(root, "partitiontable"), *list = json_object_get(table, "partitions");
    const json_int_t sector = json_integer_value(json_object_get(table, "sectorsize"));
    for (size_t i = 0; i < json_array_size(list); i++)
        add_part(out, target, json_array_get(list, i), sector > 0 ? (guint64)sector : 512);
    if (!table) {
        const struct part whole = {g_strdup(target), 0, 0};
        g_array_append_val(out, whole);
    }
    json_decref(root);
    return out;
}

static bool
attach(const char *path, const struct part *p, char **loop, GError **err)
{
    g_autofree char *from = g_strdup_printf("%" G_GUINT64_FORMAT, p->from), *bytes = g_strdup_printf("%" G_GUINT64_FORMAT, p->bytes);
    const char *const argv[] = {"losetup", "-f", "--show", "-o", from, "--sizelimit", bytes, path, NULL};
    return run(argv, loop, err);
}

/* The loop device goes with the mount, or at once. */
static void
detach(const char *loop)
{
    const char *const argv[] = {"losetup", "-d", loop, NULL};
    run(argv, NULL, NULL);
}

static bool
is_file_system(const char *type)
{
    static const char *const others[] = {"", "swap", "LVM2_member", "crypto_LUKS", "linux_raid_member", "zfs_member", "BitLocker", NULL};
    return !g_strv_contains(others, type);
}

/* What the guest wrote is not trusted: no devices, no set-user-id, nothing to run. */
static bool
mount_loop(const char *loop, const char *type, const char *path, GError **err)
{
    const char *options = strcmp(type, "xfs") == 0 ? "ro,nosuid,nodev,noexec,nouuid" : "ro,nosuid,nodev,noexec";
    const char *const argv[] = {"mount", "-t", type, "-o", options, loop, path, NULL};
    return file_make_dirs(path, 0700, err) && run(argv, NULL, err);
}

/* One that this kernel does not know is listed without a path. */
static bool
mount_part(const char *at, const char *image, const struct part *p, guint64 disk_bytes, GPtrArray *out, GError **err)
{
    g_autofree char *loop = NULL, *type = NULL, *path = g_build_filename(at, p->name, NULL);
    g_autoptr(GError) why = NULL;
    if (!attach(image, p, &loop, err))
        return false;
    const char *const probe[] = {"blkid", "-p", "-o", "value", "-s", "TYPE", loop, NULL};
    run(probe, &type, NULL);
    struct mounted_fs *f = g_new0(struct mounted_fs, 1);
    f->name = g_strdup(p->name);
    f->type = g_strdup(type && *type ? type : "unknown");
    f->bytes = p->bytes ? p->bytes : disk_bytes;
    g_ptr_array_add(out, f);
    if (is_file_system(type ? type : "")) {
        if (mount_loop(loop, type, path, &why))
            f->path = g_steal_pointer(&path);
        else
            fprintf(stderr, "vmreplica: warning: %s is not mounted: %s\n", p->name, why->message);
    }
    detach(loop);
    return true;
}

static bool
mount_disk(const struct point_place *place, struct view *v, const struct point_wish *w, const struct log_disk *d, const char *at, bool tied,
           GPtrArray *out, GError **err)
{
    g_autofree char *name = g_strconcat(d->target, ".raw", NULL), *image = g_build_filename(at, name, NULL);
    if (!serve_disk(place, v, w, d->target, image, tied, err))
        return false;
    g_autoptr(GArray) parts = find_parts(image, d->target);
    for (guint i = 0; i < parts->len; i++)
        if (!mount_part(at, image, &g_array_index(parts, struct part, i), d->size, out, err))
            return false;
    return true;
}

bool
mounted_start(const struct point_place *place, struct view *v, const struct point_wish *w, const char *at, bool tied, GPtrArray *out,
              GError **err)
{
    const struct log_info *info = view_info(v);
    if (!point_disks_exist(w, info, NULL, err))
        return false;
    bool fine = check_tools(err);
    for (unsigned i = 0; fine && i < info->disk_count; i++)
        if (point_wanted_disk(w, info->disks[i].target))
            fine = mount_disk(place, v, w, &info->disks[i], at, tied, out, err);
    if (!fine)
        mounted_stop(at, NULL);
    return fine;
}

/* --- the end -------------------------------------------------------------------------------------------------------------------------- */

/* Mount points below `at`, oldest first. */
static GPtrArray *
mounts_below(const char *at)
{
    g_autofree char *text = NULL, *below = g_strconcat(at, "/", NULL);
    GPtrArray *out = g_ptr_array_new_with_free_func(g_free);
    g_file_get_contents("/proc/self/mountinfo", &text, NULL, NULL);
    g_auto(GStrv) lines = g_strsplit(text ? text : "", "\n", -1);
    for (char **l = lines; *l; l++) {
        g_auto(GStrv) words = g_strsplit(*l, " ", 6);
        g_autofree char *path = g_strv_length(words) >= 5 ? g_strcompress(words[4]) : NULL;
        if (path && g_str_has_prefix(path, below))
            g_ptr_array_add(out, g_steal_pointer(&path));
    }
    return out;
}

bool
mounted_stop(const char *at, GError **err)
{
    g_autoptr(GPtrArray) mounts = mounts_below(at);
    for (guint i = mounts->len; i-- > 0;) {
        const char *path = mounts->pdata[i];
        if (umount2(path, 0) != 0)
            return err_errno(err, "'%s' cannot be unmounted", path);
        if (rmdir(path) != 0 && unlink(path) != 0)
            return err_errno(err, "'%s' cannot be removed", path);
    }
    return mounts->len > 0 || err_set(err, ERR_NOT_FOUND, "Nothing is mounted below '%s'.", at);
}
