/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "job/job.h"

#include "base/clean.h"
#include "base/clock.h"

#include <string.h>

static const gint64 SOON = 10 * G_USEC_PER_SEC;

struct gate {
    GMutex lock;
    GCond changed;
    bool open, entered;
};

static bool
pass(struct job *j, void *user, GError **err)
{
    job_progress(j, 50, "half");
    return true;
}

static bool
fail(struct job *j, void *user, GError **err)
{
    return err_set(err, ERR_INVALID_STATE, "Guest 'x' does not want.");
}

static bool
fail_deeply(struct job *j, void *user, GError **err)
{
    err_set(err, ERR_IO, "Image 'i' cannot be read.");
    err_wrap(err, ERR_NOT_AVAILABLE, "Disk 'vda' cannot be copied.");
    return err_wrap(err, ERR_INVALID_STATE, "Guest 'x' cannot be copied.");
}

static bool
warn(struct job *j, void *user, GError **err)
{
    job_warn(j, "%s", "careful");
    return true;
}

static bool
wait_at(struct job *j, void *user, GError **err)
{
    struct gate *g = user;
    HOLD(&g->lock);
    g->entered = true;
    g_cond_broadcast(&g->changed);
    while (!g->open && !job_cancelled(j, NULL))
        g_cond_wait_until(&g->changed, &g->lock, g_get_monotonic_time() + 10000);
    return !job_cancelled(j, err);
}

static void
await(struct gate *g)
{
    HOLD(&g->lock);
    while (!g->entered)
        g_cond_wait(&g->changed, &g->lock);
}

static void
open_gate(struct gate *g)
{
    HOLD(&g->lock);
    g->open = true;
    g_cond_broadcast(&g->changed);
}

/* A store in memory that says what it holds. */
struct shelf {
    GMutex lock;
    GPtrArray *infos;
    bool broken;
};

static void
shelf_drop_locked(struct shelf *s, const char *id)
{
    for (guint i = 0; i < s->infos->len; i++)
        if (!strcmp(((struct job_info *)s->infos->pdata[i])->id, id)) {
            g_ptr_array_remove_index(s->infos, i);
            return;
        }
}

static bool
shelf_save(void *user, const struct job_info *info, GError **err)
{
    struct shelf *s = user;
    HOLD(&s->lock);
    if (s->broken)
        return err_set(err, ERR_IO, "The shelf is broken.");
    shelf_drop_locked(s, info->id);
    struct job_info *copy = g_new0(struct job_info, 1);
    job_info_copy(copy, info);
    g_ptr_array_add(s->infos, copy);
    return true;
}

static bool
shelf_remove(void *user, const char *id, GError **err)
{
    struct shelf *s = user;
    HOLD(&s->lock);
    shelf_drop_locked(s, id);
    return true;
}

static GPtrArray *
shelf_load(void *user, GError **err)
{
    struct shelf *s = user;
    HOLD(&s->lock);
    GPtrArray *out = g_ptr_array_new_with_free_func((GDestroyNotify)job_info_free);
    for (guint i = 0; i < s->infos->len; i++) {
        struct job_info *copy = g_new0(struct job_info, 1);
        job_info_copy(copy, s->infos->pdata[i]);
        g_ptr_array_add(out, copy);
    }
    return out;
}

static struct job_store
shelf_store(struct shelf *s)
{
    if (!s->infos)
        s->infos = g_ptr_array_new_with_free_func((GDestroyNotify)job_info_free);
    return (struct job_store){ shelf_save, shelf_remove, shelf_load, s };
}

static struct job_request
ask(job_work work, void *user, const char *conflict)
{
    return (struct job_request){ .type = 97, .name = "Initiate Failover", .vm = uuid_random(), .owner = "root", .conflict = conflict,
                                 .cancellable = true, .work = work, .user = user };
}

static void
outcome(struct job_registry *r, job_work work, struct job_info *out)
{
    char id[UUID_TEXT];
    struct job_request q = ask(work, NULL, NULL);
    g_assert_true(job_start(r, &q, id, NULL));
    g_assert_true(job_wait(r, id, SOON, out));
}

static void
test_outcomes(void)
{
    g_autoptr(GError) err = NULL;
    struct job_registry *r = job_registry_new(NULL, 0, &err);
    struct job_info i;
    g_assert_no_error(err);
    outcome(r, pass, &i);
    g_assert_cmpuint(i.state, ==, JOB_COMPLETED);
    g_assert_cmpuint(i.percent, ==, 100);
    g_assert_cmpuint(i.error_code, ==, 0);
    g_assert_cmpstr(i.status, ==, "half");
    job_info_clear(&i);
    outcome(r, fail, &i);
    g_assert_cmpuint(i.state, ==, JOB_EXCEPTION);
    g_assert_cmpuint(i.error_code, ==, 32775);
    g_assert_cmpstr(i.error_id, ==, "invalid-state");
    g_assert_cmpstr(i.error_summary, ==, "Guest 'x' does not want.");
    g_assert_true(g_str_has_prefix(i.error_text, "Guest 'x' does not want. (Virtual machine ID "));
    g_assert_null(i.causes);
    job_info_clear(&i);
    outcome(r, fail_deeply, &i);
    g_assert_cmpstr(i.error_summary, ==, "Guest 'x' cannot be copied.");
    g_assert_cmpuint(g_strv_length(i.causes), ==, 2);
    g_assert_cmpstr(i.causes[0], ==, "not-available Disk 'vda' cannot be copied.");
    g_assert_cmpstr(i.causes[1], ==, "io Image 'i' cannot be read.");
    job_info_clear(&i);
    outcome(r, warn, &i);
    g_assert_cmpuint(i.state, ==, JOB_WARNINGS);
    g_assert_cmpstr(i.warning, ==, "careful");
    job_info_clear(&i);
    job_registry_free(r);
}

static void
test_conflict_and_cancel(void)
{
    g_autoptr(GError) err = NULL;
    struct job_registry *r = job_registry_new(NULL, 0, NULL);
    struct gate g = { 0 };
    char id[UUID_TEXT], second[UUID_TEXT];
    struct job_request q = ask(wait_at, &g, "vm");
    struct job_info i;
    g_assert_true(job_start(r, &q, id, NULL));
    await(&g);
    g_assert_true(job_busy(r, "vm"));
    g_autoptr(GPtrArray) working = job_active(r, &q.vm), elsewhere = job_active(r, &UUID_NIL);
    g_assert_cmpuint(working->len, ==, 1);
    g_assert_cmpstr(((struct job_info *)working->pdata[0])->id, ==, id);
    g_assert_cmpuint(elsewhere->len, ==, 0);
    g_assert_false(job_start(r, &q, second, &err));
    g_assert_true(err_is(err, ERR_IN_USE));
    g_assert_false(job_wait(r, id, 1000, &i));
    g_assert_true(job_cancel(r, id, NULL));
    g_assert_true(job_wait(r, id, SOON, &i));
    g_assert_cmpuint(i.state, ==, JOB_TERMINATED);
    job_info_clear(&i);
    g_autoptr(GPtrArray) ended = job_active(r, &q.vm);
    g_assert_cmpuint(ended->len, ==, 0);
    g_assert_false(job_busy(r, "vm"));
    g_clear_error(&err);
    g_assert_false(job_cancel(r, id, &err));
    g_assert_true(err_is(err, ERR_INVALID_STATE));
    g_clear_error(&err);
    g_assert_false(job_cancel(r, "nobody", &err));
    g_assert_true(err_is(err, ERR_NO_SUCH_INSTANCE));
    job_registry_free(r);
}

static void
test_schedule(void)
{
    struct job_registry *r = job_registry_new(NULL, 0, NULL);
    char id[UUID_TEXT], later[UUID_TEXT];
    struct job_info i;
    struct job_request q = ask(pass, NULL, "vm");
    q.start_us = clock_wall_us() + 100000;
    g_assert_true(job_start(r, &q, id, NULL));
    g_assert_true(job_get(r, id, &i));
    g_assert_cmpuint(i.state, ==, JOB_NEW);
    job_info_clear(&i);
    g_assert_true(job_wait(r, id, SOON, &i));
    g_assert_cmpuint(i.state, ==, JOB_COMPLETED);
    g_assert_cmpint(i.started_us, >=, q.start_us);
    job_info_clear(&i);
    q.start_us = clock_wall_us() + G_TIME_SPAN_HOUR;
    q.cancellable = false;
    g_assert_true(job_start(r, &q, later, NULL));
    g_assert_false(job_busy(r, "vm"));
    g_autoptr(GPtrArray) waiting = job_active(r, &q.vm);
    g_assert_cmpuint(waiting->len, ==, 0);
    g_assert_true(job_cancel(r, later, NULL)); /* removes the schedule */
    g_assert_true(job_wait(r, later, SOON, &i));
    g_assert_cmpuint(i.state, ==, JOB_TERMINATED);
    job_info_clear(&i);
    job_registry_free(r);
}

static void
test_kept_five_minutes(void)
{
    struct shelf s = { 0 };
    struct job_store store = shelf_store(&s);
    struct job_registry *r = job_registry_new(&store, 0, NULL);
    struct job_info i;
    outcome(r, pass, &i);
    g_assert_cmpuint(s.infos->len, ==, 1);
    clock_shift_for_test(0, 299 * G_USEC_PER_SEC);
    struct job_info again;
    g_assert_true(job_get(r, i.id, &again));
    job_info_clear(&again);
    clock_shift_for_test(0, 301 * G_USEC_PER_SEC);
    g_assert_false(job_get(r, i.id, &again));
    g_assert_cmpuint(s.infos->len, ==, 0);
    clock_shift_for_test(0, 0);
    job_info_clear(&i);
    job_registry_free(r);
    g_ptr_array_unref(s.infos);
}

static void
test_interrupted(void)
{
    struct shelf s = { 0 };
    struct job_store store = shelf_store(&s);
    struct gate g = { 0 }, h = { 0 };
    char a[UUID_TEXT], b[UUID_TEXT];
    struct job_info i;
    struct job_registry *r = job_registry_new(&store, 0, NULL);
    struct job_request q = ask(wait_at, &g, NULL), p = ask(wait_at, &h, NULL);
    g_assert_true(job_start(r, &q, a, NULL));
    g_assert_true(job_start(r, &p, b, NULL));
    await(&g);
    await(&h);
    job_registry_free(r); /* stops both; the store says they were running */

    r = job_registry_new(&store, 0, NULL);
    g_autoptr(GPtrArray) cut = job_interrupted(r);
    g_assert_cmpuint(cut->len, ==, 2);
    open_gate(&g);
    g_assert_true(job_resume(r, a, &q, NULL));
    job_settle(r);
    g_assert_true(job_wait(r, a, SOON, &i));
    g_assert_cmpuint(i.state, ==, JOB_COMPLETED);
    job_info_clear(&i);
    g_assert_true(job_wait(r, b, SOON, &i));
    g_assert_cmpuint(i.state, ==, JOB_EXCEPTION);
    g_assert_cmpuint(i.error_code, ==, 32768);
    job_info_clear(&i);
    g_autoptr(GError) err = NULL;
    g_assert_false(job_resume(r, b, &p, &err));
    g_assert_true(err_is(err, ERR_NOT_FOUND));
    job_registry_free(r);
    g_ptr_array_unref(s.infos);
}

static void
test_store_refuses(void)
{
    struct shelf s = { .broken = true };
    struct job_store store = shelf_store(&s);
    g_autoptr(GError) err = NULL;
    char id[UUID_TEXT];
    struct job_registry *r = job_registry_new(&store, 0, NULL);
    struct job_request q = ask(pass, NULL, NULL);
    g_assert_false(job_start(r, &q, id, &err));
    g_assert_true(err_is(err, ERR_IO));
    g_autoptr(GPtrArray) all = job_list(r);
    g_assert_cmpuint(all->len, ==, 0);
    job_registry_free(r);
    g_ptr_array_unref(s.infos);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/job/outcomes", test_outcomes);
    g_test_add_func("/job/conflict-and-cancel", test_conflict_and_cancel);
    g_test_add_func("/job/schedule", test_schedule);
    g_test_add_func("/job/kept-five-minutes", test_kept_five_minutes);
    g_test_add_func("/job/interrupted", test_interrupted);
    g_test_add_func("/job/store-refuses", test_store_refuses);
    return g_test_run();
}
