/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "base/uuid.h"

#include <glib.h>
#include <jansson.h>
#include <stdbool.h>

/* Our dirty bitmaps on the disks of a guest, as QEMU or qemu-img reports them.
 *
 * Name: "vmr-<log id>.<number>".  The number grows by one with every new bitmap of a guest: a snapshot followed by a commit can bring an
 * old bitmap back, and only the number tells which is newer (clocks are never compared).
 *
 * Pure functions over JSON; any thread.
 * Source: QEMU QMP reference (BlockInfo, BlockDirtyInfo, BlockDeviceInfo); qemu-img info --output=json (ImageInfo). */

enum { BITMAP_GRANULARITY = 4096 };

struct bitmap {
    char *name;
    struct uuid log;
    guint64 number;
    guint64 count;      /* bytes marked dirty; 0 for a stopped guest, where it is not reported */
    bool recording;     /* enabled: writes are marked */
    bool inconsistent;  /* an unclean stop of QEMU lost it: good for nothing but removal */
};

/* One disk; `node` names it in QEMU, or is the image's path when the guest is off. */
struct bitmap_disk {
    char *target;         /* "vda" */
    char *node;
    char *format;         /* "qcow2", "raw" */
    guint64 size;         /* bytes, virtual */
    bool persistent;      /* its image can keep bitmaps while the guest is off */
    bool local;           /* guest off: the image is a regular file, so whoever works on it keeps the guest from starting */
    char *closed;         /* guest off: why the image cannot be opened; NULL: it can */
    GPtrArray *bitmaps;   /* struct bitmap, ours only, on the top image */
    GPtrArray *below;     /* struct bitmap_below: ours on images below an external snapshot */
};

struct bitmap_below {
    char *node;           /* or path */
    char *name;
    bool usable;
};

void bitmap_free(void *bitmap);
void bitmap_disk_free(void *disk);
struct bitmap_disk *bitmap_disk_new(const char *target);
struct bitmap_disk *bitmap_find_disk(const GPtrArray *disks, const char *target);
struct bitmap *bitmap_find(const struct bitmap_disk *disk, const struct uuid *log);   /* the newest of that log, or NULL */

char *bitmap_name(const struct uuid *log, guint64 number);
bool bitmap_name_parse(const char *name, struct uuid *log, guint64 *number);          /* false: not ours */

/* The description (BlockDeviceInfo) of a node by its name, from query-named-block-nodes; of what is in the device with libvirt's `alias`,
 * from query-block.  NULL when there is none. */
const json_t *bitmap_find_node(const json_t *named_nodes, const char *name);
const json_t *bitmap_find_device(const json_t *query_block, const char *alias);
/* Bytes that bitmap `name` of `node` has marked; false: there is no such bitmap. */
bool bitmap_count(const json_t *named_nodes, const char *node, const char *name, guint64 *bytes);
/* Fills node, format, size, persistent and bitmaps. */
void bitmap_read_node(struct bitmap_disk *disk, const json_t *info);
/* Adds the bitmaps of node `name` (in query-named-block-nodes) to disk->below. */
void bitmap_read_below(struct bitmap_disk *disk, const json_t *named_nodes, const char *name);
/* The same from `qemu-img info` of the top image, and of one below it (top = false). */
bool bitmap_read_image(struct bitmap_disk *disk, const json_t *info, const char *path, bool top);
