/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "repl/spool.h"

#include "base/clean.h"
#include "base/clock.h"
#include "base/log.h"
#include "repl/guest.h"
#include "repl/prints.h"

#include <string.h>

static const guint64 CUT = 1 << 20; /* extents are cut at multiples of this */

void
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
spool_slices(const GPtrArray *sets, guint64 limit)
{
    const guint disks = sets->len;
    GPtrArray *out = g_ptr_array_new_with_free_func(slice_free);
    g_ptr_array_add(out, slice_new(disks));
    for (guint d = 0; d < disks; d++) {
        const struct extents *all = sets->pdata[d];
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
    for (guint i = 0; rel->r.targets[i]; i++) {
        const int slot = guest_slot(rel, i);
        if (slot >= 0)
            log_info_add_disk(info, (guint16)i, rel->r.targets[i], c->vm->disk(cap, (guint)slot)->size);
    }
    /* Retention goes by time: it shall treat the logs of all members alike. */
    if (rel->s.common && !fuzzy)
        info->capture_us = rel->s.common_us;
    HOLD(&rel->lock);
    if (rel->s.evidence && !fuzzy)
        info->kind = LOG_KIND_APPLICATION;
    if (rel->s.taking_last && !fuzzy)
        info->kind = LOG_KIND_PLANNED;
    info->epoch = rel->r.epoch;
}

/* One log on its way. */
struct spool {
    struct core *c;
    struct relation *rel;
    struct capture *cap;
    const struct slice *slice;
    struct log_info info;
    struct log_totals totals;
    enum compress how;
    bool fuzzy;
    bool may_be_empty; /* else there is a log even when nothing changed: its instant is a recovery point */
    bool empty;
};

static bool
put_bytes(struct log_writer *w, enum log_section type, GBytes *bytes, GError **err)
{
    gsize len;
    const void *data = bytes ? g_bytes_get_data(bytes, &len) : NULL;
    return !data || log_writer_section(w, type, data, len, err);
}

static bool
fill(struct spool *s, struct log_writer *w, GError **err)
{
    const struct repl_vm_ops *vm = s->c->vm;
    const char *xml = vm->domain_xml(s->cap);
    if (!s->fuzzy && xml && !log_writer_section(w, LOG_SECTION_DOMAIN_XML, xml, strlen(xml), err))
        return false;
    if (!s->fuzzy && !(put_bytes(w, LOG_SECTION_NVRAM, vm->nvram(s->cap), err) && put_bytes(w, LOG_SECTION_TPM, vm->tpm(s->cap), err)))
        return false;
    const char *quiesced = s->fuzzy ? NULL : s->rel->s.evidence;
    if (quiesced && !log_writer_section(w, LOG_SECTION_QUIESCE, quiesced, strlen(quiesced), err))
        return false;
    const char *common = s->fuzzy ? NULL : s->rel->s.common;
    if (common && !log_writer_section(w, LOG_SECTION_GROUP, common, strlen(common), err))
        return false;
    for (guint i = 0; i < s->slice->disks->len; i++) {
        const int slot = guest_slot(s->rel, i);
        if (slot >= 0 && !fingerprint_copy(s->rel->s.prints, w, (guint16)i, vm->disk(s->cap, (guint)slot), s->slice->disks->pdata[i],
                                           &s->rel->halt, err))
            return false;
    }
    return true;
}

/* What was looked at and is not the same was written. */
static guint64
written(const struct fingerprint *f)
{
    const struct fingerprint_counts n = fingerprint_counts(f);
    return n.read - n.same;
}

static void
note_churn(struct spool *s, const struct log_writer *w)
{
    struct relation *rel = s->rel;
    guint64 sum = 0;
    HOLD(&rel->lock);
    hourly_begin(&rel->s.hourly, rel->db, rel->key, s->info.capture_us);
    for (guint i = 0; i < s->slice->disks->len; i++) {
        guint64 raw, stored;
        log_writer_disk_bytes(w, (guint16)i, &raw, &stored);
        sum += stored;
        if (raw)
            hourly_disk(&rel->s.hourly, rel->r.targets[i], s->fuzzy, raw, stored);
    }
    if (!s->fuzzy)
        hourly_cycle(&rel->s.hourly, s->totals.file_bytes - sum);
}

static void
learn(struct spool *s)
{
    HOLD(&s->rel->lock);
    if (s->rel->settings.compression_level <= 0)
        compress_note_packed(&s->rel->s.meter, s->how, s->totals.raw_bytes, s->totals.file_bytes, s->totals.pack_us);
}

static bool
write_file(struct spool *s, GError **err)
{
    struct fingerprint *f = s->rel->s.prints;
    const guint64 before = written(f);
    g_autofree char *path = outbox_new_path(s->rel->s.outbox, &s->info.id);
    struct log_writer_options options;
    s->how = core_packing(s->c, s->rel, &options);
    options.renamed = true;
    options.relaxed = s->fuzzy;
    if (!fingerprint_begin(f, &s->info, err))
        return false;
    options.anew = outbox_take_spare(s->rel->s.outbox, path, s->fuzzy);
    struct log_writer *w = log_writer_create(path, &s->info, &options, err);
    bool ok = w && fill(s, w, err);
    s->empty = ok && s->may_be_empty && written(f) == before;
    if (ok && !s->empty)
        ok = fingerprint_prepare(f, err) && log_writer_finish(w, &s->totals, err);
    if (ok && !s->empty)
        note_churn(s, w);
    log_writer_free(w);
    if (ok && !s->empty)
        learn(s);
    return ok;
}

static bool
add(struct spool *s, gint64 begun_us, GError **err)
{
    const struct log_info *info = &s->info;
    const struct outbox_log entry = { .id = info->id, .parent = info->parent, .sequence = info->sequence, .capture_us = info->capture_us,
                                      .queued_us = begun_us, .fuzzy = s->fuzzy, .kind = info->kind, .bytes = s->totals.file_bytes,
                                      .raw_bytes = s->totals.raw_bytes };
    if (!outbox_add(s->rel->s.outbox, &entry, err))
        return false;
    task_now(s->rel->s.send); /* while this one ends the capture */
    return true;
}

/* The log is durable whatever happens here: what is in the journal of the fingerprints is played when they are opened again. */
static void
follow(struct relation *rel)
{
    g_autoptr(GError) why = NULL;
    if (fingerprint_commit(rel->s.prints, &why))
        return;
    log_warning("Guest '%s': the fingerprints could not follow a change log and are opened anew: %s", rel->r.name, why->message);
    prints_close(rel);
}

/* Before the fingerprints follow: they know the sizes of the log before. */
static void
note_sizes(const struct spool *s)
{
    for (guint i = 0; i < s->info.disk_count; i++) {
        const struct log_disk *d = &s->info.disks[i];
        const guint64 was = fingerprint_size(s->rel->s.prints, d->id);
        if (was && was != d->size)
            log_info("Guest '%s': disk '%s' has %s, from %" G_GUINT64_FORMAT " to %" G_GUINT64_FORMAT
                     " bytes; its points from before keep their size.", s->rel->r.name, d->target, d->size < was ? "shrunk" : "grown", was,
                     d->size);
    }
}

static bool
write_log(struct spool *s, const struct uuid *id, gint64 begun_us, GError **err)
{
    if (!prints_open(s->c, s->rel, err))
        return false;
    describe(s->c, s->rel, s->cap, id, s->fuzzy, &s->info);
    const bool ok = write_file(s, err) && (s->empty || add(s, begun_us, err));
    if (ok && !s->empty) {
        note_sizes(s);
        follow(s->rel);
    } else {
        fingerprint_drop(s->rel->s.prints);
    }
    log_info_clear(&s->info);
    return ok;
}

bool
spool_write(struct core *c, struct relation *rel, struct capture *cap, const struct slice *slice, const struct uuid *id, bool fuzzy,
            gint64 begun_us, GError **err)
{
    struct spool s = { .c = c, .rel = rel, .cap = cap, .slice = slice, .fuzzy = fuzzy };
    return write_log(&s, id, begun_us, err);
}

bool
spool_write_some(struct core *c, struct relation *rel, struct capture *cap, const struct slice *slice, GError **err)
{
    const struct uuid id = uuid_random();
    struct spool s = { .c = c, .rel = rel, .cap = cap, .slice = slice, .fuzzy = true, .may_be_empty = true };
    return write_log(&s, &id, clock_mono_us(), err);
}
