/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cim/schema.h"

#include "cim/path.h"

#include <string.h>

static guint
hash_any_case(gconstpointer key)
{
    guint hash = 5381;
    for (const char *c = key; *c; c++)
        hash = hash * 33 + (guchar)g_ascii_tolower(*c);
    return hash;
}

static gboolean
equal_any_case(gconstpointer a, gconstpointer b)
{
    return g_ascii_strcasecmp(a, b) == 0;
}

static gpointer
make_index(gpointer unused)
{
    GHashTable *index = g_hash_table_new(hash_any_case, equal_any_case);
    for (guint i = 0; i < cim_class_count; i++)
        g_hash_table_insert(index, (gpointer)(guintptr)cim_classes[i].name, (gpointer)(guintptr)&cim_classes[i]);
    return index;
}

/* Read-only after it was made; names are unique over all namespaces (the compiler of the MOF checks it). */
static GHashTable *
class_index(void)
{
    static GOnce once = G_ONCE_INIT;
    return g_once(&once, make_index, NULL);
}

const struct cim_class *
cim_class_find(const char *ns, const char *name)
{
    const struct cim_class *c = g_hash_table_lookup(class_index(), name);
    if (!c || !ns || strcmp(ns, c->ns) == 0)
        return c;
    g_autofree char *wanted = cim_namespace(ns);
    return strcmp(wanted, c->ns) == 0 ? c : NULL;
}

bool
cim_namespace_known(const char *ns)
{
    g_autofree char *wanted = cim_namespace(ns);
    for (guint i = 0; i < cim_class_count; i++)
        if (strcmp(cim_classes[i].ns, wanted) == 0)
            return true;
    return false;
}

bool
cim_class_is_a(const struct cim_class *c, const char *name)
{
    for (; c; c = c->super ? cim_class_find(NULL, c->super) : NULL)
        if (g_ascii_strcasecmp(c->name, name) == 0)
            return true;
    return false;
}

int
cim_class_property(const struct cim_class *c, const char *name)
{
    guint low = 0, high = c->property_count;
    while (low < high) {
        guint mid = (low + high) / 2;
        int order = g_ascii_strcasecmp(c->properties[mid].name, name);
        if (order == 0)
            return (int)mid;
        if (order < 0)
            low = mid + 1;
        else
            high = mid;
    }
    return -1;
}

const struct cim_method *
cim_class_method(const struct cim_class *c, const char *name)
{
    for (guint i = 0; i < c->method_count; i++)
        if (g_ascii_strcasecmp(c->methods[i].name, name) == 0)
            return &c->methods[i];
    return NULL;
}

const struct cim_parameter *
cim_method_parameter(const struct cim_method *m, const char *name)
{
    for (guint i = 0; i < m->parameter_count; i++)
        if (g_ascii_strcasecmp(m->parameters[i].name, name) == 0)
            return &m->parameters[i];
    return NULL;
}
