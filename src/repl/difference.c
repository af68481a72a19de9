/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "repl/difference.h"

#include "base/clean.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "repl/compare.h"
#include "repl/establish.h"
#include "repl/extendcompare.h"
#include "repl/guest.h"
#include "repl/sample.h"
#include "store/fpmap.h"

#include <string.h>

enum { PAGES = 8 << 10, ATTEMPTS = 240, SHOWN = 8 }; /* a slice: 32 MiB */
static const gint64 LOOK_US = G_USEC_PER_SEC / 4; /* and between attempts: a minute in all */

struct comparison {
    struct core *c;
    struct relation *rel;
    struct job *job;
    struct wire_peer *peer;
    struct extendcompare *extended; /* of an extended replica; NULL: of the primary's own */
    GPtrArray *found;               /* struct extents by disk, for the extended repair, which takes all at once */
    bool repair;
    guint disks;
    guint64 pages, different;   /* so far */
    guint64 sent;               /* sequence of the last log that mends; 0: none */
    GString *places;
    guint shown;
};

/* ---- one slice ---- */

static bool
dial(struct comparison *m, GError **err)
{
    return m->peer || (m->peer = establish_dial_replica(m->rel, err));
}

static bool
goes_on_locked(struct relation *rel, GError **err)
{
    return (!rel->removed && rel->r.state == STATE_REPLICATING) ||
           err_set(err, ERR_INVALID_STATE, "The comparison of guest '%s' was given up in replication state '%s'.", rel->r.name,
                   state_name(rel->r.state));
}

/* Until the replica has that log. */
static bool
wait_acked(struct comparison *m, guint64 sequence, GError **err)
{
    struct relation *rel = m->rel;
    for (;;) {
        if (job_cancelled(m->job, err))
            return false;
        HOLD(&rel->lock);
        if (!goes_on_locked(rel, err))
            return false;
        if (rel->r.acked_sequence >= sequence)
            return true;
        g_cond_wait_until(&rel->changed, &rel->lock, g_get_monotonic_time() + LOOK_US);
    }
}

/* What the replica should have, as far as it is known. */
static struct hash128 *
expected(const struct sample *s)
{
    struct hash128 *all = g_new(struct hash128, s->live->len);
    for (guint i = 0; i < s->live->len; i++) {
        const struct hash128 *known = &g_array_index(s->known, struct hash128, i);
        all[i] = fpmap_is_unknown(known) ? g_array_index(s->live, struct hash128, i) : *known;
    }
    return all;
}

static bool
ask(struct comparison *m, const struct sample *s, struct wire_hashes *out, GError **err)
{
    if (!dial(m, err))
        return false;
    g_autofree struct hash128 *guess = expected(s);
    const struct wire_hash_query q = { m->rel->vm, s->log, s->disk, s->page, s->live->len, s->key, m->repair, guess };
    if (wire_peer_hashes(m->peer, &q, out, err))
        return true;
    if (m->repair && err_is(*err, ERR_OUT_OF_SEQUENCE))
        compare_look_again(m->rel);
    g_clear_pointer(&m->peer, wire_peer_free); /* whatever it was, the next one begins anew */
    return false;
}

static bool
was_written(const struct extents *changed, guint64 offset)
{
    extents_auto page = extents_new();
    extents_add(page, offset, LOG_PAGE, EXTENT_DATA);
    extents_auto both = extents_intersect(changed, page);
    return extents_count(both) > 0;
}

static bool
differs(const struct sample *s, const struct wire_hashes *h, guint i)
{
    const struct hash128 *theirs = &g_array_index(h->hashes, struct hash128, i), *known = &g_array_index(s->known, struct hash128, i);
    const struct hash128 *live = &g_array_index(s->live, struct hash128, i);
    if (fpmap_is_unknown(theirs)) /* it cannot be read there */
        return true;
    if (!fpmap_is_unknown(known) && memcmp(theirs, known, sizeof *known) != 0)
        return true;
    return memcmp(theirs, live, sizeof *live) != 0 && !was_written(s->changed, (s->page + i) * LOG_PAGE);
}

static void
note(struct comparison *m, const struct extents *found, guint disk)
{
    for (size_t i = 0; i < extents_count(found); i++) {
        const struct extent *e = extents_at(found, i);
        if (m->shown++ < SHOWN)
            g_string_append_printf(m->places, "%sdisk %s at byte %" G_GUINT64_FORMAT " (%" G_GUINT64_FORMAT " bytes)",
                                   m->places->len ? ", " : "", m->rel->r.targets[disk], e->offset, e->length);
    }
}

static bool
mend(struct comparison *m, guint disk, const struct extents *found, GError **err)
{
    struct sample s = { .disk = (guint16)disk, .send = found };
    const bool ok = sample_take(m->rel, &s, job_cancel_flag(m->job), err);
    m->sent = s.sequence;
    sample_clear(&s);
    return ok;
}

/* Some pages of a disk. */
struct part {
    guint disk;
    guint64 page;
    guint64 size, pages;    /* of the disk; compared */
    struct extents *found;  /* of these, different */
};

static bool
compare_sample(struct comparison *m, struct sample *s, struct extents *found, GError **err)
{
    struct wire_hashes h = { 0 };
    if (!sample_take(m->rel, s, job_cancel_flag(m->job), err) || !wait_acked(m, s->sequence, err) || !ask(m, s, &h, err))
        return false;
    for (guint i = 0; i < MIN(h.hashes->len, s->live->len); i++)
        if (differs(s, &h, i))
            extents_add(found, (s->page + i) * LOG_PAGE, LOG_PAGE, EXTENT_DATA);
    wire_hashes_clear(&h);
    extents_clip(found, s->size);
    return true;
}

static bool
compare_own(struct comparison *m, struct part *p, GError **err)
{
    struct sample s = { .disk = (guint16)p->disk, .page = p->page, .count = PAGES };
    const bool ok = compare_sample(m, &s, p->found, err);
    p->size = s.size;
    p->pages = ok ? s.live->len : 0;
    sample_clear(&s);
    return ok;
}

static bool
compare_extended(struct comparison *m, struct part *p, GError **err)
{
    if (job_cancelled(m->job, err))
        return false;
    {
        HOLD(&m->rel->lock);
        if (!goes_on_locked(m->rel, err))
            return false;
    }
    if (dial(m, err) && extendcompare_pages(m->extended, m->peer, p->disk, p->page, PAGES, m->repair, p->found, &p->size, &p->pages, err))
        return true;
    g_clear_pointer(&m->peer, wire_peer_free);
    return false;
}

/* The log may be merged away there, the guest may be captured by somebody else, the link may be cut: all of that passes. */
static bool
compare_part(struct comparison *m, struct part *p, GError **err)
{
    for (guint i = 1;; i++) {
        g_autoptr(GError) why = NULL;
        extents_clear(p->found);
        if ((m->extended ? compare_extended : compare_own)(m, p, &why))
            return true;
        if (i == ATTEMPTS || !err_info_of(why)->retry) {
            g_propagate_error(err, g_steal_pointer(&why));
            return false;
        }
        HOLD(&m->rel->lock);
        g_cond_wait_until(&m->rel->changed, &m->rel->lock, g_get_monotonic_time() + LOOK_US);
    }
}

/* ---- all of them ---- */

static void
say(struct comparison *m, guint disk, guint64 done, guint64 size)
{
    g_autofree char *text = g_strdup_printf("Comparing disk %s, %" G_GUINT64_FORMAT " pages differ", m->rel->r.targets[disk],
                                            m->different);
    job_progress(m->job, (guint)((disk * 100 + (size ? done * 100 / size : 0)) / m->disks), text);
}

static bool
take(struct comparison *m, const struct part *p, GError **err)
{
    m->pages += p->pages;
    m->different += extents_bytes(p->found) / LOG_PAGE + (extents_bytes(p->found) % LOG_PAGE != 0);
    note(m, p->found, p->disk);
    say(m, p->disk, p->page * LOG_PAGE, p->size);
    for (size_t i = 0; m->extended && i < extents_count(p->found); i++)
        extents_add(m->found->pdata[p->disk], extents_at(p->found, i)->offset, extents_at(p->found, i)->length, EXTENT_DATA);
    return m->extended || !m->repair || !extents_count(p->found) || mend(m, p->disk, p->found, err);
}

static bool
compare_disk(struct comparison *m, guint disk, GError **err)
{
    extents_auto found = extents_new();
    struct part p = { .disk = disk, .found = found };
    g_ptr_array_add(m->found, extents_new());
    if (!m->extended && guest_slot(m->rel, disk) < 0)
        return true;
    for (; p.page == 0 || p.page * LOG_PAGE < p.size; p.page += PAGES)
        if (!compare_part(m, &p, err) || !take(m, &p, err))
            return false;
    return true;
}

static bool
repair_extended(struct comparison *m, GError **err)
{
    struct extendmend what = { .found = m->found };
    if (!m->repair || !m->different)
        return true;
    job_progress(m->job, 99, "Waiting for the next change log of the primary");
    return extendmend_wait(m->rel, &what, job_cancel_flag(m->job), err);
}

/* What the replica has is whole again with the instant that follows. */
static bool
finish_repair(struct comparison *m, GError **err)
{
    if (m->extended)
        return repair_extended(m, err);
    if (!m->sent)
        return true;
    job_progress(m->job, 99, "Waiting for the next cycle");
    return wait_acked(m, m->sent + 1, err);
}

static bool
keep(struct comparison *m, GError **err)
{
    struct relation *rel = m->rel;
    if (m->shown > SHOWN)
        g_string_append_printf(m->places, " and %u more places", m->shown - SHOWN);
    g_autofree char *time = clock_iso8601(clock_wall_us());
    HOLD(&rel->lock);
    g_free(rel->r.difference);
    rel->r.difference = m->different && !m->repair
                            ? g_strdup_printf("The comparison of %s found %" G_GUINT64_FORMAT " of %" G_GUINT64_FORMAT
                                              " pages different on the replica: %s.", time, m->different, m->pages, m->places->str)
                            : NULL;
    rel->r.compared_us = clock_wall_us();
    rel->r.compared_pages = m->pages;
    rel->r.different_pages = m->different;
    return relation_save_locked(rel, err);
}

static void
conclude(struct comparison *m)
{
    const char *name = m->rel->r.name;
    if (!m->different) {
        log_info("Guest '%s': all %" G_GUINT64_FORMAT " pages are the same on its replica.", name, m->pages);
        return;
    }
    log_warning("Guest '%s': %" G_GUINT64_FORMAT " of %" G_GUINT64_FORMAT " pages were different on its replica%s: %s.", name, m->different,
                m->pages, m->repair ? " and were sent again" : "", m->places->str);
    job_warn(m->job, "%" G_GUINT64_FORMAT " of %" G_GUINT64_FORMAT " pages %s: %s.%s", m->different, m->pages,
             m->repair ? "were different and were sent again" : "differ", m->places->str,
             m->repair ? "  Older points are mended where nothing was written since; vmreplica points there says which are damaged."
                       : "  vmreplica compare VM --repair sends them again.");
}

static bool
begin(struct relation *rel, GError **err)
{
    HOLD(&rel->lock);
    if (rel->s.comparing)
        return err_set(err, ERR_IN_USE, "Guest '%s' is being compared already.", rel->r.name);
    return goes_on_locked(rel, err) && (rel->s.comparing = true);
}

bool
difference_work(struct job *job, void *work, GError **err)
{
    struct work *w = work;
    struct comparison m = { .c = w->core, .rel = w->rel, .job = job, .repair = w->repair, .places = g_string_new(NULL) };
    bool ok = begin(w->rel, err);
    const bool begun = ok;
    m.disks = ok ? g_strv_length(w->rel->r.targets) : 0;
    m.extended = w->rel->index ? extendcompare_new(m.c, m.rel) : NULL;
    m.found = g_ptr_array_new_with_free_func((GDestroyNotify)extents_free);
    for (guint i = 0; ok && i < m.disks; i++)
        ok = compare_disk(&m, i, err);
    ok = ok && finish_repair(&m, err) && keep(&m, err);
    if (ok)
        conclude(&m);
    wire_peer_free(m.peer);
    extendcompare_free(m.extended);
    g_ptr_array_unref(m.found);
    g_string_free(m.places, TRUE);
    if (begun) {
        HOLD(&w->rel->lock);
        w->rel->s.comparing = false;
    }
    return ok;
}

void
difference_forget(struct relation *rel)
{
    HOLD(&rel->lock);
    if (!rel->r.difference)
        return;
    g_clear_pointer(&rel->r.difference, g_free);
    relation_save_locked(rel, NULL);
}
