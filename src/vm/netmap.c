/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "vm/netmap.h"

#include "base/err.h"
#include "base/xml.h"

#include <string.h>

enum { XML_MAX = 16 << 20, NAME_MAX_CHARS = 64 };
#define S(text) ((const xmlChar *)(text))

static void
entry_free(void *p)
{
    struct netmap_entry *e = p;
    g_free(e->from);
    g_free(e->to);
    g_free(e);
}

static bool
is_name(const char *text)
{
    return *text && strlen(text) <= NAME_MAX_CHARS && !strpbrk(text, "/\n\t =;");
}

static bool
add_entry(GPtrArray *out, const char *text, GError **err)
{
    g_auto(GStrv) side = g_strsplit(text, "=", 2);
    const char *from = side[0] ? g_strstrip(side[0]) : "", *to = side[0] && side[1] ? g_strstrip(side[1]) : "";
    const bool bridge = g_str_has_prefix(to, "bridge:");
    to += bridge ? strlen("bridge:") : 0;
    if (!is_name(from) || !is_name(to))
        return err_set(err, ERR_INVALID_PARAMETER, "'%s' is no pair of networks; write FROM=TO or FROM=bridge:TO.", text);
    struct netmap_entry *e = g_new0(struct netmap_entry, 1);
    *e = (struct netmap_entry){ g_strdup(from), g_strdup(to), bridge };
    g_ptr_array_add(out, e);
    return true;
}

GPtrArray *
netmap_parse(const char *text, GError **err)
{
    g_autoptr(GPtrArray) out = g_ptr_array_new_with_free_func(entry_free);
    g_auto(GStrv) parts = g_strsplit(text ? text : "", ";", -1);
    for (char **part = parts; *part; part++)
        if (*g_strstrip(*part) && !add_entry(out, *part, err))
            return NULL;
    return g_steal_pointer(&out);
}

/* ---- definitions ---- */

static char *
network_of(const xmlNode *nic)
{
    const xmlNode *source = xml_child(nic, NULL, "source");
    char *name = source ? xml_attr(source, "network") : NULL;
    return name || !source ? name : xml_attr(source, "bridge");
}

static const struct netmap_entry *
entry_for(const GPtrArray *map, const char *name)
{
    for (guint i = 0; i < map->len; i++) {
        const struct netmap_entry *e = map->pdata[i];
        if (g_str_equal(e->from, "*") || g_strcmp0(e->from, name) == 0)
            return e;
    }
    return NULL;
}

static void
drop_children(xmlNode *parent, const char *name)
{
    xmlNode *n;
    while ((n = xml_child(parent, NULL, name))) {
        xmlUnlinkNode(n);
        xmlFreeNode(n);
    }
}

static void
connect_card(xmlNode *nic, const struct netmap_entry *e)
{
    static const char *const ties[] = { "source", "virtualport", "vlan", "link" };
    const char *kind = e->bridge ? "bridge" : "network";
    for (gsize i = 0; i < G_N_ELEMENTS(ties); i++)
        drop_children(nic, ties[i]);
    xmlSetProp(nic, S("type"), S(kind));
    xmlSetProp(xmlNewChild(nic, NULL, S("source"), NULL), S(kind), S(e->to));
}

char *
netmap_connect(const char *xml, const GPtrArray *map, bool (*exists)(void *user, const struct netmap_entry *e), void *user,
               GPtrArray *missing, GError **err)
{
    g_autoptr(xmlDoc) doc = xml_parse(xml, strlen(xml), XML_MAX, err);
    const xmlNode *domain = doc ? xmlDocGetRootElement(doc) : NULL;
    xmlNode *devices = domain ? xml_child(domain, NULL, "devices") : NULL;
    if (doc && !devices)
        err_set(err, ERR_MALFORMED, "The definition of the guest has no <devices>.");
    for (xmlNode *nic = devices ? xml_child(devices, NULL, "interface") : NULL; nic; nic = xml_next(nic, NULL, "interface")) {
        g_autofree char *name = network_of(nic);
        const struct netmap_entry *e = entry_for(map, name);
        if (e && exists(user, e))
            connect_card(nic, e);
        else if (e)
            g_ptr_array_add(missing, g_strdup(e->to));
    }
    return devices ? xml_dump(doc, NULL) : NULL;
}
