/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "store/heal.h"

#include "base/block.h"
#include "base/err.h"
#include "base/file.h"
#include "store/basesum.h"
#include "store/layout.h"
#include "store/mend.h"
#include "store/private.h"
#include "store/view.h"

#include <fcntl.h>
#include <string.h>

struct heal {
    int fd;                  /* of the base */
    char *path;
    struct basesum *sums;
    struct block *newest;    /* NULL: the disk is gone */
    uint64_t size;           /* of the base */
};

static size_t
page_length(const struct heal *h, uint64_t offset)
{
    return offset < h->size ? (size_t)MIN(LOG_PAGE, h->size - offset) : 0;
}

static bool
is_right(const struct heal *h, uint64_t page, size_t length, uint64_t sum)
{
    uint8_t data[LOG_PAGE];
    return file_read_full(h->fd, data, length, page * LOG_PAGE, h->path, NULL) && basesum_of(page, data, length) == sum;
}

/* *done: the page is what it was. */
static bool
heal_page(const struct heal *h, uint64_t page, bool *done, uint64_t *mended, GError **err)
{
    uint8_t data[LOG_PAGE];
    uint64_t sum;
    const size_t length = page_length(h, page * LOG_PAGE);
    if (!basesum_read(h->sums, page, 1, &sum, err))
        return false;
    *done = length == 0 || is_right(h, page, length, sum);
    if (*done || !h->newest || page * LOG_PAGE + length > h->newest->size ||
        !block_read(h->newest, data, length, page * LOG_PAGE, NULL) || basesum_of(page, data, length) != sum)
        return true;
    *done = file_write_full(h->fd, data, length, page * LOG_PAGE, h->path, err);
    *mended += *done ? length : 0;
    return *done;
}

static bool
heal_pages(const struct heal *h, struct damage *d, uint64_t *mended, GError **err)
{
    struct extents *left = extents_new();
    bool ok = true;
    for (size_t i = 0; ok && i < extents_count(d->where); i++) {
        const struct extent *e = extents_at(d->where, i);
        for (uint64_t at = e->offset / LOG_PAGE * LOG_PAGE; ok && at < e->offset + e->length; at += LOG_PAGE) {
            bool done = false;
            ok = heal_page(h, at / LOG_PAGE, &done, mended, err);
            if (!done)
                extents_add(left, at, MIN(LOG_PAGE, e->offset + e->length - at), EXTENT_DATA);
        }
    }
    if (!ok || !file_sync(h->fd, h->path, err)) {
        extents_free(left);
        return false;
    }
    extents_free(d->where);
    d->where = left;
    return true;
}

static bool
heal_with(struct store *s, struct view *v, struct damage *d, uint64_t *mended, GError **err)
{
    struct heal h = {.path = layout_disk_path(s->dir, d->disk), .newest = view_disk_by_id(v, d->disk)};
    off_t end = -1;
    h.fd = open(h.path, O_RDWR | O_CLOEXEC);
    bool ok = h.fd >= 0 && (end = lseek(h.fd, 0, SEEK_END)) >= 0;
    if (!ok)
        err_errno(err, "Cannot open '%s'", h.path);
    h.size = (uint64_t)MAX(end, 0);
    ok = ok && (h.sums = basesum_open(s->dir, d->disk, false, err)) && heal_pages(&h, d, mended, err);
    basesum_close(h.sums);
    if (h.fd >= 0)
        close(h.fd);
    g_free(h.path);
    return ok;
}

static bool
is_readable(struct store *s, const struct damage *d)
{
    HOLD(&s->lock);
    return manifest_base_is_exact(&s->manifest) && log_info_disk(&s->manifest.header.info, d->disk);
}

static bool
heal_base(struct store *s, struct damage *d, uint64_t *mended, bool *whole, GError **err)
{
    struct store_log head;
    if (!store_head(s, &head) || head.sequence <= d->first || !is_readable(s, d))
        return true;
    struct view *v = view_open_log(s->dir, &head.id, err);
    const bool ok = v && heal_with(s, v, d, mended, err);
    view_close(v);
    *whole = ok && extents_count(d->where) == 0;
    return ok;
}

bool
store_heal(struct store *s, struct damage *d, uint64_t *mended, bool *whole, GError **err)
{
    *whole = false;
    if (d->lost || d->stays)
        return true;
    if (!g_mutex_trylock(&s->change))
        return err_set(err, ERR_IN_USE, "Logs of '%s' are being merged.", s->dir);
    g_autoptr(GError) why = NULL;
    const bool ok = d->of_base ? heal_base(s, d, mended, whole, &why) : mend_log(s, d, mended, whole, &why);
    g_mutex_unlock(&s->change);
    if (ok || err_is_damage(why)) /* on a broken disk nothing can be mended: it stays damaged */
        return true;
    g_propagate_error(err, g_steal_pointer(&why));
    return false;
}
