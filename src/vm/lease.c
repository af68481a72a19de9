/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "vm/lease.h"

#include "base/clean.h"
#include "base/clock.h"
#include "base/err.h"
#include "vm/nbdblock.h"

static const gint64 HELD_US = G_USEC_PER_SEC;          /* how long a job is open at most */
static const gint64 REST_US = G_USEC_PER_SEC / 10;     /* and how long none is afterwards: others who wait come first */
static const gint64 LOOK_US = G_USEC_PER_SEC / 20;     /* how often the room is looked at */

struct lease {
    virDomainPtr dom;
    char *socket, *prefix, *since;
    char **targets;
    bool (*room)(void *user);
    void *user;
    GThread *closer;
    GMutex lock;             /* all below; a read holds it */
    GCond changed;
    bool open, stop;
    gint64 opened_us, closed_us;
    struct block **disks;    /* of the open job, by target; NULL until needed */
};

struct leased {
    struct block base;
    struct lease *lease;
    guint target;
};

/* ---- the job; the lock is held ---- */

/* A job that does not end stays the one that is read from. */
static bool
close_job(struct lease *l)
{
    for (guint i = 0; l->targets[i]; i++)
        block_close(g_steal_pointer(&l->disks[i]));
    if (!backup_end(l->dom, l->socket, NULL))
        return false;
    l->open = false;
    l->closed_us = clock_mono_us();
    g_cond_broadcast(&l->changed);
    return true;
}

static bool
open_job(struct lease *l, GError **err)
{
    const struct backup b = { l->socket, l->prefix, (const char *const *)l->targets, l->since, NULL };
    while (!l->open && clock_mono_us() < l->closed_us + REST_US)
        g_cond_wait_until(&l->changed, &l->lock, g_get_monotonic_time() + REST_US);
    if (l->open)
        return true;
    if (!backup_begin(l->dom, &b, err))
        return false;
    l->open = true;
    l->opened_us = clock_mono_us();
    g_cond_broadcast(&l->changed);
    return true;
}

static void *
close_in_time(void *user)
{
    struct lease *l = user;
    HOLD(&l->lock);
    while (!l->stop) {
        if (!l->open) {
            g_cond_wait(&l->changed, &l->lock);
            continue;
        }
        const bool over = clock_mono_us() >= l->opened_us + HELD_US || !l->room(l->user);
        if (!over || !close_job(l))
            g_cond_wait_until(&l->changed, &l->lock, g_get_monotonic_time() + LOOK_US);
    }
    return NULL;
}

/* The target's export in the job that is open, or opened now. */
static struct block *
export_of(struct lease *l, guint i, GError **err)
{
    if (!open_job(l, err))
        return NULL;
    if (!l->disks[i])
        l->disks[i] = nbdblock_open(l->socket, l->targets[i], err);
    return l->disks[i];
}

/* ---- a disk ---- */

static bool
leased_read_all(struct block *base, const struct block_range *ranges, size_t count, GError **err)
{
    const struct leased *d = (const struct leased *)base;
    HOLD(&d->lease->lock);
    struct block *now = export_of(d->lease, d->target, err);
    return now && block_read_all(now, ranges, count, err);
}

static bool
leased_read(struct block *base, void *buf, size_t len, uint64_t off, GError **err)
{
    return leased_read_all(base, &(struct block_range){ buf, len, off }, 1, err);
}

static bool
leased_extents(struct block *base, uint64_t off, uint64_t len, struct extents *out, GError **err)
{
    const struct leased *d = (const struct leased *)base;
    HOLD(&d->lease->lock);
    struct block *now = export_of(d->lease, d->target, err);
    return now && block_extents(now, off, len, out, err);
}

static void
leased_close(struct block *base)
{
    g_free(base);
}

struct block *
lease_disk(struct lease *l, guint i, GError **err)
{
    static const struct block_ops ops = {
        .read = leased_read, .extents = leased_extents, .close = leased_close, .read_all = leased_read_all,
    };
    HOLD(&l->lock);
    struct block *now = export_of(l, i, err);
    if (!now)
        return NULL;
    struct leased *d = g_new0(struct leased, 1);
    d->base = (struct block){ .ops = &ops, .size = now->size };
    d->lease = l;
    d->target = i;
    return &d->base;
}

bool
lease_changes(struct lease *l, guint i, struct extents *out, GError **err)
{
    HOLD(&l->lock);
    return export_of(l, i, err) && nbdblock_bitmap(l->socket, l->targets[i], BACKUP_BITMAP, out, err);
}

/* ---- life ---- */

struct lease *
lease_new(virDomainPtr dom, const struct backup *b, bool (*room)(void *user), void *user)
{
    struct lease *l = g_new0(struct lease, 1);
    virDomainRef(dom);
    l->dom = dom;
    l->socket = g_strdup(b->socket);
    l->prefix = g_strdup(b->scratch_prefix);
    l->since = g_strdup(b->since);
    l->targets = g_strdupv((char **)(gsize)b->targets);
    l->disks = g_new0(struct block *, g_strv_length(l->targets) + 1);
    l->room = room;
    l->user = user;
    g_mutex_init(&l->lock);
    g_cond_init(&l->changed);
    l->closer = g_thread_new("lease", close_in_time, l);
    return l;
}

bool
lease_free(struct lease *l)
{
    bool closed;
    if (!l)
        return true;
    {
        HOLD(&l->lock);
        l->stop = true;
        closed = !l->open || close_job(l);
        g_cond_broadcast(&l->changed);
    }
    g_thread_join(l->closer);
    virDomainFree(l->dom);
    g_free(l->socket);
    g_free(l->prefix);
    g_free(l->since);
    g_strfreev(l->targets);
    g_free(l->disks);
    g_mutex_clear(&l->lock);
    g_cond_clear(&l->changed);
    g_free(l);
    return closed;
}
