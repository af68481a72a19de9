/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "repl/record.h"

#include "base/err.h"

#include <stdlib.h>
#include <string.h>

static void
write_number(GString *out, gint64 n)
{
    char digits[24];
    size_t at = sizeof digits;
    guint64 left = n < 0 ? -(guint64)n : (guint64)n;
    do
        digits[--at] = (char)('0' + left % 10);
    while (left /= 10);
    if (n < 0)
        digits[--at] = '-';
    g_string_append_len(out, digits + at, (gssize)(sizeof digits - at));
}

static void
write_text(GString *out, const char *text)
{
    g_string_append_c(out, '"');
    while (*text) {
        size_t plain = 0; /* bytes that stand for themselves */
        while ((guchar)text[plain] >= ' ' && text[plain] != '"' && text[plain] != '\\')
            plain++;
        g_string_append_len(out, text, (gssize)plain);
        text += plain;
        if (*text)
            g_string_append_printf(out, "\\u%04x", (guint)(guchar)*text++);
    }
    g_string_append_c(out, '"');
}

/* A text that is not UTF-8 can be no JSON. */
static bool
is_writable(const char *text)
{
    return g_utf8_validate(text, -1, NULL);
}

static void
write_list(GString *out, char **list)
{
    const char *between = "[";
    for (; *list; list++) {
        if (!is_writable(*list))
            continue;
        g_string_append(out, between);
        write_text(out, *list);
        between = ",";
    }
    g_string_append(out, *between == '[' ? "[]" : "]");
}

static void
write_value(GString *out, const struct record_field *f, const void *at)
{
    char id[UUID_TEXT];
    char **list = f->type == RECORD_LIST ? *(char **const *)at : NULL;
    switch (f->type) {
    case RECORD_TEXT:
        return write_text(out, *(char *const *)at);
    case RECORD_LIST:
        return write_list(out, list);
    case RECORD_UINT:
        return write_number(out, *(const guint *)at);
    case RECORD_INT:
        return write_number(out, *(const gint *)at);
    case RECORD_U64:
        return write_number(out, (gint64)*(const guint64 *)at);
    case RECORD_I64:
        return write_number(out, *(const gint64 *)at);
    case RECORD_BOOL:
        g_string_append(out, *(const bool *)at ? "true" : "false");
        return;
    case RECORD_UUID:
        return write_text(out, uuid_format(at, id));
    case RECORD_ID:
        return write_text(out, at);
    case RECORD_END:
        break;
    }
    g_assert_not_reached();
}

void
record_write(GString *out, const struct record_field *fields, const void *from)
{
    for (; fields->type != RECORD_END; fields++) {
        const void *at = (const char *)from + fields->offset;
        const bool points = fields->type == RECORD_TEXT || fields->type == RECORD_LIST;
        const void *target = points ? *(void *const *)at : at;
        if (fields->type == RECORD_TEXT && target && !is_writable(target))
            continue;
        if (out->len && out->str[out->len - 1] != '{')
            g_string_append_c(out, ',');
        write_text(out, fields->name);
        g_string_append_c(out, ':');
        if (target)
            write_value(out, fields, at);
        else
            g_string_append(out, "null");
    }
}

char *
record_doc(const struct record_field *fields, const void *from)
{
    GString *out = g_string_new("{");
    record_write(out, fields, from);
    g_string_append_c(out, '}');
    return g_string_free(out, FALSE);
}

void
record_pack(json_t *object, const struct record_field *fields, const void *from)
{
    g_autofree char *doc = record_doc(fields, from);
    json_scoped_record o = record_parse(doc, NULL);
    json_object_update(object, o);
}

static bool
take_list(const json_t *value, char ***to)
{
    size_t i;
    json_t *item;
    GPtrArray *list = g_ptr_array_new();
    json_array_foreach(value, i, item)
        if (json_is_string(item))
            g_ptr_array_add(list, g_strdup(json_string_value(item)));
    g_ptr_array_add(list, NULL);
    g_strfreev(*to);
    *to = (char **)g_ptr_array_free(list, FALSE);
    return true;
}

static bool
take_text(const json_t *value, char **to)
{
    if (!json_is_string(value) && !json_is_null(value))
        return false;
    g_free(*to);
    *to = g_strdup(json_string_value(value));
    return true;
}

static bool
take_lines(const json_t *value, char ***to)
{
    if (json_is_array(value))
        return take_list(value, to);
    g_clear_pointer(to, g_strfreev);
    return json_is_null(value);
}

static bool
take_id(const json_t *value, char *to)
{
    if (!json_is_string(value) || json_string_length(value) >= UUID_TEXT)
        return false;
    g_strlcpy(to, json_string_value(value), UUID_TEXT);
    return true;
}

static bool
take_number(const struct record_field *f, json_int_t v, void *at)
{
    switch (f->type) {
    case RECORD_UINT:
        *(guint *)at = (guint)v;
        return v >= 0 && v <= G_MAXUINT;
    case RECORD_INT:
        *(gint *)at = (gint)v;
        return v >= G_MININT && v <= G_MAXINT;
    case RECORD_U64:
        *(guint64 *)at = (guint64)v;
        return true;
    default:
        *(gint64 *)at = v;
        return true;
    }
}

static bool
take(const struct record_field *f, const json_t *value, void *at)
{
    switch (f->type) {
    case RECORD_TEXT:
        return take_text(value, at);
    case RECORD_LIST:
        return take_lines(value, at);
    case RECORD_BOOL:
        *(bool *)at = json_is_true(value);
        return json_is_boolean(value);
    case RECORD_UUID:
        return json_is_string(value) && uuid_parse(json_string_value(value), at);
    case RECORD_ID:
        return take_id(value, at);
    default:
        return json_is_integer(value) && take_number(f, json_integer_value(value), at);
    }
}

bool
record_unpack(const json_t *object, const struct record_field *fields, void *to, GError **err)
{
    for (; fields->type != RECORD_END; fields++) {
        const json_t *value = json_object_get(object, fields->name);
        if (value && !take(fields, value, (char *)to + fields->offset))
            return err_set(err, ERR_CORRUPT, "Member '%s' of a record in the database has the wrong type.", fields->name);
    }
    return true;
}

void
record_clear(const struct record_field *fields, void *s)
{
    for (; fields->type != RECORD_END; fields++) {
        void *at = (char *)s + fields->offset;
        if (fields->type == RECORD_TEXT)
            g_clear_pointer((char **)at, g_free);
        if (fields->type == RECORD_LIST)
            g_clear_pointer((char ***)at, g_strfreev);
    }
}

void
record_copy(const struct record_field *fields, void *to, const void *from)
{
    for (; fields->type != RECORD_END; fields++) {
        const void *source = (const char *)from + fields->offset;
        void *target = (char *)to + fields->offset;
        if (fields->type == RECORD_TEXT)
            *(char **)target = g_strdup(*(char *const *)source);
        if (fields->type == RECORD_LIST)
            *(char ***)target = g_strdupv(*(char **const *)source);
    }
}

char *
record_text(json_t *object)
{
    char *dumped = json_dumps(object, JSON_COMPACT | JSON_SORT_KEYS);
    char *text = g_strdup(dumped);
    free(dumped);
    json_decref(object);
    return text;
}

json_t *
record_parse(const char *text, GError **err)
{
    json_error_t why;
    json_t *object = json_loads(text, JSON_REJECT_DUPLICATES, &why);
    if (object && json_is_object(object))
        return object;
    json_decref(object);
    err_set(err, ERR_CORRUPT, "A record in the database is not a JSON object: %s.", why.text);
    return NULL;
}
