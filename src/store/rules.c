/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "store/rules.h"

#include "base/err.h"

#include <string.h>

#define SECOND ((gint64)G_USEC_PER_SEC)
#define DAY (86400 * SECOND)
#define TEXT_BYTES 4096

static const struct unit {
    const char *name;
    gint64 us;
} units[] = {{"d", DAY}, {"h", 3600 * SECOND}, {"min", 60 * SECOND}, {"s", SECOND}, {"w", 7 * DAY}};
enum { UNITS_WRITTEN = 4 }; /* weeks are only read */

static const struct unit words[] = {{"hourly", 3600 * SECOND}, {"daily", DAY}, {"weekly", 7 * DAY}, {"all", 0}};

/* What is left of the text, and where a rule's words begin, for messages that count from 1. */
struct reader {
    const char *start, *at;
};

static bool
is_word_char(char c)
{
    return g_ascii_isalnum(c) || c == '.' || c == '-' || c == '_';
}

/* The next word, or the one character that is none; "" at the end. */
static char *
next_word(struct reader *r)
{
    while (g_ascii_isspace(*r->at))
        r->at++;
    const char *from = r->at;
    while (is_word_char(*r->at))
        r->at++;
    if (r->at == from && *r->at)
        r->at = g_utf8_find_next_char(r->at, NULL);
    return g_strndup(from, (gsize)(r->at - from));
}

static bool
wrong(const struct reader *r, const char *word, const char *wanted, GError **err)
{
    if (!*word)
        return err_set(err, ERR_INVALID_PARAMETER, "The retention rules end where %s should stand.", wanted);
    const long position = (long)(r->at - r->start) - (long)strlen(word) + 1;
    return err_set(err, ERR_INVALID_PARAMETER, "The retention rules have '%s' at position %ld where %s should stand.", word, position,
                   wanted);
}

static const struct unit *
find_unit(const struct unit *table, guint count, const char *name)
{
    for (guint i = 0; i < count; i++)
        if (g_ascii_strcasecmp(table[i].name, name) == 0)
            return &table[i];
    return NULL;
}

static bool
parse_time(struct reader *r, gint64 max, gint64 *out, GError **err)
{
    static const char WANTED[] = "a time such as 10s, 5min, 24h, 30d or 2w";
    g_autofree char *word = next_word(r);
    g_autofree char *rest = NULL;
    char *end = word;
    const guint64 number = g_ascii_isdigit(*word) ? g_ascii_strtoull(word, &end, 10) : 0;
    const struct reader numbered = *r;
    if (end == word)
        return wrong(r, word, WANTED, err);
    const char *name = *end ? end : (rest = next_word(r));
    const struct unit *unit = find_unit(units, G_N_ELEMENTS(units), name);
    if (!unit && !strcmp(name, "m"))
        return err_set(err, ERR_INVALID_PARAMETER, "'%s' in the retention rules could be minutes or months; write min, or days as d.",
                       word);
    if (!unit)
        return *end ? wrong(&numbered, word, WANTED, err) : wrong(r, name, "a unit (s, min, h, d, w)", err);
    if (number < 1 || number > (guint64)(max / unit->us))
        return err_set(err, ERR_INVALID_PARAMETER, "'%" G_GUINT64_FORMAT "%s' in the retention rules must be 1s to %" G_GINT64_FORMAT "d.",
                       (guint64)number, unit->name, max / DAY);
    *out = (gint64)number * unit->us;
    return true;
}

static bool
parse_spacing(struct reader *r, struct rule *out, GError **err)
{
    g_autofree char *word = next_word(r);
    if (!strcmp(word, "application")) {
        out->application = true;
        g_free(word);
        word = next_word(r);
    }
    if (!strcmp(word, "every"))
        return parse_time(r, 366 * DAY, &out->every_us, err);
    const struct unit *known = find_unit(words, G_N_ELEMENTS(words), word);
    if (!known)
        return wrong(r, word, out->application ? "'every', 'hourly', 'daily', 'weekly' or 'all'"
                                               : "'every', 'hourly', 'daily', 'weekly', 'all' or 'application'", err);
    out->every_us = known->us;
    return true;
}

static bool
parse_rule(struct reader *r, struct rule *out, GError **err)
{
    if (!parse_spacing(r, out, err))
        return false;
    g_autofree char *word = next_word(r);
    if (strcmp(word, "for") != 0)
        return wrong(r, word, "'for'", err);
    if (!parse_time(r, 36500 * DAY, &out->for_us, err))
        return false;
    return out->for_us >= out->every_us ||
           err_set(err, ERR_INVALID_PARAMETER, "A retention rule keeps points for a shorter time than the space between them, "
                                               "so it would keep none.");
}

bool
rules_parse(const char *text, struct rules *out, GError **err)
{
    struct reader r = {text, text};
    *out = (struct rules){0};
    if (!text || !text[strspn(text, " \t")])
        return true;
    if (strlen(text) > TEXT_BYTES || !g_utf8_validate(text, -1, NULL))
        return err_set(err, ERR_INVALID_PARAMETER, "The retention rules must be UTF-8 of at most %d bytes.", TEXT_BYTES);
    for (;;) {
        if (out->count == RULES_MAX)
            return err_set(err, ERR_INVALID_PARAMETER, "There are more than %d retention rules.", RULES_MAX);
        if (!parse_rule(&r, &out->rule[out->count], err))
            return false;
        out->count++;
        g_autofree char *word = next_word(&r);
        if (!*word)
            return true;
        if (strcmp(word, ",") != 0)
            return wrong(&r, word, "',' or the end", err);
    }
}

static void
append_time(GString *out, gint64 us)
{
    for (guint i = 0; i < UNITS_WRITTEN; i++)
        if (us % units[i].us == 0) {
            g_string_append_printf(out, "%" G_GINT64_FORMAT "%s", us / units[i].us, units[i].name);
            return;
        }
}

static void
append_spacing(GString *out, gint64 every_us)
{
    if (every_us == 0 || every_us == DAY || every_us == 7 * DAY) {
        g_string_append(out, every_us == 0 ? "all" : every_us == DAY ? "daily" : "weekly");
        return;
    }
    g_string_append(out, "every ");
    append_time(out, every_us);
}

char *
rules_text(const struct rules *rules)
{
    GString *out = g_string_new(NULL);
    for (guint i = 0; i < rules->count; i++) {
        g_string_append_printf(out, "%s%s", i ? ", " : "", rules->rule[i].application ? "application " : "");
        append_spacing(out, rules->rule[i].every_us);
        g_string_append(out, " for ");
        append_time(out, rules->rule[i].for_us);
    }
    return g_string_free(out, FALSE);
}
