/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "repl/flatten.h"

#include "base/clean.h"
#include "base/err.h"
#include "base/log.h"
#include "repl/failover.h"
#include "repl/serving.h"

#include <errno.h>
#include <sys/stat.h>

static const gint64 LOOK_US = G_USEC_PER_SEC / 2;
static const gint64 RETRY_US = 10 * (gint64)G_USEC_PER_SEC;

static bool
runs(struct core *c, struct relation *rel, bool *out, GError **err)
{
    enum vm_power power;
    if (!c->vm->power_get(c->vms, &rel->vm, &power, err))
        return false;
    *out = power != VM_OFF && power != VM_SAVED;
    return true;
}

static guint64
rate_of(struct core *c, struct relation *rel)
{
    enum { LEAST = 256 << 10 }; /* QEMU copies pieces of half a MiB */
    const guint64 all = c->config.fill_bytes_per_s;
    return all ? MAX(all / MAX(g_strv_length(rel->r.disks), 1), LEAST) : 0;
}

/* It was begun by a daemon with another configuration.  One that ended meanwhile needs no rate. */
static bool
keep_rate(struct core *c, struct relation *rel, const char *target, const struct overlay_pull *pull, GError **err)
{
    g_autoptr(GError) why = NULL;
    const guint64 rate = rate_of(c, rel);
    if (pull->rate == rate || c->vm->pull_rate(c->vms, &rel->vm, target, rate, &why) || err_is(why, ERR_NOT_FOUND))
        return true;
    g_propagate_error(err, g_steal_pointer(&why));
    return false;
}

/* One look at one disk of a running guest: begins the pull if need be. */
static bool
pull_one(struct core *c, struct relation *rel, const char *target, struct overlay_pull *out, bool *flat, GError **err)
{
    g_autofree char *path = failover_overlay(rel, target);
    *out = (struct overlay_pull){ 0 };
    if (!c->vm->pull_state(c->vms, &rel->vm, target, out, err))
        return false;
    *flat = false;
    if (out->active)
        return keep_rate(c, rel, target, out, err);
    return c->vm->overlay_is_flat(path, flat, err) && (*flat || c->vm->pull_start(c->vms, &rel->vm, target, rate_of(c, rel), err));
}

/* Targets, borrowed: a disk that the guest did not have at that time got no overlay.  One that cannot be looked at, or a folder that is
 * away, must not count as that: what is called flat loses what it stands on. */
static GPtrArray *
disks_in_point(struct relation *rel, GError **err)
{
    g_autoptr(GPtrArray) out = g_ptr_array_new();
    for (char **t = rel->r.disks; *t; t++) {
        g_autofree char *path = failover_overlay(rel, *t);
        struct stat st;
        if (stat(path, &st) == 0) {
            g_ptr_array_add(out, *t);
        } else if (errno != ENOENT) {
            err_errno(err, "Image '%s' cannot be looked at", path);
            return NULL;
        }
    }
    if (out->len)
        return g_steal_pointer(&out);
    err_set(err, ERR_NOT_AVAILABLE, "The images of guest '%s' are not in folder '%s/failover'.", rel->r.name, rel->r.folder);
    return NULL;
}

static void
publish(struct relation *rel, guint64 done, guint64 total)
{
    HOLD(&rel->lock);
    rel->in.flat_done = done;
    rel->in.flat_total = total;
    g_cond_broadcast(&rel->changed);
}

static bool
pull_all(struct core *c, struct relation *rel, bool *flat, GError **err)
{
    guint64 done = 0, total = 0;
    g_autoptr(GPtrArray) disks = disks_in_point(rel, err);
    *flat = true;
    if (!disks)
        return false;
    for (guint i = 0; i < disks->len; i++) {
        struct overlay_pull pull;
        bool one;
        if (!pull_one(c, rel, disks->pdata[i], &pull, &one, err))
            return false;
        *flat = *flat && one;
        done += pull.done;
        total += pull.total;
    }
    publish(rel, done, total);
    return true;
}

static bool
flatten_all(struct core *c, struct relation *rel, const gint *cancel, GError **err)
{
    g_autoptr(GPtrArray) disks = disks_in_point(rel, err);
    for (guint i = 0; disks && i < disks->len; i++) {
        g_autofree char *path = failover_overlay(rel, disks->pdata[i]);
        bool flat = false;
        publish(rel, i, disks->len);
        if (!c->vm->overlay_is_flat(path, &flat, err) || (!flat && !c->vm->overlay_flatten(path, cancel, err)))
            return false;
    }
    return disks != NULL;
}

/* Then nothing stands on the point any more, and where the images are now is the administrator's affair. */
static bool
is_flat(struct relation *rel)
{
    HOLD(&rel->lock);
    return rel->r.flat;
}

static bool
note_flat(struct core *c, struct relation *rel, GError **err)
{
    g_autofree char *socket = failover_socket(c, &rel->vm);
    g_autoptr(GError) why = NULL;
    if (is_flat(rel))
        return true;
    /* Before it is said: the next start of the guest must not look for a server that is gone. */
    if (!c->vm->forget_backing(c->vms, &rel->vm, socket, err))
        return false;
    {
        HOLD(&rel->lock);
        rel->r.flat = true;
        log_info("Guest '%s': all data of the recovery point is in its own images now.", rel->r.name);
        if (!relation_save_locked(rel, err))
            return false;
    }
    /* Nobody reads the point any more.  One that does not end now ends with the next start, or with the failover. */
    if (!serving_stop(rel, socket, &why))
        log_warning("Guest '%s': the server of its recovery point did not end: %s", rel->r.name, why->message);
    return true;
}

static bool
wanted(struct relation *rel)
{
    HOLD(&rel->lock);
    return rel->r.state == STATE_RECOVERED && !rel->r.flat && !rel->r.reverting;
}

static gint64
fill_once(struct core *c, struct relation *rel)
{
    g_autoptr(GError) why = NULL;
    bool running = false, flat = false;
    if (!wanted(rel) || (runs(c, rel, &running, &why) && !running))
        return SCHEDULE_IDLE; /* a start of the guest wakes us */
    if (!why && pull_all(c, rel, &flat, &why) && (!flat || note_flat(c, rel, &why))) {
        relation_trouble(rel, false, NULL);
        return flat ? SCHEDULE_IDLE : g_get_monotonic_time() + LOOK_US;
    }
    relation_trouble(rel, false, why);
    return g_get_monotonic_time() + RETRY_US;
}

gint64
flatten_task(void *user)
{
    struct relation *rel = user;
    if (!wanted(rel))
        return SCHEDULE_IDLE;
    if (!g_mutex_trylock(&rel->in.filling))
        return g_get_monotonic_time() + LOOK_US;
    const gint64 next = fill_once(rel->core, rel);
    g_mutex_unlock(&rel->in.filling);
    return next;
}

static guint
percent_of(struct relation *rel)
{
    HOLD(&rel->lock);
    return rel->in.flat_total ? (guint)(rel->in.flat_done * 95 / rel->in.flat_total) : 0;
}

/* One round, by whoever can: *flat says whether it is over. */
static bool
round_once(struct core *c, struct relation *rel, struct job *job, bool *flat, GError **err)
{
    bool running;
    HOLD(&rel->in.filling);
    *flat = false;
    if (!runs(c, rel, &running, err))
        return false;
    if (running)
        return pull_all(c, rel, flat, err);
    *flat = flatten_all(c, rel, job_cancel_flag(job), err);
    return *flat;
}

/* The guest may start or stop under a round: what failed then succeeds in the next one. */
static bool
power_changed(struct core *c, struct relation *rel, bool before)
{
    bool now;
    return runs(c, rel, &now, NULL) && now != before;
}

static void
pause_round(struct relation *rel)
{
    const gint64 deadline = g_get_monotonic_time() + LOOK_US;
    HOLD(&rel->lock);
    g_cond_wait_until(&rel->changed, &rel->lock, deadline);
}

/* Whoever says so stops the server yet, and holds the lock meanwhile. */
static bool
was_flat(struct relation *rel)
{
    HOLD(&rel->in.filling);
    return is_flat(rel);
}

bool
flatten_wait(struct core *c, struct relation *rel, struct job *job, GError **err)
{
    bool flat = false, before = false;
    while (!was_flat(rel)) {
        g_autoptr(GError) why = NULL;
        if (job_cancelled(job, err) || !runs(c, rel, &before, err))
            return false;
        const bool ok = round_once(c, rel, job, &flat, &why);
        if (ok && flat)
            return note_flat(c, rel, err);
        if (!ok && !power_changed(c, rel, before)) {
            g_propagate_error(err, g_steal_pointer(&why));
            return false;
        }
        job_progress(job, percent_of(rel), "Filling the guest's disks");
        pause_round(rel);
    }
    return true;
}
