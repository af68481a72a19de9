/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "web/page.h"

#include "base/err.h"
#include "web/json.h"
#include "web/problem.h"

#include <string.h>

#define CURSOR_MAX 8192

struct entry {
    char *key; /* path as text, lower case */
    struct cim_instance *instance;
};

static void
clear_entry(gpointer p)
{
    g_free(((struct entry *)p)->key);
}

static gint
compare(gconstpointer a, gconstpointer b)
{
    return strcmp(((const struct entry *)a)->key, ((const struct entry *)b)->key);
}

static GArray *
sorted(const GPtrArray *instances)
{
    GArray *list = g_array_sized_new(FALSE, FALSE, sizeof(struct entry), instances->len);
    g_array_set_clear_func(list, clear_entry);
    for (guint i = 0; i < instances->len; i++) {
        cim_path_auto path = cim_instance_path(instances->pdata[i]);
        g_autofree char *text = cim_path_text(path);
        struct entry e = {g_ascii_strdown(text, -1), instances->pdata[i]};
        g_array_append_val(list, e);
    }
    g_array_sort(list, compare);
    return list;
}

/* --- cursors: base64url of KEY NEWLINE how many objects of that key were given; keys are the same only in classes without keys --- */

static const struct entry *
at(const GArray *list, guint i)
{
    return &g_array_index(list, struct entry, i);
}

static char *
cursor_before(const GArray *list, guint next)
{
    guint same = 1;
    while (same < next && strcmp(at(list, next - 1 - same)->key, at(list, next - 1)->key) == 0)
        same++;
    g_autofree char *plain = g_strdup_printf("%s\n%u", at(list, next - 1)->key, same);
    char *text = g_base64_encode((const guchar *)plain, strlen(plain));
    g_strdelimit(text, "+", '-');
    g_strdelimit(text, "/", '_');
    text[strcspn(text, "=")] = '\0';
    return text;
}

static char *
cursor_decode(const char *text, guint64 *same)
{
    if (!*text || strlen(text) > CURSOR_MAX || text[strspn(text, G_CSET_a_2_z G_CSET_A_2_Z G_CSET_DIGITS "-_")])
        return NULL;
    gsize len;
    g_autofree char *padded = g_strconcat(text, &"==="[strlen(text) % 4 ? strlen(text) % 4 - 1 : 3], NULL);
    g_strdelimit(padded, "-", '+');
    g_strdelimit(padded, "_", '/');
    g_autofree char *plain = (char *)g_base64_decode(padded, &len);
    g_autofree char *key = g_strndup(plain, len);
    char *line = strrchr(key, '\n');
    if (strlen(key) != len || !line || !g_ascii_string_to_unsigned(line + 1, 10, 1, G_MAXUINT32, same, NULL))
        return NULL;
    *line = '\0';
    return g_steal_pointer(&key);
}

static bool
find_start(const GArray *list, const char *cursor, guint *start, GError **err)
{
    guint64 same = 0;
    *start = 0;
    if (!cursor)
        return true;
    g_autofree char *key = cursor_decode(cursor, &same);
    if (!key)
        return err_set(err, ERR_INVALID_PARAMETER, "The cursor is none that this host gave. Begin without one.");
    while (*start < list->len && strcmp(at(list, *start)->key, key) < 0)
        ++*start;
    for (; same > 0 && *start < list->len && strcmp(at(list, *start)->key, key) == 0; same--)
        ++*start;
    return true;
}

/* --- the answer --------------------------------------------------------------------------------------------------------------------- */

static bool
read_limit(const struct url *u, guint *limit, GError **err)
{
    const char *text = url_query(u, "limit");
    guint64 n = PAGE_DEFAULT;
    if (text && !g_ascii_string_to_unsigned(text, 10, 1, PAGE_MAX, &n, NULL))
        return err_set(err, ERR_INVALID_PARAMETER, "'limit' is '%.20s', but must be a number from 1 to %d.", text, PAGE_MAX);
    *limit = (guint)n;
    return true;
}

/* The same URL with another cursor. */
static json_t *
next_url(const struct web_call *c, const GArray *list, guint next)
{
    const GPtrArray *query = c->url->query;
    g_autofree char *cursor = cursor_before(list, next);
    g_autoptr(GString) out = g_string_new(NULL);
    g_string_append_len(out, c->request->target, (gssize)strcspn(c->request->target, "?#"));
    g_string_append_printf(out, "?cursor=%s", cursor);
    for (guint i = 0; query && i + 1 < query->len; i += 2) {
        if (g_ascii_strcasecmp(query->pdata[i], "cursor") == 0)
            continue;
        g_string_append_c(out, '&');
        url_append(out, query->pdata[i]);
        g_string_append_c(out, '=');
        url_append(out, query->pdata[i + 1]);
    }
    return web_json_string(out->str);
}

bool
page_respond(const struct web_call *c, GPtrArray *instances, const GPtrArray *select, GError **err)
{
    g_autoptr(GArray) list = sorted(instances);
    guint limit = 0, start = 0;
    if (!read_limit(c->url, &limit, err) || !find_start(list, url_query(c->url, "cursor"), &start, err))
        return false;
    guint end = MIN(list->len, start + limit);
    auto_json o = json_object();
    json_t *items = json_array();
    for (guint i = start; i < end; i++)
        json_array_append_new(items, web_json_instance(at(list, i)->instance, select));
    json_object_set_new(o, "items", items);
    json_object_set_new(o, "total", json_integer(list->len));
    json_object_set_new(o, "next", end < list->len && end > 0 ? next_url(c, list, end) : json_null());
    problem_json(c->response, 200, o);
    return true;
}
