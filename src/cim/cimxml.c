/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cim/cimxml.h"

#include "base/err.h"
#include "base/xml.h"

#include <string.h>

#define TEXT_MAX (1u << 20)

static bool
wrong(GError **err, const char *property, const char *why)
{
    return err_set(err, ERR_INVALID_TYPE, "Property '%s' of the embedded instance %s.", property, why);
}

static bool
read_scalar(xmlNode *value, const struct cim_property *d, struct cim_value *out, GError **err)
{
    g_autofree char *text = xml_text(value);
    if (cim_value_parse(out, d->type, text, NULL))
        return true;
    g_autofree char *why = g_strdup_printf("is '%.80s', which is no %s", text, cim_type_name(d->type));
    return wrong(err, d->name, why);
}

static bool
read_array(xmlNode *node, const struct cim_property *d, struct cim_value *out, GError **err)
{
    xmlNode *list = xml_child(node, NULL, "VALUE.ARRAY");
    *out = list ? cim_array(d->type) : cim_null(d->type, true);
    for (xmlNode *v = xml_child(list, NULL, NULL); v; v = xml_next(v, NULL, NULL)) {
        struct cim_value item = cim_null(d->type, false);
        if (xml_is(v, NULL, "VALUE") && !read_scalar(v, d, &item, err)) {
            cim_value_clear(out);
            return false;
        }
        cim_array_add(out, item);
    }
    return true;
}

/* VALUE.REFERENCE holds an instance path in XML; the keys are read from its KEYBINDINGs. */
static bool
read_reference(xmlNode *node, struct cim_value *out)
{
    xmlNode *name = xml_child(node, NULL, NULL);
    while (name && !xml_is(name, NULL, "INSTANCENAME")) {
        bool beside = xml_is(name, NULL, "LOCALNAMESPACEPATH") || xml_is(name, NULL, "NAMESPACEPATH");
        name = beside ? xml_next(name, NULL, NULL) : xml_child(name, NULL, NULL);
    }
    g_autofree char *cls = xml_attr(name, "CLASSNAME");
    if (!cls || !cim_is_name(cls))
        return false;
    cim_path_auto path = cim_path_new(NULL, cls);
    for (xmlNode *k = xml_child(name, NULL, "KEYBINDING"); k; k = xml_next(k, NULL, "KEYBINDING")) {
        g_autofree char *key = xml_attr(k, "NAME"), *value = xml_child_text(k, NULL, "KEYVALUE");
        if (!key || !value || !cim_is_name(key) || path->keys->len >= CIM_PATH_KEYS_MAX)
            return false;
        cim_path_set(path, key, value);
    }
    *out = cim_ref(g_steal_pointer(&path));
    return true;
}

static bool
read_value(xmlNode *node, const struct cim_property *d, struct cim_value *out, GError **err)
{
    if (xml_is(node, NULL, "PROPERTY.ARRAY") != d->array)
        return wrong(err, d->name, d->array ? "must be an array" : "must not be an array");
    if (d->array)
        return read_array(node, d, out, err);
    xmlNode *value = xml_child(node, NULL, "VALUE"), *reference = xml_child(node, NULL, "VALUE.REFERENCE");
    *out = cim_null(d->type, false);
    if (reference)
        return (d->type == CIM_REFERENCE && read_reference(reference, out)) || wrong(err, d->name, "is no readable reference");
    return !value || read_scalar(value, d, out, err);
}

static bool
read_property(xmlNode *node, struct cim_instance *i, GError **err)
{
    g_autofree char *name = xml_attr(node, "NAME");
    int at = name ? cim_class_property(i->cls, name) : -1;
    struct cim_value value;
    if (!name)
        return err_set(err, ERR_INVALID_TYPE, "A property of the embedded instance has no NAME.");
    if (at < 0)
        return true;
    if (!read_value(node, &i->cls->properties[at], &value, err))
        return false;
    cim_set(i, name, value);
    return true;
}

static struct cim_instance *
read_instance(xmlNode *root, const char *expected, GError **err)
{
    g_autofree char *name = xml_is(root, NULL, "INSTANCE") ? xml_attr(root, "CLASSNAME") : NULL;
    const struct cim_class *c = name ? cim_class_find(NULL, name) : NULL;
    if (!c || (expected && !cim_class_is_a(c, expected))) {
        err_set(err, ERR_INVALID_TYPE, "The embedded instance is of class '%s', but '%s' is needed.", name ? name : "(none)",
                expected ? expected : "a known class");
        return NULL;
    }
    cim_instance_auto i = cim_instance_new(c);
    for (xmlNode *p = xml_child(root, NULL, NULL); p; p = xml_next(p, NULL, NULL)) {
        bool property = xml_is(p, NULL, "PROPERTY") || xml_is(p, NULL, "PROPERTY.ARRAY") || xml_is(p, NULL, "PROPERTY.REFERENCE");
        if (property && !read_property(p, i, err))
            return NULL;
    }
    return g_steal_pointer(&i);
}

/* An XML declaration may name the encoding of the text before it became a string in UTF-8: it says nothing here. */
static const char *
skip_declaration(const char *text)
{
    while (g_ascii_isspace(*text))
        text++;
    const char *end = g_str_has_prefix(text, "<?xml") ? strstr(text, "?>") : NULL;
    return end ? end + 2 : text;
}

/* Elements that clients put around the instance. */
static bool
is_wrapper(const xmlNode *node)
{
    static const char *const names[] = {"CIM", "DECLARATION", "DECLGROUP", "VALUE.OBJECT"};
    for (guint i = 0; i < G_N_ELEMENTS(names); i++)
        if (xml_is(node, NULL, names[i]))
            return true;
    return false;
}

struct cim_instance *
cim_xml_parse(const char *text, const char *expected_class, GError **err)
{
    g_autoptr(GError) why = NULL;
    text = skip_declaration(text);
    g_autoptr(xmlDoc) doc = xml_parse(text, strlen(text), TEXT_MAX, &why);
    if (!doc) {
        err_set(err, ERR_INVALID_TYPE, "The embedded instance is no CIM-XML. %s", why->message);
        return NULL;
    }
    xmlNode *root = xmlDocGetRootElement(doc);
    while (is_wrapper(root))
        root = xml_child(root, NULL, NULL);
    return read_instance(root, expected_class, err);
}

static void
write_value(GString *out, const struct cim_value *v)
{
    g_autofree char *text = cim_value_text(v);
    g_string_append(out, "<VALUE>");
    if (text)
        xml_escape(out, text);
    g_string_append(out, "</VALUE>");
}

static void
write_property(GString *out, const struct cim_property *d, const struct cim_value *v)
{
    const char *element = d->array ? "PROPERTY.ARRAY" : "PROPERTY";
    g_string_append_printf(out, "<%s NAME=\"%s\" TYPE=\"%s\">", element, d->name,
                           d->type == CIM_REFERENCE ? "string" : cim_type_name(d->type));
    if (!v->null && d->array) {
        g_string_append(out, "<VALUE.ARRAY>");
        for (guint i = 0; i < v->items->len; i++)
            write_value(out, g_ptr_array_index(v->items, i));
        g_string_append(out, "</VALUE.ARRAY>");
    } else if (!v->null) {
        write_value(out, v);
    }
    g_string_append_printf(out, "</%s>", element);
}

static char *
write_instance(const struct cim_instance *i, bool given_only)
{
    g_autoptr(GString) out = g_string_new(NULL);
    g_string_append_printf(out, "<INSTANCE CLASSNAME=\"%s\">", i->cls->name);
    for (guint p = 0; p < i->cls->property_count; p++)
        if (!given_only || (i->given[p / 64] & (guint64)1 << (p % 64)))
            write_property(out, &i->cls->properties[p], &i->values[p]);
    g_string_append(out, "</INSTANCE>");
    return g_string_free(g_steal_pointer(&out), FALSE);
}

char *
cim_xml_text(const struct cim_instance *i)
{
    return write_instance(i, false);
}

char *
cim_xml_text_given(const struct cim_instance *i)
{
    return write_instance(i, true);
}
