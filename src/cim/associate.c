/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/err.h"
#include "cim/broker.h"

#include <string.h>

/* ASSOCIATORS OF and REFERENCES OF, for every class alike: walk the instances of the association classes that may touch the source,
 * keep those with the source at one end, and fetch what is at the other. */

/* From so many ends of a class on, its instances are walked once: whoever is asked for one of them may have to look through all. */
enum { MANY = 32 };

bool
broker_same_object(const struct cim_path *path, const struct cim_path *reference)
{
    const struct cim_class *c = cim_class_find(NULL, reference->cls);
    if (g_ascii_strcasecmp(path->cls, reference->cls) != 0 && !(c && cim_class_is_a(c, path->cls)))
        return false;
    for (guint i = 0; i < path->keys->len; i++) {
        const struct cim_key *k = g_ptr_array_index(path->keys, i);
        const char *is = cim_path_get(reference, k->name);
        if (!is || g_ascii_strcasecmp(is, k->value) != 0)
            return false;
    }
    return true;
}

static bool
class_fits(const char *name, const char *wanted)
{
    const struct cim_class *c = wanted ? cim_class_find(NULL, name) : NULL;
    return !wanted || (c && cim_class_is_a(c, wanted));
}

static bool
named(const struct cim_property *end, const char *role)
{
    return end->type == CIM_REFERENCE && (!role || g_ascii_strcasecmp(role, end->name) == 0);
}

/* Could that end hold an object of the class? */
static bool
end_accepts(const struct cim_property *end, const char *name)
{
    const struct cim_class *c = name ? cim_class_find(NULL, name) : NULL, *declared = end->ref ? cim_class_find(NULL, end->ref) : NULL;
    return !c || !declared || cim_class_is_a(c, end->ref) || cim_class_is_a(declared, name);
}

/* Saves walking associations that cannot have the source at one end and a result at another. */
static bool
ends_fit(const struct cim_class *a, const struct cim_class *source, const struct cim_query *q)
{
    for (guint i = 0; i < a->property_count; i++) {
        if (!named(&a->properties[i], q->role) || !end_accepts(&a->properties[i], source->name))
            continue;
        if (q->kind == CIM_REFERENCES)
            return true;
        for (guint j = 0; j < a->property_count; j++)
            if (j != i && named(&a->properties[j], q->result_role) && end_accepts(&a->properties[j], q->result_class))
                return true;
    }
    return false;
}

static bool
association_fits(const struct cim_class *a, const struct cim_class *source, const struct cim_query *q)
{
    const char *wanted = q->kind == CIM_REFERENCES ? q->result_class : q->assoc_class;
    return a->association && strcmp(a->ns, source->ns) == 0 && (!wanted || cim_class_is_a(a, wanted)) && ends_fit(a, source, q);
}

/* Index of the end at which the source is; -1: it is at none. */
static int
source_end(const struct cim_instance *link, const struct cim_path *source, const char *role)
{
    for (guint i = 0; i < link->cls->property_count; i++) {
        const struct cim_value *v = &link->values[i];
        if (named(&link->cls->properties[i], role) && !v->null && !v->array && broker_same_object(source, v->ref))
            return (int)i;
    }
    return -1;
}

/* What one run of a query carries. */
struct search {
    struct cim_broker *broker;
    const struct cim_caller *caller;
    const struct cim_query *query;
    const struct cim_path *source; /* all keys */
    const char *ns;                /* the source's, and so that of all that it is associated with */
    GHashTable *seen;              /* paths of the results, in lower case */
    GPtrArray *out;
};

static bool
first_time(struct search *s, const struct cim_path *path)
{
    g_autofree char *text = cim_path_text(path);
    return g_hash_table_add(s->seen, g_ascii_strdown(text, -1));
}

/* The other ends of one link, as borrowed paths. */
static void
add_other_ends(struct search *s, const struct cim_instance *link, int source, GPtrArray *ends)
{
    for (guint i = 0; i < link->cls->property_count; i++) {
        const struct cim_value *v = &link->values[i];
        bool fits = (int)i != source && named(&link->cls->properties[i], s->query->result_role) && !v->null && !v->array;
        if (fits && class_fits(v->ref->cls, s->query->result_class) && first_time(s, v->ref))
            g_ptr_array_add(ends, v->ref);
    }
}

/* Class and keys in lower case; a reference need not name the namespace. */
static char *
key_of(const struct cim_path *path)
{
    GString *out = g_string_new(path->cls);
    for (guint i = 0; i < path->keys->len; i++) {
        const struct cim_key *k = g_ptr_array_index(path->keys, i);
        g_string_append_printf(out, "\n%s=%s", k->name, k->value);
    }
    g_string_ascii_down(out);
    return g_string_free(out, FALSE);
}

static bool
many(const GPtrArray *ends, const struct cim_class *cls)
{
    guint count = 0;
    for (guint i = 0; i < ends->len && count < MANY; i++)
        count += g_ascii_strcasecmp(((const struct cim_path *)ends->pdata[i])->cls, cls->name) == 0;
    return count == MANY;
}

/* By key: the instances of each class that many ends are of.  A provider may leave some out, since it was told the source. */
static GHashTable *
walk_ends(struct search *s, const GPtrArray *ends)
{
    GHashTable *found = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, (GDestroyNotify)cim_instance_free);
    const struct broker_row *row;
    for (guint r = 0; ends->len >= MANY && (row = broker_row(s->broker, r)); r++) {
        g_autoptr(GPtrArray) all = cim_instances_new();
        if (row->cls->association || strcmp(row->cls->ns, s->ns) != 0 || !many(ends, row->cls) ||
            !broker_collect(s->broker, row, s->source, all, NULL))
            continue;
        for (guint i = 0; i < all->len; i++) {
            struct cim_instance *one = g_steal_pointer(&all->pdata[i]);
            cim_path_auto path = cim_instance_path(one);
            g_hash_table_replace(found, key_of(path), one);
        }
    }
    return found;
}

/* An object that is gone meanwhile is left out. */
static void
fetch_ends(struct search *s, const GPtrArray *ends)
{
    g_autoptr(GHashTable) found = walk_ends(s, ends);
    for (guint i = 0; i < ends->len; i++) {
        g_autofree char *key = key_of(ends->pdata[i]);
        g_autofree char *same = NULL;
        struct cim_instance *one;
        if (!g_hash_table_steal_extended(found, key, (gpointer *)&same, (gpointer *)&one))
            one = cim_get_instance(s->broker, s->caller, ends->pdata[i], NULL);
        if (one)
            g_ptr_array_add(s->out, one);
    }
}

static bool
walk(struct search *s, const struct broker_row *row, GError **err)
{
    g_autoptr(GPtrArray) links = cim_instances_new(), ends = g_ptr_array_new();
    if (!broker_collect(s->broker, row, s->source, links, err))
        return false;
    for (guint i = 0; i < links->len; i++) {
        struct cim_instance *link = g_ptr_array_index(links, i);
        int end = source_end(link, s->source, s->query->role);
        if (end >= 0 && s->query->kind == CIM_REFERENCES)
            g_ptr_array_add(s->out, g_steal_pointer(&links->pdata[i]));
        else if (end >= 0)
            add_other_ends(s, link, end, ends);
    }
    fetch_ends(s, ends);
    return true;
}

static bool
walk_all(struct search *s, const struct cim_class *source, GError **err)
{
    const struct broker_row *row;
    for (guint i = 0; (row = broker_row(s->broker, i)); i++)
        if (association_fits(row->cls, source, s->query) && !walk(s, row, err))
            return false;
    return true;
}

/* The object from which the query starts; it must exist. */
static struct cim_instance *
fetch_source(struct cim_broker *b, const struct cim_caller *c, const char *ns, const struct cim_query *q, GError **err)
{
    cim_path_auto path = cim_path_copy(q->source);
    if (!path->ns && ns)
        path->ns = cim_namespace(ns);
    return cim_get_instance(b, c, path, err);
}

GPtrArray *
broker_associate(struct cim_broker *b, const struct cim_caller *c, const char *ns, const struct cim_query *q, GError **err)
{
    const char *const named_classes[] = {q->assoc_class, q->result_class};
    cim_instance_auto source = fetch_source(b, c, ns, q, err);
    for (guint i = 0; source && i < G_N_ELEMENTS(named_classes); i++)
        if (named_classes[i] && !broker_class(source->cls->ns, named_classes[i], err))
            return NULL;
    if (!source)
        return NULL;
    cim_path_auto path = cim_instance_path(source);
    g_autoptr(GPtrArray) out = cim_instances_new();
    g_autoptr(GHashTable) seen = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    struct search s = {.broker = b, .caller = c, .query = q, .source = path, .ns = source->cls->ns, .seen = seen, .out = out};
    return walk_all(&s, source->cls, err) ? g_steal_pointer(&out) : NULL;
}
