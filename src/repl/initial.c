/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "repl/initial.h"

#include "base/clean.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "repl/compare.h"
#include "repl/guest.h"
#include "repl/leaveout.h"
#include "repl/prints.h"
#include "repl/spool.h"

/* One read of all disks. */
struct scan {
    struct core *c;
    struct relation *rel;
    struct capture *cap;
    enum capture_mode mode;
    const char *why;        /* what was lost; NULL: nothing was */
    char *doubt;            /* why nothing is known of the replica; NULL: something is */
    bool ask;               /* so it is asked */
    guint64 total, done;    /* bytes of data to read */
    bool full;
};

static void
say_progress(const struct scan *s)
{
    struct relation *rel = s->rel;
    const struct fingerprint_counts n = rel->s.prints ? fingerprint_counts(rel->s.prints) : (struct fingerprint_counts){ 0 };
    const guint percent = s->total ? (guint)(s->done * 100 / s->total) : 100;
    g_autofree char *different = g_format_size(n.read - n.same);
    g_autofree char *text =
        s->full ? g_strdup_printf("Tracking was lost: %s  A full copy of the disks is under way (%u %%): %s", s->why, percent, s->doubt)
                : g_strdup_printf("Tracking was lost: %s  The disks are compared with what the replica has (%u %% read, %s different).",
                                  s->why, percent, different);
    HOLD(&rel->lock);
    g_free(rel->s.tracking);
    rel->s.tracking = s->why ? g_steal_pointer(&text) : NULL;
    g_cond_broadcast(&rel->changed);
}

static void
say_over(struct relation *rel)
{
    HOLD(&rel->lock);
    g_clear_pointer(&rel->s.tracking, g_free);
    g_cond_broadcast(&rel->changed);
}

/* Progress is told per slice, so a scan has about fifty.  A copy has as many: nothing is sent while its first slice is read, and nothing is
 * read while its last one is sent. */
static guint64
slice_limit(const struct scan *s)
{
    static const guint64 LEAST = 16 << 20, LEAST_COPY = 64 << 20;
    return MIN(s->c->slice_bytes, MAX(s->why ? LEAST : LEAST_COPY, s->total / 50));
}

/* No capture is held meanwhile, so there is nothing to gain by reading far ahead of what is sent. */
static guint64
ahead_limit(const struct scan *s)
{
    static const guint64 AHEAD = 4;
    return MIN(s->c->config.outbox_max, AHEAD * slice_limit(s));
}

static bool
write_slices(struct scan *s, const GPtrArray *slices, const struct uuid *last, GError **err)
{
    struct relation *rel = s->rel;
    for (guint i = 0; i < slices->len; i++) {
        const struct slice *slice = slices->pdata[i];
        if (s->why)
            say_progress(s);
        if (!outbox_wait_below(rel->s.outbox, ahead_limit(s), &rel->halt))
            return err_set(err, ERR_CANCELLED, "Reading the disks was stopped.");
        if (i + 1 == slices->len ? !spool_write(s->c, rel, s->cap, slice, last, true, clock_mono_us(), err)
                                 : !spool_write_some(s->c, rel, s->cap, slice, err))
            return false;
        s->done += slice->bytes;
    }
    return true;
}

/* ---- a full copy is never silent ---- */

static void
say_asking(void *user, guint percent)
{
    const struct scan *s = user;
    struct relation *rel = s->rel;
    HOLD(&rel->lock);
    relation_captured_locked(rel);
    g_free(rel->s.tracking);
    rel->s.tracking = g_strdup_printf("Tracking was lost: %s  The disks are compared with what the replica has, which is asked for that "
                                       "(%u %%): %s", s->why, percent, s->doubt);
    g_cond_broadcast(&rel->changed);
}

/* The replica has nothing, cannot read it, or is too old to be asked. */
static bool
cannot_tell(const GError *why)
{
    return err_is(why, ERR_NOT_FOUND) || err_is(why, ERR_CORRUPT) || err_is(why, ERR_NOT_SUPPORTED) || err_is(why, ERR_MALFORMED);
}

/* The replica does not answer: one that cannot tell makes the copy a full one; one that cannot be reached now, or that lets nobody in, is
 * asked again later, since a copy would not get there either. */
static bool
take_silence(struct scan *s, GError *why, GError **err)
{
    if (!cannot_tell(why)) {
        g_propagate_error(err, why);
        return false;
    }
    log_warning("Guest '%s': the replica does not say what it has: %s", s->rel->r.name, why->message);
    g_error_free(why);
    return true;
}

/* Before anything is captured: are the fingerprints in doubt?  Then they are replaced by what the replica says. */
static bool
consult(struct scan *s, GError **err)
{
    GError *why = NULL;
    if (!prints_judge(s->c, s->rel, NULL, g_strv_length(s->rel->r.targets), &s->ask, &s->doubt, err))
        return false;
    if (!s->ask || compare_reach(s->c, s->rel, &why))
        return true;
    s->ask = false;
    return take_silence(s, why, err);
}

/* A copy of a set: of its data what does not lie in `same`. */
static struct extents *
without(const struct extents *set, const struct extents *same)
{
    struct extents *out = extents_new();
    for (size_t i = 0, k = 0; i < extents_count(set); i++) {
        const struct extent *e = extents_at(set, i), *s;
        const guint64 end = e->offset + e->length;
        guint64 at = e->offset;
        while (e->kind == EXTENT_DATA && k < extents_count(same) && (s = extents_at(same, k))->offset < end) {
            if (s->offset > at)
                extents_add(out, at, s->offset - at, EXTENT_DATA);
            at = MAX(at, MIN(end, s->offset + s->length));
            if (s->offset + s->length > end)
                break;
            k++;
        }
        if (end > at)
            extents_add(out, at, end - at, e->kind);
    }
    return out;
}

/* What the replica has already is not read again: it was read after tracking had begun, so what is written since will be seen. */
static bool
ask(struct scan *s, GPtrArray *sets, GError **err)
{
    GError *why = NULL;
    g_autoptr(GPtrArray) same = g_ptr_array_new_with_free_func((GDestroyNotify)extents_free);
    for (guint i = 0; i < sets->len; i++)
        g_ptr_array_add(same, extents_new());
    if (!compare_ask(s->c, s->rel, s->cap, same, say_asking, s, &why))
        return take_silence(s, why, err);
    for (guint i = 0; i < sets->len; i++) {
        struct extents *all = sets->pdata[i];
        sets->pdata[i] = without(all, same->pdata[i]);
        extents_free(all);
    }
    return true;
}

static bool
judge(struct scan *s, GError **err)
{
    const guint disks = g_strv_length(s->rel->r.targets);
    g_autofree guint64 *sizes = g_new(guint64, disks);
    for (guint i = 0; i < disks; i++) {
        const int slot = guest_slot(s->rel, i);
        sizes[i] = slot < 0 ? 0 : s->c->vm->disk(s->cap, (guint)slot)->size;
    }
    g_clear_pointer(&s->doubt, g_free);
    return prints_judge(s->c, s->rel, sizes, disks, &s->full, &s->doubt, err);
}

static bool
refuse(struct scan *s, GError **err)
{
    struct relation *rel = s->rel;
    g_autoptr(GError) why = NULL;
    g_autofree char *reason = g_strdup_printf(
        "Tracking was lost (%s) and nothing but a full copy of the disks would help (%s), which AdditionalSettings forbids.  Set "
        "\"full_copy\" to \"allow\", then resume replication.", s->why, s->doubt);
    if (!relation_event(rel, EVENT_FAIL, reason, &why))
        log_warning("Guest '%s': its replication state could not be changed: %s", rel->r.name, why->message);
    relation_halt(rel, true);
    return err_set(err, ERR_CANCELLED, "%s", reason);
}

static bool
announce(struct scan *s, GError **err)
{
    struct relation *rel = s->rel;
    bool forbidden;
    {
        HOLD(&rel->lock);
        forbidden = rel->settings.no_full_copy;
        if (!s->full || !forbidden)
            stats_scan(&rel->stats, s->full);
        relation_captured_locked(rel);
    }
    if (s->full && forbidden)
        return refuse(s, err);
    if (s->full)
        log_warning("Guest '%s': a full copy of its disks begins: tracking was lost (%s) and the replica's content is not known: %s",
                    rel->r.name, s->why, s->doubt);
    else
        log_event(LOG_LEVEL_WARNING, LOG_EVENT_COMPARE_BEGUN, "Guest '%s': its disks are read and compared, because tracking was lost: %s",
                  rel->r.name, s->why);
    return true;
}

/* ---- a read ---- */

static bool
read_capture(struct scan *s, const struct uuid *id, GError **err)
{
    struct relation *rel = s->rel;
    const bool all = s->mode == CAPTURE_FUZZY_ALL;
    g_autoptr(GPtrArray) sets = !all || leaveout_begin(s->c, rel, s->cap, err) ? leaveout_apply(s->c, rel, s->cap, all, err) : NULL;
    if (!sets || (s->ask && !ask(s, sets, err)))
        return false;
    for (guint i = 0; i < sets->len; i++)
        s->total += extents_bytes_of(sets->pdata[i], EXTENT_DATA);
    if (s->why && (!judge(s, err) || !announce(s, err)))
        return false;
    g_autoptr(GPtrArray) slices = spool_slices(sets, slice_limit(s));
    if (all) {
        HOLD(&rel->lock);
        rel->s.read_total = s->total;
        rel->s.read_acked = 0;
    }
    outbox_recycle(rel->s.outbox, true);
    const bool ok = write_slices(s, slices, id, err);
    outbox_recycle(rel->s.outbox, false);
    return ok;
}

static bool
read_disks(struct core *c, struct relation *rel, enum capture_mode mode, const char *why, GError **err)
{
    const struct uuid id = uuid_random();
    const char *const *targets = guest_attached(rel);
    struct scan s = { .c = c, .rel = rel, .mode = mode, .why = why };
    if ((why && !consult(&s, err)) || !(s.cap = c->vm->begin(c->engine, &rel->vm, targets, mode, &id, err))) {
        say_over(rel);
        g_free(s.doubt);
        return false;
    }
    g_autoptr(GError) end = NULL;
    const bool written = read_capture(&s, &id, err);
    const bool ended = c->vm->end(s.cap, written, written ? err : &end);
    if (end)
        log_warning("Guest '%s': a capture could not be taken back: %s", rel->r.name, end->message);
    if (written && s.why)
        log_event(LOG_LEVEL_INFO, LOG_EVENT_COMPARE_ENDED, "Guest '%s': all disks were read after a loss of tracking.", rel->r.name);
    say_over(rel);
    g_free(s.doubt);
    return written && ended && (mode != CAPTURE_FUZZY_ALL || leaveout_settle(rel, err));
}

bool
initial_read_all(struct core *c, struct relation *rel, const char *why, GError **err)
{
    if (!why)
        log_info("Guest '%s': reading all disks, the initial copy.", rel->r.name);
    return read_disks(c, rel, CAPTURE_FUZZY_ALL, why, err);
}

bool
initial_read_changes(struct core *c, struct relation *rel, GError **err)
{
    return read_disks(c, rel, CAPTURE_FUZZY_CHANGES, NULL, err);
}

guint
initial_percent(struct relation *rel)
{
    HOLD(&rel->lock);
    const guint64 total = rel->s.read_total;
    return total ? (guint)MIN(99, rel->s.read_acked * 100 / total) : 0;
}
