/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cim/dispatch.h"

struct arg {
    char *name;
    struct cim_value value;
    GError *bad;
};

struct cim_args {
    GPtrArray *items; /* struct arg, in the order of arrival */
};

static void
free_arg(gpointer p)
{
    struct arg *a = p;
    cim_value_clear(&a->value);
    g_clear_error(&a->bad);
    g_free(a->name);
    g_free(a);
}

struct cim_args *
cim_args_new(void)
{
    struct cim_args *a = g_new(struct cim_args, 1);
    a->items = g_ptr_array_new_with_free_func(free_arg);
    return a;
}

void
cim_args_free(struct cim_args *a)
{
    if (!a)
        return;
    g_ptr_array_unref(a->items);
    g_free(a);
}

static struct arg *
find(const struct cim_args *a, const char *name)
{
    for (guint i = 0; i < a->items->len; i++) {
        struct arg *arg = g_ptr_array_index(a->items, i);
        if (g_ascii_strcasecmp(arg->name, name) == 0)
            return arg;
    }
    return NULL;
}

void
cim_args_set(struct cim_args *a, const char *name, struct cim_value value)
{
    struct arg *arg = find(a, name);
    if (!arg) {
        arg = g_new0(struct arg, 1);
        arg->name = g_strdup(name);
        arg->value = cim_null(CIM_STRING, false);
        g_ptr_array_add(a->items, arg);
    }
    cim_value_clear(&arg->value);
    g_clear_error(&arg->bad);
    arg->value = value;
}

void
cim_args_set_bad(struct cim_args *a, const char *name, GError *why)
{
    cim_args_set(a, name, cim_bool(true)); /* not null: it is there */
    find(a, name)->bad = why;
}

const GError *
cim_args_bad(const struct cim_args *a, guint i)
{
    return ((const struct arg *)g_ptr_array_index(a->items, i))->bad;
}

const struct cim_value *
cim_args_get(const struct cim_args *a, const char *name)
{
    const struct arg *arg = find(a, name);
    return arg && !arg->value.null ? &arg->value : NULL;
}

const char *
cim_args_string(const struct cim_args *a, const char *name)
{
    const struct cim_value *v = cim_args_get(a, name);
    return v && v->type == CIM_STRING && !v->array ? v->text : NULL;
}

guint
cim_args_count(const struct cim_args *a)
{
    return a->items->len;
}

const char *
cim_args_name(const struct cim_args *a, guint i)
{
    return ((const struct arg *)g_ptr_array_index(a->items, i))->name;
}

const struct cim_value *
cim_args_at(const struct cim_args *a, guint i)
{
    return &((const struct arg *)g_ptr_array_index(a->items, i))->value;
}
