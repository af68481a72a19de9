/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cim/instance.h"

/* The compiler of the MOF has checked that every default is a value of its type. */
static void
set_default(struct cim_value *to, const struct cim_property *d)
{
    g_auto(GStrv) elements = d->array ? g_strsplit(d->value, "\n", -1) : NULL;
    if (!d->array && !cim_value_parse(to, d->type, d->value, NULL))
        g_error("the default of property '%s' is no %s", d->name, cim_type_name(d->type));
    if (d->array)
        *to = cim_array(d->type);
    for (guint i = 0; elements && elements[i]; i++) {
        struct cim_value item;
        if (!cim_value_parse(&item, d->type, elements[i], NULL))
            g_error("the default of property '%s' is no array of %s", d->name, cim_type_name(d->type));
        cim_array_add(to, item);
    }
}

struct cim_instance *
cim_instance_new(const struct cim_class *c)
{
    struct cim_instance *i = g_new0(struct cim_instance, 1);
    g_assert(c && c->property_count <= 64 * G_N_ELEMENTS(i->given));
    i->cls = c;
    i->values = g_new(struct cim_value, c->property_count);
    for (guint p = 0; p < c->property_count; p++) {
        const struct cim_property *d = &c->properties[p];
        i->values[p] = cim_null(d->type, d->array);
        if (d->value)
            set_default(&i->values[p], d);
    }
    return i;
}

void
cim_instance_free(struct cim_instance *i)
{
    if (!i)
        return;
    for (guint p = 0; p < i->cls->property_count; p++)
        cim_value_clear(&i->values[p]);
    g_free(i->values);
    g_free(i);
}

GPtrArray *
cim_instances_new(void)
{
    return g_ptr_array_new_with_free_func((GDestroyNotify)cim_instance_free);
}

struct cim_instance *
cim_instance_copy(const struct cim_instance *from)
{
    struct cim_instance *i = g_new(struct cim_instance, 1);
    *i = *from;
    i->values = g_new(struct cim_value, from->cls->property_count);
    for (guint p = 0; p < from->cls->property_count; p++)
        cim_value_copy(&i->values[p], &from->values[p]);
    return i;
}

static guint
index_of(const struct cim_instance *i, const char *property)
{
    int at = cim_class_property(i->cls, property);
    if (at < 0)
        g_error("class %s has no property '%s'", i->cls->name, property);
    return (guint)at;
}

void
cim_set(struct cim_instance *i, const char *property, struct cim_value value)
{
    guint at = index_of(i, property);
    const struct cim_property *d = &i->cls->properties[at];
    g_assert(value.type == d->type && value.array == d->array);
    cim_value_clear(&i->values[at]);
    i->values[at] = value;
    i->given[at / 64] |= (guint64)1 << (at % 64);
}

const struct cim_value *
cim_get(const struct cim_instance *i, const char *property)
{
    int at = cim_class_property(i->cls, property);
    return at < 0 ? NULL : &i->values[at];
}

bool
cim_given(const struct cim_instance *i, const char *property)
{
    int at = cim_class_property(i->cls, property);
    return at >= 0 && (i->given[at / 64] >> (at % 64) & 1) && !i->values[at].null;
}

const char *
cim_get_string(const struct cim_instance *i, const char *property)
{
    const struct cim_value *v = cim_get(i, property);
    return v && !v->null && v->type == CIM_STRING && !v->array ? v->text : NULL;
}

guint64
cim_get_uint(const struct cim_instance *i, const char *property)
{
    const struct cim_value *v = cim_get(i, property);
    return v && !v->null && !v->array && cim_type_is_integer(v->type) ? v->u : 0; /* u and s share their bits */
}

bool
cim_get_bool(const struct cim_instance *i, const char *property)
{
    const struct cim_value *v = cim_get(i, property);
    return v && !v->null && v->type == CIM_BOOLEAN && v->boolean;
}

void
cim_set_string(struct cim_instance *i, const char *property, const char *text)
{
    cim_set(i, property, cim_string(text));
}

void
cim_set_uint(struct cim_instance *i, const char *property, guint64 v)
{
    cim_set(i, property, cim_uint(i->cls->properties[index_of(i, property)].type, v));
}

void
cim_set_bool(struct cim_instance *i, const char *property, bool v)
{
    cim_set(i, property, cim_bool(v));
}

void
cim_set_time(struct cim_instance *i, const char *property, gint64 wall_us)
{
    cim_set(i, property, cim_time(wall_us));
}

void
cim_set_interval(struct cim_instance *i, const char *property, gint64 us)
{
    cim_set(i, property, cim_interval(us));
}

void
cim_set_ref(struct cim_instance *i, const char *property, struct cim_path *path)
{
    cim_set(i, property, cim_ref(path));
}

void
cim_set_uints(struct cim_instance *i, const char *property, const guint *values, guint count)
{
    enum cim_type type = i->cls->properties[index_of(i, property)].type;
    struct cim_value array = cim_array(type);
    for (guint n = 0; n < count; n++)
        cim_array_add(&array, cim_uint(type, values[n]));
    cim_set(i, property, array);
}

void
cim_set_strings(struct cim_instance *i, const char *property, char *const *texts)
{
    cim_set(i, property, cim_strings(texts));
}

struct cim_path *
cim_instance_path(const struct cim_instance *i)
{
    struct cim_path *p = cim_path_new(i->cls->ns, i->cls->name);
    for (guint k = 0; k < i->cls->property_count; k++) {
        if (!i->cls->properties[k].key)
            continue;
        g_autofree char *text = cim_value_text(&i->values[k]);
        cim_path_set(p, i->cls->properties[k].name, text ? text : "");
    }
    return p;
}
