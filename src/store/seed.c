/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/clock.h"
#include "base/err.h"
#include "base/file.h"
#include "store/basesum.h"
#include "store/layout.h"
#include "store/private.h"

#include <fcntl.h>
#include <unistd.h>

/* A base that did not come through logs: somebody has put the disks under base/, and says what they stand for. */

static bool
settle_disk(const struct store *s, const struct log_disk *d, GError **err)
{
    g_autofree char *path = layout_disk_path(s->dir, d->id);
    auto_fd fd = open(path, O_RDWR | O_CLOEXEC);
    if (fd < 0)
        return err_errno(err, "Cannot open '%s'", path);
    if (ftruncate(fd, (off_t)d->size) < 0)
        return err_errno(err, "Cannot resize '%s'", path);
    struct basesum *sums = basesum_build(s->dir, d->id, fd, err);
    basesum_close(sums);
    return sums && file_sync(fd, path, err);
}

static bool
write_header(const struct store *s, const struct log_info *info, struct log_header *out, GError **err)
{
    g_autofree char *path = layout_header_path(s->dir, &info->id);
    g_autoptr(GPtrArray) none = g_ptr_array_new();
    g_autoptr(GByteArray) bytes = log_header_encode(info, none);
    return log_header_decode(bytes->data, bytes->len, out, err) && file_replace(path, bytes->data, bytes->len, 0640, err);
}

static bool
is_empty(struct store *s, GError **err)
{
    HOLD(&s->lock);
    return (!s->manifest.has_base && s->logs->len == 0) ||
           err_set(err, ERR_INVALID_STATE, "The store '%s' holds data already and cannot be seeded.", s->dir);
}

static bool
record(struct store *s, struct log_header *header, GError **err)
{
    HOLD(&s->lock);
    struct manifest next = s->manifest;
    next.header = *header;
    next.has_base = true;
    layout_log_from_info(&header->info, &next.base);
    next.base.received_us = clock_wall_us();
    if (!manifest_write(s->dir, &next, err))
        return false;
    s->manifest = next;
    *header = (struct log_header){0};
    return true;
}

bool
store_seed(struct store *s, const struct log_info *info, GError **err)
{
    g_autofree char *folder = layout_path(s->dir, "base");
    struct log_header header = {0};
    HOLD(&s->change);
    if (!is_empty(s, err))
        return false;
    for (unsigned i = 0; i < info->disk_count; i++)
        if (!settle_disk(s, &info->disks[i], err))
            return false;
    const bool ok = file_sync_dir(folder, err) && write_header(s, info, &header, err) && record(s, &header, err);
    if (header.bytes)
        log_header_clear(&header);
    return ok;
}
