/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/err.h"
#include "base/file.h"
#include "fixture.h"
#include "store/baselock.h"

#include <fcntl.h>
#include <string.h>

/* Views while the store moves beneath them. */

static struct view *
open_view(struct fixture *f, const struct version *v)
{
    g_autoptr(GError) err = NULL;
    struct view *view = view_open(f->dir, v ? &v->id : NULL, &err);
    g_assert_no_error(err);
    return view;
}

static void
test_needs_base(struct fixture *f, gconstpointer data)
{
    g_autoptr(GError) err = NULL;
    struct version *v[5];
    struct store_log base;
    for (int i = 0; i < 5; i++)
        v[i] = fixture_step(f, false);
    struct view *second = open_view(f, v[1]), *fourth = open_view(f, v[3]);

    g_assert_true(store_apply(f->store, &v[1]->id, NULL, &err));
    g_assert_no_error(err);
    model_check_view(f->model, second, &v[1]->id);
    g_assert_false(store_apply(f->store, &v[2]->id, NULL, &err));
    g_assert_error(err, ERR, ERR_IN_USE);
    g_clear_error(&err);
    g_assert_true(store_base(f->store, &base) && uuid_equal(&base.id, &v[1]->id));
    model_check_view(f->model, second, &v[1]->id);
    view_close(second);

    g_assert_true(store_apply(f->store, &v[2]->id, NULL, &err));
    g_assert_true(store_apply(f->store, &v[3]->id, NULL, &err));
    g_assert_false(store_apply(f->store, &v[4]->id, NULL, &err));
    g_assert_error(err, ERR, ERR_IN_USE);
    model_check_view(f->model, fourth, &v[3]->id);
    view_close(fourth);
    model_check_store(f->model, f->store);
}

static void
test_consolidated_beneath(struct fixture *f, gconstpointer data)
{
    g_autoptr(GError) err = NULL;
    struct version *v[6];
    for (int i = 0; i < 6; i++)
        v[i] = fixture_step(f, false);
    struct view *middle = open_view(f, v[2]), *last = open_view(f, v[5]);
    g_assert_true(store_consolidate(f->store, &v[1]->id, &v[4]->id, NULL, &err));
    g_assert_no_error(err);
    model_check_view(f->model, middle, &v[2]->id);
    model_check_view(f->model, last, &v[5]->id);
    g_assert_null(view_open(f->dir, &v[2]->id, &err));
    g_assert_error(err, ERR, ERR_NOT_FOUND);
    g_clear_error(&err);

    g_assert_false(store_apply(f->store, &v[4]->id, NULL, &err));
    g_assert_error(err, ERR, ERR_IN_USE);
    g_clear_error(&err);
    model_check_view(f->model, middle, &v[2]->id);
    view_close(middle);
    g_assert_true(store_apply(f->store, &v[5]->id, NULL, &err));
    g_assert_no_error(err);
    model_check_view(f->model, last, &v[5]->id);
    view_close(last);
}

static void
test_truncated_beneath(struct fixture *f, gconstpointer data)
{
    g_autoptr(GError) err = NULL;
    struct version *a = fixture_step(f, false), *b = fixture_step(f, false);
    struct view *old = open_view(f, a), *new = open_view(f, b);
    g_assert_false(store_truncate(f->store, &a->id, &err));
    g_assert_error(err, ERR, ERR_IN_USE);
    g_clear_error(&err);
    model_check_view(f->model, new, &b->id);
    view_close(new);
    g_assert_true(store_truncate(f->store, &a->id, &err));
    model_check_view(f->model, old, &a->id);
    view_close(old);
    g_assert_null(view_open(f->dir, &b->id, &err));
    g_assert_error(err, ERR, ERR_NOT_FOUND);
}

static bool
read_in_pieces(struct view *view, size_t piece, GError **err)
{
    g_autofree uint8_t *buf = g_malloc(piece);
    for (unsigned i = 0; i < view_disks(view); i++) {
        struct block *b = view_disk(view, i);
        for (uint64_t at = 0; at < b->size; at += piece)
            if (!block_read(b, buf, MIN(piece, b->size - at), at, err))
                return false;
    }
    return true;
}

static void
test_damaged_frame(struct fixture *f, gconstpointer data)
{
    g_autoptr(GError) err = NULL;
    struct version *v;
    struct store_log log;
    do
        v = fixture_step(f, false);
    while (!store_find(f->store, &v->id, &log) || log.raw_bytes < 65536);
    g_autofree char *path = store_log_path(f->store, &v->id), *bytes = NULL;
    size_t len;
    file_read_all(path, 64 << 20, &bytes, &len, &err);
    bytes[model_vital(path)] ^= 1;
    file_replace(path, bytes, len, 0600, &err);
    g_assert_no_error(err);
    static const size_t pieces[] = {1 << 20, 4096}; /* at once, and in order, so that frames are decoded before they are wanted */
    for (size_t i = 0; i < G_N_ELEMENTS(pieces); i++) {
        struct view *view = open_view(f, v);
        g_assert_false(read_in_pieces(view, pieces[i], &err));
        g_assert_error(err, ERR, ERR_CORRUPT);
        g_assert_nonnull(strstr(err->message, path));
        g_clear_error(&err);
        view_close(view);
    }
}

/* Another comes between two steps of opening a view: called once, by the first open of `opening`, or the first share of a point's byte. */
static struct {
    const char *opening; /* NULL: whatever shares */
    void (*call)(gpointer user);
    gpointer user;
} between;

static void
come_between(void)
{
    void (*call)(gpointer user) = between.call;
    between.call = NULL;
    call(between.user);
}

int __real_open64(const char *path, int flags, mode_t mode);
int __wrap_open64(const char *path, int flags, mode_t mode);
int __real_fcntl64(int fd, int command, void *arg);
int __wrap_fcntl64(int fd, int command, void *arg);

int
__wrap_open64(const char *path, int flags, mode_t mode)
{
    int fd = __real_open64(path, flags, mode);
    if (between.call && between.opening && strcmp(path, between.opening) == 0)
        come_between();
    return fd;
}

int
__wrap_fcntl64(int fd, int command, void *arg)
{
    if (between.call && !between.opening && command == F_OFD_SETLK && ((struct flock *)arg)->l_type == F_RDLCK)
        come_between();
    return __real_fcntl64(fd, command, arg);
}

struct meanwhile {
    struct fixture *f;
    struct version *first, *last; /* merged with one another */
    int lock;
};

static void
consolidate_now(gpointer user)
{
    struct meanwhile *m = user;
    g_autoptr(GError) err = NULL;
    store_consolidate(m->f->store, &m->first->id, &m->last->id, NULL, &err);
    g_assert_no_error(err);
}

/* What is opened needs its name no more. */
static void
test_consolidated_while_opening(struct fixture *f, gconstpointer data)
{
    struct version *v[4];
    for (int i = 0; i < 4; i++)
        v[i] = fixture_step(f, false);
    struct meanwhile m = {.f = f, .first = v[1], .last = v[2]};
    g_autofree char *path = store_log_path(f->store, &v[1]->id);
    between = (__typeof__(between)){path, consolidate_now, &m};
    struct view *view = open_view(f, v[1]);
    g_assert_null(between.call);
    g_assert_false(g_file_test(path, G_FILE_TEST_EXISTS));
    model_check_view(f->model, view, &v[1]->id);
    view_close(view);
}

/* Another log arrives, and all before it are being merged into the base. */
static void
overtake_now(gpointer user)
{
    struct meanwhile *m = user;
    g_autoptr(GError) err = NULL;
    struct store_log log;
    m->last = fixture_step(m->f, false);
    g_assert_true(store_find(m->f->store, &m->last->id, &log));
    m->lock = baselock_exclude_below(m->f->dir, log.sequence, &err);
    g_assert_no_error(err);
}

/* The newest is looked for again; a point that was asked for is in use. */
static void
test_overtaken_while_opening(struct fixture *f, gconstpointer data)
{
    g_autoptr(GError) err = NULL;
    struct version *v = fixture_step(f, false);
    struct meanwhile m = {.f = f};
    between = (__typeof__(between)){NULL, overtake_now, &m};
    struct view *view = open_view(f, NULL);
    model_check_view(f->model, view, &m.last->id);
    view_close(view);
    g_assert_null(view_open(f->dir, &v->id, &err));
    g_assert_error(err, ERR, ERR_IN_USE);
    close(m.lock);
}

/* One thread receives, one merges, two look at points that come and go; everything that opens must be right. */

#define ROUNDS 40

struct shared {
    struct fixture *f;
    gint done;
};

static gpointer
receive(gpointer data)
{
    struct shared *shared = data;
    for (guint i = 1; i < shared->f->model->versions->len; i++)
        model_ingest(shared->f->model, shared->f->store, shared->f->model->versions->pdata[i]);
    g_atomic_int_set(&shared->done, 1);
    return NULL;
}

static void
assert_refusal(GError *err)
{
    if (err)
        g_assert_true(err_is(err, ERR_IN_USE) || err_is(err, ERR_NOT_FOUND));
    g_clear_error(&err);
}

static gpointer
merge(gpointer data)
{
    struct shared *shared = data;
    struct store *s = shared->f->store;
    for (unsigned round = 0; !g_atomic_int_get(&shared->done); round++) {
        g_autoptr(GArray) logs = store_logs(s);
        GError *err = NULL;
        if (logs->len < 4) {
            g_thread_yield();
            continue;
        }
        if (round % 2)
            store_apply(s, &g_array_index(logs, struct store_log, 0).id, NULL, &err);
        else
            store_consolidate(s, &g_array_index(logs, struct store_log, 1).id, &g_array_index(logs, struct store_log, 2).id, NULL, &err);
        assert_refusal(err);
    }
    return NULL;
}

static gpointer
look(gpointer data)
{
    struct shared *shared = data;
    unsigned opened = 0;
    while (!g_atomic_int_get(&shared->done) || opened == 0) {
        g_autoptr(GArray) logs = store_logs(shared->f->store);
        GError *err = NULL;
        const struct uuid *id = opened % 3 && logs->len ? &g_array_index(logs, struct store_log, opened % logs->len).id : NULL;
        struct view *v = view_open(shared->f->dir, id, &err);
        if (v)
            model_check_view(shared->f->model, v, &view_info(v)->id);
        else
            g_assert_nonnull(id); /* the latest can always be opened */
        opened++;
        view_close(v);
        assert_refusal(err);
    }
    return GUINT_TO_POINTER(opened);
}

static void
test_threads(struct fixture *f, gconstpointer data)
{
    struct shared shared = {f, 0};
    fixture_step(f, false);
    for (int i = 0; i < ROUNDS; i++)
        model_step(f->model, false);
    GThread *threads[] = {g_thread_new("receive", receive, &shared), g_thread_new("merge", merge, &shared),
                          g_thread_new("look", look, &shared), g_thread_new("look", look, &shared)};
    for (size_t i = 0; i < G_N_ELEMENTS(threads); i++)
        g_thread_join(threads[i]);
    model_check_store(f->model, f->store);
}

/* Many readers of one view, whose cache they share. */
struct reading {
    struct fixture *f;
    struct view *view;
};

static gpointer
read_all(gpointer data)
{
    struct reading *r = data;
    model_check_view(r->f->model, r->view, &view_info(r->view)->id);
    return NULL;
}

static void
test_readers(struct fixture *f, gconstpointer data)
{
    for (int i = 0; i < 10; i++)
        fixture_step(f, false);
    struct reading r = {f, open_view(f, NULL)};
    GThread *threads[4];
    for (size_t i = 0; i < G_N_ELEMENTS(threads); i++)
        threads[i] = g_thread_new("read", read_all, &r);
    for (size_t i = 0; i < G_N_ELEMENTS(threads); i++)
        g_thread_join(threads[i]);
    view_close(r.view);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
#define ADD(name) g_test_add("/view/" #name, struct fixture, NULL, fixture_setup, test_##name, fixture_teardown)
    ADD(needs_base);
    ADD(consolidated_beneath);
    ADD(truncated_beneath);
    ADD(damaged_frame);
    ADD(consolidated_while_opening);
    ADD(overtaken_while_opening);
    ADD(threads);
    ADD(readers);
    return fixture_run();
}
