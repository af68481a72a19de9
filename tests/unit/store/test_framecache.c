/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/err.h"
#include "base/file.h"
#include "model.h"
#include "store/framecache.h"

#include <string.h>

/* Frames that stay, frames that are lent to the kernel, and frames that it has taken. */

static char *root;

struct fixture {
    struct model *model;
    struct stack *stack;
    GPtrArray *frames; /* GBytes: what each is */
};

static void
add_log(struct fixture *f)
{
    g_autoptr(GError) err = NULL;
    struct log_reader *r = log_reader_open(model_step(f->model, false)->log, &err);
    g_assert_no_error(err);
    for (unsigned i = 0; i < log_reader_frames(r); i++) {
        const size_t len = log_reader_frame(r, i)->raw_length;
        uint8_t *data = g_malloc(len);
        g_assert_true(log_reader_data(r, i, data, NULL));
        g_ptr_array_add(f->frames, g_bytes_new_take(data, len));
    }
    g_assert_true(stack_push(f->stack, r, NULL));
}

static void
setup(struct fixture *f, gconstpointer data)
{
    f->model = model_new(root);
    f->stack = stack_new();
    f->frames = g_ptr_array_new_with_free_func((GDestroyNotify)g_bytes_unref);
    while (f->frames->len < 100)
        add_log(f);
}

static void
teardown(struct fixture *f, gconstpointer data)
{
    stack_free(f->stack);
    g_ptr_array_unref(f->frames);
    model_free(f->model);
}

/* A piece of it, so that it is kept. */
static void
read_frame(struct fixture *f, struct framecache *c, unsigned i)
{
    g_autoptr(GError) err = NULL;
    size_t len;
    const uint8_t *expected = g_bytes_get_data(f->frames->pdata[i], &len);
    uint8_t buf[1 << 16];
    if (len < 2)
        return;
    framecache_copy(c, i, 1, buf, len - 1, &err);
    g_assert_no_error(err);
    g_assert_cmpint(memcmp(buf, expected + 1, len - 1), ==, 0);
}

static void
read_all(struct fixture *f, struct framecache *c)
{
    for (unsigned i = 0; i < f->frames->len; i++)
        read_frame(f, c, i);
}

static size_t
small_frames(const struct fixture *f)
{
    size_t n = 0;
    for (unsigned i = 0; i < f->frames->len; i++)
        n += g_bytes_get_size(f->frames->pdata[i]) < 4096;
    return n;
}

/* Nothing is decoded again, but what is too small; unless this machine needed the memory just then. */
static bool
stays(struct fixture *f, struct framecache *c)
{
    for (int i = 0; i < 20; i++) {
        const uint64_t before = framecache_decoded(c);
        read_all(f, c);
        if (framecache_decoded(c) - before <= small_frames(f))
            return true;
    }
    return false;
}

static void
test_lent(struct fixture *f, gconstpointer data)
{
    struct framecache *c = framecache_new(f->stack, 64 << 10);
    framecache_lend(c, 64 << 20);
    read_all(f, c);
    g_assert_true(stays(f, c));
    const uint64_t before = framecache_decoded(c);
    framecache_lose(c);
    read_all(f, c);
    g_assert_cmpuint(framecache_decoded(c), >, before + small_frames(f));
    read_all(f, c);
    framecache_free(c);
}

/* What does not fit any more goes, the oldest first. */
static void
test_bounds(struct fixture *f, gconstpointer data)
{
    struct framecache *c = framecache_new(f->stack, 64 << 10);
    framecache_lend(c, 64 << 10);
    read_all(f, c);
    const uint64_t once = framecache_decoded(c);
    read_all(f, c);
    g_assert_cmpuint(framecache_decoded(c), >, once + f->frames->len / 2 - small_frames(f) / 2);
    framecache_free(c);
}

static void
read_part(struct fixture *f, struct framecache *c, unsigned i, size_t from, size_t to)
{
    g_autoptr(GError) err = NULL;
    uint8_t buf[1 << 16];
    const uint8_t *expected = g_bytes_get_data(f->frames->pdata[i], NULL);
    framecache_copy(c, i, (uint32_t)from, buf, to - from, &err);
    g_assert_no_error(err);
    g_assert_cmpint(memcmp(buf, expected + from, to - from), ==, 0);
}

/* What was copied through in order does not stay, even if a later piece was copied first; what was read in part does. */
static void
test_through(struct fixture *f, gconstpointer data)
{
    struct framecache *c = framecache_new(f->stack, 64 << 20);
    framecache_lend(c, 64 << 20);
    for (unsigned i = 0; i < f->frames->len; i++) {
        const size_t n = g_bytes_get_size(f->frames->pdata[i]), cuts[] = {n / 4, n / 2};
        const uint64_t before = framecache_decoded(c);
        if (n < 8)
            continue;
        read_part(f, c, i, 0, cuts[0]);
        read_part(f, c, i, cuts[0], cuts[1]);
        read_part(f, c, i, cuts[0], cuts[1]);
        read_part(f, c, i, cuts[1], n);
        g_assert_cmpuint(framecache_decoded(c), ==, before + 1);
        read_part(f, c, i, cuts[1], n);
        read_part(f, c, i, 0, cuts[1]);
        g_assert_cmpuint(framecache_decoded(c), ==, before + 2);
        read_part(f, c, i, 1, n);
        read_part(f, c, i, 1, n);
        g_assert_cmpuint(framecache_decoded(c), ==, before + 3);
    }
    framecache_free(c);
}

/* A frame of zeros alone holds nothing, and no reader asks for it. */
static void
ask_for_all(struct fixture *f, struct framecache *c)
{
    g_autofree uint32_t *all = g_new(uint32_t, f->frames->len);
    unsigned count = 0;
    for (unsigned i = 0; i < f->frames->len; i++)
        if (g_bytes_get_size(f->frames->pdata[i]) > 0)
            all[count++] = i;
    framecache_ahead(c, all, count);
}

/* Nothing is decoded twice, whoever comes first, and what nobody came for ends with the cache. */
static void
test_ahead(struct fixture *f, gconstpointer data)
{
    struct framecache *c = framecache_new(f->stack, 64 << 20);
    for (unsigned i = 0; i < 3; i++)
        ask_for_all(f, c);
    for (unsigned i = f->frames->len; i-- > 0;) {
        const size_t n = g_bytes_get_size(f->frames->pdata[i]);
        if (i % 2 == 0)
            read_frame(f, c, i);
        if (n > 0)
            read_part(f, c, i, 0, n);
    }
    g_assert_cmpuint(framecache_decoded(c), <=, f->frames->len);
    ask_for_all(f, c);
    framecache_free(c);
}

struct shared {
    struct fixture *f;
    struct framecache *c;
    gint done;
};

static gpointer
read_at_random(gpointer data)
{
    struct shared *s = data;
    g_autoptr(GRand) rand = g_rand_new();
    for (unsigned i = 0; i < 3000; i++)
        read_frame(s->f, s->c, (unsigned)g_rand_int_range(rand, 0, (gint32)s->f->frames->len));
    return NULL;
}

static gpointer
lose(gpointer data)
{
    struct shared *s = data;
    while (!g_atomic_int_get(&s->done)) {
        framecache_lose(s->c);
        const uint32_t ahead[] = {g_random_int_range(0, (gint32)s->f->frames->len), g_random_int_range(0, (gint32)s->f->frames->len)};
        framecache_ahead(s->c, ahead, G_N_ELEMENTS(ahead));
        g_thread_yield();
    }
    return NULL;
}

static void
test_threads(struct fixture *f, gconstpointer data)
{
    struct shared s = {f, framecache_new(f->stack, 64 << 10), 0};
    GThread *readers[3], *loser;
    framecache_lend(s.c, 1 << 20);
    loser = g_thread_new("lose", lose, &s);
    for (size_t i = 0; i < G_N_ELEMENTS(readers); i++)
        readers[i] = g_thread_new("read", read_at_random, &s);
    for (size_t i = 0; i < G_N_ELEMENTS(readers); i++)
        g_thread_join(readers[i]);
    g_atomic_int_set(&s.done, 1);
    g_thread_join(loser);
    framecache_free(s.c);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    root = temporary_folder();
#define ADD(name) g_test_add("/framecache/" #name, struct fixture, NULL, setup, test_##name, teardown)
    ADD(lent);
    ADD(bounds);
    ADD(through);
    ADD(ahead);
    ADD(threads);
    int failed = g_test_run();
    file_remove_tree(root, NULL);
    g_free(root);
    return failed;
}
