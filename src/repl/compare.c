/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "repl/compare.h"

#include "base/clean.h"
#include "base/err.h"
#include "base/log.h"
#include "log/reader.h"
#include "repl/establish.h"
#include "repl/prints.h"
#include "repl/proof.h"
#include "store/fpmap.h"
#include "store/store.h"
#include "store/view.h"

#include <string.h>

/* ---- the replica ---- */

enum { CHUNK = 1 << 20 };

/* A page that is damaged on the replica has a hash that nothing has. */
static bool
hash_pages(struct block *b, guint64 begin, guint64 end, const guint8 *key, guint8 *buffer, GArray *out, GError **err)
{
    static const struct hash128 unknown = FPMAP_UNKNOWN;
    for (guint64 at = begin; at < end; at += LOG_PAGE) {
        const gsize n = (gsize)MIN(LOG_PAGE, end - at);
        g_autoptr(GError) why = NULL;
        const bool there = block_read(b, buffer, n, at, &why);
        if (!there && !err_is(why, ERR_CORRUPT)) {
            g_propagate_error(err, g_steal_pointer(&why));
            return false;
        }
        const struct hash128 h = there ? fingerprint_page(buffer, n, key) : unknown;
        g_array_append_val(out, h);
    }
    return true;
}

/* Hashes of [begin, end), which lies in one chunk. */
static bool
hash_chunk(struct block *b, guint64 begin, guint64 end, const guint8 *key, guint8 *buffer, GArray *out, GError **err)
{
    extents_auto map = extents_new();
    g_autoptr(GError) why = NULL;
    if (!block_extents(b, begin, end - begin, map, err))
        return false;
    if (extents_bytes_of(map, EXTENT_ZERO) == end - begin)
        memset(buffer, 0, end - begin);
    else if (!block_read(b, buffer, end - begin, begin, &why))
        return err_is(why, ERR_CORRUPT) ? hash_pages(b, begin, end, key, buffer, out, err)
                                        : (g_propagate_error(err, g_steal_pointer(&why)), false);
    for (guint64 at = 0; at < end - begin; at += LOG_PAGE) {
        const struct hash128 h = fingerprint_page(buffer + at, MIN(LOG_PAGE, end - begin - at), key);
        g_array_append_val(out, h);
    }
    return true;
}

bool
compare_hash(struct block *b, guint64 page, guint64 count, const guint8 *key, const gint *cancel, GArray *out, GError **err)
{
    g_autofree guint8 *buffer = g_malloc(CHUNK);
    const guint64 begin = MIN(page, b->size / LOG_PAGE + 1) * LOG_PAGE, end = MIN(b->size, begin + count * LOG_PAGE);
    for (guint64 at = begin; at < end; at += CHUNK) {
        if (cancel && __atomic_load_n(cancel, __ATOMIC_RELAXED))
            return err_set(err, ERR_CANCELLED, "Reading the disk was stopped.");
        if (!hash_chunk(b, at, MIN(end, at + CHUNK), key, buffer, out, err))
            return false;
    }
    return true;
}

/* A log that cannot be opened has spoilt every point from it on, and no repair brings it back: the replica stands where it stood before it,
 * which the primary finds out, and goes on from there with what differs. */
static bool
cut_back(struct relation *rel, GError **err)
{
    struct store *s = rel->in.store;
    struct store_log before;
    bool any = store_base(s, &before);
    g_autoptr(GArray) logs = store_logs(s);
    for (guint i = 0; i < logs->len; i++) {
        const struct store_log *log = &g_array_index(logs, struct store_log, i);
        g_autofree char *path = store_log_path(s, &log->id);
        g_autoptr(GError) why = NULL;
        struct log_reader *r = path ? log_reader_open(path, &why) : NULL;
        log_reader_close(r);
        if (r || !path || (!err_is(why, ERR_CORRUPT) && !err_is(why, ERR_NOT_FOUND))) {
            before = *log;
            any = true;
            continue;
        }
        if (!any || !store_truncate(s, &before.id, err))
            return any || err_set(err, ERR_CORRUPT, "%s  Nothing older is left of the replica; make it anew.", why->message);
        log_warning("Guest '%s': %s  It and the %u change logs after it were removed; the primary sends what they had again.",
                    rel->r.name, why->message, logs->len - i - 1);
        proof_begin(rel); /* what was known does not count */
        return err_set(err, ERR_OUT_OF_SEQUENCE, "The replica of guest '%s' has gone back to the state before a damaged change log.",
                       rel->r.name);
    }
    return err_set(err, ERR_CORRUPT, "The replica of guest '%s' cannot be read.", rel->r.name);
}

void
compare_look_again(struct relation *rel)
{
    HOLD(&rel->lock);
    rel->s.want_status = true;
    if (rel->s.send)
        task_now(rel->s.send);
}

static bool
answer_from(struct relation *rel, const struct wire_hash_query *q, struct wire_hashes *out, GError **err)
{
    g_autoptr(GError) why = NULL;
    struct store_log head;
    const bool newest = store_head(rel->in.store, &head) && uuid_equal(&head.id, &q->log); /* then it must be there */
    struct view *v = view_open_log(store_dir(rel->in.store), &q->log, &why);
    if (!v && !newest && err_is(why, ERR_NOT_FOUND))
        return err_set(err, ERR_OUT_OF_SEQUENCE, "The replica of guest '%s' does not have that change log (any more).", rel->r.name);
    if (!v && q->mend && err_is(why, ERR_CORRUPT))
        return cut_back(rel, err);
    if (!v) {
        g_propagate_error(err, g_steal_pointer(&why));
        return false;
    }
    bool ok = true;
    const struct log_info *info = view_info(v);
    out->hashes = g_array_new(FALSE, FALSE, sizeof(struct hash128));
    for (guint i = 0; i < info->disk_count; i++)
        if (info->disks[i].id == q->disk) {
            out->size = info->disks[i].size;
            ok = compare_hash(view_disk(v, i), q->page, q->count, q->key, NULL, out->hashes, err);
        }
    view_close(v);
    return ok;
}

bool
compare_answer(struct relation *rel, const struct wire_hash_query *query, struct wire_hashes *out, GError **err)
{
    {
        HOLD(&rel->lock);
        if (!rel->in.store || rel->in.importing || (rel->r.state != STATE_REPLICATING && rel->r.state != STATE_WAITING_INITIAL))
            return err_set(err, state_is_failed_over(state_name(rel->r.state)) ? ERR_FAILED_OVER : ERR_NOT_AVAILABLE,
                           "The replica of guest '%s' is in state '%s' and is not compared.", rel->r.name, state_name(rel->r.state));
        rel->in.uploads++; /* who stops the replica waits for us */
    }
    const bool ok = answer_from(rel, query, out, err);
    HOLD(&rel->lock);
    rel->in.uploads--;
    g_cond_broadcast(&rel->changed);
    return ok;
}

/* ---- the primary ---- */

enum { PAGES = 16 << 10 }; /* of one question: 64 MiB */

struct asking {
    struct relation *rel;
    struct wire_peer *peer;
    struct uuid log;
    bool mend;              /* an operator asked for a resynchronisation */
    void (*progress)(void *user, guint percent);
    void *user;
};

static bool
ask_disk(const struct asking *a, guint disk, guint disks, GError **err)
{
    guint64 size = 0;
    for (guint64 page = 0; page == 0 || page * LOG_PAGE < size; page += PAGES) {
        struct wire_hash_query q = { a->rel->vm, a->log, (guint16)disk, page, PAGES, fingerprint_key(a->rel->s.prints), a->mend };
        struct wire_hashes h;
        if (g_atomic_int_get(&a->rel->halt))
            return err_set(err, ERR_CANCELLED, "Comparing with the replica was stopped.");
        if (a->progress)
            a->progress(a->user, (guint)((disk * 100 + (size ? page * LOG_PAGE * 100 / size : 0)) / disks));
        bool ok = wire_peer_hashes(a->peer, &q, &h, err);
        if (!ok && a->mend && err_is(*err, ERR_OUT_OF_SEQUENCE))
            compare_look_again(a->rel);
        size = h.size;
        if (ok && size > LOG_DISK_SIZE_MAX)
            ok = err_set(err, ERR_MALFORMED, "The replica says that disk %u has %" G_GUINT64_FORMAT " bytes.", disk, size);
        if (ok && size)
            ok = fingerprint_learn(a->rel->s.prints, (guint16)disk, size, page, (const struct hash128 *)(gpointer)h.hashes->data,
                                   h.hashes->len, err);
        wire_hashes_clear(&h);
        if (!ok)
            return false;
    }
    return true;
}

static bool
ask_all(struct core *c, struct asking *a, GError **err)
{
    struct relation *rel = a->rel;
    const guint disks = g_strv_length(rel->r.targets);
    if (!prints_open(c, rel, err) || !fingerprint_forget(rel->s.prints, "The replica is asked for what it has.", err))
        return false;
    for (guint i = 0; i < disks; i++)
        if (!ask_disk(a, i, disks, err))
            return false;
    return fingerprint_learned(rel->s.prints, &a->log, err);
}

bool
compare_ask(struct core *c, struct relation *rel, void (*progress)(void *user, guint percent), void *user, GError **err)
{
    struct asking a = { .rel = rel, .progress = progress, .user = user };
    g_autofree char *host = NULL;
    guint port;
    if (outbox_count(rel->s.outbox))
        return err_set(err, ERR_NOT_AVAILABLE, "The replica is asked for what it has when it has the %u change logs that wait.",
                       outbox_count(rel->s.outbox));
    {
        HOLD(&rel->lock);
        a.log = rel->r.acked;
        a.mend = rel->s.want_compare;
        host = g_strdup(rel->settings.recovery_host);
        port = rel->settings.recovery_port;
    }
    if (uuid_is_nil(&a.log))
        return err_set(err, ERR_NOT_FOUND, "The replica is empty.");
    a.peer = establish_dial(c, host, port, err);
    const bool ok = a.peer && ask_all(c, &a, err);
    wire_peer_free(a.peer);
    if (ok)
        log_info("Guest '%s': the replica has said what it has.", rel->r.name);
    return ok;
}
