/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "repl/difference.h"
#include "repl/guest.h"

#include "base/clean.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "repl/compare.h"
#include "repl/establish.h"
#include "repl/sample.h"

#include <string.h>

enum { PAGES = 8 << 10, ATTEMPTS = 240, SHOWN = 8 }; /* a slice: 32 MiB */
static const gint64 LOOK_US = G_USEC_PER_SEC / 4; /* and between attempts: a minute in all */

struct comparison {
    struct core *c;
    struct relation *rel;
    struct job *job;
    struct wire_peer *peer;
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
    g_autofree char *host = NULL;
    guint port;
    if (m->peer)
        return true;
    {
        HOLD(&m->rel->lock);
        host = g_strdup(m->rel->settings.recovery_host);
        port = m->rel->settings.recovery_port;
    }
    return (m->peer = establish_dial(m->c, host, port, err));
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

static bool
ask(struct comparison *m, const struct sample *s, struct wire_hashes *out, GError **err)
{
    if (!dial(m, err))
        return false;
    const struct wire_hash_query q = { m->rel->vm, s->log, s->disk, s->page, s->count, s->key, m->repair };
    if (wire_peer_hashes(m->peer, &q, out, err))
        return true;
    if (m->repair && err_is(*err, ERR_OUT_OF_SEQUENCE))
        compare_look_again(m->rel);
    g_clear_pointer(&m->peer, wire_peer_free); /* whatever it was, the next one begins anew */
    return false;
}

static bool
is_unknown(const struct hash128 *h)
{
    static const struct hash128 unknown = FPMAP_UNKNOWN;
    return memcmp(h, &unknown, sizeof unknown) == 0;
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
    if (is_unknown(theirs)) /* it cannot be read there */
        return true;
    if (!is_unknown(known) && memcmp(theirs, known, sizeof *known) != 0)
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

static bool
compare_once(struct comparison *m, struct sample *s, struct extents *found, GError **err)
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

/* The log may be merged away there, the guest may be captured by somebody else, the link may be cut: all of that passes. */
static bool
compare_slice(struct comparison *m, struct sample *s, struct extents *found, GError **err)
{
    const struct sample wish = *s;
    for (guint i = 1;; i++) {
        g_autoptr(GError) why = NULL;
        if (compare_once(m, s, found, &why))
            return true;
        if (i == ATTEMPTS || !err_info_of(why)->retry) {
            g_propagate_error(err, g_steal_pointer(&why));
            return false;
        }
        sample_clear(s);
        *s = wish;
        extents_clear(found);
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
compare_disk(struct comparison *m, guint disk, GError **err)
{
    guint64 size = 0;
    for (guint64 page = 0; page == 0 || page * LOG_PAGE < size; page += PAGES) {
        struct sample s = { .disk = (guint16)disk, .page = page, .count = PAGES };
        extents_auto found = extents_new();
        bool ok = compare_slice(m, &s, found, err);
        size = s.size;
        if (ok) {
            m->pages += s.live->len;
            m->different += extents_bytes(found) / LOG_PAGE + (extents_bytes(found) % LOG_PAGE != 0);
            note(m, found, disk);
            say(m, disk, page * LOG_PAGE, size);
            ok = !m->repair || !extents_count(found) || mend(m, disk, found, err);
        }
        sample_clear(&s);
        if (!ok)
            return false;
    }
    return true;
}

/* What the replica has is whole again with the instant that follows. */
static bool
finish_repair(struct comparison *m, GError **err)
{
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
             m->repair ? "  Recovery points before now keep what they have; vmreplica points on the replica host says which are damaged."
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
    for (guint i = 0; ok && i < m.disks; i++)
        ok = guest_slot(m.rel, i) < 0 || compare_disk(&m, i, err);
    ok = ok && finish_repair(&m, err) && keep(&m, err);
    if (ok)
        conclude(&m);
    wire_peer_free(m.peer);
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
