/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/rates.h"

#include "base/err.h"

#include <stdlib.h>
#include <string.h>

static const struct row {
    const char *text, *again; /* again: in the one form; or */
    const char *complaint;    /* a part of the message */
} rows[] = {
    {"", "", NULL},
    {"unlimited", "unlimited", NULL},
    {"5000000", "5000000B", NULL},
    {"20MiB; 08:00-18:00 mon-fri 2MiB; 22:00-06:00 unlimited", "20MiB; 08:00-18:00 mon-fri 2MiB; 22:00-06:00 unlimited", NULL},
    {"100 Mbit/s;sat,SUN 1gib/s", "12500000B; sat-sun 1GiB", NULL},
    {"fri-mon 2048", "mon,fri-sun 2KiB", NULL},
    {"00:00-24:00 mon-sun 1 kB; 23:59-24:00 8 kbit", NULL, "must be 1024"},
    {"00:00-24:00 mon-sun 2 kB", "2000B", NULL},
    {"1MiB;", NULL, "ends where a rate"},
    {"08:00-18:00", NULL, "ends where a rate"},
    {"1MiB 2MiB", NULL, "'2MiB' at position 6 where ';' or the end"},
    {"1MiB; 8:00-9:00 2MiB", NULL, "'8:00-9:00' at position 7 where hours"},
    {"08:00-08:00 2MiB", NULL, "'08:00-08:00' at position 1 where hours that are not empty"},
    {"08:00-24:01 2MiB", NULL, "where hours"},
    {"24:00-08:00 2MiB", NULL, "where hours"},
    {"08:00-09:60 2MiB", NULL, "where hours"},
    {"08:00-18:00 mon-fry 2MiB", NULL, "'mon-fry' at position 13 where days"},
    {"mon, 2MiB", NULL, "'mon,' at position 1 where days"},
    {"monday 2MiB", NULL, "'monday' at position 1 where days"},
    {"2 MiX/s", NULL, "'MiX/s' at position 3 where a rate"},
    {"2MiX", NULL, "'2MiX' at position 1 where a rate"},
    {"fast", NULL, "'fast' at position 1 where a rate"},
    {"0", NULL, "must be 1024"},
    {"99999999999999999999GiB", NULL, "must be 1024"},
    {"\xff", NULL, "UTF-8"},
};

static void
test_row(gconstpointer data)
{
    const struct row *row = data;
    g_autoptr(GError) err = NULL;
    struct rates rates;
    const bool ok = rates_parse(row->text, &rates, &err);
    if (row->complaint) {
        g_assert_false(ok);
        g_assert_true(err_is(err, ERR_INVALID_PARAMETER));
        g_test_message("%s", err->message);
        g_assert_nonnull(strstr(err->message, row->complaint));
        return;
    }
    g_assert_no_error(err);
    g_autofree char *again = rates_text(&rates);
    g_assert_cmpstr(again, ==, row->again);
}

static void
at(const char *text, int day, int hour, int minute, guint64 wanted)
{
    struct rates rates;
    const struct tm local = {.tm_wday = day, .tm_hour = hour, .tm_min = minute};
    g_assert_true(rates_parse(text, &rates, NULL));
    g_assert_cmpuint(rates_at(&rates, &local), ==, wanted);
}

enum { SUN, MON, TUE, WED, THU, FRI, SAT };

static void
test_match(void)
{
    static const char WORK[] = "20MiB; 08:00-18:00 mon-fri 2MiB; 22:00-06:00 unlimited";
    at("", MON, 12, 0, 0);
    at(WORK, MON, 7, 59, 20 << 20);
    at(WORK, MON, 8, 0, 2 << 20);
    at(WORK, FRI, 17, 59, 2 << 20);
    at(WORK, FRI, 18, 0, 20 << 20);
    at(WORK, SAT, 12, 0, 20 << 20);
    at(WORK, SAT, 22, 0, 0);
    at(WORK, SUN, 5, 59, 0);
    at(WORK, SUN, 6, 0, 20 << 20);
    at("08:00-18:00 1MiB; 12:00-13:00 2MiB", TUE, 12, 30, 2 << 20); /* the last that matches wins */
    at("12:00-13:00 2MiB; 08:00-18:00 1MiB", TUE, 12, 30, 1 << 20);
    at("08:00-18:00 1MiB", TUE, 18, 0, 0); /* nothing matches */
}

/* A night belongs to the day on which it begins. */
static void
test_midnight(void)
{
    static const char NIGHT[] = "1MiB; 22:00-06:00 fri,sun 4MiB";
    at(NIGHT, FRI, 5, 0, 1 << 20);
    at(NIGHT, FRI, 22, 0, 4 << 20);
    at(NIGHT, SAT, 5, 59, 4 << 20);
    at(NIGHT, SAT, 22, 0, 1 << 20);
    at(NIGHT, SUN, 23, 59, 4 << 20);
    at(NIGHT, MON, 0, 0, 4 << 20); /* over the end of the week */
    at(NIGHT, MON, 6, 0, 1 << 20);
    at("1MiB; 22:00-00:00 mon 4MiB", TUE, 0, 0, 1 << 20);
    at("1MiB; 22:00-24:00 mon 4MiB", MON, 23, 59, 4 << 20);
}

/* The hour between 2 and 3 is skipped in March and comes twice in October. */
static void
test_summer_time(void)
{
    struct rates rates;
    guint skipped = 0, twice = 0;
    g_assert_true(rates_parse("1MiB; 02:00-03:00 4MiB", &rates, NULL));
    setenv("TZ", "CET-1CEST,M3.5.0,M10.5.0/3", 1);
    tzset();
    for (time_t minute = 0; minute < 24 * 60; minute++) {
        const time_t march = 1774738800 + minute * 60, october = 1792879200 + minute * 60; /* 2026-03-29 00:00, 2026-10-25 00:00 there */
        struct tm local;
        localtime_r(&march, &local);
        skipped += rates_at(&rates, &local) == 4 << 20;
        localtime_r(&october, &local);
        twice += rates_at(&rates, &local) == 4 << 20;
    }
    g_assert_cmpuint(skipped, ==, 0);
    g_assert_cmpuint(twice, ==, 120);
}

static void
test_limits(void)
{
    g_autoptr(GString) text = g_string_new("1MiB");
    struct rates rates;
    g_autoptr(GError) err = NULL;
    for (int i = 1; i < RATES_MAX; i++)
        g_string_append(text, ";1MiB");
    g_assert_true(rates_parse(text->str, &rates, &err));
    g_string_append(text, ";1MiB");
    g_assert_false(rates_parse(text->str, &rates, &err));
    g_assert_nonnull(strstr(err->message, "more than 16"));
    rates_always(&rates, 0);
    g_assert_cmpuint(rates.count, ==, 0);
    g_assert_true(rates_parse(NULL, &rates, NULL));
    g_assert_cmpuint(rates_now(&rates), ==, 0);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    for (guint i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autofree char *name = g_strdup_printf("/rates/text/%u", i);
        g_test_add_data_func(name, &rows[i], test_row);
    }
    g_test_add_func("/rates/match", test_match);
    g_test_add_func("/rates/midnight", test_midnight);
    g_test_add_func("/rates/summer-time", test_summer_time);
    g_test_add_func("/rates/limits", test_limits);
    return g_test_run();
}
