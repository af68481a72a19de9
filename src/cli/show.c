/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cli/show.h"

#include "base/clock.h"

#include <stdbool.h>
#include <string.h>

struct word {
    guint number;
    const char *text;
};

static const char *
find(const struct word *words, gsize count, guint number)
{
    for (gsize i = 0; i < count; i++)
        if (words[i].number == number)
            return words[i].text;
    return "Unknown";
}

const char *
show_mode(guint mode)
{
    static const struct word words[] = {{0, "None"}, {1, "Primary"}, {2, "Replica"}, {3, "Test replica"}, {4, "Extended replica"}};
    return find(words, G_N_ELEMENTS(words), mode);
}

const char *
show_state(guint state)
{
    static const struct word words[] = {
        {0, "Disabled"},
        {1, "Ready"},
        {2, "Initial copy"},
        {3, "Replicating"},
        {4, "Prepared for failover"},
        {5, "Failed over"},
        {6, "Committed"},
        {7, "Suspended"},
        {8, "Critical"},
        {9, "Resync required"},
        {10, "Resynchronizing"},
        {11, "Resync suspended"},
        {12, "Failover in progress"},
        {13, "Failback in progress"},
        {14, "Failback complete"},
        {15, "Disk update"},
        {16, "Disk update critical"},
    };
    return find(words, G_N_ELEMENTS(words), state);
}

const char *
show_health(guint health)
{
    static const struct word words[] = {{0, "-"}, {1, "Ok"}, {2, "Warning"}, {3, "Critical"}};
    return find(words, G_N_ELEMENTS(words), health);
}

enum table_colour
show_health_colour(guint health)
{
    static const enum table_colour colours[] = {TABLE_PLAIN, TABLE_GOOD, TABLE_WARNING, TABLE_BAD};
    return health < G_N_ELEMENTS(colours) ? colours[health] : TABLE_PLAIN;
}

const char *
show_power(guint enabled)
{
    static const struct word words[] = {{2, "running"}, {3, "off"}, {4, "shutting down"}, {6, "saved"}, {9, "paused"}, {10, "starting"},
                                        {32768, "paused"}, {32769, "saved"}};
    return find(words, G_N_ELEMENTS(words), enabled);
}

const char *
show_job_state(guint state)
{
    static const struct word words[] = {{2, "New"},           {3, "Starting"},  {4, "Running"},          {5, "Suspended"},
                                        {6, "Shutting down"}, {7, "Completed"}, {8, "Terminated"},       {9, "Killed"},
                                        {10, "Exception"},    {11, "Service"},  {32768, "With warnings"}};
    return find(words, G_N_ELEMENTS(words), state);
}

char *
show_time(gint64 wall_us)
{
    g_autoptr(GDateTime) t = wall_us ? g_date_time_new_from_unix_local(wall_us / G_USEC_PER_SEC) : NULL;
    return t ? g_date_time_format(t, "%Y-%m-%d %H:%M:%S") : NULL;
}

char *
show_span(gint64 us)
{
    double s = (double)us / G_USEC_PER_SEC;
    if (s < 120)
        return g_strdup_printf("%.1f s", s);
    if (s < 7200)
        return g_strdup_printf("%.0f min", s / 60);
    return s < 172800 ? g_strdup_printf("%.0f h", s / 3600) : g_strdup_printf("%.0f d", s / 86400);
}

char *
show_bytes(guint64 n)
{
    return g_format_size_full(n, G_FORMAT_SIZE_IEC_UNITS);
}

gint64
show_get_time(const struct cim_instance *i, const char *property)
{
    const struct cim_value *v = cim_get(i, property);
    return v && !v->null && v->type == CIM_DATETIME && !v->array ? v->time.us : 0;
}

char *
show_note(const struct cim_instance *i, const char *property, const char *key)
{
    const struct cim_value *v = cim_get(i, property);
    g_autofree char *prefix = g_strconcat(key, "=", NULL);
    for (guint n = 0; v && v->array && !v->null && n < v->items->len; n++) {
        const struct cim_value *item = g_ptr_array_index(v->items, n);
        if (!item->null && item->type == CIM_STRING && g_str_has_prefix(item->text, prefix))
            return g_strdup(item->text + strlen(prefix));
    }
    return NULL;
}

/* --- programs ----------------------------------------------------------------------------------------------------------------------- */

json_t *
show_json_time(gint64 wall_us)
{
    g_autofree char *text = wall_us ? clock_iso8601(wall_us) : NULL;
    return text ? json_string(text) : json_null();
}

static json_t *
json_of(const struct cim_value *v)
{
    if (v->null)
        return json_null();
    if (v->array) {
        json_t *list = json_array();
        for (guint i = 0; i < v->items->len; i++)
            json_array_append_new(list, json_of(g_ptr_array_index(v->items, i)));
        return list;
    }
    if (v->type == CIM_BOOLEAN)
        return json_boolean(v->boolean);
    if (cim_type_is_integer(v->type))
        return json_integer(cim_type_is_signed(v->type) ? v->s : (json_int_t)v->u);
    if (v->type == CIM_REAL32 || v->type == CIM_REAL64)
        return json_real(v->real);
    g_autofree char *text = v->type == CIM_DATETIME ? cim_datetime_iso(&v->time) : cim_value_text(v);
    json_t *out = json_string(text);
    return out ? out : json_null();
}

json_t *
show_json(const struct cim_instance *i)
{
    json_t *out = json_object();
    for (guint n = 0; n < i->cls->property_count; n++)
        json_object_set_new(out, i->cls->properties[n].name, json_of(&i->values[n]));
    return out;
}

void
show_print_json(json_t *value)
{
    json_dumpf(value, stdout, JSON_INDENT(2) | JSON_ENCODE_ANY);
    fputc('\n', stdout);
    json_decref(value);
}

void
show_print_instance(const struct cim_instance *i)
{
    struct table *t = table_new(i->cls->name, "", NULL);
    for (guint n = 0; n < i->cls->property_count; n++) {
        const struct cim_value *v = &i->values[n];
        json_t *json = v->null ? NULL : json_of(v);
        char *text =
            json ? json_is_string(json) ? strdup(json_string_value(json)) : json_dumps(json, JSON_ENCODE_ANY | JSON_COMPACT) : NULL;
        if (text) {
            table_add(t, i->cls->properties[n].name);
            table_add(t, text);
        }
        free(text);
        json_decref(json);
    }
    table_print(t, stdout);
    table_free(t);
}
