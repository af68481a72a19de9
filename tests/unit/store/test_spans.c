/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/err.h"
#include "base/file.h"
#include "fixture.h"
#include "log/writer.h"
#include "store/chain.h"
#include "store/spans.h"

#include <string.h>

/* Saved indexes: every point is the same with them, without them, and with wrong ones. */

static void
save_all(struct store *s)
{
    g_autoptr(GError) err = NULL;
    for (bool more = true; more;) {
        spans_step(s, true, NULL, &more, &err);
        g_assert_no_error(err);
    }
}

static guint
count_spans(const struct fixture *f)
{
    g_autoptr(GArray) spans = layout_list_spans(f->dir);
    return spans->len;
}

/* How many logs beneath a point are not read when it is opened. */
static unsigned
unread(const struct fixture *f, const struct uuid *point)
{
    g_autoptr(GError) err = NULL;
    g_autoptr(GArray) entries = layout_list_logs(f->dir, &err);
    struct store_log base = {.id = UUID_NIL};
    store_base(f->store, &base);
    const struct chain_request r = {.dir = f->dir, .entries = entries, .from = layout_find(entries, point), .vm = f->model->vm,
                                    .end = base.id, .end_sequence = base.sequence, .hold = true};
    bool again = false;
    unsigned n = 0;
    struct chain *c = chain_open(&r, &again, &err);
    g_assert_no_error(err);
    for (unsigned i = 0; i < stack_count(chain_stack(c)); i++)
        n += stack_reader(chain_stack(c), i) == NULL;
    chain_free(c);
    return n;
}

/* ---- which ---- */

static GArray *
numbered(const uint64_t *sequences, guint count)
{
    GArray *logs = g_array_new(FALSE, TRUE, sizeof(struct store_log));
    g_array_set_size(logs, count);
    for (guint i = 0; i < count; i++)
        g_array_index(logs, struct store_log, i).sequence = sequences[i];
    return logs;
}

static void
assert_wanted(const GArray *logs, uint64_t base, const char *expected)
{
    g_autoptr(GArray) wishes = spans_wanted(logs, base);
    g_autoptr(GString) text = g_string_new(NULL);
    for (guint i = 0; i < wishes->len; i++) {
        const struct span_wish *w = &g_array_index(wishes, struct span_wish, i);
        g_assert_cmpuint(g_array_index(logs, struct store_log, w->from).sequence, ==, w->first);
        g_assert_cmpuint(g_array_index(logs, struct store_log, w->from + w->count - 1).sequence, ==, w->last);
        g_string_append_printf(text, "%s%d-%d", i ? " " : "", (int)w->first, (int)w->last);
    }
    g_assert_cmpstr(text->str, ==, expected);
}

static void
test_wanted(void)
{
    static const uint64_t some[] = {1, 2, 3, 4, 16, 17, 20, 31, 32, 33, 34}, sparse[] = {10, 100, 200, 250, 255, 256};
    g_autoptr(GArray) logs = numbered(some, G_N_ELEMENTS(some)), far = numbered(sparse, G_N_ELEMENTS(sparse));
    assert_wanted(logs, 0, "1-4 16-31");  /* the newest block is not complete */
    assert_wanted(logs, 15, "16-31");     /* the base stands within the first */
    g_array_index(logs, struct store_log, 5).damaged = true;
    assert_wanted(logs, 0, "1-4");
    assert_wanted(far, 0, "10-255"); /* what merging thinned out is joined in a bigger block */
    g_array_set_size(far, 5);
    assert_wanted(far, 0, "");

    g_autoptr(GArray) day = g_array_new(FALSE, TRUE, sizeof(struct store_log));
    g_array_set_size(day, 2880);
    for (guint i = 0; i < day->len; i++)
        g_array_index(day, struct store_log, i).sequence = 1000 + i;
    g_autoptr(GArray) wishes = spans_wanted(day, 999);
    guint big = 0;
    for (guint i = 0; i < wishes->len; i++)
        big += g_array_index(wishes, struct span_wish, i).count == 256;
    g_assert_cmpuint(big, ==, 11);
}

/* ---- the same points ---- */

static void
forget_all(struct fixture *f)
{
    g_autofree char *folder = layout_path(f->dir, "index");
    file_remove_tree(folder, NULL);
}

static void
fill(struct fixture *f, unsigned logs)
{
    for (unsigned i = 0; i < logs; i++)
        fixture_step(f, false);
}

static void
test_equal(struct fixture *f, gconstpointer data)
{
    fill(f, 50);
    model_check_store(f->model, f->store);
    save_all(f->store);
    g_assert_cmpuint(count_spans(f), >=, 2);
    g_assert_cmpuint(unread(f, &f->model->head), >=, 16);
    model_check_store(f->model, f->store);
    forget_all(f);
    g_assert_cmpuint(unread(f, &f->model->head), ==, 0);
    model_check_store(f->model, f->store);
}

/* A span of spans, and points in its middle. */
static void
test_levels(struct fixture *f, gconstpointer data)
{
    for (unsigned block = 1; block <= 6; block++) {
        f->model->sequence = block * 16 - 1;
        fill(f, 5);
    }
    f->model->sequence = 256;
    fixture_step(f, false);
    save_all(f->store);
    g_assert_cmpuint(count_spans(f), ==, 7);
    g_assert_cmpuint(unread(f, &f->model->head), ==, 30);
    model_check_store(f->model, f->store);

    g_autoptr(GArray) spans = layout_list_spans(f->dir); /* the last two end with the same log */
    const struct layout_span *small = &g_array_index(spans, struct layout_span, 6);
    g_autofree char *path = layout_span_path(f->dir, small->first, small->last);
    file_unlink_durably(path, NULL);
    save_all(f->store);
    g_assert_true(g_file_test(path, G_FILE_TEST_EXISTS));
    model_check_store(f->model, f->store);
}

/* While the oldest logs go into the base, and others become one; a bigger span waits until its block has been left alone. */
static void
test_merged(struct fixture *f, gconstpointer data)
{
    g_autoptr(GError) err = NULL;
    struct version *v[40];
    for (unsigned i = 0; i < 40; i++) {
        f->model->sequence = i % 10 ? f->model->sequence : (i / 10 + 1) * 32;
        v[i] = fixture_step(f, false);
    }
    save_all(f->store);
    const guint before = count_spans(f);
    g_assert_cmpuint(before, >=, 3);
    store_consolidate(f->store, &v[12]->id, &v[14]->id, NULL, &err);
    g_assert_no_error(err);
    g_assert_cmpuint(count_spans(f), <, before);
    model_check_store(f->model, f->store);
    save_all(f->store);
    model_check_store(f->model, f->store);
    store_apply(f->store, &v[4]->id, NULL, &err);
    g_assert_no_error(err);
    model_check_store(f->model, f->store);
    save_all(f->store);
    model_check_store(f->model, f->store);
    store_truncate(f->store, &v[35]->id, &err);
    g_assert_no_error(err);
    model_rewind(f->model, &v[35]->id);
    fill(f, 20); /* sequences that others had */
    save_all(f->store);
    model_check_store(f->model, f->store);
}

static void
test_beneath(struct fixture *f, gconstpointer data)
{
    g_autoptr(GError) err = NULL;
    struct version *v[40];
    struct view *views[3];
    static const unsigned points[] = {25, 33, 39};
    for (unsigned i = 0; i < 40; i++)
        v[i] = fixture_step(f, false);
    save_all(f->store);
    for (unsigned i = 0; i < 3; i++) {
        views[i] = view_open(f->dir, &v[points[i]]->id, &err);
        g_assert_no_error(err);
    }
    store_apply(f->store, &v[8]->id, NULL, &err);
    g_assert_no_error(err);
    store_consolidate(f->store, &v[10]->id, &v[30]->id, NULL, &err);
    g_assert_no_error(err);
    forget_all(f);
    for (unsigned i = 0; i < 3; i++) { /* nothing has been read of them until now */
        model_check_view(f->model, views[i], &v[points[i]]->id);
        view_close(views[i]);
    }
    model_check_store(f->model, f->store);
}

/* ---- wrong ones ---- */

struct saved {
    char *path, *bytes;
    size_t len;
};

static GArray *
read_spans(const struct fixture *f)
{
    g_autoptr(GError) err = NULL;
    g_autoptr(GArray) names = layout_list_spans(f->dir);
    GArray *out = g_array_new(FALSE, FALSE, sizeof(struct saved));
    for (guint i = 0; i < names->len; i++) {
        const struct layout_span *name = &g_array_index(names, struct layout_span, i);
        struct saved s = {.path = layout_span_path(f->dir, name->first, name->last)};
        file_read_all(s.path, 64 << 20, &s.bytes, &s.len, &err);
        g_assert_no_error(err);
        g_array_append_val(out, s);
    }
    return out;
}

static void
spans_clear(GArray *saved)
{
    for (guint i = 0; i < saved->len; i++) {
        g_free(g_array_index(saved, struct saved, i).path);
        g_free(g_array_index(saved, struct saved, i).bytes);
    }
    g_array_unref(saved);
}

static void
put(const char *path, const void *bytes, size_t len)
{
    g_autoptr(GError) err = NULL;
    g_file_set_contents_full(path, bytes, (gssize)len, G_FILE_SET_CONTENTS_NONE, 0600, &err);
    g_assert_no_error(err);
}

static void
check_head(struct fixture *f)
{
    g_autoptr(GError) err = NULL;
    struct view *v = view_open(f->dir, &f->model->head, &err);
    g_assert_no_error(err);
    model_check_view(f->model, v, &f->model->head);
    view_close(v);
}

/* Each bit matters: one of each byte of the head and the tables, and many of the blocks. */
static void
test_flipped(struct fixture *f, gconstpointer data)
{
    fill(f, 40);
    save_all(f->store);
    GArray *saved = read_spans(f);
    const struct saved *s = &g_array_index(saved, struct saved, 0);
    for (size_t at = 0; at < s->len; at += 1 + (size_t)g_test_rand_int_range(0, at < 80 ? 1 : 40)) {
        const int bit = 1 << g_test_rand_int_range(0, 8);
        s->bytes[at] ^= (char)bit;
        put(s->path, s->bytes, s->len);
        check_head(f);
        s->bytes[at] ^= (char)bit;
    }
    for (size_t len = 0; len < s->len; len += 1 + (size_t)g_test_rand_int_range(0, 200)) {
        put(s->path, s->bytes, len);
        check_head(f);
    }
    spans_clear(saved);
}

static bool
is_as_saved(const struct saved *s)
{
    g_autofree char *bytes = NULL;
    size_t len = 0;
    return file_read_all(s->path, 64 << 20, &bytes, &len, NULL) && len == s->len && memcmp(bytes, s->bytes, len) == 0;
}

/* What is damaged is found in turn and made anew, the same as it was. */
static void
test_mended(struct fixture *f, gconstpointer data)
{
    fill(f, 50);
    save_all(f->store);
    GArray *saved = read_spans(f);
    for (guint i = 0; i < saved->len; i++) {
        const struct saved *s = &g_array_index(saved, struct saved, i);
        s->bytes[s->len / 2] ^= 4;
        put(s->path, s->bytes, s->len);
        s->bytes[s->len / 2] ^= 4;
    }
    for (guint i = 0; i < saved->len; i++)
        save_all(f->store);
    for (guint i = 0; i < saved->len; i++)
        g_assert_true(is_as_saved(&g_array_index(saved, struct saved, i)));
    spans_clear(saved);
}

/* Those of another guest, of other logs, and of what the logs were before they were merged (by a program that does not know spans). */
static void
test_foreign(struct fixture *f, gconstpointer data)
{
    g_autoptr(GError) err = NULL;
    struct fixture other;
    struct version *v[40];
    for (unsigned i = 0; i < 40; i++)
        v[i] = fixture_step(f, false);
    save_all(f->store);
    GArray *old = read_spans(f);
    fixture_setup(&other, NULL);
    fill(&other, 40);
    save_all(other.store);
    GArray *foreign = read_spans(&other);
    for (guint i = 0; i < MIN(old->len, foreign->len); i++) {
        const struct saved *s = &g_array_index(foreign, struct saved, i);
        put(g_array_index(old, struct saved, i).path, s->bytes, s->len);
    }
    model_check_store(f->model, f->store);

    store_consolidate(f->store, &v[3]->id, &v[5]->id, NULL, &err);
    g_assert_no_error(err);
    for (guint i = 0; i < old->len; i++) {
        const struct saved *s = &g_array_index(old, struct saved, i);
        put(s->path, s->bytes, s->len);
    }
    model_check_store(f->model, f->store);
    g_autofree char *strange = layout_path(f->dir, "index/what.is.this");
    put(strange, "x", 1);
    for (guint i = 0; i < old->len; i++)
        save_all(f->store);
    g_assert_false(g_file_test(strange, G_FILE_TEST_EXISTS));
    model_check_store(f->model, f->store);
    spans_clear(old);
    spans_clear(foreign);
    fixture_teardown(&other, NULL);
}

/* A log that was damaged after its index was saved: who needs its data is told which file it is. */
static void
test_damaged_log(struct fixture *f, gconstpointer data)
{
    g_autoptr(GError) err = NULL;
    uint8_t buf[4096];
    f->model->fixed_size = true;
    struct version *first = fixture_step(f, false);
    fill(f, 39);
    save_all(f->store);
    g_autofree char *path = store_log_path(f->store, &first->id), *bytes = NULL;
    size_t len;
    file_read_all(path, 64 << 20, &bytes, &len, &err);
    g_assert_no_error(err);
    bytes[len - LOG_TRAILER_SIZE - 1] ^= 1; /* its own index */
    put(path, bytes, len);
    struct view *v = view_open(f->dir, &f->model->head, &err);
    g_assert_no_error(err);
    bool failed = false;
    for (unsigned i = 0; i < view_disks(v) && !failed; i++)
        for (uint64_t at = 0; at + sizeof buf <= view_disk(v, i)->size && !failed; at += sizeof buf)
            failed = !block_read(view_disk(v, i), buf, sizeof buf, at, &err);
    if (failed) { /* unless all of it was overwritten since */
        g_assert_error(err, ERR, ERR_CORRUPT);
        g_assert_nonnull(strstr(err->message, path));
    }
    view_close(v);
}

/* ---- a disk of several regions ---- */

#define BIG ((uint64_t)700 << 20)
#define MARK ((uint64_t)128 << 20)

static void
write_at(struct log_writer *w, uint64_t offset, unsigned number, size_t len)
{
    g_autoptr(GError) err = NULL;
    g_autofree uint8_t *data = g_malloc(len);
    for (size_t i = 0; i < len; i++)
        data[i] = (uint8_t)(number * 31 + i / 512);
    log_writer_data(w, 0, offset, data, len, &err);
    g_assert_no_error(err);
}

/* Each log writes around every border of a region, beside what others wrote, and something at random. */
static void
big_log(const char *dir, struct log_info *info)
{
    g_autoptr(GError) err = NULL;
    struct log_totals totals;
    const struct log_writer_options options = {.level = 1};
    g_autofree char *path = layout_log_path(dir, info->sequence, &info->id);
    struct log_writer *w = log_writer_create(path, info, &options, &err);
    const unsigned n = (unsigned)info->sequence;
    g_assert_no_error(err);
    for (uint64_t at = MARK; at < info->disks[0].size; at += MARK) {
        const uint64_t from = at - (1 + n % 13) * 4096;
        write_at(w, from, n, 4096 * (size_t)(1 + n % 7 + n % 3 * 4));
        if (n % 5 == 0)
            log_writer_zero(w, 0, at + MARK / 2, (uint64_t)(n % 4) * MARK / 3 / 4096 * 4096 + 4096, &err);
        if (n % 5 == 0)
            break;
    }
    g_assert_no_error(err);
    log_writer_finish(w, &totals, &err);
    g_assert_no_error(err);
    log_writer_free(w);
}

static void
assert_same(struct view *a, struct view *b)
{
    struct block *x = view_disk(a, 0), *y = view_disk(b, 0);
    extents_auto in_x = extents_new();
    extents_auto in_y = extents_new();
    const size_t piece = 256 << 10;
    g_autofree uint8_t *p = g_malloc(piece), *q = g_malloc(piece);
    g_assert_cmpuint(x->size, ==, y->size);
    g_assert_true(block_extents(x, 0, x->size, in_x, NULL) && block_extents(y, 0, y->size, in_y, NULL));
    g_assert_cmpuint(extents_count(in_x), ==, extents_count(in_y));
    for (size_t i = 0; i < extents_count(in_x); i++) {
        const struct extent *e = extents_at(in_x, i), *o = extents_at(in_y, i);
        g_assert_true(e->offset == o->offset && e->length == o->length && e->kind == o->kind);
        const size_t n = MIN(piece, e->length);
        g_assert_true(block_read(x, p, n, e->offset, NULL) && block_read(y, q, n, e->offset, NULL));
        g_assert_cmpint(memcmp(p, q, n), ==, 0);
    }
    for (uint64_t at = MARK; at < x->size; at += MARK) { /* across a border */
        const size_t n = MIN(piece, x->size - (at - piece / 2));
        g_assert_true(block_read(x, p, n, at - piece / 2, NULL) && block_read(y, q, n, at - piece / 2, NULL));
        g_assert_cmpint(memcmp(p, q, n), ==, 0);
    }
}

static void
big_store(const char *dir, unsigned logs, GArray *ids)
{
    g_autoptr(GError) err = NULL;
    struct log_info info = {.vm = uuid_random(), .id = uuid_random(), .kind = LOG_KIND_STANDARD, .epoch = 1,
                            .frame_raw_max = LOG_FRAME_RAW_DEFAULT, .capture_us = 1};
    struct store *s = store_create(dir, &info.vm, "guest", &err);
    g_assert_no_error(err);
    store_close(s);
    log_info_add_disk(&info, 0, "vda", BIG);
    for (info.sequence = 1; info.sequence <= logs; info.sequence++) {
        info.disks[0].size = info.sequence % 16 >= 11 ? BIG / 2 + 512 * 3 : BIG; /* shrinks, and grows again with the next block */
        big_log(dir, &info);
        g_array_append_val(ids, info.id);
        info.parent = info.id;
        info.id = uuid_random();
    }
    log_info_clear(&info);
}

static void
test_regions(void)
{
    g_autoptr(GError) err = NULL;
    g_autofree char *dir = g_build_filename(fixture_root, "big", NULL), *copy = g_build_filename(fixture_root, "big-too", NULL);
    g_autoptr(GArray) ids = g_array_new(FALSE, FALSE, sizeof(struct uuid));
    const char *argv[] = {"cp", "-a", dir, copy, NULL};
    big_store(dir, 60, ids);
    g_spawn_sync(NULL, (char **)(uintptr_t)argv, NULL, G_SPAWN_SEARCH_PATH, NULL, NULL, NULL, NULL, NULL, &err);
    g_assert_no_error(err);
    struct store *s = store_open(dir, &err);
    g_assert_no_error(err);
    save_all(s);
    store_close(s);
    for (guint i = 0; i < ids->len; i++) {
        const struct uuid *id = &g_array_index(ids, struct uuid, i);
        struct view *with = view_open(dir, id, &err), *without = view_open(copy, id, &err);
        g_assert_no_error(err);
        assert_same(with, without);
        view_close(with);
        view_close(without);
    }
}

/* ---- at once ---- */

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

static gpointer
save_and_merge(gpointer data)
{
    struct shared *shared = data;
    struct store *s = shared->f->store;
    for (unsigned round = 0; !g_atomic_int_get(&shared->done); round++) {
        g_autoptr(GArray) logs = store_logs(s);
        g_autoptr(GError) err = NULL;
        save_all(s);
        if (logs->len < 30)
            continue;
        if (round % 2)
            store_apply(s, &g_array_index(logs, struct store_log, 0).id, NULL, &err);
        else
            store_consolidate(s, &g_array_index(logs, struct store_log, 1).id, &g_array_index(logs, struct store_log, 2).id, NULL, &err);
        g_assert_true(!err || err_is(err, ERR_IN_USE));
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
        g_autoptr(GError) err = NULL;
        const struct uuid *id = opened % 3 && logs->len ? &g_array_index(logs, struct store_log, opened % logs->len).id : NULL;
        struct view *v = view_open(shared->f->dir, id, &err);
        if (v)
            model_check_view(shared->f->model, v, &view_info(v)->id);
        else
            g_assert_true(id && (err_is(err, ERR_IN_USE) || err_is(err, ERR_NOT_FOUND)));
        opened++;
        view_close(v);
    }
    return NULL;
}

static void
test_threads(struct fixture *f, gconstpointer data)
{
    struct shared shared = {f, 0};
    fixture_step(f, false);
    for (int i = 0; i < 90; i++)
        model_step(f->model, false);
    GThread *threads[] = {g_thread_new("receive", receive, &shared), g_thread_new("merge", save_and_merge, &shared),
                          g_thread_new("look", look, &shared), g_thread_new("look", look, &shared)};
    for (size_t i = 0; i < G_N_ELEMENTS(threads); i++)
        g_thread_join(threads[i]);
    model_check_store(f->model, f->store);
}

/* Many readers put one view's index together. */
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
    g_autoptr(GError) err = NULL;
    fill(f, 45);
    save_all(f->store);
    for (int damaged = 0; damaged < 2; damaged++) {
        struct reading r = {f, view_open(f->dir, NULL, &err)};
        GThread *threads[4];
        for (size_t i = 0; i < G_N_ELEMENTS(threads); i++)
            threads[i] = g_thread_new("read", read_all, &r);
        for (size_t i = 0; i < G_N_ELEMENTS(threads); i++)
            g_thread_join(threads[i]);
        view_close(r.view);
        GArray *saved = read_spans(f);
        for (guint i = 0; i < saved->len; i++) {
            struct saved *s = &g_array_index(saved, struct saved, i);
            s->bytes[s->len - 1] ^= 1;
            put(s->path, s->bytes, s->len);
        }
        spans_clear(saved);
    }
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
#define ADD(name) g_test_add("/spans/" #name, struct fixture, NULL, fixture_setup, test_##name, fixture_teardown)
    g_test_add_func("/spans/wanted", test_wanted);
    ADD(equal);
    ADD(levels);
    ADD(merged);
    ADD(beneath);
    ADD(flipped);
    ADD(mended);
    ADD(foreign);
    ADD(damaged_log);
    g_test_add_func("/spans/regions", test_regions);
    ADD(threads);
    ADD(readers);
    return fixture_run();
}
