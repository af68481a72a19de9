/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "store/rules.h"

#include "base/err.h"

#include <string.h>

struct row {
    const char *text, *again; /* again: in the one form; or */
    const char *complaint;    /* a part of the message */
};

static const struct row rows[] = {
    {"", "", NULL},
    {" \t ", "", NULL},
    {"every 10s for 1h, every 5min for 24h, daily for 30d", "every 10s for 1h, every 5min for 1d, daily for 30d", NULL},
    {"application every 1h for 7d", "application every 1h for 7d", NULL},
    {"application all for 1w,all for 90 s", "application all for 7d, all for 90s", NULL},
    {"hourly for 1d,weekly for 52w", "every 1h for 1d, weekly for 364d", NULL},
    {"every 86400s for 48H", "daily for 2d", NULL},
    {"every 90min for 120min", "every 90min for 2h", NULL},
    {"daily", NULL, "end where 'for' should stand"},
    {"daily for", NULL, "end where a time"},
    {"daily for 3", NULL, "end where a unit"},
    {"daily for 3x", NULL, "'3x' at position 11 where a time"},
    {"daily for 3 days", NULL, "'days' at position 13 where a unit"},
    {"daily for ten d", NULL, "'ten' at position 11 where a time"},
    {"daily for 30d,", NULL, "end where 'every'"},
    {"daily for 30d every 1h for 2h", NULL, "'every' at position 15 where ','"},
    {"monthly for 30d", NULL, "'monthly' at position 1 where 'every'"},
    {"application for 30d", NULL, "'for' at position 13 where 'every'"},
    {"every 5m for 1h", NULL, "minutes or months"},
    {"every 0s for 1h", NULL, "must be 1s to 366d"},
    {"every 367d for 400d", NULL, "must be 1s to 366d"},
    {"daily for 36501d", NULL, "must be 1s to 36500d"},
    {"daily for 99999999999999999999999d", NULL, "must be 1s to 36500d"},
    {"every 1h for 5min", NULL, "would keep none"},
    {"daily for -1d", NULL, "'-1d' at position 11"},
    {"every \xff for 1h", NULL, "UTF-8"},
    {"every \xc3\xa4 for 1h", NULL, "'\xc3\xa4' at position 7"},
};

static void
test_row(gconstpointer data)
{
    const struct row *row = data;
    g_autoptr(GError) err = NULL;
    struct rules rules;
    const bool ok = rules_parse(row->text, &rules, &err);
    if (row->complaint) {
        g_assert_false(ok);
        g_assert_true(err_is(err, ERR_INVALID_PARAMETER));
        g_assert_nonnull(strstr(err->message, row->complaint));
        g_assert_true(g_str_has_suffix(err->message, "."));
        return;
    }
    g_assert_no_error(err);
    g_autofree char *again = rules_text(&rules);
    g_assert_cmpstr(again, ==, row->again);
}

static void
test_none(void)
{
    struct rules rules;
    g_assert_true(rules_parse(NULL, &rules, NULL));
    g_assert_cmpuint(rules.count, ==, 0);
}

static void
test_many(void)
{
    g_autoptr(GString) text = g_string_new("all for 1h");
    struct rules rules;
    g_autoptr(GError) err = NULL;
    for (int i = 1; i < RULES_MAX; i++)
        g_string_append(text, ", all for 1h");
    g_assert_true(rules_parse(text->str, &rules, &err));
    g_string_append(text, ", all for 1h");
    g_assert_false(rules_parse(text->str, &rules, &err));
    g_assert_nonnull(strstr(err->message, "more than 16"));
    g_autofree char *big = g_strnfill(5000, 'a');
    g_assert_false(rules_parse(big, &rules, NULL));
}

/* Whatever can be written reads as the same. */
static void
test_round(void)
{
    static const gint64 units[] = {1, 60, 3600, 86400};
    for (int i = 0; i < 2000; i++) {
        struct rules rules = {.count = (guint)g_test_rand_int_range(1, RULES_MAX + 1)}, again;
        for (guint n = 0; n < rules.count; n++) {
            struct rule *r = &rules.rule[n];
            r->application = g_test_rand_bit();
            r->every_us = g_test_rand_int_range(0, 300) * units[g_test_rand_int_range(0, 4)] * G_USEC_PER_SEC;
            r->for_us = r->every_us + g_test_rand_int_range(1, 300) * units[g_test_rand_int_range(0, 4)] * G_USEC_PER_SEC;
        }
        g_autofree char *text = rules_text(&rules);
        g_assert_true(rules_parse(text, &again, NULL));
        g_autofree char *second = rules_text(&again);
        g_assert_cmpstr(text, ==, second);
        for (guint n = 0; n < rules.count; n++) {
            g_assert_true(rules.rule[n].application == again.rule[n].application);
            g_assert_cmpint(rules.rule[n].every_us, ==, again.rule[n].every_us);
            g_assert_cmpint(rules.rule[n].for_us, ==, again.rule[n].for_us);
        }
    }
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autofree char *name = g_strdup_printf("/rules/%zu", i);
        g_test_add_data_func(name, &rows[i], test_row);
    }
    g_test_add_func("/rules/none", test_none);
    g_test_add_func("/rules/many", test_many);
    g_test_add_func("/rules/round", test_round);
    return g_test_run();
}
