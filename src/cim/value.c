/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cim/value.h"

#include "base/err.h"
#include "cim/path.h"

#include <errno.h>
#include <math.h>
#include <string.h>

static const struct {
    const char *name;
    guint bits;
    bool is_signed;
} types[] = {
    [CIM_BOOLEAN] = {"boolean", 0, false}, [CIM_UINT8] = {"uint8", 8, false}, [CIM_SINT8] = {"sint8", 8, true},
    [CIM_UINT16] = {"uint16", 16, false}, [CIM_SINT16] = {"sint16", 16, true}, [CIM_UINT32] = {"uint32", 32, false},
    [CIM_SINT32] = {"sint32", 32, true}, [CIM_UINT64] = {"uint64", 64, false}, [CIM_SINT64] = {"sint64", 64, true},
    [CIM_REAL32] = {"real32", 0, false}, [CIM_REAL64] = {"real64", 0, false}, [CIM_CHAR16] = {"char16", 0, false},
    [CIM_STRING] = {"string", 0, false}, [CIM_DATETIME] = {"datetime", 0, false}, [CIM_REFERENCE] = {"reference", 0, false},
};

const char *
cim_type_name(enum cim_type type)
{
    return types[type].name;
}

bool
cim_type_parse(const char *name, enum cim_type *out)
{
    for (guint i = 0; i < G_N_ELEMENTS(types); i++) {
        if (g_ascii_strcasecmp(types[i].name, name) == 0) {
            *out = (enum cim_type)i;
            return true;
        }
    }
    return false;
}

bool
cim_type_is_signed(enum cim_type type)
{
    return types[type].is_signed;
}

bool
cim_type_is_integer(enum cim_type type)
{
    return types[type].bits > 0;
}

static bool
is_text(enum cim_type type)
{
    return type == CIM_STRING || type == CIM_CHAR16;
}

struct cim_value
cim_null(enum cim_type type, bool array)
{
    return (struct cim_value){.type = type, .array = array, .null = true};
}

struct cim_value
cim_bool(bool v)
{
    return (struct cim_value){.type = CIM_BOOLEAN, .boolean = v};
}

struct cim_value
cim_uint(enum cim_type type, guint64 v)
{
    return (struct cim_value){.type = type, .u = v};
}

struct cim_value
cim_sint(enum cim_type type, gint64 v)
{
    return (struct cim_value){.type = type, .s = v};
}

struct cim_value
cim_string(const char *text)
{
    return text ? (struct cim_value){.type = CIM_STRING, .text = g_strdup(text)} : cim_null(CIM_STRING, false);
}

struct cim_value
cim_time(gint64 wall_us)
{
    return wall_us ? (struct cim_value){.type = CIM_DATETIME, .time = {.us = wall_us}} : cim_null(CIM_DATETIME, false);
}

struct cim_value
cim_interval(gint64 us)
{
    return (struct cim_value){.type = CIM_DATETIME, .time = {.interval = true, .us = us}};
}

struct cim_value
cim_ref(struct cim_path *path)
{
    return path ? (struct cim_value){.type = CIM_REFERENCE, .ref = path} : cim_null(CIM_REFERENCE, false);
}

static void
free_item(gpointer p)
{
    cim_value_clear(p);
    g_free(p);
}

struct cim_value
cim_array(enum cim_type type)
{
    return (struct cim_value){.type = type, .array = true, .items = g_ptr_array_new_with_free_func(free_item)};
}

void
cim_array_add(struct cim_value *array, struct cim_value item)
{
    struct cim_value *copy = g_new(struct cim_value, 1);
    *copy = item;
    g_ptr_array_add(array->items, copy);
}

struct cim_value
cim_strings(char *const *texts)
{
    if (!texts)
        return cim_null(CIM_STRING, true);
    struct cim_value v = cim_array(CIM_STRING);
    for (; *texts; texts++)
        cim_array_add(&v, cim_string(*texts));
    return v;
}

void
cim_value_clear(struct cim_value *v)
{
    if (!v->null && v->array)
        g_ptr_array_unref(v->items);
    else if (!v->null && is_text(v->type))
        g_free(v->text);
    else if (!v->null && v->type == CIM_REFERENCE)
        cim_path_free(v->ref);
    *v = cim_null(v->type, v->array);
}

void
cim_value_copy(struct cim_value *to, const struct cim_value *from)
{
    *to = *from;
    if (from->null)
        return;
    if (from->array) {
        *to = cim_array(from->type);
        for (guint i = 0; i < from->items->len; i++) {
            struct cim_value item;
            cim_value_copy(&item, g_ptr_array_index(from->items, i));
            cim_array_add(to, item);
        }
    } else if (is_text(from->type)) {
        to->text = g_strdup(from->text);
    } else if (from->type == CIM_REFERENCE) {
        to->ref = cim_path_copy(from->ref);
    }
}

static bool
parse_integer(struct cim_value *out, enum cim_type type, const char *text)
{
    guint bits = types[type].bits;
    char *end;
    errno = 0;
    if (!g_ascii_isdigit(*text) && !((*text == '-' || *text == '+') && g_ascii_isdigit(text[1])))
        return false;
    if (types[type].is_signed) {
        gint64 v = g_ascii_strtoll(text, &end, 10), limit = (gint64)(G_MAXUINT64 >> (65 - bits));
        *out = cim_sint(type, v);
        return !errno && !*end && v <= limit && v >= -limit - 1;
    }
    guint64 v = g_ascii_strtoull(text, &end, 10);
    *out = cim_uint(type, v);
    return !errno && !*end && *text != '-' && v <= G_MAXUINT64 >> (64 - bits);
}

static bool
parse_boolean(struct cim_value *out, const char *text)
{
    bool yes = g_ascii_strcasecmp(text, "true") == 0 || strcmp(text, "1") == 0;
    *out = cim_bool(yes);
    return yes || g_ascii_strcasecmp(text, "false") == 0 || strcmp(text, "0") == 0;
}

/* Decimal only: strtod alone would also take hexadecimal numbers, "nan" and "infinity". */
static bool
read_decimal(const char *text, double *out)
{
    char *end;
    if (strspn(text, "+-.0123456789eE") != strlen(text))
        return false;
    *out = g_ascii_strtod(text, &end);
    return end != text && !*end && isfinite(*out);
}

static bool
parse_real(struct cim_value *out, enum cim_type type, const char *text)
{
    *out = (struct cim_value){.type = type};
    return read_decimal(text, &out->real);
}

static bool
parse_scalar(struct cim_value *out, enum cim_type type, const char *text)
{
    switch (type) {
    case CIM_BOOLEAN:
        return parse_boolean(out, text);
    case CIM_REAL32:
    case CIM_REAL64:
        return parse_real(out, type, text);
    case CIM_DATETIME:
        *out = (struct cim_value){.type = type};
        return cim_datetime_parse(text, &out->time);
    case CIM_REFERENCE:
        *out = cim_ref(cim_path_parse(text, NULL));
        return !out->null;
    default:
        return parse_integer(out, type, text);
    }
}

bool
cim_value_parse(struct cim_value *out, enum cim_type type, const char *text, GError **err)
{
    if (is_text(type)) {
        *out = (struct cim_value){.type = type, .text = g_strdup(text)};
        return true;
    }
    g_autofree char *trimmed = g_strstrip(g_strdup(text));
    if (parse_scalar(out, type, trimmed))
        return true;
    *out = cim_null(type, false);
    return err_set(err, ERR_INVALID_TYPE, "'%.80s' is no value of type %s.", trimmed, cim_type_name(type));
}

char *
cim_value_text(const struct cim_value *v)
{
    if (v->null || v->array)
        return NULL;
    switch (v->type) {
    case CIM_BOOLEAN:
        return g_strdup(v->boolean ? "true" : "false");
    case CIM_REAL32:
    case CIM_REAL64: {
        char buf[G_ASCII_DTOSTR_BUF_SIZE];
        return g_strdup(g_ascii_dtostr(buf, sizeof buf, v->real));
    }
    case CIM_CHAR16:
    case CIM_STRING:
        return g_strdup(v->text);
    case CIM_DATETIME:
        return cim_datetime_dmtf(&v->time);
    case CIM_REFERENCE:
        return cim_path_text(v->ref);
    default:
        return types[v->type].is_signed ? g_strdup_printf("%" G_GINT64_FORMAT, v->s) : g_strdup_printf("%" G_GUINT64_FORMAT, v->u);
    }
}

static bool
as_number(const struct cim_value *v, double *out)
{
    if (v->type == CIM_BOOLEAN)
        *out = v->boolean;
    else if (types[v->type].bits)
        *out = types[v->type].is_signed ? (double)v->s : (double)v->u;
    else if (v->type == CIM_REAL32 || v->type == CIM_REAL64)
        *out = v->real;
    else if (is_text(v->type))
        return read_decimal(v->text, out);
    else
        return false;
    return true;
}

/* An integer, or text that is one, as sign and value: 64 bits of either sign do not fit into a double. */
static bool
as_integer(const struct cim_value *v, bool *negative, guint64 *u)
{
    struct cim_value parsed = *v;
    if (is_text(v->type) && !parse_integer(&parsed, *v->text == '-' ? CIM_SINT64 : CIM_UINT64, v->text))
        return false;
    *negative = cim_type_is_signed(parsed.type) && parsed.s < 0;
    *u = parsed.u;
    return cim_type_is_integer(parsed.type);
}

static bool
compare_numbers(const struct cim_value *a, const struct cim_value *b, int *order)
{
    double x, y;
    guint64 u, v;
    bool minus_a, minus_b;
    if (as_integer(a, &minus_a, &u) && as_integer(b, &minus_b, &v)) {
        *order = minus_a != minus_b ? (minus_a ? -1 : 1) : u < v ? -1 : u > v;
        return true;
    }
    if (!as_number(a, &x) || !as_number(b, &y))
        return false;
    *order = x < y ? -1 : x > y;
    return true;
}

static bool
compare_times(const struct cim_value *a, const struct cim_value *b, int *order)
{
    struct cim_datetime x = a->type == CIM_DATETIME ? a->time : b->time, y;
    const struct cim_value *other = a->type == CIM_DATETIME ? b : a;
    if (other->type == CIM_DATETIME)
        y = other->time;
    else if (!is_text(other->type) || !cim_datetime_parse(other->text, &y))
        return false;
    *order = (x.us < y.us ? -1 : x.us > y.us) * (a->type == CIM_DATETIME ? 1 : -1);
    return x.interval == y.interval;
}

bool
cim_value_compare(const struct cim_value *a, const struct cim_value *b, int *order)
{
    if (a->null || b->null || a->array || b->array)
        return false;
    if (is_text(a->type) && is_text(b->type)) {
        *order = g_ascii_strcasecmp(a->text, b->text);
        return true;
    }
    if (a->type == CIM_DATETIME || b->type == CIM_DATETIME)
        return compare_times(a, b, order);
    struct cim_value x = *a, y = *b;
    if (a->type == CIM_BOOLEAN && is_text(b->type) && !parse_boolean(&y, b->text))
        return false;
    if (b->type == CIM_BOOLEAN && is_text(a->type) && !parse_boolean(&x, a->text))
        return false;
    return compare_numbers(&x, &y, order);
}
