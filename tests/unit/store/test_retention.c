/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/file.h"
#include "model.h"
#include "store/retention.h"

#include <string.h>

#define MINUTE (G_GINT64_CONSTANT(60) * G_USEC_PER_SEC)
#define HOUR (60 * MINUTE)

static char *root;

/* A row: capture times in minutes with an optional letter (f fuzzy, p planned, x pinned), the rules, now in minutes, and per log what must
 * become of it: P point, M merge, A apply. */
struct row {
    const char *name, *logs;
    unsigned hourly;
    int keep_minutes, now_minutes;
    const char *fates;
};

static const struct row rows[] = {
    {"nothing", "", 3, 0, 0, ""},
    {"only-latest", "0 5 10 15", 0, 0, 20, "AAAP"},
    {"one-slot", "0 5 10 15", 1, 0, 20, "PMMP"},
    {"hourly", "0 30 60 90 120 125", 3, 0, 130, "PMPMPP"},
    {"hourly-window-moves", "0 30 60 90 120 125", 2, 0, 130, "AAPMPP"},
    {"slot-is-not-the-clock-hour", "50 70 109 110 170", 24, 0, 171, "PMMPP"},
    {"keep-every", "0 1 2 3 4 5", 0, 3, 6, "AAAAPP"},
    {"keep-every-and-hourly", "0 30 60 61 62 63", 2, 3, 64, "PMPMPP"},
    {"keep-every-of-all", "0 30 60 61 62 63", 1, 600, 64, "PPPPPP"},
    {"clock-jumps-back", "100 110 10 20 70 80", 24, 0, 81, "PMPMPP"},
    {"clock-jumps-ahead-and-back", "0 10 5000 5010 20 30", 24, 0, 31, "PMPMPP"},
    {"from-the-future", "0 10 9000", 0, 60, 20, "PPP"},
    {"planned", "0 5p 10 15", 5, 0, 20, "PPMP"},
    {"planned-counts", "0 5p 10 70", 2, 0, 71, "APMP"},
    {"planned-without-history", "0 5p 10", 0, 0, 11, "AAP"},
    {"pinned", "0 5x 10 15", 0, 0, 20, "APMP"},
    {"pinned-first", "0x 5 10", 0, 0, 20, "PMP"},
    {"initial-copy", "0f 1f 2f", 2, 0, 3, "AAA"},
    {"initial-copy-done", "0f 1f 2 3", 2, 0, 4, "AAPP"},
    {"fuzzy-waits-for-its-whole", "0 1 2f 3", 0, 0, 4, "AAMP"},
    {"fuzzy-goes-with-its-whole", "0 1f 2 3", 0, 0, 4, "AAAP"},
    {"fuzzy-at-the-end", "0 1 2f 3f", 1, 0, 4, "PPMM"},
    {"fuzzy-starts-no-hour", "0f 0 60f 61 62", 3, 0, 63, "APMPP"},
};

static GArray *
parse_logs(const char *text, GHashTable *pinned)
{
    GArray *logs = g_array_new(FALSE, FALSE, sizeof(struct store_log));
    g_auto(GStrv) words = g_strsplit(text, " ", -1);
    for (guint i = 0; words[i] && *words[i]; i++) {
        char *rest;
        struct store_log log = {.id = uuid_random(), .sequence = i + 1, .kind = LOG_KIND_STANDARD};
        log.capture_us = strtol(words[i], &rest, 10) * MINUTE;
        log.fuzzy = *rest == 'f';
        if (*rest == 'p')
            log.kind = LOG_KIND_PLANNED;
        if (*rest == 'x')
            g_hash_table_add(pinned, g_memdup2(&log.id, sizeof log.id));
        g_array_append_val(logs, log);
    }
    return logs;
}

static void
test_row(gconstpointer data)
{
    const struct row *row = data;
    g_autoptr(GHashTable) pinned = g_hash_table_new_full(uuid_hash, uuid_same, g_free, NULL);
    g_autoptr(GArray) logs = parse_logs(row->logs, pinned);
    struct retention_rules rules = {row->hourly, row->keep_minutes * MINUTE};
    g_autoptr(GArray) fates = retention_plan(logs, &rules, row->now_minutes * MINUTE, pinned);
    g_autoptr(GString) got = g_string_new(NULL);
    for (guint i = 0; i < fates->len; i++)
        g_string_append_c(got, "PMA"[g_array_index(fates, enum retention_fate, i)]);
    g_assert_cmpstr(got->str, ==, row->fates);
}

/* A log that claims to come from the future is as old as its arrival. */
static void
test_arrival(void)
{
    struct store_log log = {.id = uuid_random(), .capture_us = 900 * HOUR, .received_us = HOUR};
    g_autoptr(GArray) logs = g_array_new(FALSE, FALSE, sizeof log);
    struct retention_rules rules = {0, 10 * MINUTE};
    g_array_append_val(logs, log);
    log.capture_us = log.received_us = 3 * HOUR;
    g_array_append_val(logs, log);
    g_autoptr(GArray) fates = retention_plan(logs, &rules, 3 * HOUR, NULL);
    g_assert_cmpint(g_array_index(fates, enum retention_fate, 0), ==, RETENTION_APPLY);
    g_assert_cmpint(g_array_index(fates, enum retention_fate, 1), ==, RETENTION_POINT);
}

static guint
work_off(struct store *s, const struct retention_rules *rules, gint64 now)
{
    g_autoptr(GError) err = NULL;
    bool more = true;
    guint steps = 0;
    while (more) {
        retention_step(s, rules, now, NULL, 8, NULL, &more, &err);
        g_assert_no_error(err);
        g_assert_cmpuint(++steps, <, 100);
    }
    return steps;
}

/* Days of cycles through a real store: the points that the rules promise are there and right, and little else. */
static void
test_days(void)
{
    g_autoptr(GError) err = NULL;
    g_autofree char *dir = g_build_filename(root, "days", NULL);
    struct model *m = model_new(root);
    struct store *s = store_create(dir, &m->vm, "guest", &err);
    struct retention_rules rules = {4, 90 * MINUTE};
    struct store_log first;
    g_assert_no_error(err);
    m->fixed_size = true;
    model_ingest(m, s, model_step(m, true));
    for (int i = 0; i < 150; i++) {
        m->capture_us += 5 * MINUTE;
        model_ingest(m, s, model_step(m, i % 40 == 39));
        work_off(s, &rules, m->capture_us);
        g_autoptr(GArray) points = retention_points(s, &rules, m->capture_us);
        guint whole = (guint)MIN(i + 1 - (i + 1) / 40, 15);
        g_assert_cmpuint(points->len, >=, whole);
        g_assert_cmpuint(points->len, <=, 30);
        g_autoptr(GArray) logs = store_logs(s);
        g_assert_cmpuint(logs->len, <=, points->len + 16);
        first = g_array_index(points, struct store_log, 0);
    }
    g_assert_cmpint(m->capture_us - first.capture_us, >=, 3 * HOUR);
    g_assert_cmpint(m->capture_us - first.capture_us, <=, 6 * HOUR);
    model_check_store(m, s);
    store_close(s);
    model_free(m);
}

/* While a point on the base is open nothing can be applied, yet the logs do not pile up. */
static void
test_blocked(void)
{
    g_autoptr(GError) err = NULL;
    g_autofree char *dir = g_build_filename(root, "blocked", NULL);
    struct model *m = model_new(root);
    struct store *s = store_create(dir, &m->vm, "guest", &err);
    struct retention_rules rules = {0, 0};
    struct store_log base;
    g_assert_no_error(err);
    struct version *v = model_step(m, false);
    model_ingest(m, s, v);
    store_apply(s, &v->id, NULL, &err);
    g_assert_no_error(err);
    struct view *view = view_open(dir, &v->id, &err);
    g_assert_no_error(err);
    for (int i = 0; i < 40; i++) {
        model_ingest(m, s, model_step(m, false));
        work_off(s, &rules, m->capture_us);
    }
    model_check_view(m, view, &v->id);
    view_close(view);
    g_autoptr(GArray) logs = store_logs(s);
    g_assert_cmpuint(logs->len, <, 20);
    work_off(s, &rules, m->capture_us);
    g_autoptr(GArray) left = store_logs(s);
    g_autoptr(GArray) points = retention_points(s, &rules, m->capture_us);
    g_assert_cmpuint(left->len, ==, 1);
    g_assert_cmpuint(points->len, ==, 0);
    g_assert_true(store_base(s, &base));
    model_check_store(m, s);
    store_close(s);
    model_free(m);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    root = temporary_folder();
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autofree char *name = g_strconcat("/retention/", rows[i].name, NULL);
        g_test_add_data_func(name, &rows[i], test_row);
    }
    g_test_add_func("/retention/arrival", test_arrival);
    g_test_add_func("/retention/days", test_days);
    g_test_add_func("/retention/blocked", test_blocked);
    int failed = g_test_run();
    file_remove_tree(root, NULL);
    g_free(root);
    return failed;
}
