/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "wsman/resource.h"

#include "cim/schema.h"
#include "wsman/fault.h"
#include "wsman/names.h"
#include "wsman/reply.h"

#include <string.h>

enum {
    SELECTORS_MAX = 64,
    NESTED_MAX = 3, /* references in keys of references; quoting doubles with each */
};

static struct cim_path *read_reference(const xmlNode *holder, guint depth, GError **err);

void
resource_clear(struct resource *r)
{
    g_clear_pointer(&r->ns, g_free);
    g_clear_pointer(&r->cls, g_free);
}

static bool
has_prefix(const char *text, const char *prefix)
{
    return g_ascii_strncasecmp(text, prefix, strlen(prefix)) == 0;
}

static bool
class_name_fine(const char *name)
{
    if (strcmp(name, "*") == 0)
        return true;
    for (const char *p = name; *p; p++)
        if (!g_ascii_isalnum(*p) && *p != '_')
            return false;
    return *name != '\0';
}

bool
resource_parse(const char *uri, struct resource *out)
{
    memset(out, 0, sizeof *out);
    if (has_prefix(uri, URI_WMI)) {
        const char *tail = uri + strlen(URI_WMI), *slash = strrchr(tail, '/');
        if (!slash || slash == tail || !class_name_fine(slash + 1))
            return false;
        g_autofree char *ns = g_strndup(tail, (gsize)(slash - tail));
        *out = (struct resource){FAMILY_WMI, false, cim_namespace(ns), g_strdup(slash + 1)};
        return true;
    }
    bool schema = has_prefix(uri, URI_CLASSES);
    const char *cls = schema                           ? uri + strlen(URI_CLASSES)
                      : strcmp(uri, URI_DMTF_ALL) == 0 ? "*"
                      : has_prefix(uri, URI_DMTF)      ? uri + strlen(URI_DMTF)
                                                       : "";
    if (!class_name_fine(cls))
        return false;
    *out = (struct resource){FAMILY_DMTF, schema, NULL, g_strdup(cls)};
    return true;
}

char *
resource_uri(enum family family, const char *ns, const char *cls)
{
    if (family == FAMILY_WMI)
        return g_strconcat(URI_WMI, ns ? ns : DEFAULT_NAMESPACE, "/", cls, NULL);
    return g_strconcat(URI_DMTF, cls, NULL);
}

static const xmlNode *
unwrap(const xmlNode *holder)
{
    const xmlNode *wrapper = xml_child(holder, NULL, "EndpointReference");
    return wrapper ? wrapper : holder;
}

bool
epr_inside(const xmlNode *holder)
{
    return xml_child(unwrap(holder), NULL, "ReferenceParameters") != NULL;
}

static char *
selector_text(const xmlNode *selector, guint depth, GError **err)
{
    if (!epr_inside(selector))
        return xml_text(selector);
    cim_path_auto path = read_reference(selector, depth + 1, err);
    return path ? cim_path_text(path) : NULL;
}

char *
resource_selector(const xmlNode *selector, GError **err)
{
    return selector_text(selector, 0, err);
}

static bool
read_selectors(const xmlNode *set, guint depth, struct cim_path *path, GError **err)
{
    guint count = 0;
    for (const xmlNode *s = xml_child(set, NULL, "Selector"); s; s = xml_next(s, NULL, "Selector")) {
        g_autofree char *name = xml_attr(s, "Name");
        g_autofree char *value = selector_text(s, depth, err);
        if (!value)
            return false;
        if (!name || !*name || ++count > SELECTORS_MAX)
            return fault_set(err, FAULT_SCHEMA, "An endpoint reference has a selector without a name, or more than %d of them.",
                             SELECTORS_MAX);
        if (g_ascii_strcasecmp(name, "__cimnamespace") == 0) {
            g_free(path->ns);
            path->ns = cim_namespace(value);
        } else {
            cim_path_set(path, name, value);
        }
    }
    return true;
}

static struct cim_path *
read_reference(const xmlNode *holder, guint depth, GError **err)
{
    const xmlNode *parameters = xml_child(unwrap(holder), NULL, "ReferenceParameters");
    g_autofree char *uri = xml_child_text(parameters, NULL, "ResourceURI");
    struct resource where = {0};

    if (depth > NESTED_MAX) {
        fault_set(err, FAULT_SCHEMA, "Endpoint references are nested too deeply.");
        return NULL;
    }
    if (!uri || !resource_parse(g_strstrip(uri), &where) || where.schema) {
        fault_set(err, FAULT_SCHEMA, "The endpoint reference in '%s' names no class: its ResourceURI is '%s'.", (const char *)holder->name,
                  uri ? uri : "");
        resource_clear(&where);
        return NULL;
    }
    struct cim_path *path = cim_path_new(where.ns ? where.ns : DEFAULT_NAMESPACE, where.cls);
    resource_clear(&where);
    if (!read_selectors(xml_child(parameters, NULL, "SelectorSet"), depth, path, err))
        g_clear_pointer(&path, cim_path_free);
    return path;
}

struct cim_path *
epr_read(const xmlNode *holder, GError **err)
{
    return read_reference(holder, 0, err);
}

static bool
is_reference(const struct cim_class *cls, const char *key)
{
    int i = cls ? cim_class_property(cls, key) : -1;
    return i >= 0 && cls->properties[i].type == CIM_REFERENCE;
}

static void
write_selector(GString *out, enum family family, const struct cim_class *cls, const struct cim_key *key)
{
    cim_path_auto target = is_reference(cls, key->name) ? cim_path_parse(key->value, NULL) : NULL;
    g_string_append(out, "<w:Selector Name=\"");
    xml_escape(out, key->name);
    g_string_append(out, "\">");
    if (target) {
        g_string_append(out, "<a:EndpointReference>");
        epr_write(out, family, target);
        g_string_append(out, "</a:EndpointReference>");
    } else {
        xml_escape(out, key->value);
    }
    g_string_append(out, "</w:Selector>");
}

void
epr_write(GString *out, enum family family, const struct cim_path *path)
{
    const char *ns = path->ns ? path->ns : DEFAULT_NAMESPACE;
    const struct cim_class *cls = cim_class_find(ns, path->cls);
    g_autofree char *uri = resource_uri(family, ns, path->cls);

    g_string_append(out, "<a:Address>" ANONYMOUS "</a:Address><a:ReferenceParameters>");
    reply_text(out, "w:ResourceURI", uri);
    g_string_append(out, "<w:SelectorSet>");
    if (family == FAMILY_DMTF) {
        g_string_append(out, "<w:Selector Name=\"__cimnamespace\">");
        xml_escape(out, ns);
        g_string_append(out, "</w:Selector>");
    }
    for (guint i = 0; i < path->keys->len; i++)
        write_selector(out, family, cls, g_ptr_array_index(path->keys, i));
    g_string_append(out, "</w:SelectorSet></a:ReferenceParameters>");
}
