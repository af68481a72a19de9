/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "vm/capture_int.h"

#include "base/clock.h"
#include "base/err.h"
#include "vm/nbdblock.h"

#include <unistd.h>

static const gint64 START_TIMEOUT_US = 20 * G_USEC_PER_SEC;

static void
add(GPtrArray *argv, const char *option, json_t *value)
{
    g_ptr_array_add(argv, g_strdup(option));
    g_ptr_array_add(argv, json_dumps(value, JSON_COMPACT));
    json_decref(value);
}

static void
add_disk(GPtrArray *argv, const struct bitmap_disk *disk, const char *bitmap)
{
    g_autofree char *file = g_strdup_printf("file-%s", disk->target);
    add(argv, "--blockdev", json_pack("{s:s, s:s, s:s, s:b}", "driver", "file", "node-name", file, "filename", disk->node, "read-only", 1));
    add(argv, "--blockdev",
        json_pack("{s:s, s:s, s:s, s:b}", "driver", disk->format, "node-name", disk->target, "file", file, "read-only", 1));
    json_t *export = json_pack("{s:s, s:s, s:s, s:s, s:b}", "type", "nbd", "id", disk->target, "node-name", disk->target, "name",
                               disk->target, "writable", 0);
    if (bitmap)
        json_object_set_new(export, "bitmaps", json_pack("[{s:s, s:s}]", "node", disk->target, "name", bitmap));
    add(argv, "--export", export);
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

/* old NULL: no bitmaps. */
static bool
serve_images(struct capture *c, const struct track *t, const char *const *targets, const GPtrArray *old, GError **err)
{
    g_autoptr(GPtrArray) argv = g_ptr_array_new_with_free_func(g_free);
    c->socket = capture_socket_path(c->engine, &c->vm);
    unlink(c->socket);
    g_ptr_array_add(argv, g_strdup("qemu-storage-daemon"));
    add(argv, "--nbd-server", json_pack("{s:{s:s, s:s}}", "addr", "type", "unix", "path", c->socket));
    for (guint i = 0; targets[i]; i++)
        add_disk(argv, bitmap_find_disk(t->disks, targets[i]), old ? old->pdata[i] : NULL);
    g_ptr_array_add(argv, NULL);
    c->server = tether_start((const char *const *)argv->pdata, err);
    return c->server && wait_for(c->server, c->socket, err);
}

static bool
read_item(struct capture *c, struct capture_item *item, const char *bitmap, GError **err)
{
    item->block = nbdblock_open(c->socket, item->target, err);
    if (!item->block)
        return false;
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

bool
off_begin(struct capture *c, const struct track *t, const char *const *targets, bool *turned, GError **err)
{
    g_autoptr(GPtrArray) plan = plan_new();
    g_autoptr(GPtrArray) old = g_ptr_array_new();
    const bool anew = c->mode == CAPTURE_FUZZY_ALL;
    const bool planned = anew ? plan_begin_anew(t->disks, targets, &c->log, plan, err)
                              : plan_begin(t->disks, targets, &c->log, plan, old, err);
    if (!planned)
        return false;
    *turned = true;
    c->instant_us = clock_wall_us();
    if (!track_apply(t, NULL, plan, err) || !serve_images(c, t, targets, anew ? NULL : old, err))
        return false;
    for (guint i = 0; i < c->items->len; i++)
        if (!read_item(c, c->items->pdata[i], anew ? NULL : old->pdata[i], err))
            return false;
    return true;
}
