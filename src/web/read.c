/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/err.h"
#include "web/call.h"
#include "web/json.h"
#include "web/page.h"
#include "web/problem.h"

#include <string.h>

/* Everything that GET answers, except events and the OpenAPI document. */

static bool
respond(const struct web_call *c, json_t *takes)
{
    problem_json(c->response, 200, takes);
    json_decref(takes);
    return true;
}

/* --- the schema --------------------------------------------------------------------------------------------------------------------- */

bool
read_root(const struct web_call *c, GError **err)
{
    json_t *o = json_object();
    if (!url_check_query(c->url, "", err)) {
        json_decref(o);
        return false;
    }
    json_object_set_new(o, "product", json_string("vmreplica"));
    json_object_set_new(o, "version", json_string(VMR_VERSION));
    json_object_set_new(o, "host", web_json_string(cim_broker_host(c->broker)));
    json_object_set_new(o, "classes", json_string(URL_BASE "/classes"));
    json_object_set_new(o, "events", json_string(URL_BASE "/events"));
    json_object_set_new(o, "openapi", json_string(URL_BASE "/openapi.json"));
    return respond(c, o);
}

static json_t *
describe(const struct cim_class *class)
{
    g_autofree char *instances = url_of_class(class), *schema = g_strdup_printf("%s/classes/%s/%s", URL_BASE, class->ns, class->name);
    json_t *o = json_object();
    json_object_set_new(o, "name", json_string(class->name));
    json_object_set_new(o, "namespace", json_string(class->ns));
    json_object_set_new(o, "superclass", web_json_string(class->super));
    json_object_set_new(o, "association", json_boolean(class->association));
    json_object_set_new(o, "abstract", json_boolean(class->abstract));
    json_object_set_new(o, "schema", json_string(schema));
    json_object_set_new(o, "instances", json_string(instances));
    return o;
}

bool
read_classes(const struct web_call *c, GError **err)
{
    json_t *o, *items;
    if (!url_check_query(c->url, "", err))
        return false;
    o = json_object();
    items = json_array();
    for (guint i = 0; i < cim_class_count; i++)
        json_array_append_new(items, describe(&cim_classes[i]));
    json_object_set_new(o, "items", items);
    json_object_set_new(o, "total", json_integer(cim_class_count));
    return respond(c, o);
}

static json_t *
typed(const char *name, enum cim_type type, bool array, const char *ref)
{
    json_t *o = json_object();
    json_object_set_new(o, "name", json_string(name));
    json_object_set_new(o, "type", json_string(cim_type_name(type)));
    json_object_set_new(o, "array", json_boolean(array));
    if (ref)
        json_object_set_new(o, "class", json_string(ref));
    return o;
}

static json_t *
describe_method(const struct cim_method *m)
{
    json_t *o = json_object(), *list = json_array();
    for (guint i = 0; i < m->parameter_count; i++) {
        const struct cim_parameter *p = &m->parameters[i];
        json_t *one = typed(p->name, p->type, p->array, p->ref ? p->ref : p->embedded);
        json_object_set_new(one, "in", json_boolean(p->in));
        json_object_set_new(one, "out", json_boolean(p->out));
        json_object_set_new(one, "required", json_boolean(p->required));
        json_object_set_new(one, "embedded", json_boolean(p->embedded != NULL));
        json_array_append_new(list, one);
    }
    json_object_set_new(o, "name", json_string(m->name));
    json_object_set_new(o, "parameters", list);
    return o;
}

bool
read_class(const struct web_call *c, GError **err)
{
    const struct cim_class *class = c->url->cls;
    if (!url_check_query(c->url, "", err))
        return false;
    json_t *o = describe(class), *properties = json_array(), *methods = json_array();
    for (guint i = 0; i < class->property_count; i++) {
        const struct cim_property *p = &class->properties[i];
        json_t *one = typed(p->name, p->type, p->array, p->ref);
        json_object_set_new(one, "key", json_boolean(p->key));
        json_object_set_new(one, "writable", json_boolean(p->writable));
        json_object_set_new(one, "default", web_json_string(p->value));
        json_array_append_new(properties, one);
    }
    for (guint i = 0; i < class->method_count; i++)
        json_array_append_new(methods, describe_method(&class->methods[i]));
    json_object_set_new(o, "properties", properties);
    json_object_set_new(o, "methods", methods);
    return respond(c, o);
}

/* --- instances ---------------------------------------------------------------------------------------------------------------------- */

/* The names in select=A,B, known to the class (any, where the class has no properties of its own); *out NULL: all. */
static bool
read_select(const struct web_call *c, const struct cim_class *class, GPtrArray **out, GError **err)
{
    const char *text = url_query(c->url, "select");
    *out = NULL;
    if (!text)
        return true;
    g_auto(GStrv) names = g_strsplit(text, ",", 257);
    g_autoptr(GPtrArray) list = g_ptr_array_new_with_free_func(g_free);
    for (char **n = names; *n; n++) {
        g_strstrip(*n);
        if (!cim_is_name(*n) || (class && class->property_count > 0 && cim_class_property(class, *n) < 0))
            return err_set(err, ERR_INVALID_PARAMETER, "'select': class '%s' has no property '%.80s'.", class ? class->name : "(any)", *n);
        g_ptr_array_add(list, g_strdup(*n));
    }
    *out = g_steal_pointer(&list);
    return true;
}

static void
clear_list(GPtrArray **list)
{
    if (*list)
        g_ptr_array_unref(*list);
}
#define auto_list __attribute__((cleanup(clear_list))) GPtrArray *

bool
read_list(const struct web_call *c, GError **err)
{
    const char *where = url_query(c->url, "where");
    auto_list select = NULL;
    if (!url_check_query(c->url, "where select limit cursor", err) || !read_select(c, c->url->cls, &select, err))
        return false;
    const char *name = c->url->cls->name, *ns = c->url->cls->ns;
    g_autofree char *query = g_strdup_printf("SELECT * FROM %s%s%s", name, where ? " WHERE " : "", where ? where : "");
    auto_list found = cim_query_run(c->broker, c->caller, ns, query, err);
    if (!found && where)
        g_prefix_error(err, "In '%.400s': ", query);
    return found && page_respond(c, found, select, err);
}

bool
read_instance(const struct web_call *c, GError **err)
{
    auto_list select = NULL;
    if (!url_check_query(c->url, "select", err) || !read_select(c, c->url->cls, &select, err))
        return false;
    cim_instance_auto i = cim_get_instance(c->broker, c->caller, c->url->path, err);
    return i && respond(c, web_json_instance(i, select));
}

/* cim_query's fields are not written to, so it may hold what belongs to the URL. */
static char *
borrowed(const struct web_call *c, const char *name)
{
    return (char *)(gsize)url_query(c->url, name);
}

bool
read_related(const struct web_call *c, GError **err)
{
    bool associators = c->url->kind == URL_ASSOCIATORS;
    const struct cim_query q = {.kind = associators ? CIM_ASSOCIATORS : CIM_REFERENCES,
                                .source = c->url->path,
                                .assoc_class = borrowed(c, "assocClass"),
                                .result_class = borrowed(c, "resultClass"),
                                .role = borrowed(c, "role"),
                                .result_role = borrowed(c, "resultRole")};
    const struct cim_class *result = q.result_class ? cim_class_find(c->url->cls->ns, q.result_class) : NULL;
    const char *known = associators ? "assocClass resultClass role resultRole select limit cursor" : "resultClass role select limit cursor";
    auto_list select = NULL;
    if (!url_check_query(c->url, known, err) || !read_select(c, result, &select, err))
        return false;
    auto_list found = cim_execute(c->broker, c->caller, c->url->cls->ns, &q, err);
    return found && page_respond(c, found, select, err);
}
