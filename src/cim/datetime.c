/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cim/value.h"

#include <stdlib.h>
#include <string.h>

#define SECOND G_TIME_SPAN_SECOND

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
    *out = (struct cim_datetime){.us = (g_date_time_to_unix(t) - zone_min * 60) * SECOND + (gint64)(seconds * SECOND + 0.5), .offset_min = zone_min};
    return true;
}

/* yyyymmddHHMMSS.mmmmmmsUUU or ddddddddHHMMSS.mmmmmm:000 (DSP0004 2.2.1). */
static bool
parse_dmtf(const char *t, struct cim_datetime *out)
{
    if (strlen(t) != 25 || t[14] != '.' || !strchr("+-:", t[21]))
        return false;
    gint64 micro = digits(t + 15, 6), zone = digits(t + 22, 3), hour = digits(t + 8, 2), minute = digits(t + 10, 2), second = digits(t + 12, 2);
    if (micro < 0 || zone < 0 || hour < 0 || minute < 0 || second < 0)
        return false;
    if (t[21] == ':') {
        gint64 days = digits(t, 8);
        *out = (struct cim_datetime){.interval = true, .us = ((days * 24 + hour) * 60 + minute) * 60 * SECOND + second * SECOND + micro};
        return days >= 0 && zone == 0 && hour < 24 && minute < 60 && second < 60;
    }
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
    if ((*t != '+' && *t != '-') || hour < 0 || minute < 0)
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
    if (*end == '.')
        for (end++; g_ascii_isdigit(*end); end++, part /= 10)
            seconds += part * (*end - '0');
    gint zone;
    return parse_zone(end, &zone) && make_time(digits(t, 4), digits(t + 5, 2), digits(t + 8, 2), digits(t + 11, 2), digits(t + 14, 2), seconds, zone, out);
}

static double
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

/* xs:duration without years and months. */
static bool
parse_duration(const char *t, struct cim_datetime *out)
{
    bool time = false, any = false;
    double seconds = 0;
    if (*t++ != 'P')
        return false;
    while (*t) {
        if (*t == 'T' && !time) {
            time = true;
            t++;
            continue;
        }
        char *end;
        if (!g_ascii_isdigit(*t))
            return false;
        double n = g_ascii_strtod(t, &end), unit = unit_seconds(*end, time);
        if (end == t || (unit == 0 && !(n == 0 && strchr("YM", *end) && *end)))
            return false;
        seconds += n * unit;
        any = true;
        t = end + 1;
    }
    if (!any || seconds > 8.64e12)
        return false;
    *out = (struct cim_datetime){.interval = true, .us = (gint64)(seconds * SECOND + 0.5)};
    return true;
}

bool
cim_datetime_parse(const char *text, struct cim_datetime *out)
{
    return parse_dmtf(text, out) || parse_xs_datetime(text, out) || parse_duration(text, out);
}

char *
cim_datetime_dmtf(const struct cim_datetime *t)
{
    gint64 us = t->us % SECOND, s = t->us / SECOND;
    if (t->interval)
        return g_strdup_printf("%08d%02d%02d%02d.%06d:000", (int)(s / 86400), (int)(s / 3600 % 24), (int)(s / 60 % 60), (int)(s % 60), (int)us);
    g_autoptr(GDateTime) utc = g_date_time_new_from_unix_utc(s);
    g_autofree char *head = utc ? g_date_time_format(utc, "%Y%m%d%H%M%S") : g_strdup("00010101000000");
    return g_strdup_printf("%s.%06d+000", head, (int)us);
}

char *
cim_datetime_iso(const struct cim_datetime *t)
{
    gint64 us = t->us % SECOND, s = t->us / SECOND;
    if (t->interval) {
        g_autofree char *fraction = us ? g_strdup_printf(".%06d", (int)us) : g_strdup("");
        return g_strdup_printf("P%dDT%dH%dM%d%sS", (int)(s / 86400), (int)(s / 3600 % 24), (int)(s / 60 % 60), (int)(s % 60), fraction);
    }
    g_autoptr(GDateTime) utc = g_date_time_new_from_unix_utc(s);
    g_autofree char *head = utc ? g_date_time_format(utc, "%Y-%m-%dT%H:%M:%S") : g_strdup("0001-01-01T00:00:00");
    return us ? g_strdup_printf("%s.%06dZ", head, (int)us) : g_strdup_printf("%sZ", head);
}
