/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "store/spans.h"

#include "base/clock.h"
#include "base/err.h"
#include "base/file.h"
#include "base/log.h"
#include "store/chain.h"
#include "store/private.h"
#include "store/span.h"

#include <errno.h>
#include <string.h>

#define LEVELS 3
#define LEVEL_BITS 4
#define LOGS_MIN 4                              /* fewer are opened as quickly one by one */
#define RAW_MAX ((uint64_t)16 << 30)            /* of logs beneath a span; bounds memory and the file */
#define SEGMENT_SECTORS_MAX (1u << 30)

static const gint64 REST_US[LEVELS] = {0, 600 * (gint64)G_USEC_PER_SEC, 3600 * (gint64)G_USEC_PER_SEC};

/* A block of a level that was merged in. */
struct unsettled {
    unsigned level;
    uint64_t block;
    gint64 until_us;
};

#define LOG(logs, i) g_array_index(logs, struct store_log, i)
#define WISH(wishes, i) g_array_index(wishes, struct span_wish, i)

static unsigned
shift_of(unsigned level)
{
    return LEVEL_BITS * (level + 1);
}

/* ---- which ---- */

static const struct span_wish *
find_wish(const GArray *wishes, uint64_t first, uint64_t last)
{
    for (guint i = 0; i < wishes->len; i++)
        if (WISH(wishes, i).first == first && WISH(wishes, i).last == last)
            return &WISH(wishes, i);
    return NULL;
}

static bool
worth_it(const GArray *logs, guint from, guint count)
{
    uint64_t raw = 0;
    for (guint i = from; i < from + count; i++) {
        if (LOG(logs, i).damaged)
            return false;
        raw += LOG(logs, i).raw_bytes;
    }
    return count >= LOGS_MIN && count <= SPAN_LOGS_MAX && raw <= RAW_MAX;
}

static void
want_level(const GArray *logs, uint64_t base, unsigned level, GArray *out)
{
    const unsigned shift = shift_of(level);
    for (guint from = 0, end; from < logs->len; from = end) {
        const uint64_t block = LOG(logs, from).sequence >> shift;
        for (end = from; end < logs->len && LOG(logs, end).sequence >> shift == block; end++)
            continue;
        if (end == logs->len || (base && base >> shift == block) || !worth_it(logs, from, end - from))
            continue;
        const struct span_wish w = {LOG(logs, from).sequence, LOG(logs, end - 1).sequence, from, end - from};
        if (!find_wish(out, w.first, w.last))
            g_array_append_val(out, w);
    }
}

GArray *
spans_wanted(const GArray *logs, uint64_t base)
{
    GArray *out = g_array_new(FALSE, FALSE, sizeof(struct span_wish));
    for (unsigned level = 0; level < LEVELS; level++)
        want_level(logs, base, level, out);
    return out;
}

/* ---- removing ---- */

GArray *
spans_unsettled_new(void)
{
    return g_array_new(FALSE, FALSE, sizeof(struct unsettled));
}

/* What has rested enough goes. */
static void
settle(struct store *s, gint64 now)
{
    for (guint i = s->unsettled->len; i-- > 0;)
        if (g_array_index(s->unsettled, struct unsettled, i).until_us <= now)
            g_array_remove_index_fast(s->unsettled, i);
}

static void
unsettle(struct store *s, uint64_t first, uint64_t last)
{
    const gint64 now = clock_mono_us();
    settle(s, now);
    for (unsigned level = 1; level < LEVELS; level++)
        for (uint64_t block = first >> shift_of(level); block <= last >> shift_of(level); block++) {
            const struct unsettled u = {level, block, now + REST_US[level]};
            g_array_append_val(s->unsettled, u);
        }
}

/* A span that is made of smaller ones within the block; those themselves may be made at once. */
static bool
fills(const struct span_wish *w, const struct unsettled *u)
{
    const unsigned shift = shift_of(u->level), lower = shift - LEVEL_BITS;
    return w->first >> shift == u->block && w->last >> shift == u->block && w->first >> lower != w->last >> lower;
}

static bool
is_settled(struct store *s, const struct span_wish *w)
{
    settle(s, clock_mono_us());
    for (guint i = 0; i < s->unsettled->len; i++)
        if (fills(w, &g_array_index(s->unsettled, struct unsettled, i)))
            return false;
    return true;
}

static bool
remove_names(const struct store *s, bool (*goes)(const char *name, const void *data), const void *data, GError **err)
{
    g_autofree char *folder = layout_path(s->dir, "index");
    if (!g_file_test(folder, G_FILE_TEST_EXISTS))
        return true;
    g_autoptr(GPtrArray) names = layout_list_names(s->dir, "index", err);
    bool any = false;
    for (guint i = 0; names && i < names->len; i++) {
        g_autofree char *path = g_build_filename(folder, names->pdata[i], NULL);
        if (!goes(names->pdata[i], data))
            continue;
        if (unlink(path) < 0 && errno != ENOENT)
            return err_errno(err, "Cannot remove '%s'", path);
        any = true;
        store_step(s, "span-removed");
    }
    return names && (!any || file_sync_dir(folder, err));
}

static bool
touches(const char *name, const void *data)
{
    const struct layout_span *range = data;
    struct layout_span span;
    return layout_span_name(name, &span) && span.first <= range->last && span.last >= range->first;
}

bool
spans_drop(struct store *s, uint64_t first, uint64_t last, GError **err)
{
    const struct layout_span range = {first, last};
    unsettle(s, first, MIN(last, first + ((uint64_t)1 << shift_of(LEVELS))));
    return remove_names(s, touches, &range, err);
}

static bool
is_unwanted(const char *name, const void *data)
{
    struct layout_span span;
    return !layout_span_name(name, &span) || !find_wish(data, span.first, span.last);
}

/* ---- making ---- */

static GArray *
entries_of(const GArray *logs, const struct span_wish *w)
{
    GArray *entries = g_array_sized_new(FALSE, FALSE, sizeof(struct layout_entry), w->count);
    for (guint i = w->from; i < w->from + w->count; i++) {
        const struct layout_entry e = {LOG(logs, i).sequence, LOG(logs, i).id};
        g_array_append_val(entries, e);
    }
    return entries;
}

/* Pieces of a disk end where regions do: what belongs together becomes one again. */
static bool
joins(struct flat_segment *last, const struct flat_segment *s)
{
    const uint64_t end = last->offset + (uint64_t)last->sectors * LOG_SECTOR;
    const bool goes_on = s->frame == FLAT_ZERO || s->raw == last->raw + last->sectors * LOG_SECTOR;
    if (last->sectors == 0 || end != s->offset || last->frame != s->frame || !goes_on ||
        s->sectors > SEGMENT_SECTORS_MAX - last->sectors)
        return false;
    last->sectors += s->sectors;
    return true;
}

static bool
write_disk(struct chain *c, const struct log_disk *disk, struct span_writer *w, const gint *cancel, GError **err)
{
    struct chain_disk *d = chain_disk_new(c, disk->id, disk->size);
    struct flat_segment last = {0};
    bool ok = true;
    span_writer_disk(w, disk->id, chain_disk_below(d));
    for (uint64_t at = 0, end; ok && at < disk->size; at = end) {
        const struct flat *f = chain_disk_at(d, at, &end, err);
        ok = f && (!store_cancelled(cancel) || err_set(err, ERR_CANCELLED, "Saving an index was cancelled."));
        for (size_t i = 0; ok && i < flat_count(f); i++) {
            if (joins(&last, flat_at(f, i)))
                continue;
            if (last.sectors)
                span_writer_segment(w, &last);
            last = *flat_at(f, i);
        }
    }
    if (last.sectors)
        span_writer_segment(w, &last);
    chain_disk_free(d);
    return ok;
}

static bool
write_span(struct store *s, struct chain *c, const char *path, const gint *cancel, GError **err)
{
    const struct log_info *info = log_reader_info(stack_reader(chain_stack(c), 0));
    g_autoptr(GArray) logs = chain_logs(c);
    struct span_writer *w = span_writer_new(&s->vm, chain_parent(c), logs);
    bool ok = true;
    for (unsigned i = 0; ok && i < info->disk_count; i++)
        ok = write_disk(c, &info->disks[i], w, cancel, err);
    ok = ok && span_writer_finish(w, path, err);
    span_writer_free(w);
    if (ok)
        store_step(s, "span-written");
    return ok;
}

static bool
make(struct store *s, const GArray *logs, const struct span_wish *wish, const gint *cancel, GError **err)
{
    g_autoptr(GArray) entries = entries_of(logs, wish);
    g_autofree char *folder = layout_path(s->dir, "index"), *path = layout_span_path(s->dir, wish->first, wish->last);
    bool again = false;
    const struct chain_request r = {
        .dir = s->dir,
        .entries = entries,
        .from = &g_array_index(entries, struct layout_entry, entries->len - 1),
        .vm = s->vm,
        .end = LOG(logs, wish->from).parent,
        .end_sequence = wish->first - 1,
    };
    struct chain *c = file_make_dirs(folder, 0750, err) ? chain_open(&r, &again, err) : NULL;
    const bool ok = c && write_span(s, c, path, cancel, err);
    chain_free(c);
    return ok;
}

/* ---- the step ---- */

static bool
is_right(const struct store *s, const GArray *logs, const struct span_wish *w, GError **err)
{
    g_autofree char *path = layout_span_path(s->dir, w->first, w->last);
    struct span *span = span_open(path, &s->vm, err);
    bool ok = span && span_check(span, err);
    bool same = ok && span_logs(span) == w->count;
    for (guint i = 0; same && i < w->count; i++) {
        const struct span_log *log = span_log(span, i);
        const struct store_log *is = &LOG(logs, w->from + w->count - 1 - i);
        same = log->sequence == is->sequence && log->file_bytes == is->file_bytes && uuid_equal(&log->id, &is->id);
    }
    span_free(span);
    return ok && (same || err_set(err, ERR_CORRUPT, "The saved index '%s' describes other logs.", path));
}

/* One of them in turn; a wrong one goes, and is missing then. */
static bool
check_next(struct store *s, const GArray *logs, const GArray *wishes, bool *more, GError **err)
{
    g_autoptr(GError) why = NULL;
    if (wishes->len == 0)
        return true;
    const struct span_wish *w = &WISH(wishes, s->span_checked++ % wishes->len);
    g_autofree char *path = layout_span_path(s->dir, w->first, w->last);
    if (is_right(s, logs, w, &why) || !err_is(why, ERR_CORRUPT))
        return true;
    log_info("A saved index is made anew. %s", why->message);
    *more = true;
    return file_unlink_durably(path, err);
}

static const struct span_wish *
missing(struct store *s, const GArray *wishes)
{
    for (guint i = 0; i < wishes->len; i++) {
        const struct span_wish *w = &WISH(wishes, i);
        g_autofree char *path = layout_span_path(s->dir, w->first, w->last);
        if (!g_file_test(path, G_FILE_TEST_EXISTS) && is_settled(s, w))
            return w;
    }
    return NULL;
}

bool
spans_step(struct store *s, bool look, const gint *cancel, bool *more, GError **err)
{
    HOLD(&s->change);
    g_autoptr(GArray) logs = store_logs(s);
    uint64_t base;
    {
        HOLD(&s->lock);
        base = s->manifest.merging ? s->manifest.merging_to : s->manifest.has_base ? s->manifest.base.sequence : 0;
    }
    g_autoptr(GArray) wishes = spans_wanted(logs, base);
    *more = false;
    if (!remove_names(s, is_unwanted, wishes, err))
        return false;
    const struct span_wish *w = missing(s, wishes);
    if (!w)
        return !look || check_next(s, logs, wishes, more, err);
    *more = make(s, logs, w, cancel, err);
    return *more;
}
