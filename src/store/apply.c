/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/err.h"
#include "base/file.h"
#include "store/baselock.h"
#include "store/layout.h"
#include "store/rewrite.h"

/* Merging the oldest logs into the base, in groups that are made durable together:
 *
 *   1 store.json: merging_to = the group's last log      from here on the base stands for no point
 *   2 what the logs leave, the newest of every place, into base/ (rewrite.h)
 *   3 fsync of base/ (the disks and their checksums), the last log's header beside it
 *   4 store.json: base = the group's last log
 *   5 unlink the logs, the old header, disks that are gone
 *
 * A crash or an error before 4 leaves the logs where they are, and the next apply writes the same places again; one after 4 is finished
 * by store_open.  If the next group ends before the interrupted one, the base stands for no point until that one's end is reached.  Views
 * of this group's last point and of newer ones may be open: their own index covers every page that is written. */

#define GROUP_BYTES (UINT64_C(512) << 20)
#define GROUP_LOGS 512 /* all of them are open at once */

struct merge {
    struct store *store;
    const GArray *logs; /* struct store_log, the group */
};

/* With the lock held: the points that the group's merging ends must not have been pinned meanwhile. */
static bool
check_pins(const struct store *s, const GArray *logs, GError **err)
{
    if (manifest_base_is_exact(&s->manifest) && !store_refuse_kept(s, &s->manifest.base.id, err))
        return false;
    for (guint i = 0; i + 1 < logs->len; i++)
        if (!store_refuse_kept(s, &g_array_index(logs, struct store_log, i).id, err))
            return false;
    return true;
}

static bool
mark(struct store *s, const GArray *logs, GError **err)
{
    const struct store_log *last = &g_array_index(logs, struct store_log, logs->len - 1);
    HOLD(&s->lock); /* from the look at the manifest to its end: pins are set under this lock */
    if (!check_pins(s, logs, err))
        return false;
    struct manifest next = s->manifest;
    next.merging_to = MAX(next.merging ? next.merging_to : 0, last->sequence);
    next.merging = true;
    if (!manifest_write(s->dir, &next, err))
        return false;
    s->manifest = next;
    return true;
}

static bool
save_header(const struct store *s, const struct store_log *log, struct log_header *out, GError **err)
{
    g_autofree char *from = layout_log_path(s->dir, log->sequence, &log->id);
    g_autofree char *to = layout_header_path(s->dir, &log->id);
    if (!layout_read_header(from, out, err))
        return false;
    if (file_replace(to, out->bytes->data, out->bytes->len, 0640, err))
        return true;
    log_header_clear(out);
    return false;
}

/* Steps 3 and 4; the old header is handed out, since its file and disks are still to be removed. */
static bool
record(struct merge *m, struct log_header *old, GError **err)
{
    struct store *s = m->store;
    const struct store_log *last = &g_array_index(m->logs, struct store_log, m->logs->len - 1);
    struct log_header header;

    if (!save_header(s, last, &header, err))
        return false;
    store_step(s, "apply-synced");
    HOLD(&s->lock);
    struct manifest next = s->manifest;
    next.header = header;
    next.has_base = true;
    next.base = *last;
    next.merging = last->sequence < next.merging_to;
    if (!manifest_write(s->dir, &next, err)) {
        log_header_clear(&next.header);
        return false;
    }
    *old = s->manifest.header;
    s->manifest = next;
    g_array_remove_range(s->logs, 0, m->logs->len);
    return true;
}

static bool
remove_disks(const struct store *s, const struct log_info *old, GError **err)
{
    for (unsigned i = 0; i < old->disk_count; i++) {
        const uint16_t id = old->disks[i].id;
        g_autofree char *path = layout_disk_path(s->dir, id), *sums = layout_sums_path(s->dir, id);
        if (!log_info_disk(&s->manifest.header.info, id) && (!file_unlink_durably(path, err) || !file_unlink_durably(sums, err)))
            return false;
    }
    return true;
}

static bool
remove_merged(struct merge *m, const struct log_header *old, GError **err)
{
    const struct store *s = m->store;
    if (!store_unlink_logs(s, m->logs, m->logs->len, "apply-unlinked", err))
        return false;
    if (!old->bytes)
        return true;
    g_autofree char *path = layout_header_path(s->dir, &old->info.id);
    return file_unlink_durably(path, err) && remove_disks(s, &old->info, err);
}

static bool
apply_group(struct store *s, const GArray *logs, const gint *cancel, GError **err)
{
    struct merge m = {s, logs};
    struct log_header old = {0};

    bool ok = mark(s, logs, err);
    if (ok) {
        store_step(s, "apply-marked");
        ok = rewrite_base(s, logs, cancel, err) && record(&m, &old, err);
    }
    if (ok) {
        store_step(s, "apply-recorded");
        ok = remove_merged(&m, &old, err);
    }
    if (old.bytes)
        log_header_clear(&old);
    return ok;
}

/* A fuzzy log alone would leave a base that is no point where there was one. */
static bool
check_fuzzy(const struct store *s, guint last, GError **err)
{
    bool whole = manifest_base_is_exact(&s->manifest) && !s->manifest.base.fuzzy;
    for (guint i = 0; i < last && !whole; i++)
        whole = !STORE_LOG(s, i).fuzzy;
    if (!STORE_LOG(s, last).fuzzy || !whole)
        return true;
    char id[UUID_TEXT];
    return err_set(err, ERR_INVALID_STATE, "Log '%s' is not whole by itself; merge it together with the next whole one.",
                   uuid_format(&STORE_LOG(s, last).id, id));
}

/* The logs up to `id`, or an empty array when the base already stands for it. */
static GArray *
select_logs(struct store *s, const struct uuid *id, GError **err)
{
    guint last;
    HOLD(&s->lock);
    if (store_index_locked(s, id, &last))
        return check_fuzzy(s, last, err) ? store_copy_locked(s, 0, last + 1) : NULL;
    if (manifest_base_is_exact(&s->manifest) && uuid_equal(&s->manifest.base.id, id))
        return store_copy_locked(s, 0, 0);
    store_no_such_log(s, id, err);
    return NULL;
}

bool
store_apply(struct store *s, const struct uuid *id, const gint *cancel, GError **err)
{
    HOLD(&s->change);
    g_autoptr(GArray) logs = select_logs(s, id, err);
    if (!logs || logs->len == 0)
        return logs != NULL;
    auto_fd lock = baselock_exclude_below(s->dir, g_array_index(logs, struct store_log, logs->len - 1).sequence, err);
    if (lock < 0)
        return false;
    for (guint i = 0; i < logs->len;) {
        g_autoptr(GArray) group = g_array_new(FALSE, FALSE, sizeof(struct store_log));
        for (uint64_t bytes = 0; i < logs->len && bytes < GROUP_BYTES && group->len < GROUP_LOGS; i++) {
            bytes += g_array_index(logs, struct store_log, i).raw_bytes;
            g_array_append_val(group, g_array_index(logs, struct store_log, i));
        }
        if (!apply_group(s, group, cancel, err))
            return false;
    }
    return true;
}
