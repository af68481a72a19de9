/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "repl/record.h"

#include "base/err.h"

#include <stdlib.h>
#include <string.h>

static json_t *
list_json(char **list)
{
    json_t *array = json_array();
    for (; *list; list++)
        json_array_append_new(array, json_string(*list));
    return array;
}

static json_t *
member_json(const struct record_field *f, const void *at)
{
    char text[UUID_TEXT];
    switch (f->type) {
    case RECORD_TEXT: {
        const char *s = *(char *const *)at;
        return s ? json_string(s) : json_null();
    }
    case RECORD_LIST: {
        char **list = *(char **const *)at;
        return list ? list_json(list) : json_null();
    }
    case RECORD_UINT:
        return json_integer(*(const guint *)at);
    case RECORD_INT:
        return json_integer(*(const gint *)at);
    case RECORD_U64:
        return json_integer((json_int_t)*(const guint64 *)at);
    case RECORD_I64:
        return json_integer(*(const gint64 *)at);
    case RECORD_BOOL:
        return json_boolean(*(const bool *)at);
    case RECORD_UUID:
        return json_string(uuid_format(at, text));
    case RECORD_ID:
        return json_string(at);
    case RECORD_END:
        break;
    }
    g_assert_not_reached();
}

void
record_pack(json_t *object, const struct record_field *fields, const void *from)
{
    for (; fields->type != RECORD_END; fields++)
        json_object_set_new(object, fields->name, member_json(fields, (const char *)from + fields->offset));
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
