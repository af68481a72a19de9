/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/clock.h"
#include "base/file.h"
#include "model.h"
#include "store/pins.h"
#include "store/retention.h"

#include <string.h>

#define MINUTE (G_GINT64_CONSTANT(60) * G_USEC_PER_SEC)
#define HOUR (60 * MINUTE)

#define LAST(logs) g_array_index(logs, struct store_log, (logs)->len - 1)

static char *root;

/* A row: capture times in minutes with an optional @arrival and an optional letter (f fuzzy, p planned, a application-consistent,
 * x pinned; of those that others decide on: g stays, d goes), the rules, and per log what must become of it: P point, M merge, A apply. */
struct row {
    const char *name, *logs;
    unsigned hourly;
    int keep_minutes;
    const char *fates;
    const char *more;
    int cycle_minutes;
};

static const struct row rows[] = {
    {"nothing", "", 3, 0, ""},
    {"only-latest", "0 5 10 15", 0, 0, "AAAP"},
    {"one-slot", "0 5 10 15", 1, 0, "PMMP"},
    {"hourly", "0 30 60 90 120 125", 3, 0, "PMPMPP"},
    {"hourly-window-moves", "0 30 60 90 120 125", 2, 0, "AAPMPP"},
    {"slot-is-not-the-clock-hour", "50 70 109 110 170", 24, 0, "PMMPP"},
    {"keep-every", "0 1 2 3 4 5", 0, 3, "AAAPPP"},
    {"our-clock-set-ahead", "0@0 1@1 2@900 3@901", 0, 3, "APPP"},
    {"our-clock-set-back", "0@100 1@101 2@3 3@4", 0, 3, "PPPP"},
    {"keep-every-and-hourly", "0 30 60 61 62 63", 2, 3, "PMPPPP"},
    {"keep-every-of-all", "0 30 60 61 62 63", 1, 600, "PPPPPP"},
    {"clock-jumps-back", "100 110 10 20 70 80", 24, 0, "PMPMPP"},
    {"clock-jumps-ahead-and-back", "0 10 5000 5010 20 30", 24, 0, "PMPMPP"},
    {"from-the-future", "0@0 10@10 9000@20", 0, 60, "PPP"},
    {"planned", "0 5p 10 15", 5, 0, "PPMP"},
    {"planned-counts", "0 5p 10 70", 2, 0, "APMP"},
    {"planned-without-history", "0 5p 10", 0, 0, "AAP"},
    {"pinned", "0 5x 10 15", 0, 0, "APMP"},
    {"pinned-first", "0x 5 10", 0, 0, "PMP"},
    {"initial-copy", "0f 1f 2f", 2, 0, "AAA"},
    {"initial-copy-done", "0f 1f 2 3", 2, 0, "AAPP"},
    {"fuzzy-waits-for-its-whole", "0 1 2f 3", 0, 0, "AAMP"},
    {"fuzzy-goes-with-its-whole", "0 1f 2 3", 0, 0, "AAAP"},
    {"fuzzy-at-the-end", "0 1 2f 3f", 1, 0, "PPMM"},
    {"fuzzy-starts-no-hour", "0f 0 60f 61 62", 3, 0, "APMPP"},
    {"hour-of-an-application-point", "0 5 10a 15a 60 65 70a 75", 2, 0, "AAPMMMPP"},
    {"application-after-planned", "0p 5a 10", 2, 0, "PMP"},
    {"rule", "0 1 5 6 9 10 11 14 15", 0, 0, "PMPMMPMMP", "every 5min for 20min"},
    {"rule-ends", "0 1 5 6 9 10 11 14 15", 0, 0, "AAAAAPMMP", "every 5min for 7min"},
    {"rule-does-not-slip", "1 4 6", 0, 0, "AAP", "every 5min for 5min"},
    {"rule-of-the-cycle", "1 5 9 15 19 20", 0, 0, "PPPPPP", "every 5min for 1d", 5},
    {"rules-add-up", "0 1 2 60 61 62 63", 0, 0, "PMMPMPP", "every 1h for 1d, all for 2min"},
    {"application-rule", "0 5a 10 15a 20", 0, 0, "APMPP", "application all for 1d"},
    {"application-hourly-rule", "0 5a 10a 65a 70a 75", 0, 0, "APMPMP", "application hourly for 1d"},
    {"planned-in-a-rule", "0 1p 2 3", 0, 0, "PPMP", "hourly for 1d"},
    {"rule-and-clock-back", "100 101 10 11 20 21 22", 0, 0, "PMPMPMP", "every 10min for 30min"},
    {"apart", "0g 5d 60g 65d 70", 0, 0, "PMPMP"},
    {"apart-begins-no-hour", "0d 5 60d 65 70g 80 140", 5, 0, "APMPPMP"},
    {"apart-has-its-hour", "0g 5 10 70 75a 80g 90 150", 5, 0, "PMMMPPMP"},
    {"apart-takes-no-hour", "0 60 120g 180 240g", 1, 0, "AAPPP"},
    {"apart-begins-no-slot", "0d 1 5g 6 10d 11", 0, 0, "APPPMP", "every 5min for 1d"},
    {"apart-newest", "0 5d", 0, 0, "AP"},
    {"rule-and-clock-ahead", "0@0 1@1 10@10 5000@15 5001@16 20@20 21@21", 0, 0, "PMPPMPP", "every 10min for 30min"},
};

static GArray *
parse_logs(const char *text, GHashTable *pinned, GHashTable *apart)
{
    enum { GOES, STAYS_LONG = 2 };
    GArray *logs = g_array_new(FALSE, FALSE, sizeof(struct store_log));
    g_auto(GStrv) words = g_strsplit(text, " ", -1);
    for (guint i = 0; words[i] && *words[i]; i++) {
        char *rest;
        struct store_log log = {.id = uuid_random(), .sequence = i + 1, .kind = LOG_KIND_STANDARD};
        log.capture_us = strtol(words[i], &rest, 10) * MINUTE;
        if (*rest == '@')
            log.received_us = (strtol(rest + 1, &rest, 10) + 1) * MINUTE;
        log.fuzzy = *rest == 'f';
        if (*rest == 'a')
            log.kind = LOG_KIND_APPLICATION;
        if (*rest == 'p')
            log.kind = LOG_KIND_PLANNED;
        if (*rest == 'x')
            g_hash_table_add(pinned, g_memdup2(&log.id, sizeof log.id));
        if (*rest == 'g' || *rest == 'd')
            g_hash_table_insert(apart, g_memdup2(&log.id, sizeof log.id), GUINT_TO_POINTER(*rest == 'g' ? STAYS_LONG : GOES));
        g_array_append_val(logs, log);
    }
    return logs;
}

static void
test_row(gconstpointer data)
{
    const struct row *row = data;
    g_autoptr(GHashTable) pinned = g_hash_table_new_full(uuid_hash, uuid_same, g_free, NULL);
    g_autoptr(GHashTable) apart = retention_stays_new();
    g_autoptr(GArray) logs = parse_logs(row->logs, pinned, apart);
    const struct retention_rules all = {row->hourly, row->keep_minutes * MINUTE, .cycle_us = row->cycle_minutes * MINUTE};
    retention_rules_auto rules = all;
    rules.apart = g_hash_table_ref(apart);
    g_assert_true(rules_parse(row->more, &rules.more, NULL));
    g_autoptr(GArray) fates = retention_plan(logs, &rules, pinned);
    g_autoptr(GString) got = g_string_new(NULL);
    for (guint i = 0; i < fates->len; i++)
        g_string_append_c(got, "PMA"[g_array_index(fates, enum retention_fate, i)]);
    g_assert_cmpstr(got->str, ==, row->fates);
}

/* A log that claims to come from the future does not stay until then. */
static void
test_arrival(void)
{
    struct store_log log = {.id = uuid_random(), .capture_us = 900 * HOUR, .received_us = HOUR};
    g_autoptr(GArray) logs = g_array_new(FALSE, FALSE, sizeof log);
    struct retention_rules rules = {0, 10 * MINUTE, .cycle_us = 0};
    g_array_append_val(logs, log);
    log.capture_us = log.received_us = 3 * HOUR;
    g_array_append_val(logs, log);
    log.capture_us = log.received_us = 4 * HOUR;
    g_array_append_val(logs, log);
    g_autoptr(GArray) fates = retention_plan(logs, &rules, NULL);
    g_assert_cmpint(g_array_index(fates, enum retention_fate, 0), ==, RETENTION_APPLY);
    g_assert_cmpint(g_array_index(fates, enum retention_fate, 2), ==, RETENTION_POINT);
}

/* Days of cycles with housekeeping now and then, on paper: logs whose fate is to vanish do.  The clocks may be wrong meanwhile. */
struct days {
    GArray *logs;
    struct retention_rules rules;
    gint64 begin, now;       /* what time it really is */
    gint64 ours, theirs;     /* by how much the replica's and the primary's clock are wrong */
    bool ours_errs;          /* which of them may be: against both, at different times, nothing helps once the logs between are gone */
};

static void
arrive(struct days *d)
{
    struct store_log log = {.id = uuid_random(), .sequence = d->logs->len ? LAST(d->logs).sequence + 1 : 1, .kind = LOG_KIND_STANDARD};
    log.capture_us = d->now + d->theirs;
    log.received_us = d->now + d->ours + G_USEC_PER_SEC;
    if (g_test_rand_int_range(0, 20) == 0)
        log.kind = LOG_KIND_APPLICATION;
    g_array_append_val(d->logs, log);
}

static void
vanish(struct days *d)
{
    g_autoptr(GArray) fates = retention_plan(d->logs, &d->rules, NULL);
    g_autoptr(GArray) left = g_array_new(FALSE, FALSE, sizeof(struct store_log));
    for (guint i = 0; i < fates->len; i++)
        if (g_array_index(fates, enum retention_fate, i) == RETENTION_POINT)
            g_array_append_val(left, g_array_index(d->logs, struct store_log, i));
    g_array_set_size(d->logs, 0);
    if (left->len)
        g_array_append_vals(d->logs, left->data, left->len);
}

/* Between two neighbours that a rule still wants there is never more than a few of its spaces, whatever one clock did. */
static void
check_gaps(const struct days *d, const struct rule *r, gint64 cycle, gint64 spaces)
{
    gint64 previous = MAX(d->begin, d->now - r->for_us + r->every_us);
    for (guint i = 0; i < d->logs->len; i++) {
        const struct store_log *log = &g_array_index(d->logs, struct store_log, i);
        const gint64 time = (gint64)log->epoch; /* when it really was */
        if (time < previous)
            continue;
        g_assert_cmpint(time - previous, <=, spaces * MAX(r->every_us, cycle) + 3 * cycle);
        previous = time;
    }
    g_assert_cmpint(d->now - previous, <=, 2 * cycle);
}

static void
random_clock(struct days *d)
{
    gint64 *clock = d->ours_errs ? &d->ours : &d->theirs;
    const bool wrong = d->ours || d->theirs;
    d->ours = d->theirs = 0;
    if (!wrong)
        *clock = g_test_rand_int_range(-100, 100) * HOUR;
}

static void
run_days(gint64 cycle, bool clocks)
{
    struct days d = {g_array_new(FALSE, FALSE, sizeof(struct store_log)), .begin = 20000 * 24 * HOUR, .ours_errs = g_test_rand_bit()};
    g_assert_true(rules_parse("every 10min for 2h, hourly for 1d, daily for 3d", &d.rules.more, NULL));
    d.now = d.begin;
    for (guint i = 0; d.now < d.begin + 5 * 24 * HOUR; i++) {
        arrive(&d);
        g_array_index(d.logs, struct store_log, d.logs->len - 1).epoch = (uint64_t)d.now;
        if (clocks && g_test_rand_int_range(0, 200) == 0)
            random_clock(&d);
        if (g_test_rand_int_range(0, 10) == 0)
            vanish(&d);
        if (i % 50 == 49)
            for (guint n = 0; n < d.rules.more.count; n++)
                check_gaps(&d, &d.rules.more.rule[n], cycle, clocks ? 3 : 1);
        d.now += cycle;
    }
    vanish(&d);
    if (!clocks)
        g_assert_cmpuint(d.logs->len, <=, 13 + 25 + 4 + 2);
    g_array_unref(d.logs);
}

static void
test_gaps(void)
{
    run_days(MINUTE, false);
    run_days(7 * MINUTE, false);
}

static void
test_clocks(void)
{
    for (int i = 0; i < 5; i++)
        run_days(3 * MINUTE, true);
}

static guint
work_off(struct store *s, const struct retention_rules *rules)
{
    g_autoptr(GError) err = NULL;
    bool more = true;
    guint steps = 0;
    while (more) {
        retention_step(s, rules, NULL, 8, NULL, &more, &err);
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
    struct retention_rules rules = {4, 90 * MINUTE, .cycle_us = 0};
    struct store_log first;
    g_assert_no_error(err);
    m->fixed_size = true;
    model_ingest(m, s, model_step(m, true));
    for (int i = 0; i < 150; i++) {
        m->capture_us += 5 * MINUTE;
        clock_shift_for_test(5 * MINUTE, 0);
        model_ingest(m, s, model_step(m, i % 40 == 39));
        work_off(s, &rules);
        g_autoptr(GArray) points = retention_points(s, &rules);
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
    clock_shift_for_test(-150 * 5 * MINUTE, 0);
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
    struct retention_rules rules = {0};
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
        work_off(s, &rules);
    }
    model_check_view(m, view, &v->id);
    view_close(view);
    g_autoptr(GArray) logs = store_logs(s);
    g_assert_cmpuint(logs->len, <, 20);
    work_off(s, &rules);
    g_autoptr(GArray) left = store_logs(s);
    g_autoptr(GArray) points = retention_points(s, &rules);
    g_assert_cmpuint(left->len, ==, 1);
    g_assert_cmpuint(points->len, ==, 0);
    g_assert_true(store_base(s, &base));
    model_check_store(m, s);
    store_close(s);
    model_free(m);
}

/* The oldest that may go, one at a time; what is left is right, and the pinned one and the newest stay. */
static void
test_give_up(void)
{
    g_autoptr(GError) err = NULL;
    g_autofree char *dir = g_build_filename(root, "give-up", NULL);
    struct model *m = model_new(root);
    struct store *s = store_create(dir, &m->vm, "guest", &err);
    struct retention_rules rules = {.keep_every_us = 24 * HOUR};
    struct store_log gone, log;
    struct uuid ids[8];
    bool found = true;
    g_assert_no_error(err);
    for (int i = 0; i < 8; i++) {
        struct version *v = model_step(m, i == 5);
        model_ingest(m, s, v);
        ids[i] = v->id;
    }
    g_assert_true(store_pin(s, &ids[2], true, &err));
    static const int order[] = {0, 1, 3, 4, 6};
    for (guint i = 0; i < G_N_ELEMENTS(order); i++) {
        g_assert_true(retention_give_up(s, &rules, NULL, NULL, &gone, &found, &err));
        g_assert_no_error(err);
        g_assert_true(found && uuid_equal(&gone.id, &ids[order[i]]));
        g_assert_false(store_find(s, &gone.id, &log));
        g_assert_true(store_find(s, &ids[2], &log));
        model_check_store(m, s);
    }
    g_assert_true(retention_give_up(s, &rules, NULL, NULL, &gone, &found, &err));
    g_assert_false(found);
    g_assert_true(store_pin(s, &ids[2], false, &err));
    g_assert_true(retention_give_up(s, &rules, NULL, NULL, &gone, &found, &err));
    g_assert_true(found && uuid_equal(&gone.id, &ids[2]));
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
    g_test_add_func("/retention/gaps", test_gaps);
    g_test_add_func("/retention/clocks", test_clocks);
    g_test_add_func("/retention/days", test_days);
    g_test_add_func("/retention/blocked", test_blocked);
    g_test_add_func("/retention/give-up", test_give_up);
    int failed = g_test_run();
    file_remove_tree(root, NULL);
    g_free(root);
    return failed;
}
