/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "acts.h"

#include "base/clock.h"
#include "base/err.h"
#include "base/file.h"
#include "repl/work.h"
#include "store/pins.h"

#include <string.h>

/* Pinned and protected points of a replica: what nobody may take, and what goes when it is asked for. */

#define DAY (G_GINT64_CONSTANT(86400) * G_USEC_PER_SEC)

static struct repl_point
look(struct world *w, const struct uuid *id)
{
    struct repl_point p;
    g_assert_true(repl_point_find(w->b.service, id, &p));
    return p;
}

static void
protect(struct world *w, const struct uuid *id, gint64 us)
{
    g_autoptr(GError) err = NULL;
    repl_point_keep(w->b.service, id, NULL, clock_wall_us() + us, &err);
    g_assert_no_error(err);
}

static void
pin(struct world *w, const struct uuid *id, bool on)
{
    g_autoptr(GError) err = NULL;
    repl_point_keep(w->b.service, id, &on, 0, &err);
    g_assert_no_error(err);
}

/* Everything that would delete it says no, at once and in words. */
static void
check_refused(struct world *w, const struct uuid *vm)
{
    char job[UUID_TEXT];
    g_autoptr(GError) commit = NULL, reverse = NULL, removal = NULL;
    g_assert_false(repl_commit(w->b.service, vm, "test", job, &commit));
    g_assert_false(repl_reverse(w->b.service, vm, NULL, "test", job, &reverse));
    g_assert_false(repl_remove(w->b.service, vm, 0, "test", job, &removal));
    const GError *const all[] = {commit, reverse, removal};
    for (guint i = 0; i < G_N_ELEMENTS(all); i++) {
        g_assert_true(err_is(all[i], ERR_INVALID_STATE));
        g_assert_nonnull(strstr(all[i]->message, "is protected until 20"));
    }
}

static void
test_protected(void)
{
    struct world w = { 0 };
    char job[UUID_TEXT];
    g_autoptr(GError) err = NULL;
    world_open(&w);
    const struct uuid vm = world_with_points(&w, 1, 3);
    const struct uuid id = world_point(&w, &vm, 1);
    protect(&w, &id, 10 * DAY);
    g_assert_false(repl_point_keep(w.b.service, &id, NULL, clock_wall_us() + DAY, &err));
    g_assert_true(err_is(err, ERR_INVALID_STATE));
    g_clear_error(&err);
    g_assert_false(repl_remove(w.b.service, &vm, 0, "test", job, &err));
    g_assert_true(err_is(err, ERR_INVALID_STATE));
    act_failover(&w.b, &vm, NULL);
    check_refused(&w, &vm);
    host_down(&w.b);
    host_up(&w, &w.b);
    check_refused(&w, &vm);
    clock_shift_for_test(400 * DAY, 0); /* a clock that is set ahead frees nothing */
    check_refused(&w, &vm);
    g_assert_cmpint(look(&w, &id).protected_us, >, 0);
    world_compare_point(&w, &vm, &id);
    clock_shift_for_test(0, 11 * DAY);
    g_assert_cmpint(look(&w, &id).protected_us, ==, 0);
    g_clear_error(&err);
    repl_commit(w.b.service, &vm, "test", job, &err);
    g_assert_no_error(err);
    world_done(&w.b, job);
    clock_shift_for_test(-400 * DAY, -11 * DAY);
    world_close(&w);
}

/* Points that the rules do not keep any more, but somebody does. */
static void
test_pinned(void)
{
    struct world w = { 0 };
    char job[UUID_TEXT];
    g_autoptr(GError) err = NULL;
    world_open(&w);
    const struct uuid vm = world_with_points(&w, 1, 4);
    const struct uuid id = world_point(&w, &vm, 2), other = world_point(&w, &vm, 1);
    pin(&w, &id, true);
    g_assert_true(look(&w, &id).pinned);
    struct repl_settings s = world_settings(&w, 250);
    s.history = 0;
    g_free(s.additional);
    s.additional = g_strdup("{\"interval_ms\":250}");
    repl_modify(w.a.service, &vm, &s, "test", job, &err);
    g_assert_no_error(err);
    world_done(&w.a, job);
    repl_settings_clear(&s);
    struct repl_point gone;
    UNTIL(!repl_point_find(w.b.service, &other, &gone));
    g_assert_true(look(&w, &id).pinned);
    world_compare_point(&w, &vm, &id);
    g_assert_false(repl_point_keep(w.b.service, &other, NULL, clock_wall_us() + DAY, &err));
    g_assert_true(err_is(err, ERR_NO_SUCH_INSTANCE));
    g_clear_error(&err);
    host_down(&w.b);
    host_up(&w, &w.b);
    g_assert_true(look(&w, &id).pinned);
    repl_remove(w.b.service, &vm, 0, "test", job, &err); /* a pin is no lock */
    g_assert_no_error(err);
    world_done(&w.b, job);
    world_close(&w);
}

/* The folder says by itself which points stay; a new relationship does not take it. */
static void
test_database_lost(void)
{
    struct world w = { 0 };
    struct store_pin at;
    g_autoptr(GError) err = NULL;
    world_open(&w);
    const struct uuid vm = world_with_points(&w, 1, 2);
    const struct uuid id = world_point(&w, &vm, 0);
    g_autofree char *folder = world_folder(&w, &vm);
    pin(&w, &id, true);
    protect(&w, &id, DAY);
    host_down(&w.b);
    g_autofree char *db = g_build_filename(w.b.dir, "state", "vmreplica.db", NULL);
    g_assert_true(g_file_test(db, G_FILE_TEST_EXISTS));
    file_unlink_durably(db, &err);
    g_assert_no_error(err);
    host_up(&w, &w.b);
    struct store *store = store_open(folder, &err);
    g_assert_no_error(err);
    g_assert_true(store_pin_of(store, &id, &at));
    g_assert_true(at.pinned && at.until_us);
    store_close(store);
    world_close(&w);
}

/* A digit of a number or of an identity becomes another one, so that all is in its form; called again, it is as it was. */
static void
bend(const char *path)
{
    g_autofree char *bytes = NULL;
    gsize len;
    g_assert_true(g_file_get_contents(path, &bytes, &len, NULL));
    gsize at = len / 2;
    while (at < len && (bytes[at] < '0' || bytes[at] > '7'))
        at++;
    g_assert_cmpuint(at, <, len);
    bytes[at] ^= 4;
    g_assert_true(g_file_set_contents(path, bytes, (gssize)len, NULL));
}

static bool
has_files(const char *folder)
{
    g_autoptr(GDir) d = g_dir_open(folder, 0, NULL);
    return d && g_dir_read_name(d);
}

/* A damaged store stops its guest and no other; the daemon says whose it is, and goes on when the file is put back. */
static void
test_damaged(void)
{
    struct world w = { 0 };
    world_open(&w);
    const struct uuid vm = world_with_points(&w, 1, 2), other = world_with_points(&w, 1, 2);
    g_autofree char *folder = world_folder(&w, &vm);
    g_autofree char *json = g_build_filename(folder, "store.json", NULL);
    host_down(&w.b);
    bend(json);
    host_up(&w, &w.b);
    g_assert_cmpuint(world_state(&w.b, &vm), ==, STATE_CRITICAL);
    struct repl_relation r = world_relation(&w.b, &vm);
    g_assert_nonnull(strstr(r.reason, json));
    g_assert_nonnull(strstr(r.reason, "checksum"));
    repl_relation_clear(&r);
    fake_scribble(w.a.fake, &other, w.rand, 5);
    world_wait_cycle(&w, &other);
    bend(json);
    world_wait_state(&w.b, &vm, STATE_REPLICATING);
    world_wait_cycle(&w, &vm);
    g_assert_cmpuint(world_compare(&w, &vm), >=, 2);
    world_close(&w);
}

/* The rules reach the replica with the settings, and so does a change of them. */
static void
test_rules(void)
{
    struct world w = { 0 };
    char job[UUID_TEXT];
    g_autoptr(GError) err = NULL;
    world_open(&w);
    const struct uuid vm = world_with_points(&w, 1, 2);
    struct repl_settings s = world_settings(&w, 250);
    g_free(s.additional);
    s.additional = g_strdup("{\"interval_ms\":250,\"retention\":\"every 5min for 24h,  daily for 30d\"}");
    repl_modify(w.a.service, &vm, &s, "test", job, &err);
    g_assert_no_error(err);
    world_done(&w.a, job);
    repl_settings_clear(&s);
    struct repl_relation r = world_relation(&w.b, &vm);
    g_assert_cmpstr(r.settings.retention, ==, "every 5min for 1d, daily for 30d");
    repl_relation_clear(&r);
    world_close(&w);
}

/* Housekeeping saves indexes while logs arrive, and points are right with them. */
static void
test_index(void)
{
    struct world w = { 0 };
    world_open(&w);
    const struct uuid vm = world_with_points(&w, 1, 34);
    g_autofree char *folder = world_folder(&w, &vm);
    g_autofree char *index = g_build_filename(folder, "index", NULL);
    UNTIL(has_files(index));
    g_assert_cmpuint(world_compare(&w, &vm), >=, 30);
    world_close(&w);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/keep/protected", test_protected);
    g_test_add_func("/keep/pinned", test_pinned);
    g_test_add_func("/keep/database-lost", test_database_lost);
    g_test_add_func("/keep/damaged", test_damaged);
    g_test_add_func("/keep/rules", test_rules);
    g_test_add_func("/keep/index", test_index);
    return g_test_run();
}
