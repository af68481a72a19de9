/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "web/json.h"

#include "base/err.h"
#include "cim/cimxml.h"
#include "web/url.h"

#include <math.h>
#include <string.h>

#define EXACT_MAX (G_GINT64_CONSTANT(1) << 53)

/* --- writing ------------------------------------------------------------------------------------------------------------------------ */

json_t *
web_json_string(const char *text)
{
    g_autofree char *valid = text ? g_utf8_make_valid(text, -1) : NULL;
    return valid ? json_string(valid) : json_null();
}

static json_t *
write_integer(const struct cim_value *v)
{
    bool is_signed = cim_type_is_signed(v->type);
    bool exact = is_signed ? v->s >= -EXACT_MAX && v->s <= EXACT_MAX : v->u <= (guint64)EXACT_MAX;
    g_autofree char *text = exact ? NULL : cim_value_text(v);
    return text ? json_string(text) : json_integer(is_signed ? v->s : (json_int_t)v->u);
}

static json_t *
write_text(const char *text, const char *embedded)
{
    cim_instance_auto i = embedded && *text ? cim_xml_parse(text, NULL, NULL) : NULL;
    return i ? web_json_instance(i, NULL) : web_json_string(text);
}

static json_t *
write_scalar(const struct cim_value *v, const char *ns, const char *embedded)
{
    g_autofree char *text = NULL;
    switch (v->type) {
    case CIM_BOOLEAN:
        return json_boolean(v->boolean);
    case CIM_REAL32:
    case CIM_REAL64:
        return isfinite(v->real) ? json_real(v->real) : json_null();
    case CIM_CHAR16:
    case CIM_STRING:
        return write_text(v->text, embedded);
    case CIM_DATETIME:
        text = cim_datetime_iso(&v->time);
        return json_string(text);
    case CIM_REFERENCE:
        text = url_of(v->ref, ns);
        return web_json_string(text);
    default:
        return write_integer(v);
    }
}

json_t *
web_json_value(const struct cim_value *v, const char *ns, const char *embedded)
{
    if (v->null)
        return json_null();
    if (!v->array)
        return write_scalar(v, ns, embedded);
    json_t *list = json_array();
    for (guint i = 0; i < v->items->len; i++)
        json_array_append_new(list, web_json_value(g_ptr_array_index(v->items, i), ns, embedded));
    return list;
}

static bool
selected(const GPtrArray *select, const char *name)
{
    bool found = !select;
    for (guint i = 0; !found && i < select->len; i++)
        found = g_ascii_strcasecmp(select->pdata[i], name) == 0;
    return found;
}

/* Embedded instances often have no keys: they have no URL. */
static json_t *
write_id(const struct cim_instance *i)
{
    cim_path_auto path = cim_instance_path(i);
    g_autofree char *url = path->keys->len ? url_of(path, i->cls->ns) : NULL;
    return web_json_string(url);
}

json_t *
web_json_instance(const struct cim_instance *i, const GPtrArray *select)
{
    json_t *o = json_object();
    json_object_set_new(o, "@id", write_id(i));
    json_object_set_new(o, "@class", json_string(i->cls->name));
    for (guint p = 0; p < i->cls->property_count; p++)
        if (selected(select, i->cls->properties[p].name))
            json_object_set_new(o, i->cls->properties[p].name, web_json_value(&i->values[p], i->cls->ns, NULL));
    return o;
}

json_t *
web_json_output(const struct cim_method *m, const struct cim_args *out, const char *ns)
{
    json_t *o = json_object();
    for (guint i = 0; i < m->parameter_count; i++) {
        const struct cim_parameter *p = &m->parameters[i];
        const struct cim_value *v = p->out ? cim_args_get(out, p->name) : NULL;
        if (p->out)
            json_object_set_new(o, p->name, v ? web_json_value(v, ns, p->embedded) : json_null());
    }
    return o;
}

/* --- reading ------------------------------------------------------------------------------------------------------------------------ */

/* Depth outside of strings: the parser below recurses. */
static bool
shallow(const char *text, size_t len)
{
    guint depth = 0;
    bool quoted = false;
    for (const char *end = text + len; text < end; text++) {
        if (quoted && *text == '\\')
            text++;
        else if (*text == '"')
            quoted = !quoted;
        else if (!quoted && (*text == '{' || *text == '[') && ++depth > WEB_JSON_DEPTH)
            return false;
        else if (!quoted && (*text == '}' || *text == ']') && depth > 0)
            depth--;
    }
    return true;
}

json_t *
web_json_parse(const char *text, size_t len, GError **err)
{
    json_error_t why;
    json_t *j = NULL;
    if (len > WEB_JSON_MAX)
        err_set(err, ERR_TOO_BIG, "The JSON text has %zu bytes; %u are permitted.", len, WEB_JSON_MAX);
    else if (!shallow(text, len))
        err_set(err, ERR_TOO_BIG, "The JSON text is nested deeper than %d levels.", WEB_JSON_DEPTH);
    else if (!(j = json_loadb(text, len, JSON_REJECT_DUPLICATES, &why)))
        err_set(err, ERR_MALFORMED, "The JSON text is wrong in line %d, column %d: %s. (Integers from 2^63 on are written as strings.)",
                why.line, why.column, why.text);
    return j;
}

struct place {
    const char *name;
    enum cim_type type;
    const char *embedded;
};

static bool
wrong(const struct place *p, const char *wanted, GError **err)
{
    return err_set(err, ERR_INVALID_TYPE, "'%s' is of type %s: %s is needed.", p->name, cim_type_name(p->type), wanted);
}

static bool
out_of_range(const struct place *p, GError **err)
{
    return err_set(err, ERR_INVALID_TYPE, "'%s': the number is out of the range of %s.", p->name, cim_type_name(p->type));
}

static bool
is_64(enum cim_type type)
{
    return type == CIM_UINT64 || type == CIM_SINT64;
}

static bool
read_integer(const json_t *j, const struct place *p, struct cim_value *out, GError **err)
{
    bool as_text = is_64(p->type) && json_is_string(j);
    if (!json_is_integer(j) && !as_text)
        return wrong(p, is_64(p->type) ? "an integer or a string of digits" : "an integer", err);
    g_autofree char *text = as_text ? g_strdup(json_string_value(j)) : g_strdup_printf("%" JSON_INTEGER_FORMAT, json_integer_value(j));
    const char *digits = text + (*text == '-');
    if (!*digits || digits[strspn(digits, G_CSET_DIGITS)])
        return wrong(p, "an integer or a string of digits", err);
    return cim_value_parse(out, p->type, text, NULL) || out_of_range(p, err);
}

static bool
read_real(const json_t *j, const struct place *p, struct cim_value *out, GError **err)
{
    double v = json_number_value(j);
    if (!json_is_number(j))
        return wrong(p, "a number", err);
    if (p->type == CIM_REAL32 && !isfinite((float)v))
        return out_of_range(p, err);
    *out = (struct cim_value){.type = p->type, .real = v};
    return true;
}

static bool
read_datetime(const json_t *j, const struct place *p, struct cim_value *out, GError **err)
{
    if (!json_is_string(j))
        return wrong(p, "a string", err);
    if (cim_value_parse(out, CIM_DATETIME, json_string_value(j), NULL))
        return true;
    return err_set(err, ERR_INVALID_TYPE, "'%s': '%.80s' is no time. Write it like 2026-11-23T20:00:00Z, an interval like PT15M.", p->name,
                   json_string_value(j));
}

/* --- objects --- */

/* The class that "@class" names, or the one that is expected; it must be of that one. */
static const struct cim_class *
class_of(const json_t *j, const char *expected, const struct place *p, GError **err)
{
    const json_t *name = json_object_get(j, "@class");
    const char *text = json_is_string(name) ? json_string_value(name) : expected;
    const struct cim_class *c = (!name || json_is_string(name)) && text ? cim_class_find(NULL, text) : NULL;
    if (c && (!expected || cim_class_is_a(c, expected)))
        return c;
    err_set(err, ERR_INVALID_TYPE, "'%s': the object is of class '%.80s', but '%s' is needed.", p->name, text ? text : "(none)",
            expected ? expected : "a known class (\"@class\")");
    return NULL;
}

static bool
is_mark(const char *name)
{
    return strcmp(name, "@class") == 0 || strcmp(name, "@id") == 0;
}

/* "Parameter.Property" for messages. */
static bool
read_property(const json_t *j, const char *name, struct cim_instance *i, const struct place *p, GError **err)
{
    int at = cim_class_property(i->cls, name);
    const struct cim_property *d = at >= 0 ? &i->cls->properties[at] : NULL;
    g_autofree char *full = g_strdup_printf("%s.%.80s", p->name, name);
    struct cim_value value;
    if (!d)
        return err_set(err, ERR_INVALID_PARAMETER, "'%s': class '%s' has no property '%.80s'.", p->name, i->cls->name, name);
    if (!web_json_read(j, d->type, d->array, NULL, full, &value, err))
        return false;
    cim_set(i, name, value);
    return true;
}

static struct cim_instance *
read_instance(const json_t *j, const struct place *p, GError **err)
{
    const struct cim_class *c = class_of(j, p->embedded, p, err);
    cim_instance_auto i = c ? cim_instance_new(c) : NULL;
    const char *name;
    json_t *value;
    json_object_foreach((json_t *)(gsize)j, name, value) if (!i || (!is_mark(name) && !read_property(value, name, i, p, err))) return NULL;
    return g_steal_pointer(&i);
}

static bool
read_embedded(const json_t *j, const struct place *p, struct cim_value *out, GError **err)
{
    cim_instance_auto i = read_instance(j, p, err);
    g_autofree char *text = i ? cim_xml_text_given(i) : NULL;
    *out = cim_string(text);
    return text != NULL;
}

static bool
read_key(const json_t *j, const char *name, struct cim_path *path, const struct place *p, GError **err)
{
    g_autofree char *number = json_is_integer(j) ? g_strdup_printf("%" JSON_INTEGER_FORMAT, json_integer_value(j)) : NULL;
    const char *value = json_is_string(j) ? json_string_value(j) : json_is_boolean(j) ? (json_is_true(j) ? "true" : "false") : number;
    if (!value || !cim_is_name(name) || path->keys->len >= CIM_PATH_KEYS_MAX)
        return err_set(err, ERR_INVALID_TYPE, "'%s': '%.80s' is no key with a value.", p->name, name);
    cim_path_set(path, name, value);
    return true;
}

/* An object with "@id" is that one; otherwise its keys count, and what else came along with them does not. */
static struct cim_path *
read_path(const json_t *j, const struct place *p, GError **err)
{
    const json_t *id = json_object_get(j, "@id");
    const struct cim_class *c = id ? NULL : class_of(j, NULL, p, err);
    const char *name;
    json_t *value;
    if (json_is_string(id))
        return url_reference(json_string_value(id), err);
    cim_path_auto path = c ? cim_path_new(c->ns, c->name) : NULL;
    json_object_foreach((json_t *)(gsize)j, name, value)
    {
        int at = c ? cim_class_property(c, name) : -1;
        bool key = c && (c->property_count == 0 || (at >= 0 && c->properties[at].key));
        if (!c || (!is_mark(name) && at < 0 && c->property_count > 0)) {
            if (c)
                err_set(err, ERR_INVALID_PARAMETER, "'%s': class '%s' has no key '%.80s'.", p->name, c->name, name);
            return NULL;
        }
        if (!is_mark(name) && key && !read_key(value, name, path, p, err))
            return NULL;
    }
    return g_steal_pointer(&path);
}

static bool
read_reference(const json_t *j, const struct place *p, struct cim_value *out, GError **err)
{
    g_autoptr(GError) why = NULL;
    struct cim_path *path = NULL;
    if (json_is_object(j))
        path = read_path(j, p, err);
    else if (!json_is_string(j))
        return wrong(p, "a string (the object's URL) or an object", err);
    else if (!(path = url_reference(json_string_value(j), &why)))
        err_set(err, ERR_INVALID_TYPE, "'%s': %s", p->name, why->message);
    *out = path ? cim_ref(path) : cim_null(CIM_REFERENCE, false);
    return path != NULL;
}

static bool
read_text(const json_t *j, const struct place *p, struct cim_value *out, GError **err)
{
    if (p->embedded && json_is_object(j))
        return read_embedded(j, p, out, err);
    if (!json_is_string(j))
        return wrong(p, p->embedded ? "an object" : "a string", err);
    return cim_value_parse(out, p->type, json_string_value(j), err);
}

static bool
read_scalar(const json_t *j, const struct place *p, struct cim_value *out, GError **err)
{
    *out = cim_null(p->type, false);
    if (json_is_null(j))
        return true;
    switch (p->type) {
    case CIM_BOOLEAN:
        *out = cim_bool(json_is_true(j));
        return json_is_boolean(j) || wrong(p, "true or false", err);
    case CIM_REAL32:
    case CIM_REAL64:
        return read_real(j, p, out, err);
    case CIM_CHAR16:
    case CIM_STRING:
        return read_text(j, p, out, err);
    case CIM_DATETIME:
        return read_datetime(j, p, out, err);
    case CIM_REFERENCE:
        return read_reference(j, p, out, err);
    default:
        return read_integer(j, p, out, err);
    }
}

bool
web_json_read(const json_t *j, enum cim_type type, bool array, const char *embedded, const char *name, struct cim_value *out, GError **err)
{
    const struct place p = {name, type, embedded};
    *out = cim_null(type, array);
    if (!array || json_is_null(j))
        return json_is_null(j) || read_scalar(j, &p, out, err);
    if (!json_is_array(j))
        return err_set(err, ERR_INVALID_TYPE, "'%s' is an array of %s: an array is needed.", name, cim_type_name(type));
    *out = cim_array(type);
    for (size_t i = 0; i < json_array_size(j); i++) {
        struct cim_value item;
        if (!read_scalar(json_array_get(j, i), &p, &item, err)) {
            cim_value_clear(&item);
            cim_value_clear(out);
            return false;
        }
        cim_array_add(out, item);
    }
    return true;
}

bool
web_json_arguments(const json_t *object, const struct cim_method *m, struct cim_args *out, GError **err)
{
    const char *name;
    json_t *value;
    if (!json_is_object(object))
        return err_set(err, ERR_MALFORMED, "The arguments of a method are a JSON object: {\"Name\": value}.");
    json_object_foreach((json_t *)(gsize)object, name, value)
    {
        const struct cim_parameter *p = cim_method_parameter(m, name);
        struct cim_value v;
        GError *why = NULL;
        if (!p || !p->in)
            return err_set(err, ERR_INVALID_PARAMETER, "Method '%s' has no input parameter '%.80s'.", m->name, name);
        if (cim_args_get(out, p->name))
            return err_set(err, ERR_INVALID_PARAMETER, "The parameter '%s' is given twice.", p->name);
        if (web_json_read(value, p->type, p->array, p->embedded, p->name, &v, &why))
            cim_args_set(out, p->name, v);
        else
            cim_args_set_bad(out, p->name, why);
    }
    return true;
}
