/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "repl/extendcompare.h"

#include "base/clean.h"
#include "base/err.h"
#include "repl/compare.h"
#include "repl/extend.h"
#include "repl/extendfill.h"
#include "store/fpmap.h"
#include "store/view.h"

#include <string.h>

static const gint64 LOOK_US = G_USEC_PER_SEC / 4; /* how often a flag is looked at that nobody signals */

struct extendcompare {
    struct core *c;
    struct relation *rel;
    struct view *view;      /* NULL: to be opened */
    struct uuid log;        /* at which */
    guint8 key[HASH_SECRET];
    bool keyed;
};

struct extendcompare *
extendcompare_new(struct core *c, struct relation *rel)
{
    struct extendcompare *x = g_new0(struct extendcompare, 1);
    x->c = c;
    x->rel = rel;
    return x;
}

void
extendcompare_free(struct extendcompare *x)
{
    if (x && x->view)
        view_close(x->view);
    g_free(x);
}

/* ---- pages ---- */

static bool
open_view(struct extendcompare *x, GError **err)
{
    g_autoptr(GError) why = NULL;
    relation_auto base = core_find(x->c, &x->rel->vm, 0);
    g_autofree char *folder = base ? extend_folder(base) : NULL;
    if (!folder)
        return err_set(err, ERR_INVALID_STATE, "Guest '%s' is no replica with recovery points here any more.", x->rel->r.name);
    {
        HOLD(&x->rel->lock);
        x->log = x->rel->r.acked;
    }
    if ((x->view = view_open_log(folder, &x->log, &why)))
        return true;
    if (err_is(why, ERR_NOT_FOUND))
        return err_set(err, ERR_NOT_AVAILABLE, "The change log that the extended replica of guest '%s' stands at was merged here; it is "
                       "compared at the next one.", x->rel->r.name);
    g_propagate_error(err, g_steal_pointer(&why));
    return false;
}

static bool
ask(struct extendcompare *x, struct wire_peer *peer, guint disk, guint64 page, bool repair, const GArray *ours, struct wire_hashes *out,
    GError **err)
{
    const struct wire_hash_query q = { x->rel->vm, x->log, (guint16)disk, page, ours->len, x->key, repair,
                                       (const struct hash128 *)(gpointer)ours->data };
    if (wire_peer_hashes(peer, &q, out, err))
        return true;
    if (repair && err_is(*err, ERR_OUT_OF_SEQUENCE)) /* it may have gone back before a log that it cannot open */
        compare_look_again(x->rel);
    g_clear_pointer(&x->view, view_close);
    return false;
}

bool
extendcompare_pages(struct extendcompare *x, struct wire_peer *peer, guint disk, guint64 page, guint count, bool repair,
                    struct extents *found, guint64 *size, guint64 *pages, GError **err)
{
    struct wire_hashes h = { 0 };
    g_autoptr(GArray) ours = g_array_new(FALSE, FALSE, sizeof(struct hash128));
    if ((!x->keyed && !(x->keyed = extendfill_key(x->key, err))) || (!x->view && !open_view(x, err)))
        return false;
    struct block *b = view_disk_by_id(x->view, (guint16)disk);
    *size = b ? b->size : 0;
    *pages = 0;
    if (!b)
        return true;
    if (!compare_hash(b, page, count, x->key, &x->rel->halt, ours, err) || !ask(x, peer, disk, page, repair, ours, &h, err))
        return false;
    for (guint i = 0; i < ours->len; i++) {
        const struct hash128 *mine = &g_array_index(ours, struct hash128, i);
        if (fpmap_is_unknown(mine))
            continue;
        ++*pages;
        if (i >= h.hashes->len || memcmp(mine, &g_array_index(h.hashes, struct hash128, i), sizeof *mine) != 0)
            extents_add(found, (page + i) * LOG_PAGE, LOG_PAGE, EXTENT_DATA);
    }
    extents_clip(found, *size);
    wire_hashes_clear(&h);
    return true;
}

/* ---- repair ---- */

static bool
gives_up_locked(struct relation *rel, const struct extendmend *m, const gint *cancel)
{
    return !m->taken && (__atomic_load_n(cancel, __ATOMIC_RELAXED) || rel->removed || rel->r.state != STATE_REPLICATING);
}

bool
extendmend_wait(struct relation *rel, struct extendmend *m, const gint *cancel, GError **err)
{
    HOLD(&rel->lock);
    rel->s.mend = m;
    while (!m->done && !gives_up_locked(rel, m, cancel))
        g_cond_wait_until(&rel->changed, &rel->lock, g_get_monotonic_time() + LOOK_US);
    rel->s.mend = NULL;
    if (m->done)
        return true;
    return err_set(err, __atomic_load_n(cancel, __ATOMIC_RELAXED) ? ERR_CANCELLED : ERR_INVALID_STATE,
                   "The repair of guest '%s' was given up in replication state '%s'.", rel->r.name, state_name(rel->r.state));
}

struct extendmend *
extendmend_take(struct relation *rel)
{
    HOLD(&rel->lock);
    struct extendmend *m = rel->s.mend;
    if (!m || m->done) /* whoever waits for it need not have seen that yet, and goes then */
        return NULL;
    m->taken = true;
    return m;
}

void
extendmend_done(struct relation *rel, struct extendmend *m, bool sent)
{
    HOLD(&rel->lock);
    m->taken = false;
    m->done = sent;
    g_cond_broadcast(&rel->changed);
}
