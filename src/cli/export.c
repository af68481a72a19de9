/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cli/point.h"
#include "cli/progress.h"

#include "base/clean.h"
#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

/* point_read, point_export: one disk of a recovery point, read in order. */

enum { CHUNK = 1 << 20, PAGE = 4096 };

static bool
read_extent(struct block *disk, const struct extent *e, void *buffer, point_piece each, void *user, struct progress *p, GError **err)
{
    for (uint64_t at = e->offset; at < e->offset + e->length;) {
        size_t len = (size_t)MIN((uint64_t)CHUNK, e->offset + e->length - at);
        if (!block_read(disk, buffer, len, at, err) || (each && !each(user, buffer, len, at, err)))
            return false;
        at += len;
        progress_show(p, (guint)(disk->size ? at * 100 / disk->size : 100), "");
    }
    return true;
}

bool
point_read(struct block *disk, point_piece each, void *user, const char *title, GError **err)
{
    extents_auto all = extents_new();
    g_autofree void *buffer = g_malloc(CHUNK);
    struct progress p = PROGRESS(title);
    bool fine = block_extents(disk, 0, disk->size, all, err);
    for (size_t i = 0; fine && i < extents_count(all); i++)
        if (extents_at(all, i)->kind == EXTENT_DATA)
            fine = read_extent(disk, extents_at(all, i), buffer, each, user, &p, err);
    if (fine)
        progress_show(&p, 100, "");
    progress_end(&p);
    return fine;
}

struct target {
    int fd;
    const char *path;
};

static bool
is_zero(const void *data, size_t len)
{
    const char *p = data;
    return len == 0 || (*p == 0 && memcmp(p, p + 1, len - 1) == 0);
}

/* Runs of pages that are not zero; the file is sparse already. */
static bool
write_piece(void *user, const void *data, size_t len, uint64_t offset, GError **err)
{
    const struct target *t = user;
    const char *bytes = data;
    size_t from = 0;
    while (from < len) {
        size_t to = from;
        while (to < len && !is_zero(bytes + to, MIN((size_t)PAGE, len - to)))
            to += MIN((size_t)PAGE, len - to);
        if (to > from && !file_write_full(t->fd, bytes + from, to - from, offset + from, t->path, err))
            return false;
        from = to + (to < len ? MIN((size_t)PAGE, len - to) : 0);
    }
    return true;
}

static bool
write_raw(struct block *disk, const char *path, const char *title, GError **err)
{
    auto_fd fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    struct target t = {fd, path};
    if (fd < 0)
        return err_errno(err, "The file '%s' cannot be made", path);
    if (ftruncate(fd, (off_t)disk->size) != 0)
        return err_errno(err, "The file '%s' cannot be made %" G_GUINT64_FORMAT " bytes long", path, disk->size);
    return point_read(disk, write_piece, &t, title, err) && file_sync(fd, path, err);
}

static bool
convert(const char *raw, const char *qcow2, GError **err)
{
    const char *const argv[] = {"qemu-img", "convert", "-q", "-f", "raw", "-O", "qcow2", raw, qcow2, NULL};
    g_autofree char *message = NULL;
    g_autoptr(GError) why = NULL;
    int status = 0;
    if (!g_spawn_sync(NULL, (char **)(guintptr)argv, NULL, G_SPAWN_SEARCH_PATH, NULL, NULL, NULL, &message, &status, &why))
        return err_set(err, ERR_NOT_AVAILABLE, "qemu-img cannot be run: %s. Install qemu-utils, or export as raw.", why->message);
    if (!g_spawn_check_wait_status(status, NULL))
        return err_set(err, ERR_IO, "qemu-img could not write '%s': %s", qcow2, g_strchomp(message));
    auto_fd fd = open(qcow2, O_RDONLY | O_CLOEXEC);
    return fd >= 0 ? file_sync(fd, qcow2, err) : err_errno(err, "The file '%s' cannot be opened", qcow2);
}

bool
point_export(struct block *disk, const char *path, bool qcow2, bool force, GError **err)
{
    g_autofree char *part = g_strconcat(path, ".part", NULL), *raw = g_strconcat(path, ".raw.part", NULL);
    g_autofree char *title = g_path_get_basename(path);
    if (!force && g_file_test(path, G_FILE_TEST_EXISTS))
        return err_set(err, ERR_EXISTS, "The file '%s' exists. Choose another name, or use --force.", path);
    bool fine =
        write_raw(disk, qcow2 ? raw : part, title, err) && (!qcow2 || convert(raw, part, err)) && file_rename_durably(part, path, err);
    unlink(raw);
    if (!fine)
        unlink(part);
    return fine;
}
