/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "repl/additional.h"

#include "base/err.h"
#include "base/rates.h"
#include "repl/record.h"
#include "store/rules.h"

#include <string.h>

enum { TEXT_MAX = 64 << 10 };

enum kind { UINT, U64, INT, TEXT, LINE, CHOICE, RULES, RATES, COMPRESS };

static const struct key {
    const char *name;
    size_t offset;
    enum kind kind;
    json_int_t least, most;
    bool zero; /* 0 is allowed, too */
    const char *no, *yes; /* CHOICE: the words for false and true */
} KEYS[] = {
    { "interval_ms", offsetof(struct repl_settings, interval_ms), UINT, 250, 3600000, false },
    { "keep_every_cycle_s", offsetof(struct repl_settings, keep_every_s), UINT, 0, 31536000, true },
    { "bandwidth_bytes_per_s", offsetof(struct repl_settings, bandwidth), U64, 1024, G_MAXINT64, true },
    { "bandwidth", offsetof(struct repl_settings, bandwidth_hours), RATES, 0, 0, false },
    { "compression_level", offsetof(struct repl_settings, compression_level), INT, 1, 19, false },
    { "compression", offsetof(struct repl_settings, compress), COMPRESS, 0, 0, false },
    { "full_copy", offsetof(struct repl_settings, no_full_copy), CHOICE, 0, 0, false, "allow", "forbid" },
    { "application_interval_s", offsetof(struct repl_settings, app_interval_s), UINT, 1, 43200, true },
    { "engine", offsetof(struct repl_settings, pull), CHOICE, 0, 0, false, "push", "pull" },
    { "leave_out", offsetof(struct repl_settings, leave_out_swap), CHOICE, 0, 0, false, "none", "swap" },
    { "retention", offsetof(struct repl_settings, retention), RULES, 0, 0, false },
    { "test_network", offsetof(struct repl_settings, test_network), TEXT, 1, 64, false },
    { "verify_text", offsetof(struct repl_settings, verify_text), LINE, 1, 200, false },
    { "verify_timeout_s", offsetof(struct repl_settings, verify_timeout_s), UINT, 1, 86400, false },
};

static const struct key *
find(const char *name)
{
    for (guint i = 0; i < G_N_ELEMENTS(KEYS); i++)
        if (!strcmp(KEYS[i].name, name))
            return &KEYS[i];
    return NULL;
}

static void
reset(struct repl_settings *s)
{
    s->interval_ms = s->keep_every_s = s->app_interval_s = 0;
    s->bandwidth = 0;
    s->no_full_copy = s->pull = s->leave_out_swap = false;
    s->compression_level = -1;
    s->verify_timeout_s = 0;
    s->compress = COMPRESS_AUTO;
    g_clear_pointer(&s->test_network, g_free);
    g_clear_pointer(&s->verify_text, g_free);
    g_clear_pointer(&s->retention, g_free);
    g_clear_pointer(&s->bandwidth_hours, g_free);
}

static bool
take_text(char **at, const struct key *k, const json_t *value, GError **err)
{
    const char *text = json_string_value(value);
    const size_t len = text ? strlen(text) : 0;
    if (!text)
        return err_set(err, ERR_INVALID_PARAMETER, "Key '%s' of property 'AdditionalSettings' must be a text.", k->name);
    const bool line = k->kind == LINE;
    if (len < (size_t)k->least || len > (size_t)k->most || strpbrk(text, line ? "\r\n" : "/\n"))
        return err_set(err, ERR_INVALID_PARAMETER, "Key '%s' of property 'AdditionalSettings' must be %lld to %lld bytes without %s.",
                       k->name, (long long)k->least, (long long)k->most, line ? "line breaks" : "'/' and line breaks");
    g_free(*at);
    *at = g_strdup(text);
    return true;
}

static bool
take_rules(char **at, const struct key *k, const json_t *value, GError **err)
{
    struct rules rules;
    const char *text = json_string_value(value);
    if (!text)
        return err_set(err, ERR_INVALID_PARAMETER, "Key '%s' of property 'AdditionalSettings' must be a text.", k->name);
    if (!rules_parse(text, &rules, err)) {
        g_prefix_error(err, "Key '%s' of property 'AdditionalSettings': ", k->name);
        return false;
    }
    g_free(*at);
    *at = rules.count ? rules_text(&rules) : NULL;
    return true;
}

static bool
take_rates(char **at, const struct key *k, const json_t *value, GError **err)
{
    struct rates rates;
    g_autofree char *number = json_is_integer(value) && json_integer_value(value)
                                  ? g_strdup_printf("%" JSON_INTEGER_FORMAT, json_integer_value(value))
                                  : g_strdup("");
    const char *text = json_is_integer(value) ? number : json_string_value(value);
    if (!text)
        return err_set(err, ERR_INVALID_PARAMETER, "Key '%s' of property 'AdditionalSettings' must be a text or a number.", k->name);
    if (!rates_parse(text, &rates, err)) {
        g_prefix_error(err, "Key '%s' of property 'AdditionalSettings': ", k->name);
        return false;
    }
    g_free(*at);
    *at = rates.count ? rates_text(&rates) : NULL;
    return true;
}

static bool
take_compress(guint *at, const struct key *k, const json_t *value, GError **err)
{
    const char *text = json_string_value(value);
    enum compress how;
    if (!text || !compress_parse(text, &how))
        return err_set(err, ERR_INVALID_PARAMETER,
                       "Key '%s' of property 'AdditionalSettings' must be \"auto\", \"none\", \"lz4\", \"zstd:-1\", \"zstd:1\", \"zstd:2\" "
                       "or \"zstd:3\".", k->name);
    *at = how;
    return true;
}

static bool
take_choice(bool *at, const struct key *k, const json_t *value, GError **err)
{
    const char *text = json_string_value(value);
    *at = !g_strcmp0(text, k->yes);
    return *at || !g_strcmp0(text, k->no) ||
           err_set(err, ERR_INVALID_PARAMETER, "Key '%s' of property 'AdditionalSettings' must be \"%s\" or \"%s\".", k->name, k->no,
                   k->yes);
}

static bool
unknown(const char *name, GError **err)
{
    g_autoptr(GString) known = g_string_new(NULL);
    for (guint i = 0; i < G_N_ELEMENTS(KEYS); i++)
        g_string_append_printf(known, "%s%s", i == 0 ? "" : i + 1 < G_N_ELEMENTS(KEYS) ? ", " : " and ", KEYS[i].name);
    return err_set(err, ERR_INVALID_PARAMETER, "Property 'AdditionalSettings' has the unknown key '%s'; known are %s.", name, known->str);
}

static bool
take(struct repl_settings *s, const char *name, const json_t *value, GError **err)
{
    const struct key *k = find(name);
    if (!k)
        return unknown(name, err);
    if (k->kind == TEXT || k->kind == LINE)
        return take_text((char **)(gpointer)((char *)s + k->offset), k, value, err);
    if (k->kind == RULES)
        return take_rules((char **)(gpointer)((char *)s + k->offset), k, value, err);
    if (k->kind == RATES)
        return take_rates((char **)(gpointer)((char *)s + k->offset), k, value, err);
    if (k->kind == COMPRESS)
        return take_compress((guint *)(gpointer)((char *)s + k->offset), k, value, err);
    if (k->kind == CHOICE)
        return take_choice((bool *)(gpointer)((char *)s + k->offset), k, value, err);
    if (!json_is_integer(value))
        return err_set(err, ERR_INVALID_PARAMETER, "Key '%s' of property 'AdditionalSettings' must be an integer.", name);
    const json_int_t v = json_integer_value(value);
    if ((v < k->least || v > k->most) && !(v == 0 && k->zero))
        return err_set(err, ERR_INVALID_PARAMETER, "Key '%s' of property 'AdditionalSettings' must be %s%lld to %lld.", name,
                       k->zero && k->least ? "0 or " : "", (long long)k->least, (long long)k->most);
    void *at = (char *)s + k->offset;
    if (k->kind == U64)
        *(guint64 *)at = (guint64)v;
    else
        *(guint *)at = (guint)v;
    return true;
}

bool
additional_parse(struct repl_settings *s, GError **err)
{
    json_error_t why;
    const char *name;
    json_t *value;
    reset(s);
    if (!s->additional || !*s->additional)
        return true;
    if (strlen(s->additional) > TEXT_MAX)
        return err_set(err, ERR_INVALID_PARAMETER, "Property 'AdditionalSettings' is longer than 64 KiB.");
    json_scoped_record object = json_loads(s->additional, JSON_REJECT_DUPLICATES, &why);
    if (!object)
        return err_set(err, ERR_INVALID_PARAMETER, "Property 'AdditionalSettings' is not JSON: %s (line %d).", why.text, why.line);
    if (!json_is_object(object))
        return err_set(err, ERR_INVALID_PARAMETER, "Property 'AdditionalSettings' must be a JSON object.");
    json_object_foreach(object, name, value)
        if (!take(s, name, value, err))
            return false;
    if (s->bandwidth && s->bandwidth_hours)
        return err_set(err, ERR_INVALID_PARAMETER,
                       "Keys 'bandwidth' and 'bandwidth_bytes_per_s' of property 'AdditionalSettings' say the same; give one of them.");
    if (s->compression_level > 0 && json_object_get(object, "compression"))
        return err_set(err, ERR_INVALID_PARAMETER,
                       "Keys 'compression' and 'compression_level' of property 'AdditionalSettings' say the same; give one of them.");
    return true;
}
