/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/err.h"
#include "base/file.h"
#include "log/writer.h"
#include "store/baselock.h"
#include "store/layout.h"
#include "store/lookahead.h"
#include "store/private.h"

#include <string.h>

#define MERGE_LEVEL 1
#define MERGE_THREADS 2

/* Neighbours become one log: the newest content of every sector, with the last one's identity and the first one's parent.  It is written
 * aside, made durable, and renamed over the last one; from then on the older ones are superfluous. */

struct merge {
    const struct store *store;
    struct stack *stack;
    struct framecache *cache;
    struct lookahead *ahead;
    struct log_writer *writer;
    const gint *cancel;
};

/* Data that lies side by side on the disk is handed over in one piece, wherever it came from. */
struct run {
    uint64_t offset;
    size_t length;
    uint8_t data[LOG_FRAME_RAW_MAX];
};

static bool
flush_run(struct merge *m, uint16_t disk, struct run *run, GError **err)
{
    bool ok = run->length == 0 || log_writer_data(m->writer, disk, run->offset, run->data, run->length, err);
    run->length = 0;
    return ok;
}

static bool
copy_segment(struct merge *m, uint16_t disk, const struct flat_segment *seg, struct run *run, GError **err)
{
    size_t length = (size_t)seg->sectors * LOG_SECTOR;
    if (!store_may_merge(m->store, length, m->cancel))
        return err_set(err, ERR_CANCELLED, "Merging logs was cancelled; nothing was changed.");
    if (seg->frame == FLAT_ZERO)
        return flush_run(m, disk, run, err) && log_writer_zero(m->writer, disk, seg->offset, length, err);
    bool joins = run->offset + run->length == seg->offset && run->length + length <= sizeof run->data;
    if (!joins && !flush_run(m, disk, run, err))
        return false;
    if (run->length == 0)
        run->offset = seg->offset;
    if (!framecache_copy(m->cache, seg->frame, seg->raw, run->data + run->length, length, err))
        return false;
    run->length += length;
    return true;
}

static bool
copy_disk(struct merge *m, struct stack *stack, const struct log_disk *disk, GError **err)
{
    g_autofree struct run *run = g_new0(struct run, 1);
    struct flat *flat = flat_new(stack, 0, stack_count(stack), disk->id, disk->size);
    bool ok = true;
    for (size_t i = 0; ok && i < flat_count(flat); i++) {
        lookahead_at(m->ahead, m->cache, flat, i);
        ok = copy_segment(m, disk->id, flat_at(flat, i), run, err);
    }
    flat_free(flat);
    return ok && flush_run(m, disk->id, run, err);
}

static bool
copy_sections(struct merge *m, GError **err)
{
    static const enum log_section types[] = {LOG_SECTION_DOMAIN_XML, LOG_SECTION_NVRAM, LOG_SECTION_TPM, LOG_SECTION_QUIESCE,
                                              LOG_SECTION_GROUP};
    for (size_t i = 0; i < G_N_ELEMENTS(types); i++) {
        GError *why = NULL;
        size_t len = 0;
        g_autofree char *data = log_reader_section(stack_reader(m->stack, 0), types[i], &len, &why);
        if (why) {
            g_propagate_error(err, why);
            return false;
        }
        if (data && !log_writer_section(m->writer, types[i], data, len, err))
            return false;
    }
    return true;
}

/* Frames as long as the longest among the logs, so that every segment fits into one. */
static void
merged_info(const struct stack *stack, struct log_info *info)
{
    log_info_copy(info, log_reader_info(stack_reader(stack, 0)));
    info->parent = log_reader_info(stack_reader(stack, stack_count(stack) - 1))->parent;
    for (unsigned i = 0; i < stack_count(stack); i++)
        info->frame_raw_max = MAX(info->frame_raw_max, log_reader_info(stack_reader(stack, i))->frame_raw_max);
}

static bool
write_merged(const struct store *s, struct stack *stack, const char *path, const gint *cancel, GError **err)
{
    struct log_info info;
    struct log_totals totals;
    merged_info(stack, &info);
    struct log_writer_options options = {.level = MERGE_LEVEL, .threads = MERGE_THREADS, .frame_raw = info.frame_raw_max};
    struct merge m = {.store = s, .stack = stack, .cancel = cancel};
    m.writer = log_writer_create(path, &info, &options, err);
    m.cache = lookahead_cache(stack);
    m.ahead = lookahead_new(stack);

    bool ok = m.writer && copy_sections(&m, err);
    for (unsigned i = 0; ok && i < info.disk_count; i++)
        ok = copy_disk(&m, stack, &info.disks[i], err);
    ok = ok && log_writer_finish(m.writer, &totals, err);
    log_writer_free(m.writer);
    lookahead_free(m.ahead);
    framecache_free(m.cache);
    log_info_clear(&info);
    return ok;
}

/* Points are lost only where the caller says so: a whole log may not vanish into one that is not. */
static GArray *
select_logs(struct store *s, const struct uuid *first, const struct uuid *last, GError **err)
{
    guint from, to;
    HOLD(&s->lock);
    if (!store_index_locked(s, first, &from)) {
        store_no_such_log(s, first, err);
        return NULL;
    }
    if (!store_index_locked(s, last, &to)) {
        store_no_such_log(s, last, err);
        return NULL;
    }
    bool fits = from <= to;
    for (guint i = from; i < to; i++)
        if (!store_refuse_kept(s, &STORE_LOG(s, i).id, err))
            return NULL;
    for (guint i = from; i < to && fits; i++)
        fits = STORE_LOG(s, i).fuzzy || !STORE_LOG(s, to).fuzzy;
    if (fits)
        return store_copy_locked(s, from, to - from + 1);
    err_set(err, ERR_INVALID_PARAMETER, "Logs of '%s' can be merged only from older to newer and only into a whole log.", s->dir);
    return NULL;
}

static bool
replace(struct store *s, const GArray *logs, const char *merged, GError **err)
{
    const struct store_log *last = &g_array_index(logs, struct store_log, logs->len - 1);
    g_autofree char *path = layout_log_path(s->dir, last->sequence, &last->id);
    struct store_log now;
    guint to;

    HOLD(&s->lock);
    for (guint i = 0; i + 1 < logs->len; i++) /* again: it has taken a while */
        if (!store_refuse_kept(s, &g_array_index(logs, struct store_log, i).id, err))
            return false;
    if (!store_set_received(merged, last->received_us, err) || !layout_read_log(merged, &now, err) ||
        !file_rename_durably(merged, path, err))
        return false;
    store_step(s, "consolidate-renamed");
    if (!store_index_locked(s, &last->id, &to))
        g_assert_not_reached();
    STORE_LOG(s, to) = now;
    g_array_remove_range(s->logs, to + 1 - logs->len, logs->len - 1);
    return true;
}

bool
store_consolidate(struct store *s, const struct uuid *first, const struct uuid *last, const gint *cancel, GError **err)
{
    HOLD(&s->change);
    g_autoptr(GArray) logs = select_logs(s, first, last, err);
    if (!logs || logs->len == 1)
        return logs != NULL;
    g_autofree char *merged = layout_merge_path(s->dir, last);
    struct stack *stack = store_stack(s, logs, err);
    bool ok = stack && file_unlink_durably(merged, err) && write_merged(s, stack, merged, cancel, err);
    stack_free(stack);
    if (!ok)
        return false;
    store_step(s, "consolidate-written");
    const uint64_t from = g_array_index(logs, struct store_log, 0).sequence;
    return spans_drop(s, from, g_array_index(logs, struct store_log, logs->len - 1).sequence, err) && replace(s, logs, merged, err) &&
           store_unlink_logs(s, logs, logs->len - 1, "consolidate-unlinked", err);
}

/* Newest first, each made durable: at any instant what is left is a chain. */
static bool
drop_after(struct store *s, guint keep, GError **err)
{
    while (s->logs->len > keep) {
        const struct store_log *log = &STORE_LOG(s, s->logs->len - 1);
        g_autofree char *path = layout_log_path(s->dir, log->sequence, &log->id);
        if (!file_unlink_durably(path, err))
            return false;
        g_array_set_size(s->logs, s->logs->len - 1);
        store_step(s, "truncate-unlinked");
    }
    return true;
}

bool
store_truncate(struct store *s, const struct uuid *id, GError **err)
{
    HOLD(&s->change);
    HOLD(&s->lock);
    guint keep = 0;
    uint64_t sequence = s->manifest.base.sequence;
    if (store_index_locked(s, id, &keep)) {
        sequence = STORE_LOG(s, keep).sequence;
        keep++;
    } else if (!manifest_base_is_exact(&s->manifest) || !uuid_equal(&s->manifest.base.id, id)) {
        return store_no_such_log(s, id, err);
    }
    for (guint i = keep; i < s->logs->len; i++)
        if (!store_refuse_kept(s, &STORE_LOG(s, i).id, err))
            return false;
    if (s->manifest.merging && sequence < s->manifest.merging_to)
        return err_set(err, ERR_INVALID_STATE, "The log is being merged into the base; apply the logs before it is made the newest.");
    auto_fd lock = baselock_exclude_above(s->dir, sequence, err);
    g_autofree char *record = layout_path(s->dir, "scrub.json"); /* it counts on what newer logs have written */
    return lock >= 0 && file_unlink_durably(record, err) && spans_drop(s, sequence + 1, LAYOUT_SEQUENCE_MAX, err) &&
           drop_after(s, keep, err);
}
