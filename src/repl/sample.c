/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "repl/guest.h"
#include "repl/sample.h"

#include "base/clean.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "repl/compare.h"
#include "repl/leaveout.h"
#include "repl/prints.h"
#include "repl/spool.h"

#include <string.h>

static const gint64 LOOK_US = G_USEC_PER_SEC / 4; /* how often a flag is looked at that nobody signals */

void
sample_clear(struct sample *s)
{
    g_clear_pointer(&s->live, g_array_unref);
    g_clear_pointer(&s->known, g_array_unref);
    g_clear_pointer(&s->changed, extents_free);
    g_clear_error(&s->error);
}

/* ---- the capture task ---- */

static struct capture *
open_live(struct core *c, struct relation *rel, const struct uuid *id, GError **err)
{
    return c->vm->begin(c->engine, &rel->vm, guest_attached(rel), CAPTURE_FUZZY_CHANGES, id, err);
}

static void
close_live(struct core *c, struct relation *rel, struct capture *cap, bool durable)
{
    g_autoptr(GError) why = NULL;
    if (c->vm->end(cap, durable, &why))
        return;
    log_warning("Guest '%s': the end of a capture failed: %s", rel->r.name, why->message);
    rel->s.tracked = false;
}

static bool
is_tracked(struct relation *rel, GError **err)
{
    const enum repl_state now = relation_state(rel);
    if (now != STATE_REPLICATING)
        return err_set(err, ERR_INVALID_STATE, "Guest '%s' is in replication state '%s'; only one that replicates is compared.",
                       rel->r.name, state_name(now));
    return rel->s.tracked || err_set(err, ERR_TRACKING_LOST, "It is not known now what guest '%s' changes; try again after the next cycle.",
                                     rel->r.name);
}

/* Of the newest log, if the fingerprints stand for it. */
static bool
read_known(struct core *c, struct relation *rel, struct sample *s, GError **err)
{
    static const struct hash128 unknown = FPMAP_UNKNOWN;
    relation_tail(rel, &s->log, &s->sequence);
    s->known = g_array_new(FALSE, FALSE, sizeof(struct hash128));
    if (!prints_open(c, rel, err))
        return false;
    const struct uuid stands = fingerprint_log(rel->s.prints);
    if (uuid_equal(&stands, &s->log)) {
        g_array_set_size(s->known, s->live->len);
        return fingerprint_read(rel->s.prints, s->disk, s->page, s->known->len, (struct hash128 *)(gpointer)s->known->data, err);
    }
    for (guint i = 0; i < s->live->len; i++)
        g_array_append_val(s->known, unknown);
    return true;
}

static bool
is_there(struct relation *rel, const struct sample *s, GError **err)
{
    return guest_slot(rel, s->disk) >= 0 ||
           err_set(err, ERR_NOT_AVAILABLE, "Disk '%s' of guest '%s' was unplugged meanwhile; compare again.", rel->r.targets[s->disk],
                   rel->r.name);
}

static bool
read_live(struct core *c, struct relation *rel, struct sample *s, GError **err)
{
    const struct uuid id = uuid_random();
    struct capture *cap = open_live(c, rel, &id, err);
    if (!cap)
        return false;
    struct block *b = c->vm->disk(cap, (guint)guest_slot(rel, s->disk));
    s->size = b->size;
    s->live = g_array_new(FALSE, FALSE, sizeof(struct hash128));
    const bool ok = compare_hash(b, s->page, s->count, fingerprint_key(rel->s.prints), &rel->halt, s->live, err);
    close_live(c, rel, cap, false);
    return ok;
}

static bool
read_changed(struct core *c, struct relation *rel, struct sample *s, GError **err)
{
    const struct uuid id = uuid_random();
    struct capture *cap = open_live(c, rel, &id, err);
    if (!cap)
        return false;
    const struct extents *all = c->vm->extents(cap, (guint)guest_slot(rel, s->disk));
    for (size_t i = 0; i < extents_count(all); i++)
        extents_add(s->changed, extents_at(all, i)->offset, extents_at(all, i)->length, EXTENT_DATA);
    close_live(c, rel, cap, false);
    return true;
}

static bool
same(const struct sample *s)
{
    return memcmp(s->live->data, s->known->data, s->live->len * sizeof(struct hash128)) == 0;
}

static bool
read_pages(struct core *c, struct relation *rel, struct sample *s, GError **err)
{
    s->changed = extents_new();
    if (!is_there(rel, s, err) || !prints_open(c, rel, err))
        return false;
    memcpy(s->key, fingerprint_key(rel->s.prints), sizeof s->key);
    if (!read_live(c, rel, s, err) || !read_known(c, rel, s, err))
        return false;
    if (same(s))
        return true;
    leaveout_add(rel, s->disk, s->changed); /* what lies there is not meant to be the same */
    return read_changed(c, rel, s, err);
}

/* What the fingerprints say of the pages does not count any more, so the log has them. */
static bool
distrust(struct relation *rel, const struct sample *s, GError **err)
{
    for (size_t i = 0; i < extents_count(s->send); i++) {
        const struct extent *e = extents_at(s->send, i);
        const guint64 first = e->offset / LOG_PAGE, end = (e->offset + e->length + LOG_PAGE - 1) / LOG_PAGE;
        if (!fingerprint_distrust(rel->s.prints, s->disk, first, end - first, err))
            return false;
    }
    return true;
}

static struct slice *
slice_with(struct core *c, struct relation *rel, const struct sample *s, struct capture *cap, GError **err)
{
    g_autoptr(GPtrArray) sets = leaveout_apply(c, rel, cap, false, err);
    if (!sets)
        return NULL;
    GPtrArray *whole = spool_slices(sets, 0);
    struct slice *slice = g_ptr_array_steal_index(whole, 0);
    g_ptr_array_unref(whole);
    for (size_t i = 0; i < extents_count(s->send); i++)
        extents_add(slice->disks->pdata[s->disk], extents_at(s->send, i)->offset, extents_at(s->send, i)->length, EXTENT_DATA);
    extents_clip(slice->disks->pdata[s->disk], c->vm->disk(cap, (guint)guest_slot(rel, s->disk))->size);
    return slice;
}

static bool
send_pages(struct core *c, struct relation *rel, struct sample *s, GError **err)
{
    const struct uuid id = uuid_random();
    if (!is_there(rel, s, err) || !prints_open(c, rel, err) || !distrust(rel, s, err))
        return false;
    struct capture *cap = open_live(c, rel, &id, err);
    if (!cap)
        return false;
    struct slice *slice = slice_with(c, rel, s, cap, err);
    const bool ok = slice && spool_write(c, rel, cap, slice, &id, true, clock_mono_us(), err);
    close_live(c, rel, cap, ok);
    if (slice)
        slice_free(slice);
    if (!ok)
        return false;
    g_clear_pointer(&rel->s.off_stamp, g_free); /* an instant must follow, also of a guest that is off */
    relation_tail(rel, &s->log, &s->sequence);
    return true;
}

void
sample_serve(struct core *c, struct relation *rel)
{
    struct sample *s;
    {
        HOLD(&rel->lock);
        s = rel->s.sample;
        if (!s)
            return;
        s->taken = true;
    }
    if (is_tracked(rel, &s->error))
        (s->send ? send_pages : read_pages)(c, rel, s, &s->error);
    HOLD(&rel->lock);
    rel->s.sample = NULL;
    s->done = true;
    g_cond_broadcast(&rel->changed);
}

/* ---- who asks ---- */

static bool
ask_locked(struct relation *rel, struct sample *s, GError **err)
{
    if (rel->removed || !rel->s.cycle)
        return err_set(err, ERR_INVALID_STATE, "Guest '%s' is not replicated any more.", rel->r.name);
    if (rel->s.sample)
        return err_set(err, ERR_IN_USE, "Guest '%s' is being compared already.", rel->r.name);
    rel->s.sample = s;
    task_now(rel->s.cycle);
    return true;
}

/* True: nobody will look at it any more. */
static bool
take_back_locked(struct relation *rel, struct sample *s, const gint *cancel)
{
    const bool given_up = __atomic_load_n(cancel, __ATOMIC_RELAXED) || rel->removed || rel->r.state != STATE_REPLICATING;
    if (s->taken || !given_up)
        return false;
    rel->s.sample = NULL;
    return true;
}

bool
sample_take(struct relation *rel, struct sample *s, const gint *cancel, GError **err)
{
    HOLD(&rel->lock);
    if (!ask_locked(rel, s, err))
        return false;
    while (!s->done) {
        if (take_back_locked(rel, s, cancel))
            return err_set(err, __atomic_load_n(cancel, __ATOMIC_RELAXED) ? ERR_CANCELLED : ERR_INVALID_STATE,
                           "The comparison of guest '%s' was given up in replication state '%s'.", rel->r.name, state_name(rel->r.state));
        g_cond_wait_until(&rel->changed, &rel->lock, g_get_monotonic_time() + LOOK_US);
    }
    if (s->error)
        g_propagate_error(err, g_steal_pointer(&s->error));
    return s->live || (s->send && !uuid_is_nil(&s->log));
}
