/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "repl/exportdir.h"

#include "base/err.h"
#include "base/file.h"
#include "log/reader.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { CHUNK = 1 << 20 };

void
exported_log_free(struct exported_log *log)
{
    g_free(log->path);
    g_free(log);
}

/* ---- names ---- */

char *
exportdir_of(const char *location, const char *name, const struct uuid *vm)
{
    char text[UUID_TEXT];
    g_autofree char *safe = g_strdelimit(g_strdup(name), "/", '-');
    g_autofree char *folder = g_strdup_printf("%s_%s", safe, uuid_format(vm, text));
    return g_build_filename(location, folder, NULL);
}

static gint
by_name(gconstpointer a, gconstpointer b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static GPtrArray *
names_in(const char *dir, const char *suffix, GError **err)
{
    g_autoptr(GError) why = NULL;
    g_autoptr(GDir) d = g_dir_open(dir, 0, &why);
    if (!d) {
        const bool none = g_error_matches(why, G_FILE_ERROR, G_FILE_ERROR_NOENT) ||
                          g_error_matches(why, G_FILE_ERROR, G_FILE_ERROR_NOTDIR);
        err_set(err, none ? ERR_NOT_FOUND : ERR_IO, "%s", why->message);
        return NULL;
    }
    GPtrArray *names = g_ptr_array_new_with_free_func(g_free);
    const char *name;
    while ((name = g_dir_read_name(d)))
        if (g_str_has_suffix(name, suffix))
            g_ptr_array_add(names, g_strdup(name));
    g_ptr_array_sort(names, by_name);
    return names;
}

/* Names of folders end with the identity in whatever case the guest's name before it is. */
static char *
folder_of(const char *location, const struct uuid *vm, GError **err)
{
    char text[UUID_TEXT];
    g_autofree char *tail = g_strdup_printf("_%s", uuid_format(vm, text));
    g_autoptr(GPtrArray) names = names_in(location, tail, err);
    if (!names)
        return NULL;
    if (names->len == 1)
        return g_build_filename(location, names->pdata[0], NULL);
    err_set(err, ERR_NOT_FOUND, names->len ? "Folder '%s' holds several exports of guest '%s'; name one of them."
                                           : "Folder '%s' holds no export of guest '%s'.", location, text);
    return NULL;
}

char *
exportdir_find(const char *location, const struct uuid *vm, GError **err)
{
    g_autoptr(GPtrArray) logs = names_in(location, ".vrl", err);
    if (!logs)
        return NULL;
    return logs->len ? g_strdup(location) : folder_of(location, vm, err);
}

/* ---- writing ---- */

static bool
remove_all(const char *dir, const char *suffix, GError **err)
{
    g_autoptr(GPtrArray) names = names_in(dir, suffix, err);
    for (guint i = 0; names && i < names->len; i++) {
        g_autofree char *path = g_build_filename(dir, names->pdata[i], NULL);
        if (!file_unlink_durably(path, err))
            return false;
    }
    return names != NULL;
}

bool
exportdir_make(const char *dir, GError **err)
{
    g_autofree char *location = g_path_get_dirname(dir);
    if (!g_file_test(location, G_FILE_TEST_IS_DIR))
        return err_set(err, ERR_NOT_FOUND, "Folder '%s' does not exist; make it, or mount the disk.", location);
    return file_make_dirs(dir, 0700, err) && remove_all(dir, ".part", err) && remove_all(dir, ".vrl", err);
}

bool
exportdir_remove_parts(const char *dir, GError **err)
{
    return remove_all(dir, ".part", err);
}

bool
exportdir_remove(const char *dir, GError **err)
{
    if (!g_file_test(dir, G_FILE_TEST_IS_DIR))
        return true;
    if (!remove_all(dir, ".part", err) || !remove_all(dir, ".vrl", err))
        return false;
    return rmdir(dir) == 0 || errno == ENOTEMPTY || err_errno(err, "Folder '%s' cannot be removed", dir);
}

static bool
copy_bytes(int from, const char *from_name, int to, const char *to_name, guint64 bytes, const gint *cancel, GError **err)
{
    g_autofree char *buffer = g_malloc(CHUNK);
    for (guint64 at = 0; at < bytes;) {
        const size_t n = (size_t)MIN(bytes - at, CHUNK);
        if (__atomic_load_n(cancel, __ATOMIC_SEQ_CST))
            return err_set(err, ERR_CANCELLED, "The export was stopped.");
        if (!file_read_full(from, buffer, n, at, from_name, err) || !file_write_full(to, buffer, n, at, to_name, err))
            return false;
        at += n;
    }
    return file_sync(to, to_name, err);
}

bool
exportdir_copy(const char *dir, const char *from, const struct outbox_log *log, const gint *cancel, GError **err)
{
    char text[UUID_TEXT];
    g_autofree char *part = g_strdup_printf("%s/%s.part", dir, uuid_format(&log->id, text));
    g_autofree char *path = g_strdup_printf("%s/%016" G_GUINT64_FORMAT "-%s.vrl", dir, log->sequence, text);
    auto_fd in = open(from, O_RDONLY | O_CLOEXEC);
    if (in < 0)
        return err_errno(err, "Change log '%s' cannot be opened", from);
    /* The folder was made at the beginning: without it the disk is gone, and nothing may be written below its empty mount point. */
    auto_fd out = open(part, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (out < 0)
        return err_errno(err, "File '%s' cannot be made", part);
    return copy_bytes(in, from, out, part, log->bytes, cancel, err) && file_rename_durably(part, path, err);
}

/* ---- reading ---- */

static struct exported_log *
read_one(const char *dir, const char *name, const struct uuid *vm, GError **err)
{
    char want[UUID_TEXT], have[UUID_TEXT];
    g_autofree char *path = g_build_filename(dir, name, NULL);
    struct log_reader *r = log_reader_open(path, err);
    if (!r)
        return NULL;
    const struct log_info *info = log_reader_info(r);
    struct exported_log *log = NULL;
    if (uuid_equal(&info->vm, vm)) {
        log = g_new0(struct exported_log, 1);
        *log = (struct exported_log){ .path = g_steal_pointer(&path), .id = info->id, .parent = info->parent, .sequence = info->sequence,
                                      .bytes = log_reader_file_bytes(r), .whole = !(info->flags & LOG_FLAG_FUZZY) };
    } else {
        err_set(err, ERR_INVALID_PARAMETER, "Change log '%s' is of the guest '%s', not of '%s'.", path, uuid_format(&info->vm, have),
                uuid_format(vm, want));
    }
    log_reader_close(r);
    return log;
}

static bool
follows(const GPtrArray *logs, const char *dir, GError **err)
{
    const struct exported_log *log = logs->pdata[logs->len - 1];
    const struct uuid before = logs->len > 1 ? ((const struct exported_log *)logs->pdata[logs->len - 2])->id : UUID_NIL;
    return uuid_equal(&log->parent, &before) ||
           err_set(err, ERR_NOT_FOUND, "A change log before '%s' is missing in folder '%s'; copy the whole folder again.", log->path, dir);
}

GPtrArray *
exportdir_chain(const char *dir, const struct uuid *vm, GError **err)
{
    g_autoptr(GPtrArray) logs = g_ptr_array_new_with_free_func((GDestroyNotify)exported_log_free);
    g_autoptr(GPtrArray) names = names_in(dir, ".vrl", err);
    for (guint i = 0; names && i < names->len; i++) {
        struct exported_log *log = read_one(dir, names->pdata[i], vm, err);
        if (!log)
            return NULL;
        g_ptr_array_add(logs, log);
        if (!follows(logs, dir, err))
            return NULL;
    }
    return names ? g_steal_pointer(&logs) : NULL;
}

GPtrArray *
exportdir_read(const char *dir, const struct uuid *vm, GError **err)
{
    g_autoptr(GPtrArray) logs = exportdir_chain(dir, vm, err);
    if (!logs)
        return NULL;
    if (logs->len && ((const struct exported_log *)logs->pdata[logs->len - 1])->whole)
        return g_steal_pointer(&logs);
    err_set(err, ERR_NOT_FOUND, "The export in folder '%s' has no end: wait until it is finished, or copy the whole folder again.", dir);
    return NULL;
}
