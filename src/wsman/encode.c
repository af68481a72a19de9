/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "wsman/encode.h"

#include "wsman/names.h"

static void
encode_time(GString *out, const struct cim_datetime *time)
{
    const char *element = time->interval ? "cim:Interval" : "cim:Datetime";
    g_autofree char *text = cim_datetime_iso(time);
    g_string_append_printf(out, "<%s>%s</%s>", element, text, element);
}

/* A page of instances has tens of thousands of tags: no formatting here. */
static void
put_tag(GString *out, const char *before, const char *name, const char *after)
{
    g_string_append(out, before);
    g_string_append(out, name);
    g_string_append(out, after);
}

static void
encode_scalar(GString *out, const char *name, const struct cim_value *value, enum family family)
{
    if (value->null) {
        put_tag(out, "<p:", name, " xsi:nil=\"true\"/>");
        return;
    }
    put_tag(out, "<p:", name, ">");
    switch (value->type) {
    case CIM_REFERENCE:
        epr_write(out, family, value->ref);
        break;
    case CIM_DATETIME:
        encode_time(out, &value->time);
        break;
    case CIM_BOOLEAN:
        g_string_append(out, value->boolean ? "true" : "false");
        break;
    case CIM_STRING:
        xml_escape(out, value->text);
        break;
    default: {
        g_autofree char *text = cim_value_text(value);
        xml_escape(out, text);
    }
    }
    put_tag(out, "</p:", name, ">");
}

void
encode_value(GString *out, const char *name, const struct cim_value *value, enum family family)
{
    if (!value->array) {
        encode_scalar(out, name, value, family);
        return;
    }
    for (guint i = 0; !value->null && i < value->items->len; i++)
        encode_scalar(out, name, g_ptr_array_index(value->items, i), family);
}

static bool
selected(const GPtrArray *select, const char *name)
{
    for (guint i = 0; select && i < select->len; i++)
        if (g_ascii_strcasecmp(g_ptr_array_index(select, i), name) == 0)
            return true;
    return !select;
}

void
encode_instance(GString *out, const struct cim_instance *i, const char *as, const GPtrArray *select, enum family family)
{
    const char *name = as ? as : i->cls->name;
    g_autofree char *uri = resource_uri(family, i->cls->ns, name);

    g_string_append_printf(out, "<p:%s xmlns:p=\"%s\" xmlns:xsi=\"" NS_XSI "\" xmlns:cim=\"" NS_CIM "\" xsi:type=\"p:%s_Type\">", name, uri,
                           name);
    for (guint n = 0; n < i->cls->property_count; n++)
        if (selected(select, i->cls->properties[n].name))
            encode_value(out, i->cls->properties[n].name, &i->values[n], family);
    g_string_append_printf(out, "</p:%s>", name);
}

void
encode_object(GString *out, const char *name, const struct cim_instance *i, enum family family)
{
    g_autofree char *uri = resource_uri(family, i->cls->ns, i->cls->name);
    g_autoptr(GString) inner = g_string_new(NULL);
    for (guint n = 0; n < i->cls->property_count; n++)
        encode_value(inner, i->cls->properties[n].name, &i->values[n], family);
    /* Values are escaped, so only tags begin like this. */
    g_string_replace(inner, "<p:", "<q:", 0);
    g_string_replace(inner, "</p:", "</q:", 0);
    g_string_append_printf(out, "<p:%s xmlns:q=\"%s\" xsi:type=\"q:%s_Type\">%s</p:%s>", name, uri, i->cls->name, inner->str, name);
}

void
encode_epr(GString *out, const struct cim_instance *i, enum family family)
{
    cim_path_auto path = cim_instance_path(i);
    g_string_append(out, "<a:EndpointReference>");
    epr_write(out, family, path);
    g_string_append(out, "</a:EndpointReference>");
}
