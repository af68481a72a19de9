/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/err.h"
#include "cim/broker.h"

#include <string.h>

/* ASSOCIATORS OF and REFERENCES OF, for every class alike: walk the instances of the association classes that may touch the source,
 * keep those with the source at one end, and fetch what is at the other. */

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

/* Could an end of that association hold an object of the source's class?  Saves walking associations that cannot. */
static bool
end_accepts(const struct cim_property *end, const struct cim_class *source)
{
    const struct cim_class *c = end->ref ? cim_class_find(NULL, end->ref) : NULL;
    return !c || cim_class_is_a(source, end->ref) || cim_class_is_a(c, source->name);
}

static bool
association_fits(const struct cim_class *a, const struct cim_class *source, const struct cim_query *q)
{
    if (!a->association || strcmp(a->ns, source->ns) != 0)
        return false;
    const char *wanted = q->kind == CIM_REFERENCES ? q->result_class : q->assoc_class;
    if (wanted && !cim_class_is_a(a, wanted))
        return false;
    for (guint i = 0; i < a->property_count; i++)
        if (a->properties[i].type == CIM_REFERENCE && end_accepts(&a->properties[i], source))
            return true;
    return false;
}

/* Index of the end at which the source is; -1: it is at none. */
static int
source_end(const struct cim_instance *link, const struct cim_path *source, const char *role)
{
    for (guint i = 0; i < link->cls->property_count; i++) {
        const struct cim_value *v = &link->values[i];
        bool named = !role || g_ascii_strcasecmp(role, link->cls->properties[i].name) == 0;
        if (v->type == CIM_REFERENCE && !v->null && named && broker_same_object(source, v->ref))
            return (int)i;
    }
    return -1;
}

static bool
already(GPtrArray *out, const struct cim_path *path)
{
    for (guint i = 0; i < out->len; i++) {
        cim_path_auto p = cim_instance_path(g_ptr_array_index(out, i));
        if (cim_path_equal(p, path))
            return true;
    }
    return false;
}

/* The other ends of one link, fetched.  An object that is gone meanwhile is left out. */
static void
add_other_ends(struct cim_broker *b, const struct cim_caller *c, const struct cim_instance *link, int source, const struct cim_query *q, GPtrArray *out)
{
    for (guint i = 0; i < link->cls->property_count; i++) {
        const struct cim_value *v = &link->values[i];
        bool named = !q->result_role || g_ascii_strcasecmp(q->result_role, link->cls->properties[i].name) == 0;
        if ((int)i == source || v->type != CIM_REFERENCE || v->null || !named || !class_fits(v->ref->cls, q->result_class) || already(out, v->ref))
            continue;
        struct cim_instance *other = cim_get_instance(b, c, v->ref, NULL);
        if (other)
            g_ptr_array_add(out, other);
    }
}

static void
free_instance(gpointer i)
{
    cim_instance_free(i);
}

static bool
walk(struct cim_broker *b, const struct cim_caller *c, const struct cim_class *a, const struct cim_query *q, GPtrArray *out, GError **err)
{
    g_autoptr(GPtrArray) links = g_ptr_array_new_with_free_func(free_instance);
    if (!broker_collect(b, a, q->source, links, err))
        return false;
    for (guint i = 0; i < links->len; i++) {
        struct cim_instance *link = g_ptr_array_index(links, i);
        int end = source_end(link, q->source, q->role);
        if (end < 0)
            continue;
        if (q->kind == CIM_REFERENCES)
            g_ptr_array_add(out, cim_instance_copy(link));
        else
            add_other_ends(b, c, link, end, q, out);
    }
    return true;
}

static GPtrArray *
run_association(struct cim_broker *b, const struct cim_caller *c, const char *ns, const struct cim_query *q, GError **err)
{
    const struct cim_class *source = broker_class(q->source->ns ? q->source->ns : ns, q->source->cls, err);
    if (!source)
        return NULL;
    g_autoptr(GPtrArray) out = g_ptr_array_new_with_free_func(free_instance);
    for (guint i = 0; i < cim_class_count; i++)
        if (association_fits(&cim_classes[i], source, q) && !walk(b, c, &cim_classes[i], q, out, err))
            return NULL;
    return g_steal_pointer(&out);
}

GPtrArray *
cim_execute(struct cim_broker *b, const struct cim_caller *c, const char *ns, const struct cim_query *q, GError **err)
{
    if (!broker_access(c, CIM_VIEWER, err))
        return NULL;
    if (q->kind != CIM_SELECT)
        return run_association(b, c, ns, q, err);
    GPtrArray *all = cim_enumerate(b, c, ns, q->cls, err);
    for (guint i = 0; all && i < all->len;) {
        if (cim_query_matches(q, g_ptr_array_index(all, i), b->host))
            i++;
        else
            g_ptr_array_remove_index(all, i);
    }
    return all;
}
