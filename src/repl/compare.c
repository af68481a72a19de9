/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "repl/compare.h"

#include "base/clean.h"
#include "base/err.h"
#include "base/log.h"
#include "log/reader.h"
#include "repl/establish.h"
#include "repl/guest.h"
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

/* A file that is gone is no loss when the log was merged meanwhile: such a log is off the list before its file goes. */
static bool
is_lost(struct store *s, const struct uuid *log, GError **why)
{
    g_autofree char *path = store_log_path(s, log);
    struct log_reader *r = path ? log_reader_open(path, why) : NULL;
    log_reader_close(r);
    if (r || !path || !err_is(*why, ERR_NOT_FOUND))
        return !r && path && err_is(*why, ERR_CORRUPT);
    g_autofree char *listed = store_log_path(s, log);
    return listed != NULL;
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
        g_autoptr(GError) why = NULL;
        if (!is_lost(s, &log->id, &why)) {
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
    struct block *b = view_disk_by_id(v, q->disk);
    out->hashes = g_array_new(FALSE, FALSE, sizeof(struct hash128));
    out->size = b ? b->size : 0;
    const bool ok = !b || compare_hash(b, q->page, q->count, q->key, NULL, out->hashes, err);
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

enum { PAGES = 16 << 10, PIECE = 16 }; /* of one question: 64 MiB; and of what need not be read again: 64 KiB */

struct asking {
    struct core *c;
    struct relation *rel;
    struct capture *cap;
    GPtrArray *same;
    struct wire_peer *peer;
    struct uuid log;
    bool mend;              /* an operator asked for a resynchronisation */
    void (*progress)(void *user, guint percent);
    void *user;
};

/* What the disk has now, from `page` on; nothing of a disk that is gone, or that cannot be read: whoever reads it for a log says so. */
static GArray *
read_ours(const struct asking *a, guint disk, guint64 page)
{
    GArray *ours = g_array_new(FALSE, FALSE, sizeof(struct hash128));
    const int slot = guest_slot(a->rel, disk);
    struct block *b = slot < 0 ? NULL : a->c->vm->disk(a->cap, (guint)slot);
    if (b && !compare_hash(b, page, PAGES, fingerprint_key(a->rel->s.prints), &a->rel->halt, ours, NULL))
        g_array_set_size(ours, 0);
    return ours;
}

bool
compare_same_page(const GArray *ours, const GArray *theirs, guint i)
{
    const struct hash128 *h = &g_array_index(ours, struct hash128, i);
    return i < theirs->len && memcmp(h, &g_array_index(theirs, struct hash128, i), sizeof *h) == 0 && !fpmap_is_unknown(h);
}

static void
note_same(const struct asking *a, guint disk, guint64 page, const GArray *ours, const GArray *theirs)
{
    for (guint i = 0, n; i < ours->len; i += PIECE) {
        const guint all = MIN(PIECE, ours->len - i);
        for (n = 0; n < all && compare_same_page(ours, theirs, i + n);)
            n++;
        if (n == all)
            extents_add(a->same->pdata[disk], (page + i) * LOG_PAGE, n * LOG_PAGE, EXTENT_DATA);
    }
}

/* A size that makes no sense is no reason to go on asking. */
static bool
learn(const struct asking *a, guint disk, guint64 page, const struct wire_hashes *h, GError **err)
{
    if (h->size > LOG_DISK_SIZE_MAX)
        return err_set(err, ERR_MALFORMED, "The replica says that disk %u has %" G_GUINT64_FORMAT " bytes.", disk, h->size);
    return h->size == 0 || fingerprint_learn(a->rel->s.prints, (guint16)disk, h->size, page,
                                             (const struct hash128 *)(gpointer)h->hashes->data, h->hashes->len, err);
}

/* One question: `*pages` from `page` on, as many as the disk has here; where it ends here, the rest is asked for without a guess. */
static bool
ask_some(const struct asking *a, guint disk, guint64 page, guint64 *pages, guint64 *size, GError **err)
{
    g_autoptr(GArray) ours = read_ours(a, disk, page);
    struct wire_hashes h;
    const struct wire_hash_query q = { a->rel->vm, a->log, (guint16)disk, page, ours->len ? ours->len : PAGES,
                                       fingerprint_key(a->rel->s.prints), a->mend,
                                       ours->len ? (const struct hash128 *)(gpointer)ours->data : NULL };
    if (g_atomic_int_get(&a->rel->halt))
        return err_set(err, ERR_CANCELLED, "Comparing with the replica was stopped.");
    bool ok = wire_peer_hashes(a->peer, &q, &h, err);
    if (!ok && a->mend && err_is(*err, ERR_OUT_OF_SEQUENCE))
        compare_look_again(a->rel);
    ok = ok && learn(a, disk, page, &h, err);
    if (ok)
        note_same(a, disk, page, ours, h.hashes);
    *pages = q.count;
    *size = h.size;
    wire_hashes_clear(&h);
    return ok;
}

static bool
ask_disk(const struct asking *a, guint disk, guint disks, GError **err)
{
    guint64 size = 0;
    for (guint64 page = 0, n = 0; page == 0 || page * LOG_PAGE < size; page += n) {
        if (a->progress)
            a->progress(a->user, (guint)((disk * 100 + (size ? page * LOG_PAGE * 100 / size : 0)) / disks));
        if (!ask_some(a, disk, page, &n, &size, err))
            return false;
    }
    return true;
}

static bool
ask_all(struct asking *a, GError **err)
{
    struct relation *rel = a->rel;
    const guint disks = g_strv_length(rel->r.targets);
    if (!prints_open(a->c, rel, err) || !fingerprint_forget(rel->s.prints, "The replica is asked for what it has.", err))
        return false;
    for (guint i = 0; i < disks; i++)
        if (!ask_disk(a, i, disks, err))
            return false;
    return fingerprint_learned(rel->s.prints, &a->log, err);
}

static bool
may_ask(struct relation *rel, struct uuid *log, bool *mend, GError **err)
{
    const guint waiting = outbox_count(rel->s.outbox);
    if (waiting)
        return err_set(err, ERR_NOT_AVAILABLE, "The replica is asked for what it has when it has the %u change logs that wait.", waiting);
    HOLD(&rel->lock);
    *log = rel->r.acked;
    *mend = rel->s.want_compare;
    return !uuid_is_nil(log) || err_set(err, ERR_NOT_FOUND, "The replica is empty.");
}

bool
compare_reach(struct core *c, struct relation *rel, GError **err)
{
    struct uuid log;
    bool mend;
    struct wire_hello hello = { 0 };
    if (!may_ask(rel, &log, &mend, err))
        return false;
    struct wire_peer *peer = establish_dial_replica(rel, err);
    const bool ok = peer && wire_peer_hello(peer, &hello, err);
    wire_hello_clear(&hello);
    wire_peer_free(peer);
    return ok;
}

bool
compare_ask(struct core *c, struct relation *rel, struct capture *cap, GPtrArray *same, void (*progress)(void *user, guint percent),
            void *user, GError **err)
{
    struct asking a = { .c = c, .rel = rel, .cap = cap, .same = same, .progress = progress, .user = user };
    if (!may_ask(rel, &a.log, &a.mend, err))
        return false;
    a.peer = establish_dial_replica(rel, err);
    const bool ok = a.peer && ask_all(&a, err);
    wire_peer_free(a.peer);
    if (ok)
        log_info("Guest '%s': the replica has said what it has.", rel->r.name);
    return ok;
}
