/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cim/path.h"

#include "base/err.h"

#include <string.h>

static void
free_key(gpointer p)
{
    struct cim_key *k = p;
    g_free(k->name);
    g_free(k->value);
    g_free(k);
}

char *
cim_namespace(const char *text)
{
    char *ns = g_ascii_strdown(text, -1);
    g_strdelimit(ns, "\\", '/');
    return ns;
}

struct cim_path *
cim_path_new(const char *ns, const char *cls)
{
    struct cim_path *p = g_new0(struct cim_path, 1);
    p->ns = ns ? cim_namespace(ns) : NULL;
    p->cls = g_strdup(cls);
    p->keys = g_ptr_array_new_with_free_func(free_key);
    return p;
}

void
cim_path_free(struct cim_path *p)
{
    if (!p)
        return;
    g_free(p->host);
    g_free(p->ns);
    g_free(p->cls);
    g_ptr_array_unref(p->keys);
    g_free(p);
}

struct cim_path *
cim_path_copy(const struct cim_path *p)
{
    struct cim_path *copy = cim_path_new(p->ns, p->cls);
    copy->host = g_strdup(p->host);
    for (guint i = 0; i < p->keys->len; i++) {
        const struct cim_key *k = g_ptr_array_index(p->keys, i);
        cim_path_set(copy, k->name, k->value);
    }
    return copy;
}

void
cim_path_set(struct cim_path *p, const char *name, const char *value)
{
    guint at = 0;
    for (; at < p->keys->len; at++) {
        struct cim_key *k = g_ptr_array_index(p->keys, at);
        int order = g_ascii_strcasecmp(k->name, name);
        if (order == 0) {
            g_free(k->value);
            k->value = g_strdup(value);
            return;
        }
        if (order > 0)
            break;
    }
    struct cim_key *k = g_new(struct cim_key, 1);
    *k = (struct cim_key){g_strdup(name), g_strdup(value)};
    g_ptr_array_insert(p->keys, (gint)at, k);
}

const char *
cim_path_get(const struct cim_path *p, const char *name)
{
    for (guint i = 0; i < p->keys->len; i++) {
        const struct cim_key *k = g_ptr_array_index(p->keys, i);
        if (g_ascii_strcasecmp(k->name, name) == 0)
            return k->value;
    }
    return NULL;
}

/* What is left to parse; `start` is for positions in messages. */
struct scan {
    const char *start, *at;
};

static bool
bad(struct scan *s, GError **err)
{
    return err_set(err, ERR_MALFORMED, "The object path '%.200s' is malformed at position %d.", s->start, (int)(s->at - s->start) + 1);
}

static bool
is_name(char c)
{
    return g_ascii_isalnum(c) || c == '_';
}

bool
cim_is_name(const char *text)
{
    const char *c = text;
    while (is_name(*c))
        c++;
    return c > text && *c == '\0';
}

static char *
take_name(struct scan *s)
{
    const char *from = s->at;
    while (is_name(*s->at))
        s->at++;
    return s->at > from ? g_strndup(from, (gsize)(s->at - from)) : NULL;
}

static char *
take_quoted(struct scan *s)
{
    char quote = *s->at++;
    g_autoptr(GString) out = g_string_new(NULL);
    for (; *s->at && *s->at != quote; s->at++) {
        if (*s->at == '\\' && (s->at[1] == '\\' || s->at[1] == '"' || s->at[1] == '\''))
            s->at++;
        g_string_append_c(out, *s->at);
    }
    if (*s->at != quote)
        return NULL;
    s->at++;
    return g_strdup(out->str);
}

static char *
take_value(struct scan *s)
{
    if (*s->at == '"' || *s->at == '\'')
        return take_quoted(s);
    const char *from = s->at;
    while (*s->at && *s->at != ',' && !g_ascii_isspace(*s->at))
        s->at++;
    return s->at > from ? g_strndup(from, (gsize)(s->at - from)) : NULL;
}

static void
skip_space(struct scan *s)
{
    while (g_ascii_isspace(*s->at))
        s->at++;
}

static bool
parse_keys(struct scan *s, struct cim_path *p, GError **err)
{
    while (p->keys->len < CIM_PATH_KEYS_MAX) {
        skip_space(s);
        g_autofree char *name = take_name(s);
        if (!name || *s->at != '=')
            return bad(s, err);
        s->at++;
        g_autofree char *value = take_value(s);
        if (!value)
            return bad(s, err);
        cim_path_set(p, name, value);
        skip_space(s);
        if (*s->at == '\0')
            return true;
        if (*s->at != ',')
            return bad(s, err);
        s->at++;
    }
    return bad(s, err);
}

static bool
is_slash(char c)
{
    return c == '\\' || c == '/';
}

static bool
is_namespace(const char *text)
{
    return text[strspn(text, G_CSET_a_2_z G_CSET_A_2_Z G_CSET_DIGITS "_-/")] == '\0';
}

/* [\\host\]namespace: before the class; absent when there is no colon before the first quote, dot or equals sign. */
static bool
parse_location(struct scan *s, struct cim_path *p)
{
    const char *colon = s->at + strcspn(s->at, ":\"'.=");
    bool host = is_slash(s->at[0]) && is_slash(s->at[1]);
    if (host) { /* a host name may have dots */
        const char *end = s->at + 2 + strcspn(s->at + 2, "\\/");
        colon = *end ? end + strcspn(end, ":\"'=") : end;
        p->host = g_strndup(s->at + 2, (gsize)(end - s->at - 2));
        s->at = *end ? end + 1 : end;
    }
    if (*colon != ':')
        return true;
    g_autofree char *ns = g_strndup(s->at, (gsize)(colon - s->at));
    p->ns = cim_namespace(ns + strspn(ns, "\\/"));
    if (!is_namespace(p->ns))
        return false;
    s->at = colon + 1;
    return true;
}

struct cim_path *
cim_path_parse(const char *text, GError **err)
{
    cim_path_auto p = cim_path_new(NULL, NULL);
    struct scan s = {text, text};
    skip_space(&s);
    p->cls = parse_location(&s, p) ? take_name(&s) : NULL;
    skip_space(&s);
    if (!p->cls || (*s.at && *s.at != '.' && strcmp(s.at, "=@") != 0)) {
        bad(&s, err);
        return NULL;
    }
    if (*s.at != '.') /* a class, or its only instance: Class=@ */
        return g_steal_pointer(&p);
    s.at++;
    return parse_keys(&s, p, err) ? g_steal_pointer(&p) : NULL;
}

static void
append_keys(GString *out, const struct cim_path *p)
{
    for (guint i = 0; i < p->keys->len; i++) {
        const struct cim_key *k = g_ptr_array_index(p->keys, i);
        g_string_append_printf(out, "%c%s=\"", i ? ',' : '.', k->name);
        for (const char *c = k->value; *c; c++) {
            if (*c == '\\' || *c == '"')
                g_string_append_c(out, '\\');
            g_string_append_c(out, *c);
        }
        g_string_append_c(out, '"');
    }
}

static char *
path_text(const struct cim_path *p, const char *host)
{
    g_autoptr(GString) out = g_string_new(NULL);
    g_autofree char *ns = p->ns ? g_strdelimit(g_strdup(p->ns), "/", '\\') : NULL;
    if (host && ns)
        g_string_append_printf(out, "\\\\%s\\", host);
    if (ns)
        g_string_append_printf(out, "%s:", ns);
    g_string_append(out, p->cls);
    append_keys(out, p);
    return g_string_free(g_steal_pointer(&out), FALSE);
}

char *
cim_path_text(const struct cim_path *p)
{
    return path_text(p, p->host);
}

char *
cim_path_text_on(const struct cim_path *p, const char *host)
{
    return path_text(p, p->host ? p->host : host);
}

static bool
same_if_both(const char *a, const char *b)
{
    return !a || !b || g_ascii_strcasecmp(a, b) == 0;
}

bool
cim_path_equal(const struct cim_path *a, const struct cim_path *b)
{
    if (g_ascii_strcasecmp(a->cls, b->cls) != 0 || a->keys->len != b->keys->len)
        return false;
    if (!same_if_both(a->ns, b->ns) || !same_if_both(a->host, b->host))
        return false;
    for (guint i = 0; i < a->keys->len; i++) {
        const struct cim_key *x = g_ptr_array_index(a->keys, i), *y = g_ptr_array_index(b->keys, i);
        if (g_ascii_strcasecmp(x->name, y->name) != 0 || g_ascii_strcasecmp(x->value, y->value) != 0)
            return false;
    }
    return true;
}
