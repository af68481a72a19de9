/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "repl/initial.h"

#include "base/clean.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "repl/spool.h"

static guint64
sum_bytes(const GPtrArray *slices)
{
    guint64 sum = 0;
    for (guint i = 0; i < slices->len; i++)
        sum += ((const struct slice *)slices->pdata[i])->bytes;
    return sum;
}

static void
say_progress(struct relation *rel, const char *why, guint done, guint total)
{
    HOLD(&rel->lock);
    rel->s.slices_done = done;
    rel->s.slices_total = total;
    g_free(rel->s.tracking);
    rel->s.tracking = why ? g_strdup_printf("Tracking was lost: %s  A full read is under way (%u of %u).", why, done, total) : NULL;
    g_cond_broadcast(&rel->changed);
}

static bool
write_slices(struct core *c, struct relation *rel, struct capture *cap, const GPtrArray *slices, const struct uuid *last, const char *why,
             GError **err)
{
    for (guint i = 0; i < slices->len; i++) {
        const struct uuid id = i + 1 == slices->len ? *last : uuid_random();
        say_progress(rel, why, i, slices->len);
        if (!outbox_wait_below(rel->s.outbox, c->config.outbox_max, &rel->halt))
            return err_set(err, ERR_CANCELLED, "Reading the disks was stopped.");
        if (!spool_write(c, rel, cap, slices->pdata[i], &id, true, clock_mono_us(), err))
            return false;
        task_now(rel->s.send);
    }
    return true;
}

static bool
read_disks(struct core *c, struct relation *rel, enum capture_mode mode, const char *why, GError **err)
{
    const struct uuid id = uuid_random();
    const char *const *targets = (const char *const *)rel->r.targets;
    struct capture *cap = c->vm->begin(c->engine, &rel->vm, targets, mode, &id, err);
    if (!cap)
        return false;
    g_autoptr(GPtrArray) slices = spool_slices(c->vm, cap, g_strv_length(rel->r.targets), c->slice_bytes);
    if (mode == CAPTURE_FUZZY_ALL) {
        HOLD(&rel->lock);
        rel->s.read_total = sum_bytes(slices);
        rel->s.read_acked = 0;
    }
    g_autoptr(GError) end = NULL;
    const bool written = write_slices(c, rel, cap, slices, &id, why, err);
    const bool ended = c->vm->end(cap, written, written ? err : &end);
    if (end)
        log_warning("Guest '%s': a capture could not be taken back: %s", rel->r.name, end->message);
    say_progress(rel, NULL, 0, 0);
    return written && ended;
}

bool
initial_read_all(struct core *c, struct relation *rel, const char *why, GError **err)
{
    g_autofree char *name = relation_name(rel);
    if (why) {
        HOLD(&rel->lock);
        rel->s.resyncs++;
    }
    log_info("Guest '%s': reading all disks, %s%s", name, why ? "because tracking was lost: " : "the initial copy.", why ? why : "");
    const bool ok = read_disks(c, rel, CAPTURE_FUZZY_ALL, why, err);
    if (ok)
        log_info("Guest '%s': all disks were read; the next cycle makes the copy whole.", name);
    return ok;
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
