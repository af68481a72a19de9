/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "wsman/decode.h"

#include "base/err.h"
#include "cim/cimxml.h"
#include "wsman/fault.h"
#include "wsman/names.h"
#include "wsman/resource.h"

#include <string.h>

/* Some clients bind "xsi" to another URI, so the local name decides. */
static bool
is_nil(const xmlNode *node)
{
    g_autofree char *nil = xml_attr(node, "nil");
    return nil && (g_ascii_strcasecmp(nil, "true") == 0 || strcmp(nil, "1") == 0);
}

/* The text of a scalar: its own, or that of the wrapper around a datetime. */
static char *
scalar_text(const xmlNode *node, GError **err)
{
    const xmlNode *inner = xml_child(node, NULL, NULL);
    if (!inner)
        return xml_text(node);
    if (xml_is(inner, NS_CIM, NULL) && !xml_next(inner, NULL, NULL) && !xml_child(inner, NULL, NULL))
        return xml_text(inner);
    fault_set(err, FAULT_SCHEMA, "The value of '%s' is an element '%s' and should be text.", (const char *)node->name,
              (const char *)inner->name);
    return NULL;
}

static bool
decode_scalar(const xmlNode *node, enum cim_type type, struct cim_value *out, GError **err)
{
    *out = cim_null(type, false);
    if (is_nil(node))
        return true;
    if (type == CIM_REFERENCE && epr_inside(node)) {
        struct cim_path *path = epr_read(node, err);
        *out = cim_ref(path);
        return path != NULL;
    }
    g_autofree char *text = scalar_text(node, err);
    if (!text)
        return false;
    if (type == CIM_STRING) {
        *out = cim_string(text);
        return true;
    }
    return cim_value_parse(out, type, g_strstrip(text), err);
}

/* All elements of one name beside `first`, as an array. */
static bool
decode_array(const xmlNode *first, enum cim_type type, struct cim_value *out, GError **err)
{
    *out = cim_array(type);
    for (const xmlNode *node = first; node; node = xml_next(node, NULL, (const char *)first->name)) {
        struct cim_value item;
        if (!decode_scalar(node, type, &item, err)) {
            cim_value_clear(out);
            return false;
        }
        cim_array_add(out, item);
    }
    return true;
}

static bool
is_first_of_name(const xmlNode *node)
{
    for (const xmlNode *p = node->prev; p; p = p->prev)
        if (xml_is(p, NULL, (const char *)node->name))
            return false;
    return true;
}

static bool
fill_instance(struct cim_instance *i, const xmlNode *element, GError **err)
{
    for (const xmlNode *node = xml_child(element, NULL, NULL); node; node = xml_next(node, NULL, NULL)) {
        int at = cim_class_property(i->cls, (const char *)node->name);
        if (at < 0 || !is_first_of_name(node))
            continue;
        const struct cim_property *p = &i->cls->properties[at];
        struct cim_value value;
        if (p->array ? !decode_array(node, p->type, &value, err) : !decode_scalar(node, p->type, &value, err))
            return false;
        cim_set(i, p->name, value);
    }
    return true;
}

static struct cim_instance *
decode_as(const xmlNode *element, const char *class_name, GError **err)
{
    const struct cim_class *cls = cim_class_find(NULL, class_name);
    if (!cls) {
        err_set(err, ERR_NO_SUCH_CLASS, "The class '%s' is unknown here.", class_name);
        return NULL;
    }
    cim_instance_auto i = cim_instance_new(cls);
    return fill_instance(i, element, err) ? g_steal_pointer(&i) : NULL;
}

struct cim_instance *
decode_instance(const xmlNode *element, GError **err)
{
    return decode_as(element, (const char *)element->name, err);
}

/* --- arguments ------------------------------------------------------------------------------------------------------------------------ */

/* "p1:Msvm_X_Type" names class Msvm_X; NULL: no such attribute. */
static char *
embedded_class(const xmlNode *node)
{
    g_autofree char *type = xml_attr(node, "type");
    if (!type || !g_str_has_suffix(type, "_Type") || !xml_child(node, NULL, NULL))
        return NULL;
    const char *colon = strchr(type, ':'), *name = colon ? colon + 1 : type;
    return g_strndup(name, strlen(name) - strlen("_Type"));
}

struct cim_instance *
decode_object(const xmlNode *element, GError **err)
{
    g_autofree char *class_name = embedded_class(element);
    if (class_name)
        return decode_as(element, class_name, err);
    fault_set(err, FAULT_SCHEMA, "'%s' holds no instance.", (const char *)element->name);
    return NULL;
}

static bool
decode_embedded(const xmlNode *node, const char *class_name, const struct cim_parameter *p, struct cim_value *out, GError **err)
{
    cim_instance_auto i = decode_as(node, class_name, err);
    if (!i)
        return false;
    if (p->type == CIM_REFERENCE) {
        *out = cim_ref(cim_instance_path(i));
    } else {
        g_autofree char *text = cim_xml_text(i);
        *out = cim_string(text);
    }
    return true;
}

static bool
decode_argument(const xmlNode *node, const struct cim_parameter *p, struct cim_value *out, GError **err)
{
    g_autofree char *class_name = embedded_class(node);
    if (is_nil(node)) {
        *out = cim_null(CIM_STRING, false);
        return true;
    }
    if (epr_inside(node)) {
        struct cim_path *path = epr_read(node, err);
        *out = cim_ref(path);
        return path != NULL;
    }
    if (class_name)
        return decode_embedded(node, class_name, p, out, err);
    g_autofree char *text = scalar_text(node, err);
    *out = cim_string(text);
    return text != NULL;
}

static bool
decode_parameter(const xmlNode *first, const struct cim_parameter *p, struct cim_args *out, GError **err)
{
    struct cim_value value = cim_null(CIM_STRING, p->array);
    bool repeats = xml_next(first, NULL, (const char *)first->name) != NULL;
    if (!p->array) {
        if (repeats)
            return fault_set(err, FAULT_SCHEMA, "The parameter '%s' is given more than once, but is no array.", p->name);
        if (!decode_argument(first, p, &value, err))
            return false;
        cim_args_set(out, p->name, value);
        return true;
    }
    value = cim_array(CIM_STRING);
    for (const xmlNode *node = first; node; node = xml_next(node, NULL, (const char *)first->name)) {
        struct cim_value item;
        if (!decode_argument(node, p, &item, err)) {
            cim_value_clear(&value);
            return false;
        }
        value.type = item.type;
        cim_array_add(&value, item);
    }
    cim_args_set(out, p->name, value);
    return true;
}

bool
decode_arguments(const xmlNode *input, const struct cim_method *method, struct cim_args *out, GError **err)
{
    for (const xmlNode *node = xml_child(input, NULL, NULL); node; node = xml_next(node, NULL, NULL)) {
        const struct cim_parameter *p = cim_method_parameter(method, (const char *)node->name);
        if (!p)
            return fault_set(err, FAULT_PARAMETER_NAME, "The method '%s' has no parameter '%s'.", method->name, (const char *)node->name);
        if (p->in && is_first_of_name(node) && !decode_parameter(node, p, out, err))
            return false;
    }
    return true;
}

bool
decode_output(const xmlNode *output, const struct cim_method *method, struct cim_args *out, guint32 *result, GError **err)
{
    g_autofree char *code = xml_child_text(output, NULL, "ReturnValue");
    if (!code)
        return err_set(err, ERR_MALFORMED, "The answer to '%s' has no ReturnValue.", method->name);
    *result = (guint32)g_ascii_strtoull(code, NULL, 10);
    for (const xmlNode *node = xml_child(output, NULL, NULL); node; node = xml_next(node, NULL, NULL)) {
        const struct cim_parameter *p = cim_method_parameter(method, (const char *)node->name);
        struct cim_value value;
        if (!p || !p->out || !is_first_of_name(node))
            continue;
        if (p->array ? !decode_array(node, p->type, &value, err) : !decode_scalar(node, p->type, &value, err))
            return false;
        cim_args_set(out, p->name, value);
    }
    return true;
}
