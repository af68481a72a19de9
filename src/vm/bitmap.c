/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "vm/bitmap.h"

#include "vm/qmp.h"

#include <string.h>

static const char prefix[] = "vmr-";

void
bitmap_free(void *p)
{
    struct bitmap *b = p;
    if (!b)
        return;
    g_free(b->name);
    g_free(b);
}

static void
below_free(void *p)
{
    struct bitmap_below *b = p;
    g_free(b->node);
    g_free(b->name);
    g_free(b);
}

void
bitmap_disk_free(void *p)
{
    struct bitmap_disk *d = p;
    if (!d)
        return;
    g_free(d->target);
    g_free(d->node);
    g_free(d->format);
    g_free(d->closed);
    g_ptr_array_unref(d->bitmaps);
    g_ptr_array_unref(d->below);
    g_free(d);
}

struct bitmap_disk *
bitmap_disk_new(const char *target)
{
    struct bitmap_disk *d = g_new0(struct bitmap_disk, 1);
    d->target = g_strdup(target);
    d->bitmaps = g_ptr_array_new_with_free_func(bitmap_free);
    d->below = g_ptr_array_new_with_free_func(below_free);
    return d;
}

struct bitmap_disk *
bitmap_find_disk(const GPtrArray *disks, const char *target)
{
    for (guint i = 0; i < disks->len; i++) {
        struct bitmap_disk *d = disks->pdata[i];
        if (g_str_equal(d->target, target))
            return d;
    }
    return NULL;
}

struct bitmap *
bitmap_find(const struct bitmap_disk *disk, const struct uuid *log)
{
    struct bitmap *found = NULL;
    for (guint i = 0; i < disk->bitmaps->len; i++) {
        struct bitmap *b = disk->bitmaps->pdata[i];
        if (uuid_equal(&b->log, log) && (!found || b->number > found->number))
            found = b;
    }
    return found;
}

char *
bitmap_name(const struct uuid *log, guint64 number)
{
    char text[UUID_TEXT];
    return g_strdup_printf("%s%s.%" G_GUINT64_FORMAT, prefix, uuid_format_lower(log, text), number);
}

bool
bitmap_name_parse(const char *name, struct uuid *log, guint64 *number)
{
    if (!name || !g_str_has_prefix(name, prefix))
        return false;
    const char *id = name + strlen(prefix);
    if (strlen(id) < UUID_TEXT + 1 || id[UUID_TEXT - 1] != '.')
        return false;
    g_autofree char *text = g_strndup(id, UUID_TEXT - 1);
    return uuid_parse(text, log) && g_ascii_string_to_unsigned(id + UUID_TEXT, 10, 0, G_MAXUINT64 - 1, number, NULL);
}

const json_t *
bitmap_find_node(const json_t *named_nodes, const char *name)
{
    size_t i;
    json_t *node;
    json_array_foreach(named_nodes, i, node)
        if (g_strcmp0(qmp_text(node, "node-name"), name) == 0)
            return node;
    return NULL;
}

/* virtio disks are named by a path below their device, SCSI, SATA and IDE disks by their id alone. */
const json_t *
bitmap_find_device(const json_t *query_block, const char *alias)
{
    g_autofree char *inside = g_strdup_printf("/%s/", alias), *last = g_strdup_printf("/%s", alias);
    size_t i;
    json_t *entry;
    json_array_foreach(query_block, i, entry) {
        const char *qdev = qmp_text(entry, "qdev");
        if (qdev && (g_str_equal(qdev, alias) || strstr(qdev, inside) || g_str_has_suffix(qdev, last)))
            return json_object_get(entry, "inserted");
    }
    return NULL;
}

bool
bitmap_count(const json_t *named_nodes, const char *node, const char *name, guint64 *bytes)
{
    size_t i;
    json_t *info;
    json_array_foreach(json_object_get(bitmap_find_node(named_nodes, node), "dirty-bitmaps"), i, info)
        if (g_strcmp0(qmp_text(info, "name"), name) == 0) {
            *bytes = qmp_number(info, "count");
            return true;
        }
    return false;
}

static struct bitmap *
bitmap_of_name(const char *name)
{
    struct uuid log;
    guint64 number;
    if (!bitmap_name_parse(name, &log, &number))
        return NULL;
    struct bitmap *b = g_new0(struct bitmap, 1);
    b->name = g_strdup(name);
    b->log = log;
    b->number = number;
    return b;
}

static struct bitmap *
bitmap_of_running(const json_t *info)
{
    struct bitmap *b = bitmap_of_name(qmp_text(info, "name"));
    if (!b)
        return NULL;
    b->count = qmp_number(info, "count");
    b->recording = qmp_flag(info, "recording");
    b->inconsistent = qmp_flag(info, "inconsistent");
    return b;
}

/* An image of format version 2 (compat 0.10) has no room for bitmaps. */
static bool
keeps_bitmaps(const json_t *image)
{
    const json_t *data = json_object_get(json_object_get(image, "format-specific"), "data");
    return g_strcmp0(qmp_text(image, "format"), "qcow2") == 0 && g_strcmp0(qmp_text(data, "compat"), "0.10") != 0;
}

void
bitmap_read_node(struct bitmap_disk *disk, const json_t *info)
{
    const json_t *image = json_object_get(info, "image");
    disk->node = g_strdup(qmp_text(info, "node-name"));
    disk->format = g_strdup(qmp_text(info, "drv"));
    disk->size = qmp_number(image, "virtual-size");
    disk->persistent = keeps_bitmaps(image);
    size_t i;
    json_t *entry;
    json_array_foreach(json_object_get(info, "dirty-bitmaps"), i, entry) {
        struct bitmap *b = bitmap_of_running(entry);
        if (b)
            g_ptr_array_add(disk->bitmaps, b);
    }
}

static void
add_below(struct bitmap_disk *disk, const char *node, struct bitmap *b)
{
    struct bitmap_below *below = g_new0(struct bitmap_below, 1);
    below->node = g_strdup(node);
    below->name = g_strdup(b->name);
    below->usable = !b->inconsistent;
    g_ptr_array_add(disk->below, below);
    bitmap_free(b);
}

void
bitmap_read_below(struct bitmap_disk *disk, const json_t *named_nodes, const char *name)
{
    size_t i;
    json_t *info;
    json_array_foreach(json_object_get(bitmap_find_node(named_nodes, name), "dirty-bitmaps"), i, info) {
        struct bitmap *b = bitmap_of_running(info);
        if (b)
            add_below(disk, name, b);
    }
}

static struct bitmap *
bitmap_of_stored(const json_t *info)
{
    struct bitmap *b = bitmap_of_name(qmp_text(info, "name"));
    size_t i;
    json_t *flag;
    if (!b)
        return NULL;
    json_array_foreach(json_object_get(info, "flags"), i, flag) {
        if (g_strcmp0(json_string_value(flag), "auto") == 0)
            b->recording = true;
        if (g_strcmp0(json_string_value(flag), "in-use") == 0)
            b->inconsistent = true;
    }
    return b;
}

bool
bitmap_read_image(struct bitmap_disk *disk, const json_t *info, const char *path, bool top)
{
    if (!json_is_object(info))
        return false;
    if (top) {
        disk->node = g_strdup(path);
        disk->format = g_strdup(qmp_text(info, "format"));
        disk->size = qmp_number(info, "virtual-size");
        disk->persistent = keeps_bitmaps(info);
    }
    const json_t *data = json_object_get(json_object_get(info, "format-specific"), "data");
    size_t i;
    json_t *stored;
    json_array_foreach(json_object_get(data, "bitmaps"), i, stored) {
        struct bitmap *b = bitmap_of_stored(stored);
        if (b && top)
            g_ptr_array_add(disk->bitmaps, b);
        else if (b)
            add_below(disk, path, b);
    }
    return true;
}
