/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/err.h"
#include "base/file.h"
#include "base/log.h"
#include "log/reader.h"
#include "store/baselock.h"
#include "store/basesum.h"
#include "store/damage.h"
#include "store/layout.h"
#include "store/private.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

/* Merging the oldest logs into the base, in groups that are made durable together:
 *
 *   1 store.json: merging_to = the group's last log      from here on the base stands for no point
 *   2 the extents of the logs, oldest first, into base/
 *   3 fsync of base/ (the disks and their checksums), the last log's header beside it
 *   4 store.json: base = the group's last log
 *   5 unlink the logs, the old header, disks that are gone
 *
 * A crash or an error before 4 leaves the logs where they are, and the next apply writes the same extents again; one after 4 is finished
 * by store_open.  If the next group ends before the interrupted one, the base stands for no point until that one's end is reached.  Views
 * of this group's last point and of newer ones may be open: their own index covers every page that is written. */

#define GROUP_BYTES (UINT64_C(256) << 20)

struct base_disk {
    uint16_t id;
    int fd;
    char *path;
    struct basesum *sums;
};

struct merge {
    struct store *store;
    const GArray *logs; /* struct store_log, the group */
    const gint *cancel;
    GArray *disks;      /* struct base_disk, opened so far */
};

static void
close_disk(gpointer p)
{
    struct base_disk *d = p;
    basesum_close(d->sums);
    if (d->fd >= 0)
        close(d->fd);
    g_free(d->path);
}

/* A base without checksums was made before there were any: it is believed once. */
static struct basesum *
open_sums(const struct merge *m, const struct base_disk *d, bool known, GError **err)
{
    g_autoptr(GError) why = NULL;
    if (!known)
        return basesum_create(m->store->dir, d->id, err);
    struct basesum *sums = basesum_open(m->store->dir, d->id, true, &why);
    if (!sums && err_is(why, ERR_NOT_FOUND)) {
        log_warning("'%s' has no checksums; they are made of what it holds now.", d->path);
        return basesum_build(m->store->dir, d->id, d->fd, err);
    }
    if (why)
        g_propagate_error(err, g_steal_pointer(&why));
    return sums;
}

/* A disk that the base does not know yet begins as zeros, whatever an interrupted merge left under its name. */
static struct base_disk *
open_disk(struct merge *m, uint16_t id, GError **err)
{
    for (guint i = 0; i < m->disks->len; i++)
        if (g_array_index(m->disks, struct base_disk, i).id == id)
            return &g_array_index(m->disks, struct base_disk, i);
    const struct manifest *manifest = &m->store->manifest;
    bool known = manifest->has_base && log_info_disk(&manifest->header.info, id);
    struct base_disk d = {.id = id, .path = layout_disk_path(m->store->dir, id)};
    d.fd = open(d.path, O_RDWR | O_CLOEXEC | (known ? 0 : O_CREAT | O_TRUNC), 0640);
    if (d.fd < 0 ? !err_errno(err, "Cannot open '%s'", d.path) : !(d.sums = open_sums(m, &d, known, err))) {
        close_disk(&d);
        return NULL;
    }
    g_array_append_val(m->disks, d);
    return &g_array_index(m->disks, struct base_disk, m->disks->len - 1);
}

static bool
resize_disk(const struct base_disk *d, uint64_t size, GError **err)
{
    if (ftruncate(d->fd, (off_t)size) < 0)
        return err_errno(err, "Cannot resize '%s'", d->path);
    return basesum_resized(d->sums, d->fd, size, err);
}

/* Disks take the size that they have in the log.  One that the log does not have begins as zeros if it ever comes back. */
static bool
resize_disks(struct merge *m, const struct log_info *info, GError **err)
{
    for (unsigned i = 0; i < info->disk_count; i++) {
        struct base_disk *d = open_disk(m, info->disks[i].id, err);
        if (!d || !resize_disk(d, info->disks[i].size, err))
            return false;
    }
    for (guint i = 0; i < m->disks->len; i++) {
        struct base_disk *d = &g_array_index(m->disks, struct base_disk, i);
        if (!log_info_disk(info, d->id) && !resize_disk(d, 0, err))
            return false;
    }
    return true;
}

static bool
write_zeros(const struct base_disk *d, uint64_t offset, uint64_t length, GError **err)
{
    static const uint8_t zeros[64 << 10];
    if (fallocate(d->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)offset, (off_t)length) == 0)
        return true;
    if (errno != EOPNOTSUPP && errno != ENOSYS)
        return err_errno(err, "Cannot punch a hole into '%s'", d->path);
    for (uint64_t n; length > 0; offset += n, length -= n) {
        n = MIN(length, sizeof zeros);
        if (!file_write_full(d->fd, zeros, n, offset, d->path, err))
            return false;
    }
    return true;
}

/* Does nobody need a damaged frame?  Then newer logs of the group have written all of it again. */
static bool
is_superseded(const struct merge *m, uint64_t sequence, const struct log_frame *frame)
{
    struct damage *d = damage_new(false, &UUID_NIL, sequence, frame->disk);
    struct log_extent_iter it = log_frame_extents(frame);
    struct log_extent e;
    while (log_extent_next(&it, &e))
        extents_add(d->where, e.offset, e.length, EXTENT_DATA);
    const uint64_t last = g_array_index(m->logs, struct store_log, m->logs->len - 1).sequence;
    const bool yes = damage_reach(d, m->store->dir, NULL) && d->until <= last;
    damage_free(d);
    return yes;
}

static bool
write_frame(struct merge *m, const struct log_reader *r, unsigned i, uint8_t *buf, GError **err)
{
    const struct log_frame *frame = log_reader_frame(r, i);
    struct base_disk *d = open_disk(m, frame->disk, err);
    struct log_extent_iter it = log_frame_extents(frame);
    struct log_extent e;
    GError *why = NULL;

    if (!d)
        return false;
    if (!log_reader_data(r, i, buf, &why)) {
        if (err_is(why, ERR_CORRUPT) && is_superseded(m, log_reader_info(r)->sequence, frame)) {
            g_error_free(why);
            return true;
        }
        g_propagate_error(err, why);
        return false;
    }
    while (log_extent_next(&it, &e)) {
        if (!(e.zero ? write_zeros(d, e.offset, e.length, err)
                     : file_write_full(d->fd, buf + e.raw_offset, e.length, e.offset, d->path, err)) ||
            !basesum_wrote(d->sums, d->fd, e.offset, e.zero ? NULL : buf + e.raw_offset, e.length, err))
            return false;
    }
    return true;
}

static bool
write_log(struct merge *m, const struct store_log *log, GError **err)
{
    g_autofree char *path = layout_log_path(m->store->dir, log->sequence, &log->id);
    struct log_reader *r = log_reader_open(path, err);
    if (!r)
        return false;
    g_autofree uint8_t *buf = g_malloc(LOG_FRAME_RAW_MAX);
    bool ok = resize_disks(m, log_reader_info(r), err);
    for (unsigned i = 0; ok && i < log_reader_frames(r); i++) {
        if (!store_may_merge(m->store, log_reader_frame(r, i)->raw_length, m->cancel))
            ok = err_set(err, ERR_CANCELLED, "Merging '%s' into the base was cancelled; it starts again with the next attempt.", path);
        else
            ok = write_frame(m, r, i, buf, err);
    }
    log_reader_close(r);
    return ok;
}

/* All of the base's disks, so that resize_disks also empties one that the first log of the group does not have any more. */
static bool
open_known(struct merge *m, GError **err)
{
    const struct manifest *manifest = &m->store->manifest;
    for (unsigned i = 0; manifest->has_base && i < manifest->header.info.disk_count; i++)
        if (!open_disk(m, manifest->header.info.disks[i].id, err))
            return false;
    return true;
}

static bool
write_group(struct merge *m, GError **err)
{
    if (!open_known(m, err))
        return false;
    for (guint i = 0; i < m->logs->len; i++)
        if (!write_log(m, &g_array_index(m->logs, struct store_log, i), err))
            return false;
    store_step(m->store, "apply-written");
    for (guint i = 0; i < m->disks->len; i++) {
        const struct base_disk *d = &g_array_index(m->disks, struct base_disk, i);
        if (!file_sync(d->fd, d->path, err) || !basesum_sync(d->sums, err))
            return false;
    }
    g_autofree char *folder = layout_path(m->store->dir, "base");
    return file_sync_dir(folder, err);
}

/* With the lock held: the points that the group's merging ends must not have been pinned meanwhile. */
static bool
check_pins(const struct store *s, const GArray *logs, GError **err)
{
    if (manifest_base_is_exact(&s->manifest) && !store_refuse_kept(s, &s->manifest.base.id, err))
        return false;
    for (guint i = 0; i + 1 < logs->len; i++)
        if (!store_refuse_kept(s, &g_array_index(logs, struct store_log, i).id, err))
            return false;
    return true;
}

static bool
mark(struct store *s, const GArray *logs, GError **err)
{
    const struct store_log *last = &g_array_index(logs, struct store_log, logs->len - 1);
    HOLD(&s->lock); /* from the look at the manifest to its end: pins are set under this lock */
    if (!check_pins(s, logs, err))
        return false;
    struct manifest next = s->manifest;
    next.merging_to = MAX(next.merging ? next.merging_to : 0, last->sequence);
    next.merging = true;
    if (!manifest_write(s->dir, &next, err))
        return false;
    s->manifest = next;
    return true;
}

static bool
save_header(const struct store *s, const struct store_log *log, struct log_header *out, GError **err)
{
    g_autofree char *from = layout_log_path(s->dir, log->sequence, &log->id);
    g_autofree char *to = layout_header_path(s->dir, &log->id);
    if (!layout_read_header(from, out, err))
        return false;
    if (file_replace(to, out->bytes->data, out->bytes->len, 0640, err))
        return true;
    log_header_clear(out);
    return false;
}

/* Steps 3 and 4; the old header is handed out, since its file and disks are still to be removed. */
static bool
record(struct merge *m, struct log_header *old, GError **err)
{
    struct store *s = m->store;
    const struct store_log *last = &g_array_index(m->logs, struct store_log, m->logs->len - 1);
    struct log_header header;

    if (!save_header(s, last, &header, err))
        return false;
    store_step(s, "apply-synced");
    HOLD(&s->lock);
    struct manifest next = s->manifest;
    next.header = header;
    next.has_base = true;
    next.base = *last;
    next.merging = last->sequence < next.merging_to;
    if (!manifest_write(s->dir, &next, err)) {
        log_header_clear(&next.header);
        return false;
    }
    *old = s->manifest.header;
    s->manifest = next;
    g_array_remove_range(s->logs, 0, m->logs->len);
    return true;
}

static bool
remove_disks(const struct store *s, const struct log_info *old, GError **err)
{
    for (unsigned i = 0; i < old->disk_count; i++) {
        const uint16_t id = old->disks[i].id;
        g_autofree char *path = layout_disk_path(s->dir, id), *sums = layout_sums_path(s->dir, id);
        if (!log_info_disk(&s->manifest.header.info, id) && (!file_unlink_durably(path, err) || !file_unlink_durably(sums, err)))
            return false;
    }
    return true;
}

static bool
remove_merged(struct merge *m, const struct log_header *old, GError **err)
{
    const struct store *s = m->store;
    if (!store_unlink_logs(s, m->logs, m->logs->len, "apply-unlinked", err))
        return false;
    if (!old->bytes)
        return true;
    g_autofree char *path = layout_header_path(s->dir, &old->info.id);
    return file_unlink_durably(path, err) && remove_disks(s, &old->info, err);
}

static bool
apply_group(struct store *s, const GArray *logs, const gint *cancel, GError **err)
{
    struct merge m = {s, logs, cancel, g_array_new(FALSE, FALSE, sizeof(struct base_disk))};
    struct log_header old = {0};

    g_array_set_clear_func(m.disks, close_disk);
    bool ok = mark(s, logs, err);
    if (ok) {
        store_step(s, "apply-marked");
        ok = write_group(&m, err) && record(&m, &old, err);
    }
    if (ok) {
        store_step(s, "apply-recorded");
        ok = remove_merged(&m, &old, err);
    }
    if (old.bytes)
        log_header_clear(&old);
    g_array_unref(m.disks);
    return ok;
}

/* A fuzzy log alone would leave a base that is no point where there was one. */
static bool
check_fuzzy(const struct store *s, guint last, GError **err)
{
    bool whole = manifest_base_is_exact(&s->manifest) && !s->manifest.base.fuzzy;
    for (guint i = 0; i < last && !whole; i++)
        whole = !STORE_LOG(s, i).fuzzy;
    if (!STORE_LOG(s, last).fuzzy || !whole)
        return true;
    char id[UUID_TEXT];
    return err_set(err, ERR_INVALID_STATE, "Log '%s' is not whole by itself; merge it together with the next whole one.",
                   uuid_format(&STORE_LOG(s, last).id, id));
}

/* The logs up to `id`, or an empty array when the base already stands for it. */
static GArray *
select_logs(struct store *s, const struct uuid *id, GError **err)
{
    guint last;
    HOLD(&s->lock);
    if (store_index_locked(s, id, &last))
        return check_fuzzy(s, last, err) ? store_copy_locked(s, 0, last + 1) : NULL;
    if (manifest_base_is_exact(&s->manifest) && uuid_equal(&s->manifest.base.id, id))
        return store_copy_locked(s, 0, 0);
    store_no_such_log(s, id, err);
    return NULL;
}

bool
store_apply(struct store *s, const struct uuid *id, const gint *cancel, GError **err)
{
    HOLD(&s->change);
    g_autoptr(GArray) logs = select_logs(s, id, err);
    if (!logs || logs->len == 0)
        return logs != NULL;
    auto_fd lock = baselock_exclude_below(s->dir, g_array_index(logs, struct store_log, logs->len - 1).sequence, err);
    if (lock < 0)
        return false;
    for (guint i = 0; i < logs->len;) {
        g_autoptr(GArray) group = g_array_new(FALSE, FALSE, sizeof(struct store_log));
        for (uint64_t bytes = 0; i < logs->len && bytes < GROUP_BYTES; i++) {
            bytes += g_array_index(logs, struct store_log, i).raw_bytes;
            g_array_append_val(group, g_array_index(logs, struct store_log, i));
        }
        if (!apply_group(s, group, cancel, err))
            return false;
    }
    return true;
}
