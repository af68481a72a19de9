/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "repl/cycle.h"

#include "base/clean.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "repl/consistent.h"
#include "repl/export.h"
#include "repl/guest.h"
#include "repl/initial.h"
#include "repl/leaveout.h"
#include "repl/prints.h"
#include "repl/resync.h"
#include "repl/round.h"
#include "repl/sample.h"
#include "repl/send.h"
#include "repl/spool.h"

enum { FUZZY_PASSES = 8 };
static const gint64 SETTLE_US = 5 * (gint64)G_USEC_PER_SEC;

static const char *const *
targets_of(struct relation *rel)
{
    return guest_attached(rel);
}

/* Bitmaps may start at any log of ours that the replica or the outbox has: an older one only marks more than needed. */
static bool
find_tracking(struct core *c, struct relation *rel, GError **err)
{
    struct uuid since;
    g_autofree char *unsettled = leaveout_unsettled(rel);
    if (unsettled)
        return err_set(err, ERR_TRACKING_LOST, "%s", unsettled);
    if (rel->s.tracked)
        return true;
    if (!c->vm->recover(c->engine, &rel->vm, targets_of(rel), prints_has_log, rel, &since, err))
        return false;
    if (!prints_has_log(rel, &since))
        return err_set(err, ERR_TRACKING_LOST, "The guest's bitmaps belong to a change log that neither the outbox nor the replica has.");
    rel->s.tracked = true;
    return true;
}

static bool
wants_last(struct relation *rel)
{
    HOLD(&rel->lock);
    return rel->s.want_last;
}

static bool
wants_compare(struct relation *rel)
{
    HOLD(&rel->lock);
    return rel->s.want_compare;
}

static void
note_last(struct relation *rel, const struct uuid *id)
{
    HOLD(&rel->lock);
    if (!rel->s.taking_last)
        return;
    if (rel->s.want_last)
        rel->s.last_log = *id;
    rel->s.want_last = false;
    g_cond_broadcast(&rel->changed);
}

static void
hold_back(struct relation *rel, const struct uuid *log)
{
    HOLD(&rel->lock);
    rel->s.unstamped = *log;
}

static bool
finish_instant(struct core *c, struct relation *rel, bool off, struct capture *cap, const struct uuid *id, gint64 begun_us, GError **err)
{
    g_autoptr(GError) end = NULL;
    g_autoptr(GPtrArray) sets = leaveout_apply(c, rel, cap, false, err);
    g_autoptr(GPtrArray) slices = sets ? spool_slices(sets, 0) : NULL;
    if (off)
        hold_back(rel, id);
    const bool written = slices && spool_write(c, rel, cap, slices->pdata[0], id, false, begun_us, err);
    vm_facts_auto facts = off ? c->vm->facts_get(c->vms, &rel->vm, NULL) : NULL; /* who waits for its lock is quick */
    if (!c->vm->end(cap, written, &end)) {
        log_warning("Guest '%s': the end of a capture failed: %s", rel->r.name, end->message);
        rel->s.tracked = false;
    }
    g_free(rel->s.off_stamp);
    rel->s.off_stamp = written ? guest_stamp_of(rel, facts) : NULL;
    if (written)
        note_last(rel, id);
    return written;
}

/* A round is one try: whatever follows a failed one is an instant of this guest alone. */
static void
leave_round(struct relation *rel)
{
    if (rel->s.round)
        round_part(rel->s.round, rel);
    rel->s.round = NULL;
}

static struct capture *
begin_instant(struct core *c, struct relation *rel, const struct uuid *id, GError **err)
{
    g_clear_pointer(&rel->s.common, g_free);
    struct capture *cap = consistent_begin(c, rel, targets_of(rel), id, err);
    if (rel->s.round)
        rel->s.common = round_finish(rel->s.round, rel, cap != NULL);
    leave_round(rel);
    return cap;
}

static bool
capture_instant(struct core *c, struct relation *rel, bool off, GError **err)
{
    for (guint pass = 0;; pass++) {
        const struct uuid id = uuid_random();
        const gint64 begun_us = clock_mono_us();
        g_autoptr(GError) why = NULL;
        struct capture *cap = begin_instant(c, rel, &id, &why);
        if (cap)
            return finish_instant(c, rel, off, cap, &id, begun_us, err);
        if (err_is(why, ERR_TRACKING_LOST))
            rel->s.tracked = false;
        if (!err_is(why, ERR_NO_SPACE) || pass == FUZZY_PASSES) {
            g_propagate_error(err, g_steal_pointer(&why));
            return false;
        }
        log_info("Guest '%s': %s  The changes are read from the live disk first.", rel->r.name, why->message);
        if (!initial_read_changes(c, rel, err))
            return false;
    }
}

/* The replica stands at another log than we thought: what is in the outbox fits nowhere, the disks are compared with its head. */
static bool
rebase(struct relation *rel, GError **err)
{
    HOLD(&rel->lock);
    if (!rel->s.rebase)
        return true;
    const struct uuid acked = rel->r.acked;
    const guint64 sequence = rel->r.acked_sequence;
    rel->r.acked = rel->s.rebase_head;
    rel->r.acked_sequence = MAX(sequence, rel->s.rebase_sequence);
    if (!relation_save_locked(rel, err)) {
        rel->r.acked = acked;
        rel->r.acked_sequence = sequence;
        return false;
    }
    rel->s.tracked = false;
    g_clear_pointer(&rel->s.off_stamp, g_free); /* a guest that is off is read, too */
    if (!outbox_clear(rel->s.outbox, err))
        return false;
    rel->s.rebase = false;
    return true;
}

/* Bitmaps that stand for an outbox which was dropped must not be found again. */
static bool
rebase_if_asked(struct core *c, struct relation *rel, GError **err)
{
    bool asked;
    {
        HOLD(&rel->lock);
        asked = rel->s.rebase;
    }
    return !asked || (guest_forget(c, rel, err) && rebase(rel, err));
}

static bool
unchanged(struct core *c, struct relation *rel, bool off)
{
    if (!off)
        g_clear_pointer(&rel->s.off_stamp, g_free);
    if (!rel->s.off_stamp)
        return false;
    g_autofree char *now = guest_stamp(c, rel);
    if (!g_strcmp0(now, rel->s.off_stamp))
        return true;
    log_info("Guest '%s': its disks were written to while it was off; what differs is sent.", rel->r.name);
    return false;
}

static void
say_alive(struct relation *rel)
{
    {
        HOLD(&rel->lock);
        rel->s.want_status = true;
    }
    task_now(rel->s.send);
}

/* A read of all disks may take hours: it happens in a lane of its own, so that cycles do not wait for its worker. */
static bool
may_read(struct relation *rel, GError **err)
{
    if (rel->s.reads)
        return true;
    rel->s.reads = true;
    return err_set(err, ERR_CANCELLED, "The disks are read in full, in a moment.");
}

/* Everything is compared when somebody asked for it, and when a new replica begins with a copy of its own. */
static char *
compare_reason(struct relation *rel)
{
    HOLD(&rel->lock);
    if (rel->s.want_compare)
        return g_strdup("A resynchronisation was asked for.");
    return rel->r.state == STATE_WAITING_INITIAL && !uuid_is_nil(&rel->r.acked) && !rel->s.tracked && !rel->r.export_dir &&
                   !outbox_count(rel->s.outbox)
               ? g_strdup("The replica begins with a copy of its own.")
               : NULL;
}

static bool
compare_all(struct core *c, struct relation *rel, const char *why, GError **err)
{
    if (!may_read(rel, err))
        return false;
    rel->s.tracked = false;
    g_clear_pointer(&rel->s.off_stamp, g_free);
    /* What is only believed about the replica does not count either. */
    if (!prints_remove(c, rel, err) || !initial_read_all(c, rel, why, err))
        return false;
    HOLD(&rel->lock);
    rel->s.want_compare = false;
    return rel->s.tracked = true;
}

/* What the sender found out says more than bitmaps that are gone for that reason. */
static char *
loss(struct relation *rel, const GError *bitmaps)
{
    HOLD(&rel->lock);
    return rel->r.state == STATE_WAITING_INITIAL ? NULL : g_strdup(rel->s.lost ? rel->s.lost : bitmaps->message);
}

static void
forget_loss(struct relation *rel)
{
    HOLD(&rel->lock);
    if (!rel->s.rebase) /* else it is of the next one */
        g_clear_pointer(&rel->s.lost, g_free);
}

/* Tracking that is known, or a read of all disks that begins it anew. */
static bool
have_tracking(struct core *c, struct relation *rel, GError **err)
{
    g_autoptr(GError) lost = NULL;
    g_autofree char *compare = compare_reason(rel);
    if (compare)
        return compare_all(c, rel, compare, err);
    if (find_tracking(c, rel, &lost)) {
        forget_loss(rel);
        return true;
    }
    if (!err_is(lost, ERR_TRACKING_LOST)) {
        g_propagate_error(err, g_steal_pointer(&lost));
        return false;
    }
    if (!may_read(rel, err))
        return false;
    g_autofree char *why = loss(rel, lost);
    rel->s.tracked = initial_read_all(c, rel, why, err);
    if (rel->s.tracked)
        forget_loss(rel);
    return rel->s.tracked;
}

static bool
capture_guest(struct core *c, struct relation *rel, bool off, GError **err)
{
    g_autoptr(GError) why = NULL;
    if (!have_tracking(c, rel, err))
        return false;
    if (!capture_instant(c, rel, off, &why)) {
        /* The bitmaps went since the last cycle: what is left of them is looked at, once. */
        const bool lost = err_is(why, ERR_TRACKING_LOST);
        if (!lost)
            g_propagate_error(err, g_steal_pointer(&why));
        if (!lost || !have_tracking(c, rel, err) || !capture_instant(c, rel, off, err))
            return false;
    }
    return true;
}

/* The stamp of a stopped guest is taken right after the capture's end, which writes to the image; and before the log goes out, since
 * whoever waits for the point may write to the image then. */
static bool
read_guest(struct core *c, struct relation *rel, bool off, GError **err)
{
    const bool ok = capture_guest(c, rel, off, err);
    if (off) {
        hold_back(rel, &UUID_NIL);
        task_now(rel->s.send);
    }
    return ok;
}

static bool
cycle_once(struct core *c, struct relation *rel, GError **err)
{
    bool off = false;
    if (!guest_here(c, rel, &off, err) || !guest_choose_engine(c, rel, err) || !rebase_if_asked(c, rel, err))
        return false;
    if (export_waits(rel)) {
        say_alive(rel);
        return true;
    }
    if (!guest_refresh(c, rel, err))
        return false;
    if (outbox_bytes(rel->s.outbox) >= c->config.outbox_max)
        return err_set(err, ERR_NO_SPACE,
                       "The outbox of guest '%s' is full (%u logs); its changes are kept in the bitmap until the link is back.",
                       rel->r.name, outbox_count(rel->s.outbox));
    rel->s.round = rel->s.grouped ? round_join(c->rounds, rel) : NULL;
    if (off && unchanged(c, rel, off) && !rel->s.round && !wants_last(rel) && !wants_compare(rel)) {
        say_alive(rel);
        return true;
    }
    return read_guest(c, rel, off, err);
}

static bool
may_run(struct relation *rel, guint *period_ms, bool *urgent)
{
    HOLD(&rel->lock);
    *urgent = rel->s.rebase || rel->s.want_last || rel->s.want_compare || rel->s.want_round;
    rel->s.taking_last = rel->s.want_last;
    *period_ms = repl_settings_period_ms(&rel->settings);
    return !g_atomic_int_get(&rel->halt) && state_sends(rel->r.state);
}

/* At a slot's begin: the slot before it ended without a completed transfer when a whole log still waits. */
static void
count_slot(struct relation *rel)
{
    struct outbox_log first;
    HOLD(&rel->lock);
    if (rel->r.state == STATE_REPLICATING && outbox_first(rel->s.outbox, &first))
        stats_miss(&rel->stats, 1);
}

/* Next slot after `now`, and misses for those that passed meanwhile. */
static gint64
next_slot(struct relation *rel, guint period_ms)
{
    const gint64 period = (gint64)period_ms * 1000, now = g_get_monotonic_time();
    rel->s.due += period;
    if (rel->s.due > now)
        return rel->s.due;
    const gint64 passed = (now - rel->s.due) / period + 1;
    HOLD(&rel->lock);
    if (rel->r.state == STATE_REPLICATING)
        stats_miss(&rel->stats, (guint)MIN(passed, G_MAXINT));
    return rel->s.due += passed * period;
}

/* A cycle during which the guest went off for a planned failover may well fail; the one for it follows at once and counts. */
static void
count_failure(struct relation *rel, const GError *why)
{
    bool overtaken;
    {
        HOLD(&rel->lock);
        stats_failure(&rel->stats, false);
        overtaken = rel->s.want_last && !rel->s.taking_last;
    }
    if (overtaken)
        log_info("Guest '%s': %s  The last cycle before the planned failover follows.", rel->r.name, why->message);
    else
        relation_trouble(rel, false, why);
}

/* Whoever cannot capture, be it for want of space, has nothing to send, and would not hear that the replica has failed over.  A replica
 * that says so itself, when it is asked for hashes, was reached: the sender need not wait. */
static void
ask_replica(struct relation *rel, const GError *why)
{
    HOLD(&rel->lock);
    if (err_is(why, ERR_FAILED_OVER))
        rel->s.retry_at = 0;
    send_ask_again_locked(rel);
}

/* Is it time?  Else *next says when. */
static bool
begin_slot(struct relation *rel, gint64 period, bool urgent, gint64 *next)
{
    const gint64 now = g_get_monotonic_time();
    *next = rel->s.due;
    if (rel->s.due > now && rel->s.due - now <= period && !urgent)
        return false; /* woken between slots */
    if (rel->s.due)
        log_debug("Guest '%s': a cycle begins %.2f ms after it was due.", rel->r.name, (double)(now - rel->s.due) / 1000);
    if (rel->s.due > now || rel->s.due + period <= now)
        rel->s.due = now;
    core_tick_stats(rel->core, rel, false);
    count_slot(rel);
    return true;
}

static bool
in_group(struct relation *rel)
{
    struct group g = { 0 };
    const bool found = groups_of(rel->core->groups, &rel->vm, &g);
    group_clear(&g);
    return found;
}

static void
choose_lane(struct relation *rel, bool reads)
{
    rel->s.reads = reads;
    rel->s.grouped = !reads && in_group(rel);
    task_move(rel->s.cycle, reads ? LANE_READ : rel->s.grouped ? LANE_GROUP : LANE_CAPTURE);
}

gint64
cycle_task(void *user)
{
    struct relation *rel = user;
    struct core *c = rel->core;
    g_autoptr(GError) why = NULL;
    const bool reading = rel->s.reads; /* the slot's second part, in the other lane */
    guint period_ms;
    bool urgent;
    gint64 next;
    const bool settled = consistent_settle(c, rel);
    if (!may_run(rel, &period_ms, &urgent)) {
        choose_lane(rel, false);
        rel->s.due = 0;
        return settled ? resync_auto(rel) : g_get_monotonic_time() + SETTLE_US;
    }
    if (!reading && !begin_slot(rel, (gint64)period_ms * 1000, urgent, &next)) { /* woken between slots */
        sample_serve(c, rel);
        return next;
    }
    const bool ok = cycle_once(c, rel, &why);
    leave_round(rel);
    if (ok) {
        HOLD(&rel->lock);
        relation_captured_locked(rel);
    } else if (!err_is(why, ERR_CANCELLED)) {
        count_failure(rel, why);
        ask_replica(rel, why);
    }
    if (rel->s.reads && !reading) {
        choose_lane(rel, true);
        return g_get_monotonic_time();
    }
    choose_lane(rel, false);
    sample_serve(c, rel);
    return next_slot(rel, period_ms);
}
