/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cim/broker.h"

#include "base/err.h"
#include "cim/expr.h"

#include <string.h>

struct cim_broker *
cim_broker_new(const char *host, const struct cim_provider *const *providers, void *user)
{
    struct cim_broker *b = g_new0(struct cim_broker, 1);
    b->host = g_strdup(host);
    b->user = user;
    b->rows = g_array_new(FALSE, FALSE, sizeof(struct broker_row));
    b->providers = g_hash_table_new(NULL, NULL);
    for (; *providers; providers++) {
        struct broker_row row = {cim_class_find(NULL, (*providers)->cls), *providers};
        if (!row.cls)
            g_error("provider of class '%s', which the schema lacks", (*providers)->cls);
        g_array_append_val(b->rows, row);
        g_hash_table_insert(b->providers, (gpointer)(guintptr)row.cls, (gpointer)(guintptr)*providers);
    }
    return b;
}

void
cim_broker_free(struct cim_broker *b)
{
    if (!b)
        return;
    g_hash_table_unref(b->providers);
    g_array_unref(b->rows);
    g_free(b->host);
    g_free(b);
}

const char *
cim_broker_host(const struct cim_broker *b)
{
    return b->host;
}

const struct broker_row *
broker_row(const struct cim_broker *b, guint i)
{
    return i < b->rows->len ? &g_array_index(b->rows, struct broker_row, i) : NULL;
}

const struct cim_provider *
broker_provider(struct cim_broker *b, const struct cim_class *c)
{
    return g_hash_table_lookup(b->providers, c);
}

bool
broker_access(const struct cim_caller *c, enum cim_role least, GError **err)
{
    return c->role >= least || err_set(err, ERR_ACCESS_DENIED, "User '%s' may not do this. Ask an administrator of this host.",
                                       c->user ? c->user : "(nobody)");
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
broker_collect(struct cim_broker *b, const struct broker_row *row, const struct cim_path *source, GPtrArray *out, GError **err)
{
    const struct cim_provider *p = row->provider;
    return !p->enumerate || p->enumerate(b->user, source, collect, out, err);
}

GPtrArray *
cim_enumerate(struct cim_broker *b, const struct cim_caller *c, const char *ns, const char *cls, GError **err)
{
    const struct cim_class *wanted = broker_access(c, CIM_VIEWER, err) ? broker_class(ns, cls, err) : NULL;
    if (!wanted)
        return NULL;
    g_autoptr(GPtrArray) out = cim_instances_new();
    const struct broker_row *row;
    for (guint i = 0; (row = broker_row(b, i)); i++) {
        bool fits = strcmp(row->cls->ns, wanted->ns) == 0 && cim_class_is_a(row->cls, wanted->name);
        if (fits && !broker_collect(b, row, NULL, out, err))
            return NULL;
    }
    return g_steal_pointer(&out);
}

static bool
key_fits(const struct cim_key *key, const struct cim_value *v)
{
    if (!v || v->null || v->array)
        return false;
    if (v->type == CIM_STRING)
        return g_ascii_strcasecmp(v->text, key->value) == 0;
    if (v->type == CIM_REFERENCE) {
        cim_path_auto p = cim_path_parse(key->value, NULL);
        return p && cim_path_equal(p, v->ref);
    }
    g_autofree char *text = cim_value_text(v);
    return g_ascii_strcasecmp(text, key->value) == 0;
}

bool
broker_keys_fit(const struct cim_path *path, const struct cim_instance *i)
{
    for (guint k = 0; k < path->keys->len; k++) {
        const struct cim_key *key = g_ptr_array_index(path->keys, k);
        if (!key_fits(key, cim_get(i, key->name)))
            return false;
    }
    return true;
}

static bool
names_class(const char *key)
{
    return g_ascii_strcasecmp(key, "CreationClassName") == 0 || g_ascii_strcasecmp(key, "SystemCreationClassName") == 0;
}

bool
broker_identifies(const struct cim_class *c, const struct cim_path *path)
{
    guint keys = 0;
    for (guint i = 0; i < c->property_count; i++) {
        const struct cim_property *p = &c->properties[i];
        if (p->key && !names_class(p->name) && !cim_path_get(path, p->name))
            return false;
        keys += p->key;
    }
    return keys > 0;
}

enum broker_answer
broker_get(struct cim_broker *b, const struct cim_provider *p, const struct cim_path *path, struct cim_instance **out, GError **err)
{
    g_autoptr(GError) why = NULL;
    cim_instance_auto i = p->get(b->user, path, &why);
    *out = NULL;
    if (!i && !why)
        return BROKER_ASK_ALL;
    if (why && !err_is(why, ERR_NO_SUCH_INSTANCE)) {
        g_propagate_error(err, g_steal_pointer(&why));
        return BROKER_FAILED;
    }
    if (!i || !broker_keys_fit(path, i))
        return BROKER_NONE;
    *out = g_steal_pointer(&i);
    return BROKER_FOUND;
}

/* Base classes without properties of their own take any key: it belongs to the subclass of the instance. */
static bool
check_key_names(const struct cim_class *c, const struct cim_path *path, GError **err)
{
    for (guint k = 0; c->property_count > 0 && k < path->keys->len; k++) {
        const struct cim_key *key = g_ptr_array_index(path->keys, k);
        int at = cim_class_property(c, key->name);
        if (at < 0 || !c->properties[at].key)
            return err_set(err, ERR_INVALID_PARAMETER, "Class '%s' has no key '%s'.", c->name, key->name);
    }
    return true;
}

static void
no_instance(const struct cim_path *path, GError **err)
{
    g_autofree char *text = cim_path_text(path);
    err_set(err, ERR_NO_SUCH_INSTANCE, "There is no instance '%s' on this host.", text);
}

static struct cim_instance *
pick_one(GPtrArray *all, const struct cim_path *path, GError **err)
{
    guint found = G_MAXUINT;
    for (guint i = 0; i < all->len; i++) {
        if (!broker_keys_fit(path, g_ptr_array_index(all, i)))
            continue;
        if (found != G_MAXUINT) {
            err_set(err, ERR_INVALID_PARAMETER, "The keys given for class '%s' fit more than one instance. Name all of them.", path->cls);
            return NULL;
        }
        found = i;
    }
    if (found != G_MAXUINT)
        return g_ptr_array_steal_index_fast(all, found);
    no_instance(path, err);
    return NULL;
}

struct cim_instance *
cim_get_instance(struct cim_broker *b, const struct cim_caller *c, const struct cim_path *path, GError **err)
{
    const struct cim_class *cls = broker_access(c, CIM_VIEWER, err) ? broker_class(path->ns, path->cls, err) : NULL;
    if (!cls || !check_key_names(cls, path, err))
        return NULL;
    const struct cim_provider *p = broker_provider(b, cls);
    if (p && p->get && broker_identifies(cls, path)) {
        struct cim_instance *i;
        enum broker_answer answer = broker_get(b, p, path, &i, err);
        if (answer == BROKER_NONE)
            no_instance(path, err);
        if (answer != BROKER_ASK_ALL)
            return i;
    }
    g_autoptr(GPtrArray) all = cim_enumerate(b, c, cls->ns, cls->name, err);
    return all ? pick_one(all, path, err) : NULL;
}

static bool
has_subclass_row(struct cim_broker *b, const struct cim_class *c)
{
    const struct broker_row *row;
    for (guint i = 0; (row = broker_row(b, i)); i++)
        if (row->cls != c && cim_class_is_a(row->cls, c->name))
            return true;
    return false;
}

/* The value that a condition wants a key to have: Name = 'x', or within __PATH = '...'. */
static const char *
wanted_key(const struct cim_expr *where, const struct cim_path *named, const char *key)
{
    const char *value = expr_equality(where, key);
    return value || !named ? value : cim_path_get(named, key);
}

/* The path that a condition like Name = 'x' names, when it identifies and one provider answers for it; NULL: look at all instances. */
static struct cim_path *
path_of_condition(struct cim_broker *b, const struct cim_class *c, const struct cim_expr *where)
{
    const struct cim_provider *p = broker_provider(b, c);
    if (!p || !p->get || !where || has_subclass_row(b, c))
        return NULL;
    const char *text = expr_equality(where, "__PATH");
    cim_path_auto path = cim_path_new(c->ns, c->name), *named = text ? cim_path_parse(text, NULL) : NULL;
    for (guint i = 0; i < c->property_count; i++) {
        const char *value = c->properties[i].key ? wanted_key(where, named, c->properties[i].name) : NULL;
        if (value)
            cim_path_set(path, c->properties[i].name, value);
    }
    return broker_identifies(c, path) ? g_steal_pointer(&path) : NULL;
}

/* All instances among which the matching ones are. */
static GPtrArray *
candidates(struct cim_broker *b, const struct cim_caller *c, const struct cim_class *cls, const struct cim_query *q, GError **err)
{
    cim_path_auto path = path_of_condition(b, cls, q->where);
    struct cim_instance *i = NULL;
    enum broker_answer answer = path ? broker_get(b, broker_provider(b, cls), path, &i, err) : BROKER_ASK_ALL;
    if (answer == BROKER_ASK_ALL)
        return cim_enumerate(b, c, cls->ns, cls->name, err);
    if (answer == BROKER_FAILED)
        return NULL;
    GPtrArray *out = cim_instances_new();
    if (i)
        g_ptr_array_add(out, i);
    return out;
}

static GPtrArray *
run_select(struct cim_broker *b, const struct cim_caller *c, const char *ns, const struct cim_query *q, GError **err)
{
    const struct cim_class *cls = broker_class(ns, q->cls, err);
    if (!cls || !cim_query_check(q, cls, err))
        return NULL;
    g_autoptr(GPtrArray) all = candidates(b, c, cls, q, err);
    if (!all || !q->where)
        return g_steal_pointer(&all);
    GPtrArray *out = cim_instances_new();
    for (guint i = 0; i < all->len; i++)
        if (cim_query_matches(q, g_ptr_array_index(all, i), b->host))
            g_ptr_array_add(out, g_steal_pointer(&all->pdata[i]));
    return out;
}

GPtrArray *
cim_execute(struct cim_broker *b, const struct cim_caller *c, const char *ns, const struct cim_query *q, GError **err)
{
    if (!broker_access(c, CIM_VIEWER, err))
        return NULL;
    return q->kind == CIM_SELECT ? run_select(b, c, ns, q, err) : broker_associate(b, c, ns, q, err);
}

GPtrArray *
cim_query_run(struct cim_broker *b, const struct cim_caller *c, const char *ns, const char *text, GError **err)
{
    struct cim_query *q = cim_query_parse(text, err);
    GPtrArray *out = q ? cim_execute(b, c, ns, q, err) : NULL;
    cim_query_free(q);
    return out;
}
