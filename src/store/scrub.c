/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "store/scrub.h"

#include "base/block.h"
#include "base/err.h"
#include "base/log.h"
#include "log/verify.h"
#include "store/baselock.h"
#include "store/basesum.h"
#include "store/layout.h"
#include "store/manifest.h"
#include "store/private.h"

#include <string.h>
#include <sys/stat.h>

enum { CHUNK = 256 << 10, PAGES = CHUNK / LOG_PAGE, DAMAGES_MAX = 256 };
#define WINDOW (UINT64_C(256) << 20) /* of a base whose holes are asked for at once */

struct pass {
    const char *dir;
    struct scrub_place *at;
    const struct scrub_wish *wish;
    GPtrArray *found;
    uint64_t done;
    struct manifest manifest;
};

static bool
enough(const struct pass *p)
{
    return p->done >= p->wish->budget || store_cancelled(p->wish->cancel);
}

/* --- base ----------------------------------------------------------------------------------------------------------------------------- */

struct base_read {
    struct pass *pass;
    const struct log_disk *info;
    char *path;
    struct block *disk;     /* NULL: there is no such file, or it is */
    bool lost;              /* which cannot be opened any more */
    struct basesum *sums;
    uint8_t *buffer;
};

static void
base_close(struct base_read *b)
{
    block_close(b->disk);
    basesum_close(b->sums);
    g_free(b->path);
    g_free(b->buffer);
}

/* A base without checksums cannot be looked at; it gets them with the next merge.  One whose file is broken is damaged all over. */
static bool
base_open(struct base_read *b, bool *there, GError **err)
{
    g_autoptr(GError) why = NULL;
    b->path = layout_disk_path(b->pass->dir, b->info->id);
    b->sums = basesum_open(b->pass->dir, b->info->id, false, &why);
    *there = b->sums != NULL;
    if (!b->sums && !err_is(why, ERR_NOT_FOUND) && !err_is_damage(why)) {
        g_propagate_error(err, g_steal_pointer(&why));
        return false;
    }
    if (why)
        log_warning("The base file '%s' cannot be verified until the next merge: %s", b->path, why->message);
    b->buffer = g_malloc(CHUNK);
    g_clear_error(&why);
    b->disk = block_file_open(b->path, &why);
    b->lost = err_is_damage(why);
    if (b->disk || b->lost || err_is(why, ERR_NOT_FOUND))
        return true;
    g_propagate_error(err, g_steal_pointer(&why));
    return false;
}

static struct damage *
base_damage(struct base_read *b, uint64_t from)
{
    struct pass *p = b->pass;
    struct damage *last = p->found->len ? p->found->pdata[p->found->len - 1] : NULL;
    const size_t n = last ? extents_count(last->where) : 0;
    const bool joins = n > 0 && extents_at(last->where, n - 1)->offset + extents_at(last->where, n - 1)->length == from;
    if (last && last->of_base && last->disk == b->info->id && (joins || p->found->len >= DAMAGES_MAX))
        return last;
    last = damage_new(true, &p->manifest.base.id, p->manifest.base.sequence, b->info->id);
    g_ptr_array_add(p->found, last);
    return last;
}

static void
blame_base(struct base_read *b, uint64_t from, uint64_t length)
{
    struct damage *d = base_damage(b, from);
    extents_add(d->where, from, length, EXTENT_DATA);
    const uint64_t bytes = extents_bytes(d->where), first = extents_at(d->where, 0)->offset;
    g_free(d->text);
    d->text = g_strdup_printf("The base file '%s' is damaged at byte %" G_GUINT64_FORMAT " (disk %s, %" G_GUINT64_FORMAT " bytes).",
                              b->path, first, b->info->target, bytes);
}

/* What lies beyond the end of the file counts as zeros. */
static bool
read_there(struct base_read *b, uint8_t *to, uint64_t from, size_t length)
{
    const uint64_t size = b->disk ? b->disk->size : 0;
    const size_t there = from < size ? (size_t)MIN(length, size - from) : 0;
    memset(to + there, 0, length - there);
    return !b->lost && (there == 0 || block_read(b->disk, to, there, from, NULL));
}

static bool
page_fits(struct base_read *b, uint64_t page, bool readable, const uint8_t *data, size_t length, uint64_t sum)
{
    uint8_t again[LOG_PAGE];
    if (readable)
        return basesum_of(page, data, length) == sum;
    return read_there(b, again, page * LOG_PAGE, length) && basesum_of(page, again, length) == sum;
}

/* *known false: their disk does not give them any more, so nothing can be said of these pages. */
static bool
read_sums(struct base_read *b, uint64_t page, size_t pages, uint64_t *sums, bool *known, GError **err)
{
    g_autoptr(GError) why = NULL;
    *known = basesum_read(b->sums, page, pages, sums, &why);
    if (*known)
        return true;
    if (err_is_damage(why)) {
        log_warning("%zu pages of the base file '%s' cannot be verified: %s", pages, b->path, why->message);
        return true;
    }
    g_propagate_error(err, g_steal_pointer(&why));
    return false;
}

/* [from, from + length) is at most a CHUNK and begins at a page. */
static bool
check_chunk(struct base_read *b, uint64_t from, size_t length, GError **err)
{
    uint64_t sums[PAGES];
    const size_t pages = (length + LOG_PAGE - 1) / LOG_PAGE;
    bool known;
    if (!read_sums(b, from / LOG_PAGE, pages, sums, &known, err))
        return false;
    const bool readable = known && read_there(b, b->buffer, from, length); /* if not, each page alone */
    for (size_t i = 0; known && i < pages; i++) {
        const size_t n = MIN(LOG_PAGE, length - i * LOG_PAGE);
        if (!page_fits(b, from / LOG_PAGE + i, readable, b->buffer + i * LOG_PAGE, n, sums[i]))
            blame_base(b, from + i * LOG_PAGE, n);
    }
    b->pass->done += length;
    return true;
}

/* Pages of [from, to) that hold something, or should. */
static bool
base_map(struct base_read *b, uint64_t from, uint64_t to, struct extents *out, GError **err)
{
    g_autofree char *path = layout_sums_path(b->pass->dir, b->info->id);
    const uint64_t size = b->disk ? b->disk->size : 0, begin = (from / LOG_PAGE + 1) * sizeof(uint64_t);
    const uint64_t end = ((to + LOG_PAGE - 1) / LOG_PAGE + 1) * sizeof(uint64_t);
    block_auto sums = block_file_open(path, err);
    extents_auto map = extents_new();
    if (!sums || (begin < sums->size && !block_extents(sums, begin, MIN(end, sums->size) - begin, map, err)))
        return false;
    for (size_t i = 0; i < extents_count(map); i++) {
        const struct extent *e = extents_at(map, i);
        const uint64_t first = e->offset / sizeof(uint64_t) - 1;
        const uint64_t last = (e->offset + e->length + sizeof(uint64_t) - 1) / sizeof(uint64_t) - 1;
        if (e->kind == EXTENT_DATA)
            extents_add(out, first * LOG_PAGE, (last - first) * LOG_PAGE, EXTENT_DATA);
    }
    extents_auto data = extents_new();
    if (from < size && !block_extents(b->disk, from, MIN(to, size) - from, data, err))
        return false;
    for (size_t i = 0; i < extents_count(data); i++) {
        const struct extent *e = extents_at(data, i);
        const uint64_t first = e->offset / LOG_PAGE, last = (e->offset + e->length + LOG_PAGE - 1) / LOG_PAGE;
        if (e->kind == EXTENT_DATA)
            extents_add(out, first * LOG_PAGE, (last - first) * LOG_PAGE, EXTENT_DATA);
    }
    extents_clip(out, to);
    return true;
}

static bool
check_window(struct base_read *b, uint64_t to, GError **err)
{
    struct scrub_place *at = b->pass->at;
    extents_auto map = extents_new();
    if (!base_map(b, at->offset, to, map, err))
        return false;
    for (size_t i = 0; i < extents_count(map); i++) {
        const struct extent *e = extents_at(map, i);
        for (uint64_t from = MAX(e->offset, at->offset), end = e->offset + e->length; from < end;) {
            const size_t n = (size_t)MIN(CHUNK, end - from);
            if (enough(b->pass))
                return true;
            if (!check_chunk(b, from, n, err))
                return false;
            at->offset = from += n;
        }
    }
    at->offset = to;
    return true;
}

static bool
check_disk(struct pass *p, GError **err)
{
    struct base_read b = {.pass = p, .info = &p->manifest.header.info.disks[p->at->disk]};
    bool there = false, ok = base_open(&b, &there, err);
    while (ok && there && p->at->offset < b.info->size && !enough(p))
        ok = check_window(&b, MIN(b.info->size, p->at->offset + WINDOW), err);
    if (ok && (!there || p->at->offset >= b.info->size)) {
        p->at->disk++;
        p->at->offset = 0;
    }
    base_close(&b);
    return ok;
}

/* With the lock of the base's point nobody merges beyond it.  A merge that was cut off left pages and checksums that do not fit, and is
 * repeated before long: then the base is left out. */
static bool
check_base(struct pass *p, GError **err)
{
    if (!manifest_read(p->dir, &p->manifest, err))
        return false;
    const uint64_t sequence = p->manifest.base.sequence;
    auto_fd lock = p->manifest.has_base ? baselock_share(p->dir, sequence, err) : -1;
    if (p->manifest.has_base && lock < 0)
        return false;
    manifest_clear(&p->manifest);
    if (!manifest_read(p->dir, &p->manifest, err))
        return false;
    if (p->manifest.has_base && p->manifest.base.sequence != sequence)
        return err_set(err, ERR_IN_USE, "Logs are being merged into the base of '%s'.", p->dir);
    const unsigned disks = manifest_base_is_exact(&p->manifest) ? p->manifest.header.info.disk_count : 0;
    while (p->at->disk < disks && !enough(p))
        if (!check_disk(p, err))
            return false;
    p->at->in_logs = p->at->disk >= disks;
    return true;
}

/* --- logs ----------------------------------------------------------------------------------------------------------------------------- */

static void
blame_frame(struct pass *p, const struct layout_entry *e, const struct log_frame *f, const GError *why)
{
    struct damage *d = damage_new(false, &e->id, e->sequence, f->disk);
    struct log_extent_iter it = log_frame_extents(f);
    struct log_extent x;
    while (log_extent_next(&it, &x))
        if (!x.zero)
            extents_add(d->where, x.offset, x.length, EXTENT_DATA);
    d->text = g_strdup(why->message);
    g_ptr_array_add(p->found, d);
}

static void
blame_file(struct pass *p, const struct layout_entry *e, bool lost, const GError *why)
{
    struct damage *d = damage_new(false, &e->id, e->sequence, 0);
    d->lost = lost;
    d->text = g_strdup(why->message);
    g_ptr_array_add(p->found, d);
}

/* *r NULL: the log was merged meanwhile, or nothing of it can be read.  That there is no descriptor for it is no damage. */
static bool
open_log(struct pass *p, const struct layout_entry *e, const char *path, struct log_reader **r, GError **err)
{
    g_autoptr(GError) why = NULL;
    *r = log_reader_open(path, &why);
    if (*r || err_is(why, ERR_NOT_FOUND))
        return true;
    if (!err_is_damage(why)) {
        g_propagate_error(err, g_steal_pointer(&why));
        return false;
    }
    blame_file(p, e, true, why);
    return true;
}

static bool
check_frames(struct pass *p, const struct layout_entry *e, const struct log_reader *r, GError **err)
{
    g_autofree uint8_t *buf = g_malloc(LOG_FRAME_RAW_MAX);
    for (; p->at->frame < log_reader_frames(r) && !enough(p); p->at->frame++) {
        const struct log_frame *f = log_reader_frame(r, p->at->frame);
        g_autoptr(GError) bad = NULL;
        const bool whole = log_reader_data(r, p->at->frame, buf, &bad);
        if (!whole && !err_is_damage(bad)) {
            g_propagate_error(err, g_steal_pointer(&bad));
            return false;
        }
        if (!whole)
            blame_frame(p, e, f, bad);
        p->done += f->stored_length;
    }
    return true;
}

/* Only what the frames do not tell. */
static bool
check_deep(struct pass *p, const struct layout_entry *e, const char *path, guint before, GError **err)
{
    g_autoptr(GError) why = NULL;
    if (!p->wish->deep || p->found->len != before || log_check_file(path, &why) || err_is(why, ERR_NOT_FOUND))
        return true;
    if (err_is_damage(why)) {
        blame_file(p, e, false, why);
        return true;
    }
    g_propagate_error(err, g_steal_pointer(&why));
    return false;
}

static bool
check_log(struct pass *p, const struct layout_entry *e, GError **err)
{
    g_autofree char *path = layout_log_path(p->dir, e->sequence, &e->id);
    const guint before = p->found->len;
    struct log_reader *r;
    if (!open_log(p, e, path, &r, err))
        return false;
    bool ok = !r || check_frames(p, e, r, err);
    const bool over = ok && (!r || p->at->frame >= log_reader_frames(r));
    ok = ok && (!over || !r || check_deep(p, e, path, before, err));
    log_reader_close(r);
    if (ok && over) {
        p->at->sequence = e->sequence + 1;
        p->at->frame = 0;
    }
    return ok;
}

static bool
check_logs(struct pass *p, bool *over, GError **err)
{
    g_autoptr(GArray) entries = layout_list_logs(p->dir, err);
    if (!entries)
        return false;
    for (guint i = 0; i < entries->len; i++) {
        const struct layout_entry *e = &g_array_index(entries, struct layout_entry, i);
        if (e->sequence < p->at->sequence)
            continue;
        if (p->wish->last && e->sequence > p->wish->last)
            break;
        if (enough(p))
            return true;
        if (!check_log(p, e, err))
            return false;
        if (p->at->sequence <= e->sequence)
            return true;
    }
    *over = true;
    return true;
}

bool
scrub_some(const char *dir, struct scrub_place *at, const struct scrub_wish *wish, GPtrArray *found, uint64_t *done, bool *over,
           GError **err)
{
    struct pass p = {.dir = dir, .at = at, .wish = wish, .found = found};
    const guint before = found->len;
    *over = false;
    bool ok = at->in_logs || check_base(&p, err);
    if (ok && at->in_logs && !enough(&p))
        ok = check_logs(&p, over, err);
    for (guint i = before; ok && i < found->len; i++)
        ok = damage_reach(found->pdata[i], dir, err);
    manifest_clear(&p.manifest);
    *done = p.done;
    return ok && (!store_cancelled(wish->cancel) || err_set(err, ERR_CANCELLED, "The check of '%s' was cancelled.", dir));
}

uint64_t
scrub_total(const char *dir)
{
    static const char *const folders[] = {"base", "logs"};
    uint64_t sum = 0;
    for (size_t i = 0; i < G_N_ELEMENTS(folders); i++) {
        g_autoptr(GPtrArray) names = layout_list_names(dir, folders[i], NULL);
        for (guint n = 0; names && n < names->len; n++) {
            struct stat st;
            g_autofree char *path = g_build_filename(dir, folders[i], names->pdata[n], NULL);
            if (!g_str_has_suffix(path, ".sums") && stat(path, &st) == 0)
                sum += (uint64_t)st.st_blocks * 512;
        }
    }
    return sum;
}
