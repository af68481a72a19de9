/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "vm/track.h"

#include "base/err.h"
#include "base/xml.h"
#include "vm/image.h"
#include "vm/qmp.h"
#include "vm/run.h"
#include "vm/source.h"

#include <stdlib.h>
#include <string.h>

enum { XML_MAX = 16 << 20 };

void
track_free(struct track *t)
{
    if (!t)
        return;
    g_ptr_array_unref(t->disks);
    json_decref(t->nodes);
    xmlFreeDoc(t->live_xml);
    g_free(t);
}

static struct track *
track_new(bool live)
{
    struct track *t = g_new0(struct track, 1);
    t->live = live;
    t->disks = g_ptr_array_new_with_free_func(bitmap_disk_free);
    return t;
}

/* ---- running ---- */

static char *
attr_of_child(const xmlNode *node, const char *child, const char *attr)
{
    const xmlNode *found = xml_child(node, NULL, child);
    return found ? xml_attr(found, attr) : NULL;
}

/* libvirt names the nodes of an image after the index in the live XML; a raw image may have only the second one. */
static char *
node_of_index(const json_t *nodes, const char *index)
{
    static const char *const kinds[] = { "format", "storage" };
    for (gsize i = 0; index && i < G_N_ELEMENTS(kinds); i++) {
        g_autofree char *name = g_strdup_printf("libvirt-%s-%s", index, kinds[i]);
        if (bitmap_find_node(nodes, name))
            return g_steal_pointer(&name);
    }
    return NULL;
}

static void
read_chain(struct bitmap_disk *disk, const xmlNode *xml_disk, const json_t *nodes)
{
    for (const xmlNode *n = xml_child(xml_disk, NULL, "backingStore"); n; n = xml_child(n, NULL, "backingStore")) {
        g_autofree char *index = xml_attr(n, "index");
        g_autofree char *node = node_of_index(nodes, index);
        if (node)
            bitmap_read_below(disk, nodes, node);
    }
}

/* What the disk's top image is in QEMU.  The node by libvirt's name is right also while a job has put a filter on top of it; where
 * libvirt named it otherwise, the device tells.  *blocks caches query-block. */
static const json_t *
top_of(virDomainPtr dom, const xmlNode *xml_disk, const json_t *nodes, json_t **blocks, GError **err)
{
    g_autofree char *index = attr_of_child(xml_disk, "source", "index");
    g_autofree char *alias = attr_of_child(xml_disk, "alias", "name");
    g_autofree char *name = node_of_index(nodes, index);
    if (name)
        return bitmap_find_node(nodes, name);
    if (!*blocks)
        *blocks = qmp_run(dom, "query-block", NULL, err);
    return *blocks && alias ? bitmap_find_device(*blocks, alias) : NULL;
}

static bool
read_disk(struct track *t, virDomainPtr dom, const xmlNode *xml_disk, json_t **blocks, GError **err)
{
    g_autofree char *target = attr_of_child(xml_disk, "target", "dev");
    g_autoptr(GError) why = NULL;
    if (!target || !xml_child(xml_disk, NULL, "source"))
        return true; /* an empty drive */
    const json_t *top = top_of(dom, xml_disk, t->nodes, blocks, &why);
    if (why) {
        g_propagate_error(err, g_steal_pointer(&why));
        return false;
    }
    if (!qmp_text(top, "node-name"))
        return true;
    struct bitmap_disk *disk = bitmap_disk_new(target);
    g_ptr_array_add(t->disks, disk);
    bitmap_read_node(disk, top);
    read_chain(disk, xml_disk, t->nodes);
    return true;
}

json_t *
track_nodes(virDomainPtr dom, GError **err)
{
    return qmp_run(dom, "query-named-block-nodes", json_pack("{s:b}", "flat", 1), err);
}

xmlDoc *
track_xml(virDomainPtr dom, GError **err)
{
    const char *name = virDomainGetName(dom);
    char *text = virDomainGetXMLDesc(dom, 0);
    if (!text) {
        conn_error(err, "The definition of guest '%s' cannot be read", name);
        return NULL;
    }
    xmlDoc *doc = xml_parse(text, strlen(text), XML_MAX, err);
    free(text);
    return doc;
}

struct track *
track_live(virDomainPtr dom, GError **err)
{
    json_scoped blocks = NULL;
    track_auto t = track_new(true);
    if (!(t->live_xml = track_xml(dom, err)) || !(t->nodes = track_nodes(dom, err)))
        return NULL;
    const xmlNode *devices = xml_child(xmlDocGetRootElement(t->live_xml), NULL, "devices");
    for (const xmlNode *n = devices ? xml_child(devices, NULL, "disk") : NULL; n; n = xml_next(n, NULL, "disk"))
        if (!read_disk(t, dom, n, &blocks, err))
            return NULL;
    return g_steal_pointer(&t);
}

static json_t *
action(const char *type, json_t *data)
{
    return json_pack("{s:s, s:o}", "type", type, "data", data);
}

static json_t *
action_of(const struct plan_op *op)
{
    const char *node = op->disk->node;
    switch (op->kind) {
    case PLAN_ADD:
        return action("block-dirty-bitmap-add", json_pack("{s:s, s:s, s:i, s:b}", "node", node, "name", op->name, "granularity",
                                                          BITMAP_GRANULARITY, "persistent", op->disk->persistent));
    case PLAN_ENABLE:
        return action("block-dirty-bitmap-enable", json_pack("{s:s, s:s}", "node", node, "name", op->name));
    case PLAN_DISABLE:
        return action("block-dirty-bitmap-disable", json_pack("{s:s, s:s}", "node", node, "name", op->name));
    case PLAN_MERGE:
        return action("block-dirty-bitmap-merge", json_pack("{s:s, s:s, s:[{s:s, s:s}]}", "node", node, "target", op->name, "bitmaps",
                                                            "node", op->from_node ? op->from_node : node, "name", op->from));
    case PLAN_REMOVE:
        return action("block-dirty-bitmap-remove", json_pack("{s:s, s:s}", "node", node, "name", op->name));
    }
    g_assert_not_reached();
}

json_t *
track_actions(const GPtrArray *plan)
{
    json_t *actions = json_array();
    for (guint i = 0; i < plan->len; i++)
        json_array_append_new(actions, action_of(plan->pdata[i]));
    return actions;
}

/* ---- off ---- */

/* Images below a snapshot matter only for the bitmaps they still hold, yet these may have writes that no log has: one that cannot be read
 * is not one without bitmaps. */
static bool
read_backing(struct bitmap_disk *disk, const json_t *top, GError **err)
{
    enum { DEPTH_MAX = 64 };
    g_autofree char *path = g_strdup(qmp_text(top, "full-backing-filename"));
    g_autofree char *format = g_strdup(qmp_text(top, "backing-filename-format"));
    for (int depth = 0; path && format && g_str_equal(format, "qcow2") && depth < DEPTH_MAX; depth++) {
        json_scoped info = image_info(path, format, err);
        if (!info)
            return false;
        bitmap_read_image(disk, info, path, false);
        g_free(path);
        g_free(format);
        path = g_strdup(qmp_text(info, "full-backing-filename"));
        format = g_strdup(qmp_text(info, "backing-filename-format"));
    }
    return true;
}

static bool
read_image(struct track *t, const struct vm_disk *d, GError **err)
{
    json_scoped info = d->path ? image_info(d->path, d->format, err) : NULL;
    if (d->path && !info)
        return false;
    struct bitmap_disk *disk = bitmap_disk_new(d->target);
    g_ptr_array_add(t->disks, disk);
    disk->closed = g_strdup(d->closed);
    disk->local = d->local;
    if (!info)
        return true;
    bitmap_read_image(disk, info, d->path, true);
    return read_backing(disk, info, err);
}

struct track *
track_off(struct vm_conn *c, const struct uuid *vm, GError **err)
{
    vm_facts_auto facts = vm_facts_get(c, vm, err);
    if (!facts)
        return NULL;
    track_auto t = track_new(false);
    for (guint i = 0; i < facts->disks->len; i++) {
        const struct vm_disk *d = facts->disks->pdata[i];
        if (!d->refused && !read_image(t, d, err))
            return NULL;
    }
    return g_steal_pointer(&t);
}

static void
add_words(GPtrArray *argv, const char *const *words)
{
    for (; *words; words++)
        g_ptr_array_add(argv, g_strdup(*words));
}

/* Where QEMU's locks do not reach, a guest could start while its image is written to: its bitmaps wait until it runs. */
static bool
change_image(const struct plan_op *op, GError **err)
{
    static const char *const verbs[] = {
        [PLAN_ADD] = "--add", [PLAN_ENABLE] = "--enable", [PLAN_DISABLE] = "--disable", [PLAN_MERGE] = "--merge",
        [PLAN_REMOVE] = "--remove",
    };
    if (!op->disk->local)
        return err_set(err, ERR_TRACKING_LOST, "The bitmaps of disk '%s' can be put in order only while the guest runs.", op->disk->target);
    g_autoptr(GPtrArray) argv = g_ptr_array_new_with_free_func(g_free);
    g_autofree char *granularity = g_strdup_printf("%d", BITMAP_GRANULARITY);
    const char *const verb[] = { "qemu-img", "bitmap", verbs[op->kind], NULL };
    const char *const grain[] = { "-g", granularity, NULL }, *const from[] = { op->from, NULL };
    const char *const below[] = { "-b", op->from_node, "-F", "qcow2", NULL }, *const name[] = { op->name, NULL };
    add_words(argv, verb);
    if (op->kind == PLAN_ADD)
        add_words(argv, grain);
    if (op->kind == PLAN_MERGE)
        add_words(argv, from);
    if (op->kind == PLAN_MERGE && op->from_node)
        add_words(argv, below);
    source_argv(argv, op->disk->node, "qcow2");
    add_words(argv, name);
    g_ptr_array_add(argv, NULL);
    return run_program((const char *const *)argv->pdata, NULL, NULL, err);
}

/* ---- both ---- */

struct track *
track_now(struct vm_conn *c, virDomainPtr dom, const struct uuid *vm, GError **err)
{
    g_autoptr(GError) first = NULL;
    bool active, still;
    if (!domain_active(dom, &active, err))
        return NULL;
    struct track *t = active ? track_live(dom, &first) : track_off(c, vm, &first);
    if (t)
        return t;
    if (!domain_active(dom, &still, NULL) || still == active) {
        g_propagate_error(err, g_steal_pointer(&first));
        return NULL;
    }
    return still ? track_live(dom, err) : track_off(c, vm, err);
}

bool
track_apply(const struct track *t, virDomainPtr dom, const GPtrArray *plan, GError **err)
{
    if (plan->len == 0)
        return true;
    if (t->live)
        return qmp_do(dom, "transaction", json_pack("{s:o}", "actions", track_actions(plan)), err);
    for (guint i = 0; i < plan->len; i++) {
        const struct plan_op *op = plan->pdata[i];
        if (op->disk->persistent && !change_image(op, err))
            return false;
    }
    return true;
}
