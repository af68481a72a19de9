/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "store/fingerprint_int.h"

#include "base/err.h"
#include "log/readahead.h"

#include <string.h>

/* fingerprint_copy: reads ranges of a disk, and writes what differs. */

enum { READERS_MAX = 8 };
static const gsize GROUP_MAX = 128 << 10; /* bytes handed to the writer at once: not more than a frame */

enum verdict { SAME, DATA, ZERO };

struct copy {
    struct fingerprint *f;
    struct log_writer *w;
    guint16 disk;
    guint64 size;               /* of the disk now */
    struct fpmap *map;          /* NULL: nothing is known */
    guint64 known_below;        /* pages from here on are unknown */
    /* neighbouring pages of one verdict that wait to be written */
    enum verdict verdict;
    guint64 offset;
    gsize length;
    const guint8 *data;
};

static bool
put_group(struct copy *c, GError **err)
{
    const gsize length = c->length;
    c->length = 0;
    if (length == 0 || c->verdict == SAME)
        return true;
    return c->verdict == ZERO ? log_writer_zero(c->w, c->disk, c->offset, length, err)
                              : log_writer_data(c->w, c->disk, c->offset, c->data, length, err);
}

static bool
add_to_group(struct copy *c, enum verdict verdict, guint64 offset, const guint8 *data, gsize length, GError **err)
{
    const bool fits = c->length && c->verdict == verdict && c->offset + c->length == offset &&
                      (verdict != DATA || (c->data + c->length == data && c->length + length <= GROUP_MAX));
    if (!fits) {
        if (!put_group(c, err))
            return false;
        c->verdict = verdict;
        c->offset = offset;
        c->data = data;
    }
    c->length += length;
    return true;
}

static bool
look(struct copy *c, guint64 page, struct hash128 *out, GError **err)
{
    *out = FPMAP_UNKNOWN;
    return !c->map || page >= c->known_below || fpmap_get(c->map, page, out, err);
}

static bool
note(struct copy *c, enum fpjournal_kind kind, guint64 page, const struct hash128 *hash, GError **err)
{
    const struct fpjournal_entry e = { kind, c->disk, page, 1, hash };
    return fpjournal_add(c->f->journal, &e, err);
}

/* One page as a whole; data NULL: it is known to be zero. */
static bool
whole_page(struct copy *c, guint64 page, const guint8 *data, gsize length, GError **err)
{
    const struct hash128 zero = FPMAP_ZERO;
    const struct hash128 now = data ? fingerprint_page(data, length, c->f->key) : zero;
    struct hash128 before;
    if (!look(c, page, &before, err))
        return false;
    if (memcmp(&now, &before, sizeof now) == 0) {
        c->f->counts.same += length;
        return add_to_group(c, SAME, page * LOG_PAGE, data, length, err);
    }
    if (fpmap_is_unknown(&before))
        c->f->counts.unknown += length;
    const bool is_zero = memcmp(&now, &zero, sizeof now) == 0;
    return note(c, is_zero ? FPJOURNAL_ZERO : FPJOURNAL_HASHES, page, &now, err) &&
           add_to_group(c, is_zero ? ZERO : DATA, page * LOG_PAGE, data, length, err);
}

/* The rest of the page is not seen: what is seen is written, and the page is unknown from here on. */
static bool
part_of_page(struct copy *c, guint64 page, guint64 offset, const guint8 *data, gsize length, GError **err)
{
    return note(c, FPJOURNAL_UNKNOWN, page, NULL, err) && add_to_group(c, data ? DATA : ZERO, offset, data, length, err);
}

static bool
take_run(struct copy *c, const struct readahead_run *run, GError **err)
{
    const guint64 end = run->offset + run->length;
    for (guint64 at = run->offset; at < end;) {
        const guint64 page = at / LOG_PAGE, begin = page * LOG_PAGE, stop = MIN(begin + LOG_PAGE, c->size);
        const gsize n = (gsize)(MIN(stop, end) - at);
        const guint8 *data = run->data ? run->data + (at - run->offset) : NULL;
        if (at == begin && at + n == stop ? !whole_page(c, page, data, n, err) : !part_of_page(c, page, at, data, n, err))
            return false;
        at += n;
    }
    c->f->counts.read += run->length;
    return true;
}

static bool
take_all(struct copy *c, struct readahead *ra, const gint *cancel, GError **err)
{
    const struct readahead_run *run = NULL;
    GError *why = NULL;
    for (size_t n; (n = readahead_next(ra, &run, &why)) > 0;) {
        if (cancel && __atomic_load_n(cancel, __ATOMIC_RELAXED))
            return err_set(err, ERR_CANCELLED, "Reading disk %u was cancelled.", c->disk);
        for (; n > 0; n--, run++)
            if (!take_run(c, run, err))
                return false;
        if (!put_group(c, err)) /* the data goes with the next call */
            return false;
    }
    if (why)
        g_propagate_error(err, why);
    return !why;
}

static bool
check_ranges(const struct copy *c, const struct block *from, const struct extents *extents, GError **err)
{
    const guint64 limit = MIN(c->size, from->size);
    for (size_t i = 0; i < extents_count(extents); i++)
        if (extents_at(extents, i)->offset + extents_at(extents, i)->length > limit)
            return err_set(err, ERR_INVALID_PARAMETER, "Disk %u has %" G_GUINT64_FORMAT " bytes, fewer than are to be read.",
                           c->disk, limit);
    return true;
}

static bool
find_size(const struct fingerprint *f, guint16 disk, guint64 *size)
{
    for (guint i = 0; i < f->sizes->len; i++) {
        const struct log_disk *d = &g_array_index(f->sizes, struct log_disk, i);
        if (d->id == disk) {
            *size = d->size;
            return true;
        }
    }
    return false;
}

bool
fingerprint_copy(struct fingerprint *f, struct log_writer *w, uint16_t disk, struct block *from, const struct extents *extents,
                 const gint *cancel, GError **err)
{
    const struct fpdisk *d = fingerprint_disk(f, disk);
    struct copy c = { .f = f, .w = w, .disk = disk, .map = d ? d->map : NULL };
    g_assert(f->recording);
    if (!find_size(f, disk, &c.size))
        return err_set(err, ERR_INVALID_PARAMETER, "The change log that is being made has no disk %u in its table.", disk);
    if (d)
        c.known_below = d->size == c.size ? fpmap_pages(d->map) : MIN(d->size, c.size) / LOG_PAGE;
    if (!check_ranges(&c, from, extents, err))
        return false;
    const guint64 pieces = extents_bytes_of(extents, EXTENT_DATA) / READAHEAD_PIECE;
    struct readahead *ra = readahead_start(from, extents, (unsigned)MIN(pieces, READERS_MAX));
    const bool ok = take_all(&c, ra, cancel, err);
    readahead_stop(ra);
    return ok;
}
