/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/err.h"
#include "cim/broker.h"
#include "cim/cimxml.h"

/* Arguments arrive as text, references and arrays of them; here they become values of the declared types.  Contract 0.3: what cannot be
 * decoded is 32776, a reference of the wrong class too; what is missing is the method's own matter, because Null often has a meaning. */

static bool
convert_item(const struct cim_parameter *p, const struct cim_value *from, struct cim_value *to, GError **err)
{
    if (from->null) {
        *to = cim_null(p->type, false);
        return true;
    }
    if (from->type == p->type) {
        cim_value_copy(to, from);
    } else {
        g_autofree char *text = cim_value_text(from);
        if (!text || !cim_value_parse(to, p->type, text, err))
            return err_set(err && *err ? NULL : err, ERR_INVALID_TYPE, "Parameter '%s' is no %s.", p->name, cim_type_name(p->type));
    }
    const struct cim_class *c = p->type == CIM_REFERENCE ? cim_class_find(NULL, to->ref->cls) : NULL;
    if (p->type == CIM_REFERENCE && (!c || (p->ref && !cim_class_is_a(c, p->ref)))) {
        err_set(err, ERR_INVALID_TYPE, "Parameter '%s' refers to class '%s', but '%s' is needed.", p->name, to->ref->cls, p->ref ? p->ref : "another");
        cim_value_clear(to);
        return false;
    }
    return true;
}

static bool
convert(const struct cim_parameter *p, const struct cim_value *from, struct cim_value *to, GError **err)
{
    if (!p->array && from->array)
        return err_set(err, ERR_INVALID_TYPE, "Parameter '%s' must not be an array.", p->name);
    if (!p->array)
        return convert_item(p, from, to, err);
    if (from->null) {
        *to = cim_null(p->type, true);
        return true;
    }
    *to = cim_array(p->type);
    guint count = from->array ? from->items->len : 1;
    for (guint i = 0; i < count; i++) {
        struct cim_value item;
        if (!convert_item(p, from->array ? g_ptr_array_index(from->items, i) : from, &item, err)) {
            cim_value_clear(to);
            return false;
        }
        cim_array_add(to, item);
    }
    return true;
}

static bool
convert_all(const struct cim_method *m, const struct cim_args *in, struct cim_args *out, GError **err)
{
    for (guint i = 0; i < cim_args_count(in); i++) {
        const struct cim_parameter *p = cim_method_parameter(m, cim_args_name(in, i));
        struct cim_value value;
        if (!convert(p, cim_args_at(in, i), &value, err)) {
            g_prefix_error(err, "Method '%s': ", m->name);
            return false;
        }
        cim_args_set(out, p->name, value);
    }
    return true;
}

static bool
check_names(const struct cim_method *m, const struct cim_args *in, GError **err)
{
    for (guint i = 0; i < cim_args_count(in); i++) {
        const struct cim_parameter *p = cim_method_parameter(m, cim_args_name(in, i));
        if (!p || !p->in)
            return err_set(err, ERR_INVALID_PARAMETER, "Method '%s' has no input parameter '%s'.", m->name, cim_args_name(in, i));
    }
    return true;
}

static const struct cim_method_row *
find_row(const struct cim_provider *p, const char *name)
{
    for (const struct cim_method_row *row = p ? p->methods : NULL; row && row->name; row++)
        if (g_ascii_strcasecmp(row->name, name) == 0)
            return row;
    return NULL;
}

/* A refusal of the method becomes its ReturnValue. */
static guint32
refused(GError *why, char **reason)
{
    guint32 code = err_info_of(why)->cim;
    *reason = g_strdup(why->message);
    g_error_free(why);
    return code;
}

static guint32
run(struct cim_broker *b, const struct cim_caller *c, const struct cim_path *path, const struct cim_method *m, const struct cim_method_row *row,
    const struct cim_args *in, struct cim_args *out, char **reason)
{
    GError *why = NULL;
    struct cim_args *values = cim_args_new();
    struct cim_call call = {.caller = c, .path = path, .in = values, .out = out, .user = b->user};
    guint32 result = 0;

    if (!broker_access(c, row->role, &why) || !convert_all(m, in, values, &why))
        result = refused(why, reason);
    else if ((result = row->invoke(&call, &why)), why)
        result = result ? (*reason = g_strdup(why->message), g_error_free(why), result) : refused(why, reason);
    cim_args_free(values);
    return result;
}

bool
cim_invoke(struct cim_broker *b, const struct cim_caller *c, const struct cim_path *path, const char *method, const struct cim_args *in,
           struct cim_args *out, guint32 *result, char **why, GError **err)
{
    char *reason = NULL;
    const struct cim_class *cls = broker_access(c, CIM_VIEWER, err) ? broker_class(path->ns, path->cls, err) : NULL;
    if (!cls)
        return false;
    const struct cim_method *m = cim_class_method(cls, method);
    const struct cim_method_row *row = find_row(broker_provider(b, cls), method);
    if (!m || !row)
        return err_set(err, ERR_NO_SUCH_METHOD, "Class '%s' has no method '%s' on this host.", cls->name, method);
    if (!check_names(m, in, err))
        return false;
    cim_instance_auto instance = cim_get_instance(b, c, path, err);
    if (!instance)
        return false;
    cim_path_auto full = cim_instance_path(instance);
    *result = run(b, c, full, m, row, in, out, &reason);
    if (why)
        *why = reason;
    else
        g_free(reason);
    return true;
}
