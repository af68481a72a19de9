/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/err.h"
#include "cim/broker.h"
#include "cim/cimxml.h"

/* Arguments arrive as text, references and arrays of them; here they become values of the declared types.  Contract 0.3, in its order:
 * access 32769; a required argument that is missing 32773; what cannot be decoded 32776 (also a reference of the wrong class, and text that
 * is no embedded instance of the right one).  Everything after that is the method's own matter. */

#define EMBEDDED_NONE(p, v) ((p)->embedded && (v)->type == CIM_STRING && *(v)->text == '\0') /* clients send "" for null */

static bool
convert_type(const struct cim_parameter *p, const struct cim_value *from, struct cim_value *to, GError **err)
{
    if (from->type == p->type) {
        cim_value_copy(to, from);
        return true;
    }
    g_autofree char *text = cim_value_text(from);
    return (text && cim_value_parse(to, p->type, text, NULL)) ||
           err_set(err, ERR_INVALID_TYPE, "Parameter '%s' is no %s.", p->name, cim_type_name(p->type));
}

/* References must name a class that fits, embedded instances must be readable ones. */
static bool
check_class(const struct cim_parameter *p, const struct cim_value *v, GError **err)
{
    if (p->type == CIM_REFERENCE) {
        const struct cim_class *c = cim_class_find(v->ref->ns, v->ref->cls);
        return (c && (!p->ref || cim_class_is_a(c, p->ref))) ||
               err_set(err, ERR_INVALID_TYPE, "Parameter '%s' refers to class '%s', but '%s' is needed.", p->name, v->ref->cls,
                       p->ref ? p->ref : "a known class");
    }
    if (!p->embedded)
        return true;
    cim_instance_auto i = cim_xml_parse(v->text, p->embedded, err);
    if (!i)
        g_prefix_error(err, "Parameter '%s': ", p->name);
    return i != NULL;
}

static bool
convert_item(const struct cim_parameter *p, const struct cim_value *from, struct cim_value *to, GError **err)
{
    *to = cim_null(p->type, false);
    if (from->null || EMBEDDED_NONE(p, from))
        return true;
    if (!convert_type(p, from, to, err))
        return false;
    if (check_class(p, to, err))
        return true;
    cim_value_clear(to);
    return false;
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
        const GError *bad = cim_args_bad(in, i);
        struct cim_value value;
        if (bad)
            g_propagate_error(err, g_error_copy(bad));
        if (bad || !convert(p, cim_args_at(in, i), &value, err)) {
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

/* Contract 0.3, check 2. */
static bool
check_required(const struct cim_method *m, const struct cim_args *in, GError **err)
{
    for (guint i = 0; i < m->parameter_count; i++) {
        const struct cim_parameter *p = &m->parameters[i];
        const struct cim_value *v = p->required ? cim_args_get(in, p->name) : NULL;
        if (p->required && (!v || (!v->array && EMBEDDED_NONE(p, v))))
            return err_set(err, ERR_INVALID_PARAMETER, "Method '%s': parameter '%s' is missing.", m->name, p->name);
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

/* The method's ReturnValue, or what its refusal means: a method may give a code of its own beside the reason (contract 0.3, other sets). */
static guint32
run(struct cim_call *call, const struct cim_method *m, const struct cim_method_row *row, const struct cim_args *in, char **reason)
{
    g_autoptr(GError) why = NULL;
    struct cim_args *values = cim_args_new();
    guint32 result = 0;
    call->in = values;
    if (broker_access(call->caller, row->role, &why) && check_required(m, in, &why) && convert_all(m, in, values, &why))
        result = row->invoke(call, &why);
    call->in = NULL;
    cim_args_free(values);
    if (!why)
        return result;
    *reason = g_strdup(why->message);
    return result ? result : row->code ? row->code(why) : err_info_of(why)->cim;
}

bool
cim_invoke(struct cim_broker *b, const struct cim_caller *c, const struct cim_path *path, const char *method, const struct cim_args *in,
           struct cim_args *out, guint32 *result, char **why, GError **err)
{
    g_autofree char *reason = NULL;
    cim_instance_auto instance = cim_get_instance(b, c, path, err);
    if (!instance)
        return false;
    const struct cim_method *m = cim_class_method(instance->cls, method);
    const struct cim_method_row *row = find_row(broker_provider(b, instance->cls), method);
    if (!m || !row)
        return err_set(err, ERR_NO_SUCH_METHOD, "Class '%s' has no method '%s' on this host.", instance->cls->name, method);
    if (!check_names(m, in, err))
        return false;
    cim_path_auto full = cim_instance_path(instance);
    struct cim_call call = {.caller = c, .path = full, .out = out, .user = b->user};
    *result = run(&call, m, row, in, &reason);
    if (why)
        *why = g_steal_pointer(&reason);
    return true;
}
