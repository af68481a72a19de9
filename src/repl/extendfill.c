/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "repl/extendfill.h"

#include "base/clean.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/hash.h"
#include "base/log.h"
#include "log/writer.h"
#include "repl/export.h"
#include "repl/exportdir.h"
#include "repl/send.h"
#include "store/fingerprint.h"
#include "store/view.h"

#include <errno.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

enum { PAGES = 16 << 10, CHUNK = 1 << 20 };
static const guint64 STEP = (guint64)PAGES * LOG_PAGE;

struct fill {
    struct core *c;
    struct relation *rel;
    struct wire_peer *peer;    /* NULL: dir */
    const char *dir;
    struct view *view;
    const struct log_info *to;
    bool compares;             /* C holds something */
    struct uuid head;          /* where C stands */
    guint64 sequence, limit, rate;
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
    if (is_last(f)) {
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
static bool
compare_chunk(struct fill *f, struct block *b, guint64 begin, guint64 end, const struct hash128 *theirs, guint known, guint8 *buffer,
              struct extents *out, GError **err)
{
    guint64 run = begin;
    if (!block_read(b, buffer, end - begin, begin, err))
        return false;
    for (guint64 at = begin, i = 0; at < end; at += LOG_PAGE, i++) {
        const guint64 len = MIN(LOG_PAGE, end - at);
        const struct hash128 h = fingerprint_page(buffer + (at - begin), len, f->key);
        if (i >= known || memcmp(&h, &theirs[i], sizeof h) != 0)
            continue;
        add_run(out, run, at);
        run = at + len;
    }
    add_run(out, run, end);
    return true;
}

static bool
compare_step(struct fill *f, guint disk, guint64 begin, guint64 end, struct extents *out, GError **err)
{
    struct wire_hash_query q = { f->rel->vm, f->head, f->to->disks[disk].id, begin / LOG_PAGE, PAGES, f->key, false };
    struct wire_hashes h;
    struct block *b = view_disk(f->view, disk);
    g_autofree guint8 *buffer = g_malloc(CHUNK);
    if (!wire_peer_hashes(f->peer, &q, &h, err))
        return false;
    bool ok = true;
    for (guint64 at = begin; ok && at < end; at += CHUNK) {
        const guint first = (guint)((at - begin) / LOG_PAGE), have = h.hashes ? h.hashes->len : 0;
        const struct hash128 *theirs = have > first ? &g_array_index(h.hashes, struct hash128, first) : NULL;
        ok = compare_chunk(f, b, at, MIN(end, at + CHUNK), theirs, have > first ? have - first : 0, buffer, out, err);
    }
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
    for (guint64 at = 0; at < size; at += STEP)
        if (!step(f, disk, at, MIN(size, at + STEP), err))
            return false;
    return true;
}

static bool
fill_all(struct fill *f, GError **err)
{
    for (guint d = 0; d < f->to->disk_count; d++)
        if (!fill_disk(f, d, err))
            return false;
    if (f->w && !is_last(f) && !send_log(f, err))
        return false;
    return (f->w || begin_log(f, true, err)) && send_log(f, err);
}

/* C hashes under a key of ours: the guest, which writes the pages, must not know it. */
static bool
make_key(struct fill *f, GError **err)
{
    for (size_t got = 0; got < sizeof f->key;) {
        const ssize_t n = getrandom(f->key + got, sizeof f->key - got, 0);
        if (n < 0 && errno != EINTR)
            return err_errno(err, "There are no random bytes");
        got += n > 0 ? (size_t)n : 0;
    }
    return true;
}

static void
announce(struct fill *f)
{
    guint64 total = 0;
    for (guint d = 0; d < f->to->disk_count; d++)
        total += f->to->disks[d].size;
    const guint64 numbers = MAX(1, f->to->sequence - f->sequence);
    f->limit = MAX(f->c->slice_bytes, total / numbers);
    log_info("Guest '%s': its extended replica is %s.", f->rel->r.name,
             f->dir ? "exported" : f->compares ? "compared with the replica here" : "copied");
    HOLD(&f->rel->lock);
    f->rel->s.read_total = total;
    f->rel->s.read_acked = 0;
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
    if (ok && (ok = make_key(&f, err))) {
        announce(&f);
        ok = fill_all(&f, err);
    }
    drop_log(&f);
    *tail = f.head;
    view_close(f.view);
    return ok;
}

bool
extendfill_export(struct core *c, struct relation *rel, const char *folder, const char *dir, GError **err)
{
    struct fill f = { .c = c, .rel = rel, .dir = dir };
    /* The folder was made at the beginning: without it the disk is gone, and nothing may be written below its empty mount point. */
    if (!g_file_test(dir, G_FILE_TEST_IS_DIR))
        return err_set(err, ERR_NOT_FOUND, "Folder '%s' of the export is not there any more.", dir);
    if (!exportdir_make(dir, err) || !(f.view = view_open(folder, NULL, err)))
        return false;
    f.to = view_info(f.view);
    announce(&f);
    const bool ok = fill_all(&f, err);
    drop_log(&f);
    view_close(f.view);
    return ok;
}
