/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "repl/spool.h"

#include "base/clean.h"
#include "base/err.h"
#include "log/writer.h"

#include <string.h>

static const guint64 CUT = 1 << 20; /* extents are cut at multiples of this */

static void
slice_free(void *p)
{
    struct slice *s = p;
    g_ptr_array_unref(s->disks);
    g_free(s);
}

static struct slice *
slice_new(guint disks)
{
    struct slice *s = g_new0(struct slice, 1);
    s->disks = g_ptr_array_new_with_free_func((GDestroyNotify)extents_free);
    for (guint i = 0; i < disks; i++)
        g_ptr_array_add(s->disks, extents_new());
    return s;
}

/* How much of an extent still fits; never nothing. */
static guint64
portion(const struct extent *e, guint64 offset, guint64 room)
{
    const guint64 left = e->offset + e->length - offset;
    if (e->kind == EXTENT_ZERO || left <= room)
        return left;
    return MIN(left, MAX(CUT, room / CUT * CUT));
}

static void
add_extent(GPtrArray *out, guint disks, guint disk, const struct extent *e, guint64 limit)
{
    for (guint64 at = e->offset; at < e->offset + e->length;) {
        struct slice *s = out->pdata[out->len - 1];
        if (e->kind == EXTENT_DATA && s->bytes >= limit) {
            s = slice_new(disks);
            g_ptr_array_add(out, s);
        }
        const guint64 n = portion(e, at, limit - MIN(limit, s->bytes));
        extents_add(s->disks->pdata[disk], at, n, e->kind);
        s->bytes += e->kind == EXTENT_DATA ? n : 0;
        at += n;
    }
}

GPtrArray *
spool_slices(const struct repl_vm_ops *vm, struct capture *cap, guint disks, guint64 limit)
{
    GPtrArray *out = g_ptr_array_new_with_free_func(slice_free);
    g_ptr_array_add(out, slice_new(disks));
    for (guint d = 0; d < disks; d++) {
        const struct extents *all = vm->extents(cap, d);
        for (size_t i = 0; i < extents_count(all); i++)
            add_extent(out, disks, d, extents_at(all, i), limit ? limit : G_MAXUINT64);
    }
    return out;
}

static void
describe(struct core *c, struct relation *rel, struct capture *cap, const struct uuid *id, bool fuzzy, struct log_info *info)
{
    *info = (struct log_info){ .vm = rel->vm, .id = *id, .capture_us = c->vm->instant_us(cap), .kind = LOG_KIND_STANDARD,
                               .flags = fuzzy ? LOG_FLAG_FUZZY : 0 };
    relation_tail(rel, &info->parent, &info->sequence);
    info->sequence++;
    HOLD(&rel->lock);
    if (rel->s.want_last && !fuzzy)
        info->kind = LOG_KIND_PLANNED;
    info->epoch = rel->r.epoch;
    for (guint i = 0; rel->r.targets[i]; i++)
        log_info_add_disk(info, (guint16)i, rel->r.targets[i], c->vm->disk(cap, i)->size);
}

static int
level_of(struct relation *rel)
{
    HOLD(&rel->lock);
    if (!rel->settings.compression)
        return 0;
    return rel->settings.compression_level > 0 ? rel->settings.compression_level : 1;
}

static bool
fill(struct core *c, struct relation *rel, struct capture *cap, const struct slice *slice, bool fuzzy, struct log_writer *w, GError **err)
{
    const char *xml = c->vm->domain_xml(cap);
    if (!fuzzy && xml && !log_writer_section(w, LOG_SECTION_DOMAIN_XML, xml, strlen(xml), err))
        return false;
    for (guint i = 0; i < slice->disks->len; i++)
        if (!log_writer_copy(w, (guint16)i, c->vm->disk(cap, i), slice->disks->pdata[i], &rel->halt, err))
            return false;
    return true;
}

static bool
write_file(struct core *c, struct relation *rel, struct capture *cap, const struct slice *slice, const struct log_info *info, bool fuzzy,
           struct log_totals *totals, GError **err)
{
    g_autofree char *path = outbox_new_path(rel->s.outbox, &info->id);
    const struct log_writer_options options = { .level = level_of(rel), .threads = 1 };
    struct log_writer *w = log_writer_create(path, info, &options, err);
    const bool ok = w && fill(c, rel, cap, slice, fuzzy, w, err) && log_writer_finish(w, totals, err);
    log_writer_free(w);
    return ok;
}

bool
spool_write(struct core *c, struct relation *rel, struct capture *cap, const struct slice *slice, const struct uuid *id, bool fuzzy,
            gint64 begun_us, GError **err)
{
    struct log_info info;
    struct log_totals totals;
    describe(c, rel, cap, id, fuzzy, &info);
    const struct outbox_log entry = { .id = *id, .parent = info.parent, .sequence = info.sequence, .capture_us = info.capture_us,
                                      .queued_us = begun_us, .fuzzy = fuzzy, .kind = info.kind };
    const bool ok = write_file(c, rel, cap, slice, &info, fuzzy, &totals, err);
    log_info_clear(&info);
    if (!ok)
        return false;
    struct outbox_log finished = entry;
    finished.bytes = totals.file_bytes;
    finished.raw_bytes = totals.raw_bytes;
    return outbox_add(rel->s.outbox, &finished, err);
}
