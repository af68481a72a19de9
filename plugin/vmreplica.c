/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* nbdkit-vmreplica-plugin: one recovery point of a store, each of its disks an export with the disk's target as name.
 *
 *   nbdkit -U /run/point.sock vmreplica store=/var/lib/vmreplica/replica/VM [point=UUID]
 *
 * Without `point` the newest whole one is served; the export "" is the first disk.  Read-only.  The point is opened once, before nbdkit
 * goes into the background, so an error reaches whoever started it; until nbdkit ends, the store keeps what the point needs (view.h). */

#define NBDKIT_API_VERSION 2
#define THREAD_MODEL NBDKIT_THREAD_MODEL_PARALLEL

#include "base/err.h"
#include "base/uuid.h"
#include "store/view.h"

#include <errno.h>
#include <malloc.h>
#include <nbdkit-plugin.h>
#include <string.h>

/* The server runs one instance of a plugin per process; its life is that of the process. */
static char *store;
static struct uuid point;
static bool have_point;
static struct view *view;

static int
report(GError *why)
{
    nbdkit_error("%s", why->message);
    nbdkit_set_error(EIO);
    g_error_free(why);
    return -1;
}

static int
point_config(const char *key, const char *value)
{
    if (strcmp(key, "store") == 0) {
        free(store);
        store = nbdkit_realpath(value);
        return store ? 0 : -1;
    }
    if (strcmp(key, "point") == 0) {
        have_point = uuid_parse(value, &point);
        if (!have_point)
            nbdkit_error("point: '%s' is not a UUID.", value);
        return have_point ? 0 : -1;
    }
    nbdkit_error("Unknown parameter '%s'; there are 'store' and 'point'.", key);
    return -1;
}

static int
point_config_complete(void)
{
    if (!store)
        nbdkit_error("The parameter store=DIR is missing: the folder of a replica.");
    return store ? 0 : -1;
}

/* Frames come and go; by default malloc would ask the kernel for fresh pages for each of them (a sixth of a random read). */
static void
keep_memory(void)
{
    mallopt(M_MMAP_THRESHOLD, 8 << 20);
    mallopt(M_TRIM_THRESHOLD, 128 << 20);
}

static int
point_get_ready(void)
{
    GError *why = NULL;
    keep_memory();
    view = view_open(store, have_point ? &point : NULL, &why);
    return view ? 0 : report(why);
}

static void
point_unload(void)
{
    view_close(view);
    free(store);
}

static int
point_list_exports(int readonly, int is_tls, struct nbdkit_exports *exports)
{
    const struct log_info *info = view_info(view);
    for (unsigned i = 0; i < info->disk_count; i++)
        if (nbdkit_add_export(exports, info->disks[i].target, NULL) < 0)
            return -1;
    return 0;
}

static const char *
point_default_export(int readonly, int is_tls)
{
    const struct log_info *info = view_info(view);
    return info->disk_count > 0 ? info->disks[0].target : NULL;
}

static void *
point_open(int readonly)
{
    const char *name = nbdkit_export_name();
    struct block *disk = NULL;
    if (name && *name)
        disk = view_disk_by_target(view, name);
    else if (name && view_disks(view) > 0)
        disk = view_disk(view, 0);
    if (!disk)
        nbdkit_error("The recovery point has no disk '%s'.", name ? name : "");
    return disk;
}

static int64_t
point_get_size(void *handle)
{
    const struct block *disk = handle;
    return (int64_t)disk->size;
}

static int
point_block_size(void *handle, uint32_t *minimum, uint32_t *preferred, uint32_t *maximum)
{
    *minimum = 1;
    *preferred = 4096;
    *maximum = 32 << 20;
    return 0;
}

static int
yes(void *handle)
{
    return 1;
}

static int
no_cache(void *handle)
{
    return NBDKIT_CACHE_NONE;
}

static int
point_pread(void *handle, void *buf, uint32_t count, uint64_t offset, uint32_t flags)
{
    GError *why = NULL;
    return block_read(handle, buf, count, offset, &why) ? 0 : report(why);
}

static int
point_extents(void *handle, uint32_t count, uint64_t offset, uint32_t flags, struct nbdkit_extents *extents)
{
    extents_auto found = extents_new();
    GError *why = NULL;
    if (!block_extents(handle, offset, count, found, &why))
        return report(why);
    for (size_t i = 0; i < extents_count(found); i++) {
        const struct extent *e = extents_at(found, i);
        uint32_t type = e->kind == EXTENT_ZERO ? NBDKIT_EXTENT_HOLE | NBDKIT_EXTENT_ZERO : 0;
        if (nbdkit_add_extent(extents, e->offset, e->length, type) < 0)
            return -1;
        if (flags & NBDKIT_FLAG_REQ_ONE)
            break;
    }
    return 0;
}

static struct nbdkit_plugin plugin = {
    .name = "vmreplica",
    .longname = "vmreplica recovery point",
    .description = "Serves a recovery point of a replica, read-only",
    .version = VMR_VERSION,
    .unload = point_unload,
    .config = point_config,
    .config_complete = point_config_complete,
    .config_help = "store=DIR    (required) Folder of the replica.\npoint=UUID   Recovery point; the newest one if left out.",
    .magic_config_key = "store",
    .get_ready = point_get_ready,
    .list_exports = point_list_exports,
    .default_export = point_default_export,
    .open = point_open,
    .get_size = point_get_size,
    .block_size = point_block_size,
    .can_multi_conn = yes,
    .can_extents = yes,
    .can_cache = no_cache,
    .pread = point_pread,
    .extents = point_extents,
};

struct nbdkit_plugin *plugin_init(void); /* the macro lacks the prototype */
NBDKIT_REGISTER_PLUGIN(plugin)
