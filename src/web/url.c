/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "web/url.h"

#include "base/err.h"

#include <string.h>

#define PARAMETERS_MAX 32

/* --- reading ------------------------------------------------------------------------------------------------------------------------ */

/* "%41" is "A"; plus: '+' is a space, as in forms.  NULL: bad encoding, a zero byte, or no UTF-8. */
static char *
decode(const char *from, size_t len, bool plus)
{
    g_autoptr(GString) out = g_string_sized_new(len);
    for (const char *end = from + len; from < end; from++) {
        int high = *from == '%' && end - from > 2 ? g_ascii_xdigit_value(from[1]) : -1;
        int low = high >= 0 ? g_ascii_xdigit_value(from[2]) : -1;
        if (*from == '%' && (low < 0 || (high == 0 && low == 0)))
            return NULL;
        g_string_append_c(out, *from == '%' ? (char)(high << 4 | low) : plus && *from == '+' ? ' ' : *from);
        from += *from == '%' ? 2 : 0;
    }
    return g_utf8_validate(out->str, (gssize)out->len, NULL) ? g_strdup(out->str) : NULL;
}

static bool
bad_encoding(GError **err)
{
    return err_set(err, ERR_MALFORMED, "The URL is badly encoded: '%%' needs two hexadecimal digits, and the whole must be UTF-8.");
}

static bool
parse_query(const char *text, struct url *out, GError **err)
{
    g_auto(GStrv) parts = g_strsplit(text, "&", PARAMETERS_MAX + 1);
    if (g_strv_length(parts) > PARAMETERS_MAX)
        return err_set(err, ERR_TOO_BIG, "The URL has more than %d parameters.", PARAMETERS_MAX);
    out->query = g_ptr_array_new_with_free_func(g_free);
    for (char **p = parts; *p; p++) {
        size_t name_len = strcspn(*p, "=");
        const char *value = (*p)[name_len] ? *p + name_len + 1 : "";
        g_autofree char *name = decode(*p, name_len, true), *decoded = decode(value, strlen(value), true);
        if (!name || !decoded)
            return bad_encoding(err);
        if (!*name && !*decoded)
            continue;
        g_ptr_array_add(out->query, g_steal_pointer(&name));
        g_ptr_array_add(out->query, g_steal_pointer(&decoded));
    }
    return true;
}

static bool
names_class(const char *key)
{
    return g_ascii_strcasecmp(key, "CreationClassName") == 0 || g_ascii_strcasecmp(key, "SystemCreationClassName") == 0;
}

/* The key whose value alone names an instance; NULL: there is no such. */
static const char *
short_key(const struct cim_class *c)
{
    const char *found = NULL;
    for (guint i = 0; i < c->property_count; i++) {
        const struct cim_property *p = &c->properties[i];
        if (!p->key || names_class(p->name))
            continue;
        if (found)
            return NULL;
        found = p->name;
    }
    return found;
}

static bool
add_key(const struct cim_class *c, struct cim_path *path, const char *part, GError **err)
{
    const char *equals = strchr(part, '=');
    g_autofree char *name = equals ? decode(part, (size_t)(equals - part), false) : NULL;
    g_autofree char *value = equals ? decode(equals + 1, strlen(equals + 1), false) : NULL;
    if (!equals)
        return err_set(err, ERR_INVALID_PARAMETER,
                       "Class '%s' needs its keys by name: Name=value;Name=value. GET " URL_BASE "/classes/%s/%s lists them.", c->name,
                       c->ns, c->name);
    if (!name || !value)
        return bad_encoding(err);
    if (!cim_is_name(name) || cim_path_get(path, name))
        return err_set(err, ERR_INVALID_PARAMETER, "'%.80s' is no name of a key, or is given twice.", name);
    cim_path_set(path, name, value);
    return true;
}

static bool
parse_key(const char *segment, struct url *out, GError **err)
{
    const char *key = short_key(out->cls);
    out->path = cim_path_new(out->cls->ns, out->cls->name);
    if (strcmp(segment, "@") == 0)
        return true;
    if (key && !strchr(segment, '=')) {
        g_autofree char *value = decode(segment, strlen(segment), false);
        if (!value)
            return bad_encoding(err);
        cim_path_set(out->path, key, value);
        return true;
    }
    g_auto(GStrv) parts = g_strsplit(segment, ";", CIM_PATH_KEYS_MAX + 1);
    if (g_strv_length(parts) > CIM_PATH_KEYS_MAX)
        return err_set(err, ERR_TOO_BIG, "The URL names more than %d keys.", CIM_PATH_KEYS_MAX);
    for (char **p = parts; *p; p++)
        if (!add_key(out->cls, out->path, *p, err))
            return false;
    return true;
}

static bool
nothing_there(GError **err)
{
    return err_set(err, ERR_NOT_FOUND, "There is nothing at this URL.");
}

/* Number of segments that make the namespace; 0: unknown. */
static guint
namespace_length(char **segments, guint count)
{
    g_autoptr(GString) ns = g_string_new(NULL);
    guint found = 0;
    for (guint i = 0; i < count && i < 8; i++) {
        g_string_append_printf(ns, "%s%s", i ? "/" : "", segments[i]);
        found = cim_namespace_known(ns->str) ? i + 1 : found;
    }
    return found;
}

static bool
parse_class(char **segments, guint count, struct url *out, guint *used, GError **err)
{
    guint n = namespace_length(segments, count);
    g_autofree char *name = n && n < count ? decode(segments[n], strlen(segments[n]), false) : NULL;
    if (!name)
        return nothing_there(err);
    g_autoptr(GString) ns = g_string_new(NULL);
    for (guint i = 0; i < n; i++)
        g_string_append_printf(ns, "%s%s", i ? "/" : "", segments[i]);
    out->cls = cim_class_find(ns->str, name);
    *used = n + 1;
    return out->cls || err_set(err, ERR_NO_SUCH_CLASS, "There is no class '%.80s' in namespace '%s'. GET " URL_BASE "/classes lists them.",
                               name, ns->str);
}

static bool
parse_verb(const char *segment, struct url *out, GError **err)
{
    out->method = decode(segment, strlen(segment), false);
    if (!out->method)
        return bad_encoding(err);
    out->kind = g_ascii_strcasecmp(out->method, "associators") == 0  ? URL_ASSOCIATORS
                : g_ascii_strcasecmp(out->method, "references") == 0 ? URL_REFERENCES
                                                                     : URL_METHOD;
    return true;
}

static bool
parse_object(char **segments, guint count, struct url *out, GError **err)
{
    guint used;
    if (!parse_class(segments, count, out, &used, err))
        return false;
    out->kind = count == used ? URL_LIST : URL_INSTANCE;
    if (out->kind == URL_LIST)
        return true;
    if (count > used + 2)
        return nothing_there(err);
    return parse_key(segments[used], out, err) && (count == used + 1 || parse_verb(segments[used + 1], out, err));
}

static bool
parse_segments(char **segments, guint count, struct url *out, GError **err)
{
    guint used;
    if (count == 0)
        return true;
    if (strcmp(segments[0], "classes") == 0 && count > 1) {
        out->kind = URL_CLASS;
        return parse_class(segments + 1, count - 1, out, &used, err) && (used == count - 1 || nothing_there(err));
    }
    const char *const words[] = {[URL_OPENAPI] = "openapi.json", [URL_EVENTS] = "events", [URL_CLASSES] = "classes"};
    for (guint i = URL_OPENAPI; count == 1 && i <= URL_CLASSES; i++) {
        if (strcmp(segments[0], words[i]) == 0) {
            out->kind = (enum url_kind)i;
            return true;
        }
    }
    return parse_object(segments, count, out, err);
}

bool
url_parse(const char *target, struct url *out, GError **err)
{
    size_t len = strcspn(target, "?#");
    *out = (struct url){.kind = URL_ROOT};
    if (target[len] == '?' && !parse_query(target + len + 1, out, err))
        return false;
    g_autofree char *path = g_strndup(target, len);
    const char *rest = g_str_has_prefix(path, URL_BASE) ? path + strlen(URL_BASE) : "?";
    if (*rest && *rest != '/')
        return nothing_there(err);
    rest += *rest == '/';
    len = strlen(rest);
    if (len > 1 && rest[len - 1] == '/' && rest[len - 2] != '/') /* a collection may end with a slash */
        path[strlen(path) - 1] = '\0';
    g_auto(GStrv) segments = g_strsplit(rest, "/", 32);
    return parse_segments(segments, g_strv_length(segments), out, err);
}

void
url_clear(struct url *u)
{
    cim_path_free(u->path);
    g_free(u->method);
    if (u->query)
        g_ptr_array_unref(u->query);
    *u = (struct url){.kind = URL_ROOT};
}

const char *
url_query(const struct url *u, const char *name)
{
    for (guint i = 0; u->query && i + 1 < u->query->len; i += 2)
        if (g_ascii_strcasecmp(u->query->pdata[i], name) == 0)
            return u->query->pdata[i + 1];
    return NULL;
}

bool
url_check_query(const struct url *u, const char *known, GError **err)
{
    g_auto(GStrv) words = g_strsplit(known, " ", -1);
    for (guint i = 0; u->query && i + 1 < u->query->len; i += 2) {
        const char *name = u->query->pdata[i];
        bool found = false;
        for (char **w = words; !found && *w; w++)
            found = g_ascii_strcasecmp(*w, name) == 0;
        if (!found)
            return err_set(err, ERR_INVALID_PARAMETER, "There is no parameter '%.80s' here. Known are: %s.", name, *known ? known : "none");
        if (url_query(u, name) != (const char *)u->query->pdata[i + 1])
            return err_set(err, ERR_INVALID_PARAMETER, "The parameter '%s' is given twice.", name);
    }
    return true;
}

struct cim_path *
url_reference(const char *text, GError **err)
{
    g_autoptr(GError) why = NULL;
    url_auto u = {0};
    if (!g_str_has_prefix(text, "/"))
        return cim_path_parse(text, err);
    if (url_parse(text, &u, &why) && u.kind == URL_INSTANCE && !u.query)
        return g_steal_pointer(&u.path);
    err_set(err, ERR_INVALID_TYPE, "'%.200s' is no URL of an object. %s", text, why ? why->message : "");
    return NULL;
}

/* --- writing ------------------------------------------------------------------------------------------------------------------------ */

void
url_append(GString *out, const char *text)
{
    for (; *text; text++) {
        if (g_ascii_isalnum(*text) || strchr("-._~:", *text))
            g_string_append_c(out, *text);
        else
            g_string_append_printf(out, "%%%02X", (guchar)*text);
    }
}

char *
url_of_class(const struct cim_class *c)
{
    return g_strdup_printf("%s/%s/%s", URL_BASE, c->ns, c->name);
}

/* "." and ".." would be taken for folders, an empty segment for none. */
static bool
fits_alone(const char *value)
{
    return *value && strcmp(value, ".") != 0 && strcmp(value, "..") != 0;
}

static void
append_keys(GString *out, const struct cim_class *c, const struct cim_path *path)
{
    const char *key = short_key(c), *value = key ? cim_path_get(path, key) : NULL;
    const char *between = "";
    if (value && fits_alone(value)) {
        url_append(out, value);
        return;
    }
    for (guint i = 0; i < path->keys->len; i++) {
        const struct cim_key *k = g_ptr_array_index(path->keys, i);
        if (names_class(k->name))
            continue;
        g_string_append_printf(out, "%s%s=", between, k->name);
        url_append(out, k->value);
        between = ";";
    }
    if (!*between)
        g_string_append_c(out, '@');
}

char *
url_of(const struct cim_path *path, const char *ns)
{
    const struct cim_class *c = cim_class_find(path->ns ? path->ns : ns, path->cls);
    if (!c)
        return cim_path_text(path);
    GString *out = g_string_new(NULL);
    g_string_append_printf(out, "%s/%s/%s/", URL_BASE, c->ns, c->name);
    append_keys(out, c, path);
    return g_string_free(out, FALSE);
}
