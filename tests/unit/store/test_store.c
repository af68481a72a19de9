/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/err.h"
#include "base/file.h"
#include "fixture.h"

#include <string.h>

static void
reopen(struct fixture *f)
{
    g_autoptr(GError) err = NULL;
    store_close(f->store);
    f->store = store_open(f->dir, &err);
    g_assert_no_error(err);
}

static GArray *
some_log(struct fixture *f, guint *i)
{
    GArray *logs = store_logs(f->store);
    if (logs->len > 0)
        *i = (guint)g_test_rand_int_range(0, (gint32)logs->len);
    return logs;
}

static void
random_apply(struct fixture *f)
{
    g_autoptr(GError) err = NULL;
    guint i;
    g_autoptr(GArray) logs = some_log(f, &i);
    if (logs->len == 0)
        return;
    const struct store_log *log = &g_array_index(logs, struct store_log, i);
    if (store_apply(f->store, &log->id, NULL, &err)) {
        struct store_log base;
        g_assert_true(store_base(f->store, &base));
        g_assert_true(uuid_equal(&base.id, &log->id));
        g_assert_cmpuint(base.raw_bytes, ==, log->raw_bytes);
    } else {
        g_assert_true(log->fuzzy);
        g_assert_error(err, ERR, ERR_INVALID_STATE);
    }
}

static void
random_consolidate(struct fixture *f)
{
    g_autoptr(GError) err = NULL;
    guint from, to;
    g_autoptr(GArray) logs = some_log(f, &from);
    if (logs->len == 0)
        return;
    to = (guint)g_test_rand_int_range((gint32)from, (gint32)logs->len);
    const struct store_log *first = &g_array_index(logs, struct store_log, from), *last = &g_array_index(logs, struct store_log, to);
    struct store_log merged, gone;
    if (store_consolidate(f->store, &first->id, &last->id, NULL, &err)) {
        g_assert_true(store_find(f->store, &last->id, &merged));
        g_assert_true(uuid_equal(&merged.parent, &first->parent));
        g_assert_cmpint(merged.received_us, ==, last->received_us);
        g_assert_true(from == to || !store_find(f->store, &first->id, &gone));
    } else {
        g_assert_true(last->fuzzy);
        g_assert_error(err, ERR, ERR_INVALID_PARAMETER);
    }
}

static void
random_truncate(struct fixture *f)
{
    g_autoptr(GError) err = NULL;
    guint i;
    struct store_log head;
    g_autoptr(GArray) logs = some_log(f, &i);
    if (logs->len == 0)
        return;
    const struct uuid *id = &g_array_index(logs, struct store_log, i).id;
    store_truncate(f->store, id, &err);
    g_assert_no_error(err);
    g_assert_true(store_head(f->store, &head));
    g_assert_true(uuid_equal(&head.id, id));
    model_rewind(f->model, id);
}

static void
test_model(struct fixture *f, gconstpointer data)
{
    fixture_step(f, true);
    for (int round = 0; round < 60; round++) {
        int what = g_test_rand_int_range(0, 12);
        if (what < 7)
            fixture_step(f, g_test_rand_int_range(0, 5) == 0);
        else if (what < 9)
            random_apply(f);
        else if (what < 10)
            random_consolidate(f);
        else if (what < 11)
            reopen(f);
        else
            random_truncate(f);
        if (round % 4 == 0)
            model_check_store(f->model, f->store);
    }
    reopen(f);
    model_check_store(f->model, f->store);
}

static void
test_latest(struct fixture *f, gconstpointer data)
{
    g_autoptr(GError) err = NULL;
    struct store_log log;

    g_assert_false(store_head(f->store, &log));
    g_assert_null(view_open(f->dir, NULL, &err));
    g_assert_error(err, ERR, ERR_NOT_FOUND);
    g_clear_error(&err);
    fixture_step(f, true);
    g_assert_true(store_head(f->store, &log));
    g_assert_false(store_latest_point(f->store, &log));
    struct version *whole = fixture_step(f, false), *fuzzy = fixture_step(f, true);
    g_assert_true(store_latest_point(f->store, &log) && uuid_equal(&log.id, &whole->id));
    g_assert_true(store_head(f->store, &log) && uuid_equal(&log.id, &fuzzy->id));
    struct view *v = view_open(f->dir, NULL, &err);
    g_assert_no_error(err);
    model_check_view(f->model, v, &whole->id);
    view_close(v);
}

static void
check_section(struct fixture *f, const struct version *v, struct view *view)
{
    g_autoptr(GError) err = NULL;
    size_t len;
    g_autofree char *xml = store_section(f->store, &v->id, LOG_SECTION_DOMAIN_XML, &len, &err);
    g_assert_no_error(err);
    g_assert_true(g_str_has_prefix(xml, "<domain number="));
    g_autofree char *same = view_section(view, LOG_SECTION_DOMAIN_XML, &len, &err);
    g_assert_no_error(err);
    g_assert_cmpstr(xml, ==, same);
    g_assert_null(store_section(f->store, &v->id, LOG_SECTION_NVRAM, &len, &err));
    g_assert_no_error(err);
}

/* The configuration of a point stays when its log is in the base and when its log was merged with others. */
static void
test_sections(struct fixture *f, gconstpointer data)
{
    g_autoptr(GError) err = NULL;
    struct version *a = fixture_step(f, false), *b = fixture_step(f, false), *c = fixture_step(f, false);
    store_apply(f->store, &a->id, NULL, &err);
    g_assert_no_error(err);
    store_consolidate(f->store, &b->id, &c->id, NULL, &err);
    g_assert_no_error(err);
    reopen(f);
    const struct version *left[] = {a, c};
    for (int i = 0; i < 2; i++) {
        struct view *v = view_open(f->dir, &left[i]->id, &err);
        g_assert_no_error(err);
        check_section(f, left[i], v);
        view_close(v);
    }
    g_autofree char *none = store_log_path(f->store, &a->id), *path = store_log_path(f->store, &c->id);
    g_assert_null(none);
    g_assert_true(g_file_test(path, G_FILE_TEST_EXISTS));
    g_assert_cmpuint(store_disk_bytes(f->store), >, 0);
}

/* Who follows the definition need not read logs that have the same. */
static void
test_definition(struct fixture *f, gconstpointer data)
{
    struct hash128 first, second, again;
    struct store_log log;
    struct version *a = fixture_step(f, false);
    g_assert_true(store_definition(f->store, &a->id, &first));
    g_assert_true(store_latest_point(f->store, &log) && !log.grouped);
    struct version *b = fixture_step(f, false); /* another number in it */
    g_assert_true(store_definition(f->store, &b->id, &second));
    g_assert_cmpint(memcmp(&first, &second, sizeof first), !=, 0);
    g_assert_false(store_definition(f->store, &a->id, &again));
    reopen(f);
    g_assert_false(store_definition(f->store, &b->id, &again));
}

static void
test_locked(struct fixture *f, gconstpointer data)
{
    g_autoptr(GError) err = NULL;
    g_assert_null(store_open(f->dir, &err));
    g_assert_error(err, ERR, ERR_IN_USE);
    g_clear_error(&err);
    store_close(f->store);
    g_assert_null(store_create(f->dir, &f->model->vm, "guest", &err));
    g_assert_error(err, ERR, ERR_EXISTS);
    g_clear_error(&err);
    f->store = store_open(f->dir, &err);
    g_assert_no_error(err);
    g_assert_true(uuid_equal(store_vm(f->store), &f->model->vm));
    store_delete(f->store, &err);
    g_assert_no_error(err);
    store_close(f->store);
    g_assert_null(store_open(f->dir, &err));
    g_assert_error(err, ERR, ERR_NOT_FOUND);
    g_clear_error(&err);
    f->store = store_create(f->dir, &f->model->vm, "again", &err);
    g_assert_no_error(err);
}

static void
damage(const char *path, size_t at)
{
    g_autoptr(GError) err = NULL;
    g_autofree char *bytes = NULL;
    size_t len;
    file_read_all(path, 64 << 20, &bytes, &len, &err);
    g_assert_no_error(err);
    bytes[at % len] ^= 0x10;
    file_replace(path, bytes, len, 0600, &err);
    g_assert_no_error(err);
}

static void
test_check(struct fixture *f, gconstpointer data)
{
    g_autoptr(GError) err = NULL;
    struct version *a = fixture_step(f, false), *b = fixture_step(f, false);
    g_autofree char *path = store_log_path(f->store, &b->id);
    g_assert_true(store_check(f->store, NULL, NULL, &err));
    damage(path, 200);
    g_assert_true(store_check(f->store, &a->id, NULL, &err));
    g_assert_false(store_check(f->store, NULL, NULL, &err));
    g_assert_error(err, ERR, ERR_CORRUPT);
    g_assert_nonnull(strstr(err->message, path));
    damage(path, 200);
    g_clear_error(&err);
    gint cancel = 1;
    g_assert_false(store_check(f->store, NULL, &cancel, &err));
    g_assert_error(err, ERR, ERR_CANCELLED);
}

/* A missing log and a damaged store.json are said, not worked around. */
static void
test_damaged(struct fixture *f, gconstpointer data)
{
    g_autoptr(GError) err = NULL;
    fixture_step(f, false);
    struct version *b = fixture_step(f, false);
    fixture_step(f, false);
    g_autofree char *path = store_log_path(f->store, &b->id), *aside = g_strconcat(path, ".aside", NULL);
    g_autofree char *json = g_build_filename(f->dir, "store.json", NULL);
    store_close(f->store);

    file_rename_durably(path, aside, &err);
    g_assert_no_error(err);
    g_assert_null(store_open(f->dir, &err));
    g_assert_error(err, ERR, ERR_CORRUPT);
    g_clear_error(&err);
    g_assert_null(view_open(f->dir, NULL, &err));
    g_assert_error(err, ERR, ERR_CORRUPT);
    g_clear_error(&err);
    file_rename_durably(aside, path, &err);
    g_assert_no_error(err);

    damage(json, 0);
    g_assert_null(store_open(f->dir, &err));
    g_assert_error(err, ERR, ERR_CORRUPT);
    g_clear_error(&err);
    damage(json, 0);
    f->store = store_open(f->dir, &err);
    g_assert_no_error(err);
    model_check_store(f->model, f->store);
}

/* A cancelled merge changes no point; the base is one again when it was repeated. */
static void
test_cancel(struct fixture *f, gconstpointer data)
{
    g_autoptr(GError) err = NULL;
    gint cancel = 1;
    struct store_log log;
    struct version *a = fixture_step(f, false);
    store_apply(f->store, &a->id, NULL, &err);
    g_assert_no_error(err);
    do {
        fixture_step(f, false);
        fixture_step(f, false);
        store_head(f->store, &log);
    } while (log.raw_bytes == 0);
    g_autoptr(GArray) logs = store_logs(f->store);
    g_assert_false(store_consolidate(f->store, &g_array_index(logs, struct store_log, 0).id, &log.id, &cancel, &err));
    g_assert_error(err, ERR, ERR_CANCELLED);
    g_clear_error(&err);
    model_check_store(f->model, f->store);
    g_assert_false(store_apply(f->store, &log.id, &cancel, &err));
    g_assert_error(err, ERR, ERR_CANCELLED);
    g_clear_error(&err);
    g_assert_false(store_base(f->store, &log));
    g_assert_null(view_open(f->dir, &a->id, &err));
    g_assert_error(err, ERR, ERR_NOT_FOUND);
    g_clear_error(&err);
    reopen(f);
    model_check_store(f->model, f->store);
    store_head(f->store, &log);
    store_apply(f->store, &log.id, NULL, &err);
    g_assert_no_error(err);
    g_assert_true(store_base(f->store, &log));
    model_check_store(f->model, f->store);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
#define ADD(name) g_test_add("/store/" #name, struct fixture, NULL, fixture_setup, test_##name, fixture_teardown)
    for (int i = 0; i < 8; i++) {
        g_autofree char *name = g_strdup_printf("/store/model/%d", i);
        g_test_add(name, struct fixture, NULL, fixture_setup, test_model, fixture_teardown);
    }
    ADD(latest);
    ADD(sections);
    ADD(definition);
    ADD(locked);
    ADD(check);
    ADD(damaged);
    ADD(cancel);
    return fixture_run();
}
