/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cli/point.h"
#include "cli/progress.h"

#include "base/clean.h"
#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <linux/falloc.h>
#include <string.h>
#include <sys/stat.h>

/* One disk of a recovery point into a file or a block device, in order.
 *
 * How far it came is noted beside the file (for a device: in the user's state folder) after what was written until then is durable, so an
 * export that was cut off, by Ctrl-C too, goes on from there. */

enum { CHUNK = 1 << 20, PAGE = 4096 };
static const guint64 NOTE_BYTES = 64 << 20; /* between two notes */

struct writing {
    const struct export_job *job;
    int fd;
    const char *path;    /* that is written */
    char *note;
    bool device;
    guint64 from, noted;
    struct progress progress;
};

/* --- how far it came ---------------------------------------------------------------------------------------------------------------- */

static char *
note_path(const char *path, bool device)
{
    if (!device)
        return g_strconcat(path, ".json", NULL);
    g_autofree char *name = g_strdelimit(g_strdup(path), "/", '-'), *file = g_strdup_printf("export%s.json", name);
    return g_build_filename(g_get_user_state_dir(), "vmreplica", file, NULL);
}

static bool
note_write(struct writing *w, guint64 done, GError **err)
{
    char id[UUID_TEXT];
    g_autofree char *folder = g_path_get_dirname(w->note);
    if (!file_sync(w->fd, w->path, err) || !file_make_dirs(folder, 0700, err))
        return false;
    json_t *o = json_pack("{s:s, s:s, s:I}", "point", uuid_format(&w->job->point, id), "disk", w->job->target, "done", (json_int_t)done);
    char *text = json_dumps(o, 0);
    const bool ok = file_replace(w->note, text, strlen(text), 0600, err);
    free(text);
    json_decref(o);
    w->noted = done;
    return ok;
}

/* Nothing that fits: from the beginning. */
static guint64
note_read(const struct writing *w)
{
    char id[UUID_TEXT];
    g_autofree char *text = NULL;
    size_t len;
    if (!file_read_all(w->note, 4096, &text, &len, NULL))
        return 0;
    json_t *o = json_loadb(text, len, 0, NULL);
    const json_int_t done = json_integer_value(json_object_get(o, "done"));
    const bool same = g_strcmp0(json_string_value(json_object_get(o, "point")), uuid_format(&w->job->point, id)) == 0 &&
                      g_strcmp0(json_string_value(json_object_get(o, "disk")), w->job->target) == 0;
    json_decref(o);
    return same && done > 0 && (guint64)done <= w->job->disk->size ? (guint64)done : 0;
}

/* --- bytes -------------------------------------------------------------------------------------------------------------------------- */

static bool
is_zero(const void *data, size_t len)
{
    const char *p = data;
    return len == 0 || (*p == 0 && memcmp(p, p + 1, len - 1) == 0);
}

/* A new file has holes already; what a device had must go. */
static bool
write_zeros(struct writing *w, guint64 from, guint64 length, GError **err)
{
    static const char zeros[64 << 10];
    if (!w->device)
        return true;
    if (fallocate(w->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)from, (off_t)length) == 0 ||
        fallocate(w->fd, FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE, (off_t)from, (off_t)length) == 0)
        return true;
    for (guint64 n; length > 0; from += n, length -= n) {
        n = MIN(length, sizeof zeros);
        if (!file_write_full(w->fd, zeros, n, from, w->path, err))
            return false;
    }
    return true;
}

/* Runs of pages that are zero or not. */
static bool
write_piece(struct writing *w, const char *bytes, size_t len, guint64 offset, GError **err)
{
    for (size_t from = 0, to; from < len; from = to) {
        const bool zero = is_zero(bytes + from, MIN((size_t)PAGE, len - from));
        for (to = from; to < len && is_zero(bytes + to, MIN((size_t)PAGE, len - to)) == zero;)
            to += MIN((size_t)PAGE, len - to);
        if (!(zero ? write_zeros(w, offset + from, to - from, err)
                   : file_write_full(w->fd, bytes + from, to - from, offset + from, w->path, err)))
            return false;
    }
    return true;
}

static bool
write_extent(struct writing *w, const struct extent *e, void *buffer, GError **err)
{
    const guint64 size = w->job->disk->size, end = e->offset + e->length;
    if (e->kind == EXTENT_ZERO && !write_zeros(w, e->offset, e->length, err))
        return false;
    for (guint64 at = e->offset; e->kind == EXTENT_DATA && at < end;) {
        const size_t n = (size_t)MIN((guint64)CHUNK, end - at);
        if (!block_read(w->job->disk, buffer, n, at, err) || !write_piece(w, buffer, n, at, err))
            return false;
        file_write_behind(w->fd, at, n);
        at += n;
        if (at - w->noted >= NOTE_BYTES && !note_write(w, at, err))
            return false;
        progress_show(&w->progress, (guint)(at * 100 / size), "");
    }
    return true;
}

static bool
write_extents(struct writing *w, GError **err)
{
    const guint64 size = w->job->disk->size;
    extents_auto all = extents_new();
    g_autofree void *buffer = g_malloc(CHUNK);
    w->noted = w->from;
    bool fine = w->from == size || block_extents(w->job->disk, w->from, size - w->from, all, err);
    for (size_t i = 0; fine && i < extents_count(all); i++)
        fine = write_extent(w, extents_at(all, i), buffer, err);
    fine = fine && file_sync(w->fd, w->path, err);
    if (fine)
        progress_show(&w->progress, 100, "");
    progress_end(&w->progress);
    return fine;
}

static bool
write_disk(struct writing *w, GError **err)
{
    g_autoptr(GError) why = NULL;
    if (write_extents(w, &why))
        return true;
    return err_set(err, (enum err_code)why->code, "%s%s", why->message,
                   err_is(why, ERR_CORRUPT) ? "" : " What was written stays; when the cause is gone, --resume goes on from there.");
}

/* --- files -------------------------------------------------------------------------------------------------------------------------- */

static bool
open_file(struct writing *w, GError **err)
{
    w->from = w->job->resume ? note_read(w) : 0;
    if (w->from && !g_file_test(w->path, G_FILE_TEST_EXISTS))
        w->from = 0;
    w->fd = open(w->path, O_WRONLY | O_CREAT | O_CLOEXEC | (w->from ? 0 : O_TRUNC), 0600);
    if (w->fd < 0)
        return err_errno(err, "The file '%s' cannot be made", w->path);
    if (ftruncate(w->fd, (off_t)w->job->disk->size) != 0)
        return err_errno(err, "The file '%s' cannot be made %" G_GUINT64_FORMAT " bytes long", w->path, w->job->disk->size);
    return true;
}

/* What was written stays for --resume, unless the point itself is damaged. */
static bool
write_raw(const struct export_job *job, const char *path, GError **err)
{
    g_autofree char *title = g_path_get_basename(job->path);
    g_autoptr(GError) why = NULL;
    struct writing w = {.job = job, .fd = -1, .path = path, .note = note_path(path, false), .progress = PROGRESS(title)};
    const bool fine = open_file(&w, &why) && write_disk(&w, &why);
    if (w.fd >= 0)
        close(w.fd);
    if (!fine && err_is(why, ERR_CORRUPT)) {
        unlink(path);
        unlink(w.note);
    }
    if (why)
        g_propagate_error(err, g_steal_pointer(&why));
    g_free(w.note);
    return fine;
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

static bool
export_file(const struct export_job *job, GError **err)
{
    g_autofree char *part = g_strconcat(job->path, ".part", NULL), *raw = g_strconcat(job->path, ".raw.part", NULL);
    const char *first = job->qcow2 ? raw : part;
    if (!job->force && g_file_test(job->path, G_FILE_TEST_EXISTS))
        return err_set(err, ERR_EXISTS, "The file '%s' exists. Choose another name, or use --force.", job->path);
    if (!write_raw(job, first, err))
        return false;
    if (job->qcow2 && !convert(raw, part, err)) {
        unlink(part);
        return false;
    }
    if (!file_rename_durably(part, job->path, err))
        return false;
    g_autofree char *note = note_path(first, false);
    unlink(note);
    unlink(raw);
    return true;
}

/* --- devices ------------------------------------------------------------------------------------------------------------------------ */

static bool
open_device(struct writing *w, GError **err)
{
    w->fd = open(w->path, O_WRONLY | O_EXCL | O_CLOEXEC); /* a device that is mounted is busy */
    if (w->fd < 0)
        return err_errno(err, "The device '%s' cannot be opened", w->path);
    const off_t size = lseek(w->fd, 0, SEEK_END);
    if (size < 0 || (guint64)size < w->job->disk->size)
        return err_set(err, ERR_NO_SPACE, "The device '%s' has %lld bytes, but the disk has %" G_GUINT64_FORMAT ".", w->path,
                       (long long)size, w->job->disk->size);
    w->from = w->job->resume ? note_read(w) : 0;
    return true;
}

static bool
export_device(const struct export_job *job, GError **err)
{
    struct writing w = {.job = job, .fd = -1, .path = job->path, .note = note_path(job->path, true), .device = true,
                        .progress = PROGRESS(job->path)};
    if (job->qcow2)
        return err_set(err, ERR_USAGE, "A block device gets the raw disk; leave --format out.");
    if (!job->force && !job->resume)
        return err_set(err, ERR_EXISTS, "Everything on the device '%s' would be overwritten. If that is meant, use --force.", job->path);
    const bool fine = open_device(&w, err) && write_disk(&w, err);
    if (w.fd >= 0)
        close(w.fd);
    if (fine)
        unlink(w.note);
    g_free(w.note);
    return fine;
}

bool
export_disk(const struct export_job *job, GError **err)
{
    struct stat st;
    return stat(job->path, &st) == 0 && S_ISBLK(st.st_mode) ? export_device(job, err) : export_file(job, err);
}
