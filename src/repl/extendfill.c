/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "repl/extendfill.h"

#include "base/clean.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/hash.h"
#include "base/log.h"
#include "log/reader.h"
#include "log/writer.h"
#include "repl/compare.h"
#include "repl/export.h"
#include "repl/exportdir.h"
#include "repl/send.h"
#include "store/fingerprint.h"
#include "store/fpmap.h"
#include "store/view.h"

#include <errno.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

enum { PAGES = 16 << 10 };
static const guint64 STEP = (guint64)PAGES * LOG_PAGE;
static const gint64 UNREAD_US = 3600 * (gint64)G_USEC_PER_SEC;

struct fill {
    struct core *c;
    struct relation *rel;
    struct wire_peer *peer;    /* NULL: dir */
    const char *dir;
    struct view *view;
    const struct log_info *to;
    bool compares;             /* C holds something */
    bool mends;                /* one log of the chain with more in it */
    struct uuid head;          /* where C stands */
    guint64 sequence, limit;
    guint disk;                /* it begins there, everything before is done */
    guint64 at;
    guint8 key[HASH_SECRET];
    /* the log under way; NULL: none */
    struct log_writer *w;
    struct log_info info;
    char *path;
    bool any;
    gint64 begun_us;
};

/* ---- one log ---- */

static bool
is_last(const struct fill *f)
{
    return !(f->info.flags & LOG_FLAG_FUZZY);
}

/* Numbers between C's and the last log's are few when C follows closely: the last possible log takes all the rest. */
static void
describe(struct fill *f, bool last)
{
    log_info_copy(&f->info, f->to);
    f->info.parent = f->head;
    last |= f->sequence + 1 >= f->to->sequence;
    if (last)
        return;
    f->info.id = uuid_random();
    f->info.sequence = f->sequence + 1;
    f->info.flags |= LOG_FLAG_FUZZY;
}

static bool
add_sections(struct fill *f, GError **err)
{
    for (guint type = LOG_SECTION_DOMAIN_XML; type <= LOG_SECTION_GROUP; type++) {
        size_t len;
        g_autoptr(GError) why = NULL;
        g_autofree char *data = view_section(f->view, (enum log_section)type, &len, &why);
        if (why && !err_is(why, ERR_NOT_FOUND)) {
            g_propagate_error(err, g_steal_pointer(&why));
            return false;
        }
        if (data && !log_writer_section(f->w, (enum log_section)type, data, len, err))
            return false;
    }
    return true;
}

static bool
begin_log(struct fill *f, bool last, GError **err)
{
    describe(f, last);
    f->path = outbox_new_path(f->rel->s.outbox, &f->info.id);
    f->any = false;
    f->begun_us = clock_mono_us();
    struct log_writer_options options;
    core_packing(f->c, f->rel, &options);
    if (unlink(f->path) != 0 && errno != ENOENT)
        return err_errno(err, "File '%s' cannot be removed", f->path);
    f->w = log_writer_create(f->path, &f->info, &options, err);
    return f->w && (!is_last(f) || add_sections(f, err));
}

static void
drop_log(struct fill *f)
{
    log_writer_free(g_steal_pointer(&f->w));
    log_info_clear(&f->info);
    g_clear_pointer(&f->path, g_free);
}

static bool
send_to_peer(struct fill *f, GError **err)
{
    struct wire_status st = { 0 };
    struct throttle *limits[CORE_LIMITS];
    core_limits(f->c, f->rel, limits);
    const bool ok = wire_peer_send_log(f->peer, &f->rel->vm, &f->info.id, f->path, 0, limits, NULL, &st, err);
    wire_status_clear(&st);
    return ok;
}

/* The log is finished: to where it belongs, and noted. */
static bool
deliver(struct fill *f, const struct log_totals *totals, GError **err)
{
    const struct outbox_log log = { .id = f->info.id, .parent = f->info.parent, .sequence = f->info.sequence, .bytes = totals->file_bytes,
                                    .raw_bytes = totals->raw_bytes, .capture_us = f->info.capture_us, .queued_us = f->begun_us,
                                    .fuzzy = !is_last(f), .kind = f->info.kind };
    if (f->dir ? !export_put(f->rel, f->dir, f->path, &log, err) : !send_to_peer(f, err))
        return false;
    f->head = f->info.id;
    f->sequence = f->info.sequence;
    if (is_last(f) && !f->mends) {
        HOLD(&f->rel->lock);
        f->rel->s.want_compare = false;
    }
    return f->dir || send_note(f->rel, &log, err);
}

static bool
send_log(struct fill *f, GError **err)
{
    struct log_totals totals;
    if (!log_writer_finish(f->w, &totals, err))
        return false;
    log_writer_free(g_steal_pointer(&f->w));
    const bool ok = deliver(f, &totals, err);
    if (unlink(f->path) != 0)
        log_warning("File '%s' cannot be removed: %s", f->path, g_strerror(errno));
    drop_log(f);
    return ok;
}

/* ---- what differs ---- */

static void
add_run(struct extents *out, guint64 begin, guint64 end)
{
    if (end > begin)
        extents_add(out, begin, end - begin, EXTENT_DATA);
}

/* Pages [begin, end) whose hash is not the one that C has. */
static void
compare_pages(const GArray *ours, const GArray *theirs, guint64 begin, guint64 end, struct extents *out)
{
    guint64 run = begin;
    for (guint i = 0; i < ours->len; i++) {
        const guint64 at = begin + (guint64)i * LOG_PAGE;
        if (!compare_same_page(ours, theirs, i))
            continue;
        add_run(out, run, at);
        run = MIN(end, at + LOG_PAGE);
    }
    add_run(out, run, end);
}

static bool
compare_step(struct fill *f, guint disk, guint64 begin, guint64 end, struct extents *out, GError **err)
{
    struct wire_hashes h = { 0 };
    g_autoptr(GArray) ours = g_array_new(FALSE, FALSE, sizeof(struct hash128));
    if (!compare_hash(view_disk(f->view, disk), begin / LOG_PAGE, PAGES, f->key, &f->rel->halt, ours, err))
        return false;
    struct wire_hash_query q = { f->rel->vm, f->head, f->to->disks[disk].id, begin / LOG_PAGE, ours->len, f->key, false,
                                 (const struct hash128 *)(gpointer)ours->data };
    const bool ok = wire_peer_hashes(f->peer, &q, &h, err);
    if (ok)
        compare_pages(ours, h.hashes, begin, end, out);
    wire_hashes_clear(&h);
    return ok;
}

static bool
allocated_step(struct fill *f, guint disk, guint64 begin, guint64 end, struct extents *out, GError **err)
{
    extents_auto map = extents_new();
    if (!block_extents(view_disk(f->view, disk), begin, end - begin, map, err))
        return false;
    for (size_t i = 0; i < extents_count(map); i++)
        if (extents_at(map, i)->kind == EXTENT_DATA)
            extents_add(out, extents_at(map, i)->offset, extents_at(map, i)->length, EXTENT_DATA);
    return true;
}

/* ---- all ---- */

static void
progress(struct fill *f, guint64 bytes)
{
    HOLD(&f->rel->lock);
    f->rel->s.read_acked += bytes;
    g_cond_broadcast(&f->rel->changed);
}

static bool
step(struct fill *f, guint disk, guint64 begin, guint64 end, GError **err)
{
    extents_auto wanted = extents_new();
    if (g_atomic_int_get(&f->rel->halt))
        return err_set(err, ERR_CANCELLED, "Copying to the extended replica was stopped.");
    if (!(f->compares ? compare_step : allocated_step)(f, disk, begin, end, wanted, err))
        return false;
    progress(f, end - begin - extents_bytes_of(wanted, EXTENT_DATA)); /* the rest counts with its log */
    if (!extents_count(wanted))
        return true;
    if (!f->w && !begin_log(f, false, err))
        return false;
    f->any = true;
    if (!log_writer_copy(f->w, f->to->disks[disk].id, view_disk(f->view, disk), wanted, &f->rel->halt, err))
        return false;
    return is_last(f) || log_writer_raw_bytes(f->w) < f->limit || send_log(f, err);
}

static bool
fill_disk(struct fill *f, guint disk, GError **err)
{
    const guint64 size = f->to->disks[disk].size;
    for (guint64 at = disk == f->disk ? f->at : 0; at < size; at += STEP)
        if (!step(f, disk, at, MIN(size, at + STEP), err))
            return false;
    return true;
}

static bool
fill_all(struct fill *f, GError **err)
{
    for (guint d = f->disk; d < f->to->disk_count; d++)
        if (!fill_disk(f, d, err))
            return false;
    if (f->w && !is_last(f) && !send_log(f, err))
        return false;
    return (f->w || begin_log(f, true, err)) && send_log(f, err);
}

bool
extendfill_key(guint8 *key, GError **err)
{
    for (size_t got = 0; got < HASH_SECRET;) {
        const ssize_t n = getrandom(key + got, HASH_SECRET - got, 0);
        if (n < 0 && errno != EINTR)
            return err_errno(err, "There are no random bytes");
        got += n > 0 ? (size_t)n : 0;
    }
    return true;
}

static void
announce(struct fill *f)
{
    guint64 total = 0, done = f->at;
    for (guint d = 0; d < f->to->disk_count; d++) {
        total += f->to->disks[d].size;
        done += d < f->disk ? f->to->disks[d].size : 0;
    }
    const guint64 numbers = MAX(1, f->to->sequence - f->sequence);
    f->limit = MAX(f->c->slice_bytes, total / numbers);
    const char *exported = uuid_is_nil(&f->head) ? "exported" : "exported further";
    log_info("Guest '%s': its extended replica is %s.", f->rel->r.name,
             f->dir ? exported : f->compares ? "compared with the replica here" : "copied");
    HOLD(&f->rel->lock);
    f->rel->s.read_total = total;
    f->rel->s.read_acked = done;
}

bool
extendfill_send(struct core *c, struct relation *rel, const char *folder, struct wire_peer *peer, const struct wire_status *st,
                struct uuid *tail, GError **err)
{
    struct fill f = { .c = c, .rel = rel, .peer = peer, .compares = st->has_head, .head = st->has_head ? st->head : UUID_NIL,
                      .sequence = st->has_head ? st->head_sequence : 0 };
    if (!(f.view = view_open(folder, NULL, err)))
        return false;
    f.to = view_info(f.view);
    bool ok = f.to->sequence > f.sequence ||
              err_set(err, ERR_NOT_AVAILABLE, "The replica of guest '%s' has nothing newer than its extended replica yet.", rel->r.name);
    if (ok && (ok = extendfill_key(f.key, err))) {
        announce(&f);
        ok = fill_all(&f, err);
    }
    drop_log(&f);
    *tail = f.head;
    view_close(f.view);
    return ok;
}

/* ---- one log, and more in it ---- */

static void
add_frames(struct log_reader *r, guint16 disk, struct extents *out)
{
    struct log_extent e;
    for (guint i = 0; i < log_reader_frames(r); i++) {
        const struct log_frame *frame = log_reader_frame(r, i);
        struct log_extent_iter it = log_frame_extents(frame);
        while (frame->disk == disk && log_extent_next(&it, &e))
            extents_add(out, e.offset, e.length, EXTENT_DATA);
    }
}

static bool
copy_mended(struct fill *f, struct log_reader *r, const GPtrArray *found, GError **err)
{
    for (guint d = 0; d < f->to->disk_count; d++) {
        const guint16 id = f->to->disks[d].id;
        extents_auto all = extents_new();
        const struct extents *more = id < found->len ? found->pdata[id] : NULL;
        add_frames(r, id, all);
        for (size_t i = 0; more && i < extents_count(more); i++)
            extents_add(all, extents_at(more, i)->offset, extents_at(more, i)->length, EXTENT_DATA);
        extents_clip(all, f->to->disks[d].size);
        if (!log_writer_copy(f->w, id, view_disk(f->view, d), all, &f->rel->halt, err))
            return false;
    }
    return true;
}

bool
extendfill_mend(struct core *c, struct relation *rel, const char *folder, const char *path, struct wire_peer *peer,
                const GPtrArray *found, GError **err)
{
    struct log_reader *r = log_reader_open(path, err);
    if (!r)
        return false;
    const struct log_info *info = log_reader_info(r);
    struct fill f = { .c = c, .rel = rel, .peer = peer, .head = info->parent, .sequence = info->sequence - 1, .mends = true };
    bool ok = (f.view = view_open_log(folder, &info->id, err)) != NULL;
    if (ok) {
        f.to = view_info(f.view);
        ok = begin_log(&f, true, err) && copy_mended(&f, r, found, err) && send_log(&f, err);
        drop_log(&f);
        view_close(f.view);
    }
    log_reader_close(r);
    return ok;
}

/* ---- an export that was cut off ---- */

static guint
disk_of(const struct fill *f, guint16 id)
{
    guint d = 0;
    while (d < f->to->disk_count && f->to->disks[d].id != id)
        d++;
    return d;
}

/* A log ends with a step, so all of its last one is in it. */
static bool
place_behind(struct fill *f, const char *path, GError **err)
{
    struct log_reader *r = log_reader_open(path, err);
    bool ok = r != NULL;
    for (guint i = 0; ok && i < log_reader_frames(r); i++) {
        const struct log_frame *frame = log_reader_frame(r, i);
        const guint d = disk_of(f, frame->disk);
        struct log_extent_iter it = log_frame_extents(frame);
        struct log_extent e;
        ok = d < f->to->disk_count || err_set(err, ERR_CORRUPT, "Change log '%s' has a disk that the guest has not.", path);
        while (ok && log_extent_next(&it, &e)) {
            const guint64 end = MIN((e.offset + e.length + STEP - 1) / STEP * STEP, f->to->disks[d].size);
            if (d < f->disk || (d == f->disk && end <= f->at))
                continue;
            f->disk = d;
            f->at = end;
        }
    }
    log_reader_close(r);
    return ok;
}

/* The newest log there is the one that was noted, or was not noted any more. */
static const struct exported_log *
newest_ours(const GPtrArray *logs, const struct uuid *noted)
{
    const struct exported_log *last = logs && logs->len ? logs->pdata[logs->len - 1] : NULL;
    return last && !last->whole && (uuid_equal(&last->id, noted) || uuid_equal(&last->parent, noted)) ? last : NULL;
}

/* *on: it goes on behind the last log there. */
static bool
find_place(struct fill *f, const char *folder, const struct uuid *point, const struct uuid *noted, bool *on, GError **err)
{
    g_autoptr(GPtrArray) logs = exportdir_chain(f->dir, &f->rel->vm, err);
    const struct exported_log *last = newest_ours(logs, noted);
    if (!last)
        return logs != NULL;
    if (!exportdir_remove_parts(f->dir, err) || !(f->view = view_open(folder, point, err)))
        return false;
    f->to = view_info(f->view);
    if (!place_behind(f, last->path, err))
        return false;
    f->head = last->id;
    f->sequence = last->sequence;
    return *on = true;
}

/* A newer program wrote it, or the bytes are not what they were: nobody can go on with that. */
static bool
is_useless(const GError *why)
{
    return err_is(why, ERR_NOT_FOUND) || err_is(why, ERR_CORRUPT) || err_is(why, ERR_NOT_SUPPORTED);
}

/* A disk that was pulled out may come back; one that is broken, or somebody else's logs, must not leave the job waiting for ever. */
static bool
cannot_read(struct fill *f, const GError *why, GError **err)
{
    const gint64 now = clock_mono_us();
    if (err_is(why, ERR_INVALID_PARAMETER)) {
        g_propagate_error(err, g_error_copy(why));
        return false;
    }
    if (!f->rel->s.unread_us)
        f->rel->s.unread_us = now;
    const bool over = now - f->rel->s.unread_us >= UNREAD_US;
    if (over)
        f->rel->s.unread_us = 0;
    return err_set(err, over ? ERR_IO : ERR_NOT_AVAILABLE, "What the export in folder '%s' has written already cannot be read%s: %s",
                   f->dir, over ? "" : " now", why->message);
}

/* *on false: it begins anew, since what is there is of no use.  What only cannot be read now is no reason to delete it. */
static bool
go_on(struct fill *f, const char *folder, bool *on, GError **err)
{
    struct uuid point, noted;
    g_autoptr(GError) why = NULL;
    {
        HOLD(&f->rel->lock);
        point = f->rel->r.export_point;
        noted = f->rel->r.acked;
    }
    *on = false;
    if (!uuid_is_nil(&point))
        find_place(f, folder, &point, &noted, on, &why);
    if (why && !is_useless(why))
        return cannot_read(f, why, err);
    f->rel->s.unread_us = 0;
    if (uuid_is_nil(&point) || *on)
        return true;
    view_close(g_steal_pointer(&f->view));
    f->disk = 0;
    f->at = 0;
    log_info("Guest '%s': the export of its extended replica begins anew: %s", f->rel->r.name,
             why ? why->message : "its folder has changed.");
    return true;
}

static bool
begin_anew(struct fill *f, const char *folder, GError **err)
{
    if (!exportdir_make(f->dir, err) || !(f->view = view_open(folder, NULL, err)))
        return false;
    f->to = view_info(f->view);
    HOLD(&f->rel->lock);
    f->rel->r.export_point = f->to->id;
    f->rel->r.acked = UUID_NIL;
    return relation_save_locked(f->rel, err);
}

bool
extendfill_export(struct core *c, struct relation *rel, const char *folder, const char *dir, GError **err)
{
    struct fill f = { .c = c, .rel = rel, .dir = dir };
    /* The folder was made at the beginning: without it the disk is gone, and nothing may be written below its empty mount point. */
    if (!g_file_test(dir, G_FILE_TEST_IS_DIR))
        return err_set(err, ERR_NOT_FOUND, "Folder '%s' of the export is not there any more.", dir);
    bool on, ok = go_on(&f, folder, &on, err) && (on || begin_anew(&f, folder, err));
    if (ok) {
        announce(&f);
        ok = fill_all(&f, err);
    }
    drop_log(&f);
    view_close(f.view);
    return ok;
}
