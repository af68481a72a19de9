/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cim/value.h"

#include <stdlib.h>
#include <string.h>

#define SECOND G_TIME_SPAN_SECOND
#define TIME_FIRST G_GINT64_CONSTANT(-62135596800)    /* 0001-01-01T00:00:00Z: only these years can be written again */
#define TIME_END G_GINT64_CONSTANT(253402300800)      /* 10000-01-01T00:00:00Z */
#define INTERVAL_MAX G_GINT64_CONSTANT(8640000000000) /* seconds: eight digits of days */

/* `count` digits at text, or -1. */
static gint64
digits(const char *text, guint count)
{
    gint64 v = 0;
    for (guint i = 0; i < count; i++) {
        if (!g_ascii_isdigit(text[i]))
            return -1;
        v = v * 10 + (text[i] - '0');
    }
    return v;
}

static bool
make_time(gint64 year, gint64 month, gint64 day, gint64 hour, gint64 minute, double seconds, gint zone_min, struct cim_datetime *out)
{
    if (year < 1 || month < 1 || day < 1 || hour < 0 || minute < 0 || seconds < 0)
        return false;
    g_autoptr(GDateTime) t = g_date_time_new_utc((gint)year, (gint)month, (gint)day, (gint)hour, (gint)minute, 0);
    if (!t || seconds >= 61)
        return false;
    out->interval = false;
    out->us = (g_date_time_to_unix(t) - zone_min * 60) * SECOND + (gint64)(seconds * SECOND + 0.5);
    out->offset_min = zone_min;
    return out->us >= TIME_FIRST * SECOND && out->us < TIME_END * SECOND;
}

/* A point in time without date, as WMI has it for "every day at": 00000000090000.000000+000, or asterisks for the date.  It is read as
 * the interval since midnight UTC. */
static bool
parse_time_of_day(const char *t, gint64 us, gint64 zone_min, struct cim_datetime *out)
{
    const gint64 day = 86400 * SECOND;
    if (strncmp(t, "00000000", 8) != 0 && strncmp(t, "********", 8) != 0)
        return false;
    *out = (struct cim_datetime){.interval = true, .us = ((us - zone_min * 60 * SECOND) % day + day) % day};
    return us < day;
}

/* yyyymmddHHMMSS.mmmmmmsUUU or ddddddddHHMMSS.mmmmmm:000 (DSP0004 2.2.1). */
static bool
parse_dmtf(const char *t, struct cim_datetime *out)
{
    if (strlen(t) != 25 || t[14] != '.' || !strchr("+-:", t[21]))
        return false;
    gint64 hour = digits(t + 8, 2), minute = digits(t + 10, 2), second = digits(t + 12, 2);
    gint64 micro = digits(t + 15, 6), zone = digits(t + 22, 3);
    if (micro < 0 || zone < 0 || hour < 0 || minute < 0 || second < 0 || hour > 23 || minute > 59 || second > 60)
        return false;
    gint64 days = digits(t, 8), us = ((hour * 60 + minute) * 60 + second) * SECOND + micro;
    if (t[21] == ':') {
        *out = (struct cim_datetime){.interval = true, .us = days * 86400 * SECOND + us};
        return days >= 0 && zone == 0 && second < 60;
    }
    if (parse_time_of_day(t, us, t[21] == '-' ? -zone : zone, out))
        return true;
    return make_time(digits(t, 4), digits(t + 4, 2), digits(t + 6, 2), hour, minute, (double)second + (double)micro / 1e6,
                     (gint)(t[21] == '-' ? -zone : zone), out);
}

static bool
parse_zone(const char *t, gint *minutes)
{
    *minutes = 0;
    if (*t == '\0' || strcmp(t, "Z") == 0 || strcmp(t, "z") == 0)
        return true;
    gint64 hour = digits(t + 1, 2), minute = strlen(t) == 6 && t[3] == ':' ? digits(t + 4, 2) : -1;
    if ((*t != '+' && *t != '-') || hour < 0 || hour > 14 || minute < 0 || minute > 59)
        return false;
    *minutes = (gint)(hour * 60 + minute) * (*t == '-' ? -1 : 1);
    return true;
}

/* yyyy-mm-ddTHH:MM:SS[.fraction][zone] */
static bool
parse_xs_datetime(const char *t, struct cim_datetime *out)
{
    if (strlen(t) < 19 || t[4] != '-' || t[7] != '-' || t[10] != 'T' || t[13] != ':' || t[16] != ':' || digits(t + 17, 2) < 0)
        return false;
    const char *end = t + 19;
    double seconds = (double)digits(t + 17, 2), part = 0.1;
    if (*end == '.' && !g_ascii_isdigit(end[1]))
        return false;
    if (*end == '.')
        for (end++; g_ascii_isdigit(*end); end++, part /= 10)
            seconds += part * (*end - '0');
    gint zone;
    return parse_zone(end, &zone) &&
           make_time(digits(t, 4), digits(t + 5, 2), digits(t + 8, 2), digits(t + 11, 2), digits(t + 14, 2), seconds, zone, out);
}

static gint64
unit_seconds(char unit, bool time)
{
    switch (unit) {
    case 'D':
        return time ? 0 : 86400;
    case 'H':
        return time ? 3600 : 0;
    case 'M':
        return time ? 60 : 0; /* months have no fixed length */
    case 'S':
        return time ? 1 : 0;
    default:
        return 0;
    }
}

/* The decimal number at *t, which is moved behind it, in millionths; more digits are dropped.  -1: too large for an interval. */
static gint64
take_number(const char **t)
{
    gint64 n = 0, part = SECOND;
    for (; g_ascii_isdigit(**t); (*t)++)
        n = n < 0 || n > INTERVAL_MAX ? -1 : n * 10 + (**t - '0');
    if (n < 0 || n > INTERVAL_MAX)
        n = -1;
    else
        n *= SECOND;
    if (**t == '.')
        for ((*t)++; g_ascii_isdigit(**t); (*t)++)
            n += n < 0 ? 0 : (**t - '0') * (part /= 10);
    return n;
}

/* xs:duration without years and months. */
static bool
parse_duration(const char *t, struct cim_datetime *out)
{
    bool time = false, any = false;
    gint64 us = 0;
    if (*t++ != 'P')
        return false;
    while (*t) {
        if (*t == 'T' && !time) {
            time = true;
            t++;
            continue;
        }
        if (!g_ascii_isdigit(*t))
            return false;
        gint64 n = take_number(&t), unit = unit_seconds(*t, time), product;
        if (n < 0 || (unit == 0 && (n > 0 || (*t != 'Y' && *t != 'M'))))
            return false;
        if (__builtin_mul_overflow(n, unit, &product) || __builtin_add_overflow(us, product, &us))
            return false;
        any = true;
        t++;
    }
    *out = (struct cim_datetime){.interval = true, .us = us};
    return any && us < INTERVAL_MAX * SECOND;
}

bool
cim_datetime_parse(const char *text, struct cim_datetime *out)
{
    return parse_dmtf(text, out) || parse_xs_datetime(text, out) || parse_duration(text, out);
}

/* Parts of a value, down to the microsecond; before 1970 too. */
struct parts {
    gint year, month, days, hour, minute, second, micro; /* of an interval: days, hour...; of a time: days is the day of the month */
};

static struct parts
split(const struct cim_datetime *t)
{
    gint64 us = t->interval ? MAX(t->us, 0) : t->us, micro = (us % SECOND + SECOND) % SECOND, s = (us - micro) / SECOND;
    struct parts p = {.micro = (gint)micro};
    if (t->interval) {
        p.days = (gint)(s / 86400), p.hour = (gint)(s / 3600 % 24), p.minute = (gint)(s / 60 % 60), p.second = (gint)(s % 60);
        return p;
    }
    g_autoptr(GDateTime) utc = g_date_time_new_from_unix_utc(s);
    p.year = p.month = p.days = 1;
    if (utc) {
        g_date_time_get_ymd(utc, &p.year, &p.month, &p.days);
        p.hour = g_date_time_get_hour(utc), p.minute = g_date_time_get_minute(utc), p.second = g_date_time_get_second(utc);
    }
    return p;
}

char *
cim_datetime_dmtf(const struct cim_datetime *t)
{
    struct parts p = split(t);
    if (t->interval)
        return g_strdup_printf("%08d%02d%02d%02d.%06d:000", p.days, p.hour, p.minute, p.second, p.micro);
    return g_strdup_printf("%04d%02d%02d%02d%02d%02d.%06d+000", p.year, p.month, p.days, p.hour, p.minute, p.second, p.micro);
}

char *
cim_datetime_iso(const struct cim_datetime *t)
{
    struct parts p = split(t);
    char fraction[16] = "";
    if (p.micro)
        g_snprintf(fraction, sizeof fraction, ".%06d", p.micro);
    if (t->interval)
        return g_strdup_printf("P%dDT%dH%dM%d%sS", p.days, p.hour, p.minute, p.second, fraction);
    return g_strdup_printf("%04d-%02d-%02dT%02d:%02d:%02d%sZ", p.year, p.month, p.days, p.hour, p.minute, p.second, fraction);
}
