/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "log/readahead.h"

#include "base/err.h"

#include <string.h>

#define SIZE (8u << 20)

static struct block *
numbered_disk(void)
{
    guint8 *data;
    struct block *b = block_mem_new(SIZE, &data);
    for (guint32 i = 0; i < SIZE / 4; i++)
        memcpy(data + i * 4, &i, 4);
    return b;
}

/* Every run follows the one before it and holds what the disk holds. */
static void
run_through(struct block *disk, const struct extents *wanted, unsigned threads)
{
    extents_auto got = extents_new();
    const struct readahead_run *run = NULL;
    GError *err = NULL;
    struct readahead *ra = readahead_start(disk, wanted, threads);
    guint64 last = 0;
    for (size_t n; (n = readahead_next(ra, &run, &err)) > 0;)
        for (; n > 0; n--, run++) {
            g_assert_cmpuint(run->offset, >=, last);
            last = run->offset + run->length;
            extents_add(got, run->offset, run->length, run->data ? EXTENT_DATA : EXTENT_ZERO);
            for (guint64 i = 0; run->data && i < run->length; i += 512) {
                guint32 number;
                memcpy(&number, run->data + i, 4);
                g_assert_cmpuint(number, ==, (run->offset + i) / 4);
            }
        }
    g_assert_no_error(err);
    g_assert_cmpuint(readahead_next(ra, &run, &err), ==, 0);
    readahead_stop(ra);
    g_assert_cmpuint(extents_count(got), ==, extents_count(wanted));
    for (size_t i = 0; i < extents_count(got); i++) {
        const struct extent *is = extents_at(got, i), *should = extents_at(wanted, i);
        g_assert_true(is->offset == should->offset && is->length == should->length && is->kind == should->kind);
    }
}

static void
test_order(void)
{
    block_auto disk = numbered_disk();
    extents_auto all = extents_new(), *many = extents_new(), *none = extents_new(), *zeros = extents_new();
    extents_add(all, 0, SIZE, EXTENT_DATA);
    extents_add(zeros, 0, SIZE, EXTENT_ZERO);
    for (guint64 at = 0; at < SIZE; at += 8192)
        extents_add(many, at, (guint64)g_test_rand_int_range(1, 16) * 512, g_test_rand_int_range(0, 4) ? EXTENT_DATA : EXTENT_ZERO);
    for (unsigned threads = 0; threads < 5; threads++) {
        run_through(disk, all, threads);
        run_through(disk, many, threads);
        run_through(disk, none, threads);
        run_through(disk, zeros, threads);
    }
}

static bool
fail_at_five(struct block *b, void *buf, size_t len, uint64_t off, GError **err)
{
    memset(buf, 0, len);
    return off < 5 * READAHEAD_PIECE || err_set(err, ERR_IO, "Five.");
}

/* An error comes in its turn: everything before it is delivered. */
static void
test_error_in_order(void)
{
    const struct block_ops ops = {.read = fail_at_five};
    struct block bad = {&ops, SIZE};
    extents_auto all = extents_new();
    extents_add(all, 0, SIZE, EXTENT_DATA);
    for (unsigned threads = 0; threads < 4; threads++) {
        const struct readahead_run *run;
        g_autoptr(GError) err = NULL;
        guint pieces = 0;
        struct readahead *ra = readahead_start(&bad, all, threads);
        while (readahead_next(ra, &run, &err))
            pieces++;
        g_assert_true(err_is(err, ERR_IO));
        g_assert_cmpuint(pieces, ==, 5);
        readahead_stop(ra);
    }
}

static void
test_stop_early(void)
{
    block_auto disk = numbered_disk();
    extents_auto all = extents_new();
    const struct readahead_run *run;
    extents_add(all, 0, SIZE, EXTENT_DATA);
    for (unsigned i = 0; i < 20; i++) {
        struct readahead *ra = readahead_start(disk, all, i % 5);
        for (unsigned n = 0; n < i % 4; n++)
            g_assert_cmpuint(readahead_next(ra, &run, NULL), ==, 1);
        readahead_stop(ra);
    }
    readahead_stop(NULL);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/log/readahead/order", test_order);
    g_test_add_func("/log/readahead/error-in-order", test_error_in_order);
    g_test_add_func("/log/readahead/stop-early", test_stop_early);
    return g_test_run();
}
