/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cim/broker.h"

#include "base/err.h"

#include <string.h>

struct cim_broker *
cim_broker_new(const char *host, const struct cim_provider *const *providers, void *user)
{
    struct cim_broker *b = g_new0(struct cim_broker, 1);
    b->host = g_strdup(host);
    b->user = user;
    b->providers = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    for (; *providers; providers++) {
        g_assert(cim_class_find(NULL, (*providers)->cls));
        g_hash_table_insert(b->providers, g_ascii_strdown((*providers)->cls, -1), (gpointer)(guintptr)*providers);
    }
    return b;
}

void
cim_broker_free(struct cim_broker *b)
{
    if (!b)
        return;
    g_hash_table_unref(b->providers);
    g_free(b->host);
    g_free(b);
}

const char *
cim_broker_host(const struct cim_broker *b)
{
    return b->host;
}

const struct cim_provider *
broker_provider(struct cim_broker *b, const struct cim_class *c)
{
    g_autofree char *key = g_ascii_strdown(c->name, -1);
    return g_hash_table_lookup(b->providers, key);
}

bool
broker_access(const struct cim_caller *c, enum cim_role least, GError **err)
{
    return c->role >= least || err_set(err, ERR_ACCESS_DENIED, "User '%s' may not do this. Ask an administrator of this host.", c->user ? c->user : "(nobody)");
}

const struct cim_class *
broker_class(const char *ns, const char *name, GError **err)
{
    const struct cim_class *c = cim_class_find(ns, name);
    if (!c && ns && !cim_namespace_known(ns))
        err_set(err, ERR_NO_SUCH_CLASS, "There is no namespace '%s' on this host.", ns);
    else if (!c)
        err_set(err, ERR_NO_SUCH_CLASS, "There is no class '%s' in namespace '%s'.", name, ns ? ns : "(any)");
    return c;
}

static bool
collect(void *sink, struct cim_instance *i)
{
    g_ptr_array_add(sink, i);
    return true;
}

bool
broker_collect(struct cim_broker *b, const struct cim_class *c, const struct cim_path *source, GPtrArray *out, GError **err)
{
    const struct cim_provider *p = broker_provider(b, c);
    return !p || !p->enumerate || p->enumerate(b->user, source, collect, out, err);
}

static void
free_instance(gpointer i)
{
    cim_instance_free(i);
}

GPtrArray *
cim_enumerate(struct cim_broker *b, const struct cim_caller *c, const char *ns, const char *cls, GError **err)
{
    const struct cim_class *wanted = broker_access(c, CIM_VIEWER, err) ? broker_class(ns, cls, err) : NULL;
    if (!wanted)
        return NULL;
    g_autoptr(GPtrArray) out = g_ptr_array_new_with_free_func(free_instance);
    for (guint i = 0; i < cim_class_count; i++) {
        const struct cim_class *sub = &cim_classes[i];
        bool fits = strcmp(sub->ns, wanted->ns) == 0 && cim_class_is_a(sub, wanted->name);
        if (fits && !broker_collect(b, sub, NULL, out, err))
            return NULL;
    }
    return g_steal_pointer(&out);
}

bool
broker_keys_fit(const struct cim_path *path, const struct cim_instance *i)
{
    for (guint k = 0; k < path->keys->len; k++) {
        const struct cim_key *key = g_ptr_array_index(path->keys, k);
        const struct cim_value *v = cim_get(i, key->name);
        if (!v || v->null)
            return false;
        if (v->type == CIM_REFERENCE) {
            cim_path_auto p = cim_path_parse(key->value, NULL);
            if (!p || !cim_path_equal(p, v->ref))
                return false;
            continue;
        }
        g_autofree char *text = cim_value_text(v);
        if (!text || g_ascii_strcasecmp(text, key->value) != 0)
            return false;
    }
    return true;
}

static bool
check_key_names(const struct cim_class *c, const struct cim_path *path, GError **err)
{
    for (guint k = 0; k < path->keys->len; k++) {
        const struct cim_key *key = g_ptr_array_index(path->keys, k);
        int at = cim_class_property(c, key->name);
        if (at < 0)
            return err_set(err, ERR_INVALID_PARAMETER, "Class '%s' has no key '%s'.", c->name, key->name);
    }
    return true;
}

static struct cim_instance *
pick_one(GPtrArray *all, const struct cim_path *path, GError **err)
{
    struct cim_instance *found = NULL;
    for (guint i = 0; i < all->len; i++) {
        struct cim_instance *one = g_ptr_array_index(all, i);
        if (!broker_keys_fit(path, one))
            continue;
        if (found) {
            err_set(err, ERR_INVALID_PARAMETER, "The keys given for class '%s' fit more than one instance. Name all of them.", path->cls);
            return NULL;
        }
        found = one;
    }
    if (!found) {
        g_autofree char *text = cim_path_text(path);
        err_set(err, ERR_NO_SUCH_INSTANCE, "There is no instance '%s' on this host.", text);
        return NULL;
    }
    return cim_instance_copy(found);
}

struct cim_instance *
cim_get_instance(struct cim_broker *b, const struct cim_caller *c, const struct cim_path *path, GError **err)
{
    const struct cim_class *cls = broker_access(c, CIM_VIEWER, err) ? broker_class(path->ns, path->cls, err) : NULL;
    if (!cls || !check_key_names(cls, path, err))
        return NULL;
    const struct cim_provider *p = broker_provider(b, cls);
    if (p && p->get) {
        struct cim_instance *i = p->get(b->user, path, NULL);
        if (i && broker_keys_fit(path, i))
            return i;
        cim_instance_free(i);
    }
    g_autoptr(GPtrArray) all = cim_enumerate(b, c, cls->ns, cls->name, err);
    return all ? pick_one(all, path, err) : NULL;
}

GPtrArray *
cim_query_run(struct cim_broker *b, const struct cim_caller *c, const char *ns, const char *text, GError **err)
{
    struct cim_query *q = cim_query_parse(text, err);
    GPtrArray *out = q ? cim_execute(b, c, ns, q, err) : NULL;
    cim_query_free(q);
    return out;
}
