/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/rates.h"

#include "base/clock.h"
#include "base/err.h"

#include <string.h>

#define TEXT_BYTES 4096
enum { DAY_MINUTES = 24 * 60, EVERY_DAY = 0x7f };

static const char *const days[] = {"sun", "mon", "tue", "wed", "thu", "fri", "sat"};
enum { DAYS = G_N_ELEMENTS(days) };

static const struct unit {
    const char *name;
    guint64 bytes;
} units[] = {
    {"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}, {"B", 1}, {"kB", 1000}, {"MB", 1000000}, {"GB", 1000000000},
    {"kbit", 1000 / 8}, {"Mbit", 1000000 / 8}, {"Gbit", 1000000000 / 8},
};
enum { UNITS_WRITTEN = 4 }; /* the others are only read */

struct reader {
    const char *start, *at;
};

/* The next word, or ";"; "" at the end. */
static char *
next_word(struct reader *r)
{
    while (g_ascii_isspace(*r->at))
        r->at++;
    const char *from = r->at;
    while (*r->at && *r->at != ';' && !g_ascii_isspace(*r->at))
        r->at++;
    if (r->at == from && *r->at == ';')
        r->at++;
    return g_strndup(from, (gsize)(r->at - from));
}

static bool
wrong(const struct reader *r, const char *word, const char *wanted, GError **err)
{
    if (!*word)
        return err_set(err, ERR_INVALID_PARAMETER, "The bandwidth ends where %s should stand.", wanted);
    const long position = (long)(r->at - r->start) - (long)strlen(word) + 1;
    return err_set(err, ERR_INVALID_PARAMETER, "The bandwidth has '%s' at position %ld where %s should stand.", word, position, wanted);
}

/* ---- hours ---- */

static bool
parse_minutes(const char **at, guint *out)
{
    const char *p = *at;
    for (guint i = 0; i < 5; i++)
        if (i == 2 ? p[i] != ':' : !g_ascii_isdigit(p[i]))
            return false;
    const guint hour = (guint)(p[0] - '0') * 10 + (guint)(p[1] - '0'), minute = (guint)(p[3] - '0') * 10 + (guint)(p[4] - '0');
    *at = p + 5;
    *out = hour * 60 + minute;
    return minute < 60 && *out <= DAY_MINUTES;
}

static bool
parse_hours(const struct reader *r, const char *word, struct rates_entry *e, GError **err)
{
    const char *at = word;
    const bool fine = parse_minutes(&at, &e->from) && *at++ == '-' && parse_minutes(&at, &e->to) && !*at;
    if (!fine || e->from == DAY_MINUTES)
        return wrong(r, word, "hours such as 08:00-18:00", err);
    return e->from != e->to || wrong(r, word, "hours that are not empty (00:00-24:00 is the whole day)", err);
}

/* ---- days ---- */

static gint
parse_day(const char **at)
{
    for (gint d = 0; d < DAYS; d++)
        if (g_ascii_strncasecmp(*at, days[d], 3) == 0) {
            *at += 3;
            return d;
        }
    return -1;
}

static bool
parse_span(const char **at, guint *out)
{
    const gint first = parse_day(at);
    gint last = first;
    if (first >= 0 && **at == '-') {
        (*at)++;
        last = parse_day(at);
    }
    if (first < 0 || last < 0)
        return false;
    for (gint d = first;; d = (d + 1) % DAYS) {
        *out |= 1u << d;
        if (d == last)
            return true;
    }
}

static bool
parse_days(const struct reader *r, const char *word, guint *out, GError **err)
{
    const char *at = word;
    *out = 0;
    do
        if (!parse_span(&at, out))
            return wrong(r, word, "days such as mon-fri or sat,sun", err);
    while (*at == ',' && *++at);
    return (!*at && at[-1] != ',') || wrong(r, word, "days such as mon-fri or sat,sun", err);
}

/* ---- rate ---- */

static const struct unit *
find_unit(const char *name)
{
    for (guint i = 0; i < G_N_ELEMENTS(units); i++)
        if (g_ascii_strcasecmp(units[i].name, *name ? name : "B") == 0)
            return &units[i];
    return NULL;
}

static bool
parse_rate(struct reader *r, const char *word, guint64 *out, GError **err)
{
    static const char WANTED[] = "a rate such as 20MiB, 100Mbit or unlimited";
    char *end = NULL;
    if (g_ascii_strcasecmp(word, "unlimited") == 0) {
        *out = 0;
        return true;
    }
    if (!g_ascii_isdigit(*word))
        return wrong(r, word, WANTED, err);
    const guint64 number = g_ascii_strtoull(word, &end, 10);
    const struct reader numbered = *r;
    g_autofree char *rest = *end ? g_strdup(end) : NULL;
    if (!rest) { /* "20 MiB" */
        struct reader ahead = *r;
        g_autofree char *word2 = next_word(&ahead);
        if (g_ascii_isalpha(*word2)) {
            rest = g_steal_pointer(&word2);
            *r = ahead;
        }
    }
    const gsize length = rest ? strlen(rest) : 0;
    g_autofree char *name = g_strndup(rest, rest && g_str_has_suffix(rest, "/s") ? length - 2 : length);
    const struct unit *unit = find_unit(name ? name : "");
    if (!unit)
        return wrong(*end ? &numbered : r, *end ? word : rest, WANTED, err);
    if (number > (guint64)G_MAXINT64 / unit->bytes || number * unit->bytes < RATES_LEAST)
        return err_set(err, ERR_INVALID_PARAMETER,
                       "The bandwidth '%s' must be %d bytes per second or more and fit into 63 bits; write 'unlimited' for no limit.", word,
                       RATES_LEAST);
    *out = number * unit->bytes;
    return true;
}

/* ---- the whole ---- */

static bool
parse_entry(struct reader *r, struct rates_entry *e, GError **err)
{
    g_autofree char *word = next_word(r);
    *e = (struct rates_entry){.to = DAY_MINUTES, .days = EVERY_DAY};
    if (strchr(word, ':')) {
        if (!parse_hours(r, word, e, err))
            return false;
        g_free(word);
        word = next_word(r);
    }
    const char *at = word;
    if (parse_day(&at) >= 0) {
        if (!parse_days(r, word, &e->days, err))
            return false;
        g_free(word);
        word = next_word(r);
    }
    return parse_rate(r, word, &e->bytes_per_s, err);
}

bool
rates_parse(const char *text, struct rates *out, GError **err)
{
    struct reader r = {text, text};
    *out = (struct rates){0};
    if (!text || !text[strspn(text, " \t")])
        return true;
    if (strlen(text) > TEXT_BYTES || !g_utf8_validate(text, -1, NULL))
        return err_set(err, ERR_INVALID_PARAMETER, "The bandwidth must be UTF-8 of at most %d bytes.", TEXT_BYTES);
    for (;;) {
        if (out->count == RATES_MAX)
            return err_set(err, ERR_INVALID_PARAMETER, "The bandwidth has more than %d entries.", RATES_MAX);
        if (!parse_entry(&r, &out->entry[out->count], err))
            return false;
        out->count++;
        g_autofree char *word = next_word(&r);
        if (!*word)
            return true;
        if (strcmp(word, ";") != 0)
            return wrong(&r, word, "';' or the end", err);
    }
}

static void
append_days(GString *out, guint set)
{
    const char *comma = "";
    for (guint n = 0; n < DAYS; n++) {
        const guint first = (n + 1) % DAYS; /* a week begins with Monday */
        guint last = n;
        if (!(set & 1u << first))
            continue;
        while (last + 1 < DAYS && (set & 1u << (last + 2) % DAYS))
            last++;
        g_string_append_printf(out, "%s%s", comma, days[first]);
        if (last > n)
            g_string_append_printf(out, "-%s", days[(last + 1) % DAYS]);
        n = last;
        comma = ",";
    }
    g_string_append_c(out, ' ');
}

static void
append_rate(GString *out, guint64 rate)
{
    if (rate == 0) {
        g_string_append(out, "unlimited");
        return;
    }
    for (guint i = 0; i < UNITS_WRITTEN; i++)
        if (rate % units[i].bytes == 0) {
            g_string_append_printf(out, "%" G_GUINT64_FORMAT "%s", rate / units[i].bytes, units[i].name);
            return;
        }
}

char *
rates_text(const struct rates *r)
{
    GString *out = g_string_new(NULL);
    for (guint i = 0; i < r->count; i++) {
        const struct rates_entry *e = &r->entry[i];
        g_string_append(out, i ? "; " : "");
        if (e->from != 0 || e->to != DAY_MINUTES)
            g_string_append_printf(out, "%02u:%02u-%02u:%02u ", e->from / 60, e->from % 60, e->to / 60, e->to % 60);
        if (e->days != EVERY_DAY)
            append_days(out, e->days);
        append_rate(out, e->bytes_per_s);
    }
    return g_string_free(out, FALSE);
}

void
rates_always(struct rates *out, guint64 bytes_per_s)
{
    *out = (struct rates){.count = bytes_per_s != 0, .entry = {{.to = DAY_MINUTES, .days = EVERY_DAY, .bytes_per_s = bytes_per_s}}};
}

static bool
matches(const struct rates_entry *e, guint day, guint minute)
{
    const guint before = (day + DAYS - 1) % DAYS;
    if (e->from < e->to)
        return minute >= e->from && minute < e->to && (e->days & 1u << day);
    return (minute >= e->from && (e->days & 1u << day)) || (minute < e->to && (e->days & 1u << before));
}

guint64
rates_at(const struct rates *r, const struct tm *local)
{
    const guint day = (guint)local->tm_wday % DAYS, minute = (guint)(local->tm_hour * 60 + local->tm_min);
    for (guint i = r->count; i-- > 0;)
        if (matches(&r->entry[i], day, minute))
            return r->entry[i].bytes_per_s;
    return 0;
}

guint64
rates_now(const struct rates *r)
{
    const time_t now = (time_t)(clock_wall_us() / G_USEC_PER_SEC);
    struct tm local = {0};
    localtime_r(&now, &local);
    return rates_at(r, &local);
}
