/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cim/classxml.h"

#include "base/xml.h"

static const struct cim_class *
super_of(const struct cim_class *c)
{
    return c->super ? cim_class_find(c->ns, c->super) : NULL;
}

static void
write_attribute(GString *out, const char *name, const char *value)
{
    g_string_append_printf(out, " %s=\"", name);
    xml_escape(out, value);
    g_string_append_c(out, '"');
}

static void
write_flag(GString *out, const char *name, bool is)
{
    if (is)
        g_string_append_printf(out, "<QUALIFIER NAME=\"%s\" TYPE=\"boolean\"><VALUE>true</VALUE></QUALIFIER>", name);
}

static void
write_embedded(GString *out, const char *cls)
{
    if (!cls)
        return;
    g_string_append(out, "<QUALIFIER NAME=\"EmbeddedInstance\" TYPE=\"string\"><VALUE>");
    xml_escape(out, cls);
    g_string_append(out, "</VALUE></QUALIFIER>");
}

/* <KIND[.ARRAY|.REFERENCE] NAME TYPE|REFERENCECLASS, without the closing bracket; returns the element's name, g_free. */
static char *
open_typed(GString *out, const char *kind, const char *name, enum cim_type type, bool array, const char *ref)
{
    bool reference = type == CIM_REFERENCE;
    char *element = g_strconcat(kind, reference && array ? ".REFARRAY" : reference ? ".REFERENCE" : array ? ".ARRAY" : "", NULL);
    g_string_append_printf(out, "<%s", element);
    write_attribute(out, "NAME", name);
    if (!reference)
        write_attribute(out, "TYPE", cim_type_name(type));
    else if (ref)
        write_attribute(out, "REFERENCECLASS", ref);
    return element;
}

static void
write_default(GString *out, const struct cim_property *p)
{
    if (!p->value || p->type == CIM_REFERENCE)
        return;
    g_auto(GStrv) items = g_strsplit(p->value, "\n", p->array ? 0 : 1);
    g_string_append(out, p->array ? "<VALUE.ARRAY>" : "");
    for (char **item = items; *item; item++) {
        g_string_append(out, "<VALUE>");
        xml_escape(out, *item);
        g_string_append(out, "</VALUE>");
    }
    g_string_append(out, p->array ? "</VALUE.ARRAY>" : "");
}

static void
write_property(GString *out, const struct cim_property *p, const struct cim_class *super)
{
    g_autofree char *element = open_typed(out, "PROPERTY", p->name, p->type, p->array, p->ref);
    if (super && cim_class_property(super, p->name) >= 0)
        write_attribute(out, "PROPAGATED", "true");
    g_string_append_c(out, '>');
    write_flag(out, "Key", p->key);
    write_flag(out, "Write", p->writable);
    write_default(out, p);
    g_string_append_printf(out, "</%s>", element);
}

static void
write_parameter(GString *out, const struct cim_parameter *p)
{
    g_autofree char *element = open_typed(out, "PARAMETER", p->name, p->type, p->array, p->ref);
    g_string_append_c(out, '>');
    write_flag(out, "In", p->in);
    write_flag(out, "Out", p->out);
    write_flag(out, "Required", p->required);
    write_embedded(out, p->embedded);
    g_string_append_printf(out, "</%s>", element);
}

static void
write_method(GString *out, const struct cim_method *m, const struct cim_class *super)
{
    g_string_append(out, "<METHOD");
    write_attribute(out, "NAME", m->name);
    write_attribute(out, "TYPE", "uint32");
    if (super && cim_class_method(super, m->name))
        write_attribute(out, "PROPAGATED", "true");
    g_string_append_c(out, '>');
    for (guint i = 0; i < m->parameter_count; i++)
        write_parameter(out, &m->parameters[i]);
    g_string_append(out, "</METHOD>");
}

static void
write_derivation(GString *out, const struct cim_class *c)
{
    g_autoptr(GString) line = g_string_new(NULL);
    for (const struct cim_class *s = super_of(c); s; s = super_of(s))
        g_string_append_printf(line, "%s%s", line->len ? "," : "", s->name);
    if (!line->len)
        return;
    write_attribute(out, "SUPERCLASS", c->super);
    write_attribute(out, "DERIVATION", line->str);
}

char *
cim_class_xml(const struct cim_class *c)
{
    const struct cim_class *super = super_of(c);
    GString *out = g_string_new("<CLASS");
    write_attribute(out, "NAME", c->name);
    write_derivation(out, c);
    g_string_append_c(out, '>');
    write_flag(out, "Association", c->association);
    write_flag(out, "Abstract", c->abstract);
    for (guint i = 0; i < c->property_count; i++)
        write_property(out, &c->properties[i], super);
    for (guint i = 0; i < c->method_count; i++)
        write_method(out, &c->methods[i], super);
    g_string_append(out, "</CLASS>");
    return g_string_free(out, FALSE);
}
