/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "vm/capture_int.h"

#include "base/clean.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/file.h"
#include "base/log.h"
#include "vm/checkpoint.h"
#include "vm/lease.h"
#include "vm/nbdblock.h"
#include "vm/scratch.h"

#include <fcntl.h>
#include <unistd.h>

/* libvirt's scratch grows with the guest's writes while the job is open, and a full one would fail them: this much has to stay free of it,
 * or the job is ended. */
static const guint64 SCRATCH_FLOOR = 16 << 20;
enum { PIECE = 4 << 20 };

struct pull {
    struct capture *c;
    virDomainPtr dom;
    const char *const *targets;
    char *socket, *prefix;
    char *since;         /* checkpoint to go on from; NULL: everything */
    char *made;          /* checkpoint of this capture */
    guint64 promised;
};

static bool
has_room(void *user)
{
    const struct capture_engine *e = user;
    guint64 space = 0;
    return file_free_space(e->scratch_dir, &space, NULL) && space >= e->scratch_reserve + SCRATCH_FLOOR;
}

static bool
no_room(const struct pull *p, GError **err)
{
    return err_set(err, ERR_NO_SPACE, "The scratch folder '%s' became too full while guest '%s' was read; the cycle is given up.",
                   p->c->engine->scratch_dir, virDomainGetName(p->dom));
}

/* The copy here, and as much again for what libvirt keeps while it is made. */
static bool
reserve(struct pull *p, GError **err)
{
    guint64 need = 0, available = 0;
    g_autoptr(GError) why = NULL;
    if (!checkpoint_size(p->dom, p->since, p->targets, &need, err))
        return false;
    need = 2 * need + 2 * SCRATCH_FLOOR;
    if (capture_promise(p->c->engine, need, &available, &why)) {
        p->promised = need;
        return true;
    }
    return capture_lacks_room(p->c->engine, need, available, g_steal_pointer(&why), err);
}

/* ---- CAPTURE_INSTANT ---- */

static bool
copy_extent(struct pull *p, struct block *from, int to, const char *path, const struct extent *x, char *buf, GError **err)
{
    for (uint64_t done = 0; done < x->length;) {
        const size_t n = (size_t)MIN((uint64_t)PIECE, x->length - done);
        if (!has_room(p->c->engine))
            return no_room(p, err);
        if (!block_read(from, buf, n, x->offset + done, err) || !file_write_full(to, buf, n, x->offset + done, path, err))
            return false;
        done += n;
    }
    return true;
}

static bool
copy_data(struct pull *p, struct block *from, const struct extents *set, const char *path, GError **err)
{
    g_autofree char *buf = g_malloc(PIECE);
    auto_fd to = open(path, O_WRONLY | O_CLOEXEC);
    if (to < 0)
        return err_errno(err, "Scratch file '%s' cannot be opened", path);
    for (size_t i = 0; i < extents_count(set); i++) {
        const struct extent *x = extents_at(set, i);
        if (x->kind == EXTENT_DATA && !copy_extent(p, from, to, path, x, buf, err))
            return false;
    }
    return true;
}

/* The changes of one disk, in a file of ours without a name. */
static bool
copy_disk(struct pull *p, guint i, GError **err)
{
    struct capture_item *item = p->c->items->pdata[i];
    const struct capture_engine *e = p->c->engine;
    block_auto from = nbdblock_open(p->socket, item->target, err);
    extents_auto dirty = extents_new();
    extents_auto map = extents_new();
    if (!from || !nbdblock_bitmap(p->socket, item->target, BACKUP_BITMAP, dirty, err))
        return false;
    if (extents_count(dirty) > 0 && !block_extents(from, 0, from->size, map, err))
        return false;
    extents_free(item->extents);
    item->extents = extents_intersect(dirty, map);
    g_autofree char *path = scratch_create(e->scratch_dir, &p->c->vm, item->target, from->size, e->qemu_uid, e->qemu_gid, err);
    if (!path)
        return false;
    if (copy_data(p, from, item->extents, path, err))
        item->block = block_file_open(path, err);
    unlink(path);
    return item->block != NULL;
}

static bool
take_instant(struct pull *p, GError **err)
{
    const struct backup b = { p->socket, p->prefix, p->targets, p->since, p->made };
    capture_before(p->c);
    const bool room = reserve(p, err);
    p->c->instant_us = clock_wall_us();
    bool ok = room && backup_begin(p->dom, &b, err);
    capture_after(p->c);
    if (ok)
        capture_took(p->c);
    if (!room)
        return false;
    for (guint i = 0; ok && p->targets[i]; i++)
        ok = copy_disk(p, i, err);
    if (!backup_end(p->dom, p->socket, NULL))
        p->c->left_open = true;
    return ok;
}

/* ---- CAPTURE_FUZZY_* ---- */

static bool
open_live_item(struct pull *p, guint i, GError **err)
{
    struct capture_item *item = p->c->items->pdata[i];
    item->block = lease_disk(p->c->lease, i, err);
    if (!item->block)
        return false;
    if (!p->since)
        return block_extents(item->block, 0, item->block->size, item->extents, err);
    extents_auto dirty = extents_new();
    extents_auto map = extents_new();
    if (!lease_changes(p->c->lease, i, dirty, err) || !block_extents(item->block, 0, item->block->size, map, err))
        return false;
    extents_free(item->extents);
    item->extents = extents_intersect(dirty, map);
    return true;
}

static bool
take_fuzzy(struct pull *p, GError **err)
{
    const struct backup b = { p->socket, p->prefix, p->targets, p->since, NULL };
    p->c->instant_us = clock_wall_us();
    if (!checkpoint_create(p->dom, p->made, p->targets, err))
        return false;
    p->c->lease = lease_new(p->dom, &b, has_room, p->c->engine);
    for (guint i = 0; p->targets[i]; i++)
        if (!open_live_item(p, i, err))
            return false;
    return true;
}

/* ---- together ---- */

static bool
name_checkpoints(struct pull *p, GError **err)
{
    struct uuid since;
    g_autoptr(GPtrArray) list = checkpoint_list(p->dom, err);
    if (!list)
        return false;
    p->made = checkpoint_next_name(list, &p->c->log);
    if (p->c->mode == CAPTURE_FUZZY_ALL)
        return true;
    if (!capture_since(p->c->engine, &p->c->vm, &since))
        return err_set(err, ERR_TRACKING_LOST, "It is not known since when the guest's disks are tracked; recover first.");
    const struct checkpoint *old = checkpoint_find(list, &since);
    if (!old)
        return err_set(err, ERR_TRACKING_LOST, "The guest's checkpoint is gone (it was removed, or never made while the guest was off).");
    p->since = g_strdup(old->name);
    return true;
}

bool
pull_begin(struct capture *c, virDomainPtr dom, const char *const *targets, GError **err)
{
    struct pull p = { .c = c, .dom = dom, .targets = targets, .socket = capture_socket_path(c->engine, &c->vm),
                      .prefix = scratch_prefix(c->engine->scratch_dir, &c->vm) };
    g_autoptr(GError) why = NULL;
    unlink(p.socket);
    bool ok = name_checkpoints(&p, &why) && (c->mode == CAPTURE_INSTANT ? take_instant(&p, &why) : take_fuzzy(&p, &why));
    capture_unpromise(c->engine, p.promised);
    c->checkpoint = g_steal_pointer(&p.made);
    if (!ok) {
        for (guint i = 0; i < c->items->len; i++)
            block_close(g_steal_pointer(&((struct capture_item *)c->items->pdata[i])->block));
        if (!lease_free(g_steal_pointer(&c->lease)))
            c->left_open = true;
        capture_unstall(dom);
        pull_end(c, dom, false, NULL);
        g_propagate_error(err, g_steal_pointer(&why));
    }
    unlink(p.socket);
    g_free(p.socket);
    g_free(p.prefix);
    g_free(p.since);
    return ok;
}

/* The checkpoints of a guest that was switched off meanwhile wait for its next start: the older one records as well. */
bool
pull_end(struct capture *c, virDomainPtr dom, bool durable, GError **err)
{
    if (virDomainIsActive(dom) != 1)
        return true;
    return durable ? checkpoint_delete_others(dom, c->checkpoint, err) : checkpoint_delete(dom, c->checkpoint, err);
}

/* ---- after a crash ---- */

/* The newest durable log whose checkpoint is sound on all targets. */
static bool
find_since(virDomainPtr dom, const GPtrArray *list, const char *const *targets, bool (*durable)(void *user, const struct uuid *log),
           void *user, const struct checkpoint **found, GError **err)
{
    g_autoptr(GError) why = NULL;
    for (guint i = list->len; i-- > 0;) {
        const struct checkpoint *k = list->pdata[i];
        guint64 bytes;
        if (!durable(user, &k->log))
            continue;
        g_clear_error(&why);
        if (checkpoint_size(dom, k->name, targets, &bytes, &why)) {
            *found = k;
            return true;
        }
        if (!err_is(why, ERR_TRACKING_LOST))
            break;
    }
    if (!why)
        return err_set(err, ERR_TRACKING_LOST, "The guest has no checkpoint of a change log that is known to be durable.");
    g_propagate_error(err, g_steal_pointer(&why));
    return false;
}

bool
pull_recover(virDomainPtr dom, const char *const *targets, bool (*durable)(void *user, const struct uuid *log), void *user,
             struct uuid *since, GError **err)
{
    g_autoptr(GPtrArray) list = checkpoint_list(dom, err);
    g_autoptr(GError) why = NULL;
    const struct checkpoint *found = NULL;
    if (!list)
        return false;
    const bool tracked = find_since(dom, list, targets, durable, user, &found, &why);
    if (!tracked && !err_is(why, ERR_TRACKING_LOST)) {
        g_propagate_error(err, g_steal_pointer(&why));
        return false;
    }
    if (!checkpoint_delete_others(dom, tracked ? found->name : NULL, err))
        return false;
    if (tracked)
        *since = found->log;
    else
        g_propagate_error(err, g_steal_pointer(&why));
    return tracked;
}

guint64
pull_pending(virDomainPtr dom, const char *const *targets, const struct uuid *since)
{
    guint64 bytes = 0;
    g_autoptr(GPtrArray) list = checkpoint_list(dom, NULL);
    const struct checkpoint *k = list ? checkpoint_find(list, since) : NULL;
    return k && checkpoint_size(dom, k->name, targets, &bytes, NULL) ? bytes : 0;
}
