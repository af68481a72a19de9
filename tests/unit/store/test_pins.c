/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "store/pins.h"

#include "base/err.h"
#include "base/file.h"
#include "model.h"
#include "store/retention.h"

#include <string.h>

#define HOUR (G_GINT64_CONSTANT(3600) * G_USEC_PER_SEC)
#define DAY (24 * HOUR)
enum { LOGS = 6 };

static char *root;

struct fixture {
    char *dir;
    struct model *model;
    struct store *s;
    struct uuid id[LOGS];
};

static void
setup(struct fixture *f, gconstpointer data)
{
    g_autoptr(GError) err = NULL;
    f->dir = g_build_filename(root, "store", NULL);
    f->model = model_new(root);
    f->s = store_create(f->dir, &f->model->vm, "guest", &err);
    g_assert_no_error(err);
    for (int i = 0; i < LOGS; i++) {
        struct version *v = model_step(f->model, false);
        model_ingest(f->model, f->s, v);
        f->id[i] = v->id;
    }
    store_apply(f->s, &f->id[0], NULL, &err);
    g_assert_no_error(err);
}

static void
teardown(struct fixture *f, gconstpointer data)
{
    store_close(f->s);
    file_remove_tree(f->dir, NULL);
    model_free(f->model);
    g_free(f->dir);
}

static void
reopen(struct fixture *f)
{
    g_autoptr(GError) err = NULL;
    store_close(f->s);
    f->s = store_open(f->dir, &err);
    g_assert_no_error(err);
}

/* Everything that rules without any point would take. */
static void
retain(struct fixture *f)
{
    const struct retention_rules none = {0};
    g_autoptr(GError) err = NULL;
    bool more = true;
    while (more) {
        retention_step(f->s, &none, NULL, 8, NULL, &more, &err);
        g_assert_no_error(err);
    }
    model_check_store(f->model, f->s);
}

static bool
there(struct fixture *f, int i)
{
    struct store_log log;
    return store_find(f->s, &f->id[i], &log);
}

static void
pin(struct fixture *f, int i, bool on)
{
    g_autoptr(GError) err = NULL;
    store_pin(f->s, &f->id[i], on, &err);
    g_assert_no_error(err);
}

static void
protect(struct fixture *f, int i, gint64 us)
{
    g_autoptr(GError) err = NULL;
    store_protect(f->s, &f->id[i], clock_wall_us() + us, &err);
    g_assert_no_error(err);
}

#define REFUSED(call, code) \
    do { \
        g_autoptr(GError) why = NULL; \
        g_assert_false(call); \
        if (!err_is(why, code)) \
            g_error("refused otherwise: %s", why->message); \
    } while (0)

static void
test_pinned(struct fixture *f, gconstpointer data)
{
    const struct retention_rules none = {0};
    struct store_pin out;
    pin(f, 2, true);
    pin(f, 0, true); /* the base */
    retain(f);
    reopen(f);
    retain(f);
    g_assert_true(there(f, 0) && !there(f, 1) && there(f, 2) && there(f, LOGS - 1));
    g_assert_true(store_pin_of(f->s, &f->id[2], &out));
    g_assert_true(out.pinned && out.until_us == 0);
    g_autoptr(GArray) points = retention_points(f->s, &none);
    g_assert_cmpuint(points->len, ==, 2); /* what is pinned is seen, though the rules keep no points */
    pin(f, 0, false);
    pin(f, 2, false);
    pin(f, 2, false);
    retain(f);
    g_assert_true(!there(f, 0) && !there(f, 2) && there(f, LOGS - 1));
}

static void
test_unknown(struct fixture *f, gconstpointer data)
{
    const struct uuid other = uuid_random();
    struct version *v = model_step(f->model, true);
    model_ingest(f->model, f->s, v);
    REFUSED(store_pin(f->s, &other, true, &why), ERR_NOT_FOUND);
    REFUSED(store_pin(f->s, &v->id, true, &why), ERR_NOT_FOUND); /* fuzzy: no point */
    REFUSED(store_protect(f->s, &other, clock_wall_us() + DAY, &why), ERR_NOT_FOUND);
}

/* Nothing that the store offers takes it. */
static void
test_protected(struct fixture *f, gconstpointer data)
{
    GError *err = NULL;
    protect(f, 2, 10 * DAY);
    pin(f, 2, false);
    store_unpin_all(f->s, &err);
    g_assert_no_error(err);
    retain(f);
    g_assert_true(there(f, 2));
    REFUSED(store_apply(f->s, &f->id[LOGS - 1], NULL, &why), ERR_IN_USE);
    REFUSED(store_delete(f->s, &why), ERR_INVALID_STATE);
    REFUSED(store_refuse_protected(f->s, "A test", &why), ERR_INVALID_STATE);
    reopen(f);
    retain(f);
    REFUSED(store_truncate(f->s, &f->id[0], &why), ERR_NOT_FOUND);
    REFUSED(store_consolidate(f->s, &f->id[2], &f->id[LOGS - 1], NULL, &why), ERR_IN_USE);
    REFUSED(store_refuse_protected_folder(f->dir, "A test", &why), ERR_INVALID_STATE);
    g_assert_true(there(f, 2));
    g_assert_true(store_refuse_protected_folder("/nonexistent", "A test", NULL));
}

static void
test_truncate(struct fixture *f, gconstpointer data)
{
    GError *err = NULL;
    protect(f, 3, 10 * DAY);
    REFUSED(store_truncate(f->s, &f->id[2], &why), ERR_IN_USE);
    g_assert_true(store_truncate(f->s, &f->id[3], &err));
    g_assert_no_error(err);
}

static void
test_longer_only(struct fixture *f, gconstpointer data)
{
    const gint64 now = clock_wall_us();
    protect(f, 2, 10 * DAY);
    REFUSED(store_protect(f->s, &f->id[2], now + 9 * DAY, &why), ERR_INVALID_STATE);
    REFUSED(store_protect(f->s, &f->id[2], now - DAY, &why), ERR_INVALID_PARAMETER);
    REFUSED(store_protect(f->s, &f->id[2], now + 101 * 366 * DAY, &why), ERR_INVALID_PARAMETER);
    protect(f, 2, 11 * DAY);
}

static gint64
shift(gint64 wall, gint64 mono)
{
    clock_shift_for_test(wall, mono);
    return wall;
}

/* The clock alone frees nothing, nor does time alone: both must have come. */
static void
test_clocks(struct fixture *f, gconstpointer data)
{
    gint64 wall = 0;
    protect(f, 2, 10 * DAY);
    wall += shift(400 * DAY, 0); /* somebody sets the clock ahead */
    retain(f);
    g_assert_true(there(f, 2));
    reopen(f);
    retain(f);
    g_assert_true(there(f, 2));
    wall += shift(-800 * DAY, 9 * DAY); /* and back; nine days go by */
    retain(f);
    g_assert_true(there(f, 2));
    wall += shift(0, 5 * DAY); /* long enough, but the clock says it is not */
    retain(f);
    g_assert_true(there(f, 2));
    wall += shift(400 * DAY, 0);
    retain(f);
    g_assert_true(there(f, 2));
    wall += shift(10 * DAY, 0);
    retain(f);
    g_assert_false(there(f, 2));
    shift(-wall, -14 * DAY);
}

/* What passed while the host was off cannot be vouched for; what passed before is kept. */
static void
test_reboot(struct fixture *f, gconstpointer data)
{
    g_autoptr(GError) err = NULL;
    protect(f, 2, 10 * DAY);
    shift(6 * DAY, 6 * DAY);
    g_assert_true(store_keep_time(f->s, &err));
    clock_reboot_for_test();
    shift(100 * DAY, 0);
    reopen(f);
    retain(f);
    g_assert_true(there(f, 2));
    g_assert_true(store_keep_time(f->s, &err));
    shift(3 * DAY, 3 * DAY);
    retain(f);
    g_assert_true(there(f, 2));
    shift(2 * DAY, 2 * DAY);
    reopen(f); /* in the same boot nothing is lost, also without a save */
    retain(f);
    g_assert_no_error(err);
    g_assert_false(there(f, 2));
    shift(-111 * DAY, -11 * DAY);
}


/* Whatever a pin and a merge do to one another: a point whose pin was granted is there. */
static gpointer
merge(gpointer data)
{
    struct fixture *f = data;
    const struct retention_rules none = {0};
    for (int i = 0; i < 200; i++) {
        g_autoptr(GError) err = NULL;
        bool more;
        if (!retention_step(f->s, &none, NULL, 2, NULL, &more, &err))
            g_assert_true(err_is(err, ERR_IN_USE));
    }
    return NULL;
}

static void
test_race(struct fixture *f, gconstpointer data)
{
    for (int round = 0; round < 10; round++) {
        g_autoptr(GThread) thread = g_thread_new("merge", merge, f);
        GArray *granted = g_array_new(FALSE, FALSE, sizeof(struct uuid));
        for (int i = 0; i < 20; i++) {
            struct store_log log;
            g_assert_true(store_latest_point(f->s, &log));
            model_ingest(f->model, f->s, model_step(f->model, false));
            if (store_pin(f->s, &log.id, true, NULL))
                g_array_append_val(granted, log.id);
        }
        g_thread_join(g_steal_pointer(&thread));
        for (guint i = 0; i < granted->len; i++) {
            struct store_log log;
            g_assert_true(store_find(f->s, &g_array_index(granted, struct uuid, i), &log));
            g_assert_true(store_pin(f->s, &log.id, false, NULL));
        }
        g_array_unref(granted);
        retain(f);
    }
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    root = temporary_folder();
#define ADD(name) g_test_add("/pins/" #name, struct fixture, NULL, setup, test_##name, teardown)
    ADD(pinned);
    ADD(unknown);
    ADD(protected);
    ADD(truncate);
    ADD(longer_only);
    ADD(clocks);
    ADD(reboot);
    ADD(race);
    int failed = g_test_run();
    file_remove_tree(root, NULL);
    g_free(root);
    return failed;
}
