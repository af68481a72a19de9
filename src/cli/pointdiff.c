/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cli/point.h"
#include "cli/progress.h"
#include "cli/show.h"

#include "base/clean.h"
#include "log/reader.h"
#include "store/layout.h"
#include "store/view.h"

#include <string.h>

/* point diff: what changed between two recovery points.
 *
 * The logs between them say where to look, so disks of any size are compared in the time that their changes take; both points are read
 * there, since a page that was written may hold what it held before. */

enum { CHUNK = 1 << 20, PAGE = 4096, REGIONS = 64, SHOWN = 5 };

struct disk_diff {
    const struct log_disk *old, *new;     /* either may be NULL: the disk came or went */
    struct extents *written, *changed;
    guint64 region;                       /* bytes of one */
};

static guint64
size_of(const struct log_disk *d)
{
    return d ? d->size : 0;
}

/* --- where to look ----------------------------------------------------------------------------------------------------------------- */

static void
collect_log(const struct log_reader *r, uint16_t disk, struct extents *out)
{
    for (unsigned i = 0; i < log_reader_frames(r); i++) {
        const struct log_frame *f = log_reader_frame(r, i);
        struct log_extent_iter it = log_frame_extents(f);
        struct log_extent e;
        while (f->disk == disk && log_extent_next(&it, &e))
            extents_add(out, e.offset, e.length, EXTENT_DATA);
    }
}

/* A disk that was smaller meanwhile lost what lay beyond. */
static void
collect_size(const struct log_reader *r, struct disk_diff *d, guint64 end)
{
    const struct log_disk *now = log_info_disk(log_reader_info(r), d->new ? d->new->id : d->old->id);
    if (size_of(now) < end)
        extents_add(d->written, size_of(now), end - size_of(now), EXTENT_DATA);
}

static bool
collect(const char *dir, guint64 after, guint64 upto, struct disk_diff *d, GError **err)
{
    g_autoptr(GArray) entries = layout_list_logs(dir, err);
    const guint64 end = MAX(size_of(d->old), size_of(d->new));
    for (guint i = 0; entries && i < entries->len; i++) {
        const struct layout_entry *e = &g_array_index(entries, struct layout_entry, i);
        if (e->sequence <= after || e->sequence > upto)
            continue;
        g_autofree char *path = layout_log_path(dir, e->sequence, &e->id);
        struct log_reader *r = log_reader_open(path, err);
        if (!r)
            return false;
        collect_log(r, d->new ? d->new->id : d->old->id, d->written);
        collect_size(r, d, end);
        log_reader_close(r);
    }
    extents_clip(d->written, end);
    return entries != NULL;
}

/* --- comparing --------------------------------------------------------------------------------------------------------------------- */

static bool
read_side(struct block *b, guint8 *to, guint64 from, size_t length, GError **err)
{
    const size_t there = b && from < b->size ? (size_t)MIN(length, b->size - from) : 0;
    memset(to + there, 0, length - there);
    return there == 0 || block_read(b, to, there, from, err);
}

static bool
compare(struct disk_diff *d, struct view *a, struct view *b, struct progress *p, GError **err)
{
    struct block *old = d->old ? view_disk_by_target(a, d->old->target) : NULL;
    struct block *new = d->new ? view_disk_by_target(b, d->new->target) : NULL;
    g_autofree guint8 *left = g_malloc(CHUNK), *right = g_malloc(CHUNK);
    const guint64 total = MAX(1, extents_bytes(d->written));
    guint64 done = 0;
    for (size_t i = 0; i < extents_count(d->written); i++) {
        const struct extent *e = extents_at(d->written, i);
        for (guint64 at = e->offset, n; at < e->offset + e->length; at += n, done += n) {
            n = MIN((guint64)CHUNK, e->offset + e->length - at);
            if (!read_side(old, left, at, n, err) || !read_side(new, right, at, n, err))
                return false;
            for (guint64 o = 0, len; o < n; o += len) {
                len = MIN((guint64)PAGE - (at + o) % PAGE, n - o);
                if (memcmp(left + o, right + o, len) != 0)
                    extents_add(d->changed, at + o, len, EXTENT_DATA);
            }
            progress_show(p, (guint)(done * 100 / total), "");
        }
    }
    return true;
}

/* --- where it is --------------------------------------------------------------------------------------------------------------------- */

struct region {
    guint64 from, changed;
};

static gint
by_change(gconstpointer a, gconstpointer b)
{
    const struct region *x = a, *y = b;
    return x->changed < y->changed ? 1 : x->changed > y->changed ? -1 : x->from > y->from ? 1 : -1;
}

/* Regions of one size, a power of two from 1 MiB on, at most REGIONS of them; the ones that changed, most first. */
static GArray *
regions_of(struct disk_diff *d)
{
    g_autofree guint64 *sums = g_new0(guint64, REGIONS);
    GArray *out = g_array_new(FALSE, FALSE, sizeof(struct region));
    d->region = 1 << 20;
    while (d->region * REGIONS < MAX(size_of(d->old), size_of(d->new)))
        d->region *= 2;
    for (size_t i = 0; i < extents_count(d->changed); i++) {
        const struct extent *e = extents_at(d->changed, i);
        for (guint64 at = e->offset, n; at < e->offset + e->length; at += n) {
            n = MIN(d->region - at % d->region, e->offset + e->length - at);
            sums[at / d->region] += n;
        }
    }
    for (guint i = 0; i < REGIONS; i++) {
        const struct region r = {i * d->region, sums[i]};
        if (r.changed)
            g_array_append_val(out, r);
    }
    g_array_sort(out, by_change);
    return out;
}

static json_t *
disk_json(struct disk_diff *d, const GArray *regions)
{
    json_t *list = json_array();
    for (guint i = 0; i < regions->len; i++) {
        const struct region *r = &g_array_index(regions, struct region, i);
        json_array_append_new(list, json_pack("{s:I, s:I, s:I}", "offset", (json_int_t)r->from, "length", (json_int_t)d->region, "changed",
                                              (json_int_t)r->changed));
    }
    return json_pack("{s:s, s:I, s:I, s:I, s:I, s:o}", "disk", d->new ? d->new->target : d->old->target, "size_before",
                     (json_int_t)size_of(d->old), "size_after", (json_int_t)size_of(d->new), "written",
                     (json_int_t)extents_bytes(d->written), "changed", (json_int_t)extents_bytes(d->changed), "regions", list);
}

static void
disk_rows(struct table *t, const struct disk_diff *d, const GArray *regions)
{
    const guint64 size = MAX(size_of(d->old), size_of(d->new)), changed = extents_bytes(d->changed);
    g_autofree char *whole = show_bytes(size), *written = show_bytes(extents_bytes(d->written)), *differ = show_bytes(changed);
    table_add(t, d->new ? d->new->target : d->old->target);
    table_add(t, whole);
    table_add(t, written);
    table_add(t, differ);
    table_add_format(t, "%.2f %%", size ? 100.0 * (double)changed / (double)size : 0.0);
    table_add(t, !d->old ? "new disk" : !d->new ? "disk is gone" : size_of(d->old) != size_of(d->new) ? "resized" : "");
    for (guint i = 0; i < MIN(regions->len, SHOWN); i++) {
        const struct region *r = &g_array_index(regions, struct region, i);
        g_autofree char *from = show_bytes(r->from), *to = show_bytes(MIN(size, r->from + d->region)), *part = show_bytes(r->changed);
        table_add(t, "");
        table_add(t, "");
        table_add(t, "");
        table_add(t, part);
        table_add_format(t, "%.0f %%", 100.0 * (double)r->changed / (double)MAX(1, changed));
        table_add_format(t, "from %s to %s", from, to);
    }
}

static bool
diff_disk(const char *dir, struct disk_diff *d, struct view *a, struct view *b, struct table *t, json_t *list, GError **err)
{
    struct progress p = PROGRESS(d->new ? d->new->target : d->old->target);
    d->written = extents_new();
    d->changed = extents_new();
    bool fine = collect(dir, view_info(a)->sequence, view_info(b)->sequence, d, err) && compare(d, a, b, &p, err);
    progress_end(&p);
    if (fine) {
        g_autoptr(GArray) regions = regions_of(d);
        disk_rows(t, d, regions);
        json_array_append_new(list, disk_json(d, regions));
    }
    extents_free(d->written);
    extents_free(d->changed);
    return fine;
}

static bool
diff_all(struct cli *c, const char *dir, struct view *a, struct view *b, const struct point_wish *w, GError **err)
{
    const struct log_info *old = view_info(a), *new = view_info(b);
    struct table *t = table_new("DISK", ">SIZE", ">WRITTEN", ">CHANGED", ">SHARE", "WHERE", NULL);
    json_t *list = json_array();
    bool fine = point_disks_exist(w, new, old, err);
    for (unsigned i = 0; fine && i < new->disk_count; i++) {
        struct disk_diff d = {.old = log_info_disk(old, new->disks[i].id), .new = &new->disks[i]};
        if (point_wanted_disk(w, d.new->target))
            fine = diff_disk(dir, &d, a, b, t, list, err);
    }
    for (unsigned i = 0; fine && i < old->disk_count; i++) {
        struct disk_diff d = {.old = &old->disks[i]};
        if (!log_info_disk(new, old->disks[i].id) && point_wanted_disk(w, d.old->target))
            fine = diff_disk(dir, &d, a, b, t, list, err);
    }
    char from[UUID_TEXT], to[UUID_TEXT];
    if (fine && c->json)
        show_print_json(json_pack("{s:s, s:s, s:O}", "from", uuid_format(&old->id, from), "to", uuid_format(&new->id, to), "disks", list));
    else if (fine)
        table_print(t, stdout);
    json_decref(list);
    table_free(t);
    return fine;
}

bool
point_diff(struct cli *c, char **args, const struct point_wish *w, GError **err)
{
    struct point_place place = {0};
    struct uuid other;
    struct view *a = NULL, *b = NULL;
    bool fine = point_find(c, args[0], args[1], w->store, &place, err) && point_find_other(c, args[0], args[2], &place, &other, err) &&
                (a = view_open(place.dir, uuid_is_nil(&place.point) ? NULL : &place.point, err)) &&
                (b = view_open(place.dir, uuid_is_nil(&other) ? NULL : &other, err));
    if (fine && view_info(a)->sequence > view_info(b)->sequence) {
        struct view *swap = a;
        a = b;
        b = swap;
    }
    fine = fine && diff_all(c, place.dir, a, b, w, err);
    view_close(a);
    view_close(b);
    point_place_clear(&place);
    return fine;
}
