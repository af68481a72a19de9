/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "store/rewrite.h"

#include "base/err.h"
#include "base/file.h"
#include "base/log.h"
#include "store/basesum.h"
#include "store/behind.h"
#include "store/layout.h"
#include "store/lookahead.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <stdio.h>

#define RUN_BYTES ((size_t)256 << 10)
#define TAKE_BYTES ((size_t)64 << 10) /* asked of the throttle at a time, when pages lie alone */

struct base_disk {
    uint16_t id;
    int fd;
    char *path;
    struct basesum *sums;
};

/* Data that lies side by side on the disk is written in one piece, wherever it came from. */
struct run {
    uint64_t offset;
    size_t length;
    uint8_t data[RUN_BYTES];
};

struct rewrite {
    const struct store *store;
    const gint *cancel;
    struct stack *stack;
    struct framecache *cache;
    struct lookahead *ahead;
    struct behind *behind;
    size_t owed;       /* bytes that were written and not yet asked of the throttle */
    struct run *run;
};

static void
close_disk(struct base_disk *d)
{
    basesum_close(d->sums);
    if (d->fd >= 0)
        close(d->fd);
    g_free(d->path);
}

/* A base without checksums was made before there were any: it is believed once. */
static struct basesum *
open_sums(const struct rewrite *w, const struct base_disk *d, bool known, GError **err)
{
    g_autoptr(GError) why = NULL;
    if (!known)
        return basesum_create(w->store->dir, d->id, err);
    struct basesum *sums = basesum_open(w->store->dir, d->id, true, &why);
    if (!sums && err_is(why, ERR_NOT_FOUND)) {
        log_warning("'%s' has no checksums; they are made of what it holds now.", d->path);
        return basesum_build(w->store->dir, d->id, d->fd, err);
    }
    if (why)
        g_propagate_error(err, g_steal_pointer(&why));
    return sums;
}

/* A disk that the base does not know yet begins as zeros, whatever an interrupted merge left under its name. */
static bool
open_disk(const struct rewrite *w, uint16_t id, struct base_disk *d, GError **err)
{
    const struct manifest *manifest = &w->store->manifest;
    bool known = manifest->has_base && log_info_disk(&manifest->header.info, id);
    *d = (struct base_disk){.id = id, .path = layout_disk_path(w->store->dir, id)};
    d->fd = open(d->path, O_RDWR | O_CLOEXEC | (known ? 0 : O_CREAT | O_TRUNC), 0640);
    if (d->fd < 0)
        return err_errno(err, "Cannot open '%s'", d->path);
    d->sums = open_sums(w, d, known, err);
    return d->sums != NULL;
}

static bool
resize_disk(const struct base_disk *d, uint64_t size, GError **err)
{
    if (ftruncate(d->fd, (off_t)size) < 0)
        return err_errno(err, "Cannot resize '%s'", d->path);
    return basesum_resized(d->sums, d->fd, size, err);
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

static bool
may_write(struct rewrite *w, size_t bytes, GError **err)
{
    bool may = !store_cancelled(w->cancel);
    w->owed += bytes;
    if (may && w->owed >= TAKE_BYTES) {
        may = store_may_merge(w->store, w->owed, w->cancel);
        w->owed = 0;
    }
    return may || err_set(err, ERR_CANCELLED, "Merging into the base of '%s' was cancelled; it starts again with the next attempt.",
                          w->store->dir);
}

static bool
flush_run(struct rewrite *w, const struct base_disk *d, GError **err)
{
    struct run *run = w->run;
    const size_t length = run->length;
    run->length = 0;
    if (length == 0)
        return true;
    if (!may_write(w, length, err) || !file_write_full(d->fd, run->data, length, run->offset, d->path, err))
        return false;
    behind_wrote(w->behind, d->fd, run->offset, length);
    return basesum_wrote(d->sums, d->fd, run->offset, run->data, length, err);
}

static bool
add_zeros(struct rewrite *w, const struct base_disk *d, uint64_t offset, uint64_t length, GError **err)
{
    return flush_run(w, d, err) && may_write(w, 0, err) && write_zeros(d, offset, length, err) &&
           basesum_wrote(d->sums, d->fd, offset, NULL, length, err);
}

static bool
add_segment(struct rewrite *w, const struct base_disk *d, const struct flat_segment *seg, GError **err)
{
    struct run *run = w->run;
    const uint64_t length = (uint64_t)seg->sectors * LOG_SECTOR;
    if (seg->frame == FLAT_ZERO)
        return add_zeros(w, d, seg->offset, length, err);
    for (uint64_t done = 0, n; done < length; done += n) {
        if ((run->offset + run->length != seg->offset + done || run->length == RUN_BYTES) && !flush_run(w, d, err))
            return false;
        if (run->length == 0)
            run->offset = seg->offset + done;
        n = MIN(length - done, RUN_BYTES - run->length);
        if (!framecache_copy(w->cache, seg->frame, seg->raw + (uint32_t)done, run->data + run->length, (size_t)n, err))
            return false;
        run->length += (size_t)n;
    }
    return true;
}

static bool
write_segments(struct rewrite *w, const struct base_disk *d, const struct flat *flat, GError **err)
{
    w->run->length = 0;
    for (size_t i = 0; i < flat_count(flat); i++) {
        lookahead_at(w->ahead, w->cache, flat, i);
        if (!add_segment(w, d, flat_at(flat, i), err))
            return false;
    }
    return flush_run(w, d, err);
}

/* Where the disk was shorter in between, what it had beyond that is gone. */
static bool
write_disk(struct rewrite *w, const struct log_disk *disk, struct base_disk *d, GError **err)
{
    struct flat *flat = flat_new(w->stack, 0, stack_count(w->stack), disk->id, disk->size);
    const bool ok = resize_disk(d, flat_below(flat), err) && resize_disk(d, disk->size, err) && write_segments(w, d, flat, err);
    flat_free(flat);
    return ok;
}

static bool
write_disks(struct rewrite *w, const struct log_info *info, struct base_disk *disks, GError **err)
{
    bool ok = true;
    for (unsigned i = 0; ok && i < info->disk_count; i++)
        ok = open_disk(w, info->disks[i].id, &disks[i], err) && write_disk(w, &info->disks[i], &disks[i], err);
    behind_free(g_steal_pointer(&w->behind));
    if (!ok)
        return false;
    store_step(w->store, "apply-written");
    for (unsigned i = 0; ok && i < info->disk_count; i++)
        ok = file_sync(disks[i].fd, disks[i].path, err) && basesum_sync(disks[i].sums, err);
    g_autofree char *folder = layout_path(w->store->dir, "base");
    return ok && file_sync_dir(folder, err);
}

static bool
rewrite(struct rewrite *w, GError **err)
{
    const struct log_info *info = log_reader_info(stack_reader(w->stack, 0));
    g_autofree struct base_disk *disks = g_new0(struct base_disk, info->disk_count);
    for (unsigned i = 0; i < info->disk_count; i++)
        disks[i].fd = -1;
    w->cache = lookahead_cache(w->stack);
    w->ahead = lookahead_new(w->stack);
    w->behind = behind_new();
    w->run = g_new(struct run, 1);
    const bool ok = write_disks(w, info, disks, err);
    g_free(w->run);
    framecache_free(w->cache);
    lookahead_free(w->ahead);
    for (unsigned i = 0; i < info->disk_count; i++)
        close_disk(&disks[i]);
    return ok;
}

bool
rewrite_base(const struct store *s, const GArray *logs, const gint *cancel, GError **err)
{
    struct rewrite w = {.store = s, .cancel = cancel, .stack = store_stack(s, logs, err)};
    const bool ok = w.stack && rewrite(&w, err);
    stack_free(w.stack);
    return ok;
}
