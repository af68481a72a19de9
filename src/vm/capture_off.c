/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "vm/capture_int.h"

#include "base/clock.h"
#include "base/err.h"
#include "vm/nbdblock.h"
#include "vm/source.h"

#include <unistd.h>

static const gint64 START_TIMEOUT_US = 20 * G_USEC_PER_SEC;

static void
add(GPtrArray *argv, const char *option, json_t *value)
{
    g_ptr_array_add(argv, g_strdup(option));
    g_ptr_array_add(argv, json_dumps(value, JSON_COMPACT));
    json_decref(value);
}

/* ---- images that QEMU's locks do not protect ---- */

/* A read that ended while the guest was off is good; one that a start overtook is not. */
struct guarded {
    struct block base;
    struct block *inner;
    virDomainPtr dom;
};

static bool
guarded_read_all(struct block *base, const struct block_range *ranges, size_t count, GError **err)
{
    struct guarded *g = (struct guarded *)base;
    if (!block_read_all(g->inner, ranges, count, err))
        return false;
    if (virDomainIsActive(g->dom) == 0)
        return true;
    return err_set(err, ERR_NOT_AVAILABLE, "Guest '%s' was started while its images were read.", virDomainGetName(g->dom));
}

static bool
guarded_read(struct block *base, void *buf, size_t len, uint64_t off, GError **err)
{
    return guarded_read_all(base, &(struct block_range){ buf, len, off }, 1, err);
}

static bool
guarded_extents(struct block *base, uint64_t off, uint64_t len, struct extents *out, GError **err)
{
    return block_extents(((struct guarded *)base)->inner, off, len, out, err);
}

static void
guarded_close(struct block *base)
{
    struct guarded *g = (struct guarded *)base;
    block_close(g->inner);
    virDomainFree(g->dom);
    g_free(g);
}

static struct block *
guard(struct block *inner, virDomainPtr dom)
{
    static const struct block_ops ops = {
        .read = guarded_read, .extents = guarded_extents, .close = guarded_close, .read_all = guarded_read_all,
    };
    if (!inner)
        return NULL;
    struct guarded *g = g_new0(struct guarded, 1);
    g->base = (struct block){ .ops = &ops, .size = inner->size };
    g->inner = inner;
    g->dom = dom;
    virDomainRef(dom);
    return &g->base;
}

/* ---- the server ---- */

static bool
add_disk(GPtrArray *argv, const struct bitmap_disk *disk, const char *bitmap, GError **err)
{
    g_autofree char *below = g_strdup_printf("below-%s", disk->target);
    json_t *node = source_node(disk->node);
    if (!node)
        return err_set(err, ERR_MALFORMED, "The image of disk '%s' has a name that is not understood.", disk->target);
    json_object_set_new(node, "node-name", json_string(below));
    json_object_set_new(node, "read-only", json_true());
    add(argv, "--blockdev", node);
    add(argv, "--blockdev",
        json_pack("{s:s, s:s, s:s, s:b}", "driver", disk->format, "node-name", disk->target, "file", below, "read-only", 1));
    json_t *export = json_pack("{s:s, s:s, s:s, s:s, s:b}", "type", "nbd", "id", disk->target, "node-name", disk->target, "name",
                               disk->target, "writable", 0);
    if (bitmap)
        json_object_set_new(export, "bitmaps", json_pack("[{s:s, s:s}]", "node", disk->target, "name", bitmap));
    add(argv, "--export", export);
    return true;
}

/* Waits until the server listens or has given up. */
static bool
wait_for(struct tether *server, const char *socket, GError **err)
{
    enum { PAUSE_US = 2000 };
    const gint64 deadline = clock_mono_us() + START_TIMEOUT_US;
    while (!nbdblock_answers(socket)) {
        if (!tether_alive(server, err))
            return false;
        if (clock_mono_us() > deadline)
            return err_set(err, ERR_TIMEOUT, "The server of a stopped guest's disks does not answer at '%s'.", socket);
        g_usleep(PAUSE_US);
    }
    return true;
}

/* bitmaps: the one to read for each target, NULL where there is none to read. */
static bool
serve_images(struct capture *c, const struct track *t, const GPtrArray *bitmaps, GError **err)
{
    g_autoptr(GPtrArray) argv = g_ptr_array_new_with_free_func(g_free);
    c->socket = capture_socket_path(c->engine, &c->vm);
    unlink(c->socket);
    g_ptr_array_add(argv, g_strdup("qemu-storage-daemon"));
    add(argv, "--nbd-server", json_pack("{s:{s:s, s:s}}", "addr", "type", "unix", "path", c->socket));
    for (guint i = 0; i < c->items->len; i++) {
        const struct capture_item *item = c->items->pdata[i];
        if (!add_disk(argv, bitmap_find_disk(t->disks, item->target), bitmaps->pdata[i], err))
            return false;
    }
    g_ptr_array_add(argv, NULL);
    c->server = tether_start((const char *const *)argv->pdata, err);
    return c->server && wait_for(c->server, c->socket, err);
}

static bool
read_item(struct capture *c, virDomainPtr dom, struct capture_item *item, bool local, const char *bitmap, GError **err)
{
    struct block *block = nbdblock_open(c->socket, item->target, err);
    item->block = local ? block : guard(block, dom);
    if (!item->block)
        return false;
    if (item->seen)
        return true;
    if (!bitmap)
        return block_extents(item->block, 0, item->block->size, item->extents, err);
    extents_auto dirty = extents_new();
    extents_auto map = extents_new();
    if (!nbdblock_bitmap(c->socket, item->target, bitmap, dirty, err) ||
        !block_extents(item->block, 0, item->block->size, map, err))
        return false;
    extents_free(item->extents);
    item->extents = extents_intersect(dirty, map);
    return true;
}

/* ---- which bitmaps ---- */

/* Bitmaps of a stopped guest turn over unless libvirt keeps the books (engine "pull"), or one of the images has no locks. */
static bool
must_keep(const struct capture *c, const struct track *t)
{
    bool keep = capture_kind_of(c->engine, &c->vm) == CAPTURE_PULL;
    for (guint i = 0; i < c->items->len; i++) {
        const struct bitmap_disk *disk = bitmap_find_disk(t->disks, ((struct capture_item *)c->items->pdata[i])->target);
        keep |= disk && disk->persistent && !disk->local;
    }
    return keep;
}

bool
off_look(struct capture *c, const struct track *t, GHashTable *seen, GError **err)
{
    c->keeps = must_keep(c, t);
    for (guint i = 0; i < c->items->len; i++) {
        struct capture_item *item = c->items->pdata[i];
        const struct bitmap_disk *disk = bitmap_find_disk(t->disks, item->target);
        if (disk && disk->closed)
            return err_set(err, ERR_NOT_AVAILABLE, "Disk '%s' cannot be read while its guest is off: %s.", item->target, disk->closed);
        if (!disk || (disk->persistent && !c->keeps))
            continue;
        g_autofree char *stamp = source_stamp(disk->node);
        item->stamp = stamp ? g_strdup_printf("%s %" G_GINT64_FORMAT, stamp, conn_power_changed(c->engine->conn, &c->vm)) : NULL;
        item->seen = c->mode != CAPTURE_FUZZY_ALL && item->stamp && g_strcmp0(item->stamp, g_hash_table_lookup(seen, item->target)) == 0;
    }
    return true;
}

/* Without turning over: the bitmaps of the log from before, for reading only.  One that does not record, or has a part below a snapshot,
 * does not hold all changes by itself. */
static bool
find_kept(struct capture *c, const struct track *t, const char *const *targets, GPtrArray *old, GError **err)
{
    struct uuid since;
    if (!capture_since(c->engine, &c->vm, &since))
        return err_set(err, ERR_TRACKING_LOST, "It is not known since when the guest's disks are tracked; recover first.");
    for (; *targets; targets++) {
        const struct bitmap_disk *disk = bitmap_find_disk(t->disks, *targets);
        struct bitmap *b = disk ? bitmap_find(disk, &since) : NULL;
        if (!b || b->inconsistent || !b->recording || disk->below->len > 0)
            return err_set(err, ERR_TRACKING_LOST, "Changes of disk '%s' are not tracked by one bitmap while its guest is off.", *targets);
        g_ptr_array_add(old, b->name);
    }
    return true;
}

/* bitmaps[i] belongs to item i; borrowed from t. */
static bool
turn_over(struct capture *c, const struct track *t, GPtrArray *bitmaps, bool *turned, GError **err)
{
    g_autoptr(GPtrArray) plan = plan_new();
    g_autoptr(GPtrArray) old = g_ptr_array_new();
    g_autoptr(GPtrArray) tracked = g_ptr_array_new();
    for (guint i = 0; i < c->items->len; i++) {
        struct capture_item *item = c->items->pdata[i];
        if (!item->seen)
            g_ptr_array_add(tracked, item->target);
    }
    g_ptr_array_add(tracked, NULL);
    const char *const *targets = (const char *const *)tracked->pdata;
    const bool anew = c->mode == CAPTURE_FUZZY_ALL;
    if (anew ? !plan_begin_anew(t->disks, targets, &c->log, plan, err)
             : c->keeps ? !find_kept(c, t, targets, old, err)
                        : !plan_begin(t->disks, targets, &c->log, plan, old, err))
        return false;
    for (guint i = 0, k = 0; i < c->items->len; i++)
        g_ptr_array_add(bitmaps, anew || ((struct capture_item *)c->items->pdata[i])->seen ? NULL : old->pdata[k++]);
    c->instant_us = clock_wall_us();
    if (c->keeps)
        return true;
    *turned = true;
    return track_apply(t, NULL, plan, err);
}

bool
off_begin(struct capture *c, virDomainPtr dom, const struct track *t, const char *const *targets, bool *turned, GError **err)
{
    g_autoptr(GPtrArray) bitmaps = g_ptr_array_new();
    if (!turn_over(c, t, bitmaps, turned, err) || !serve_images(c, t, bitmaps, err))
        return false;
    for (guint i = 0; i < c->items->len; i++) {
        struct capture_item *item = c->items->pdata[i];
        if (!read_item(c, dom, item, bitmap_find_disk(t->disks, item->target)->local, bitmaps->pdata[i], err))
            return false;
    }
    return true;
}
