/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/lend.h"

#include <glib.h>
#include <string.h>
#include <unistd.h>

static void
fill(uint8_t *p, size_t len)
{
    for (size_t i = 0; i < len; i++)
        p[i] = (uint8_t)(i * 7 + i / 4096);
}

static void
assert_filled(const uint8_t *p, size_t len)
{
    for (size_t i = 0; i < len; i++)
        g_assert_cmpuint(p[i], ==, (uint8_t)(i * 7 + i / 4096));
}

static void
test_back(void)
{
    for (size_t len = 1; len < 200000; len += 1 + len / 2) {
        uint8_t *p = lend_new(len), *marks;
        fill(p, len);
        marks = lend(p, len);
        g_assert_true((marks != NULL) == (len >= (size_t)sysconf(_SC_PAGESIZE)));
        if (marks && lend_take_back(p, len, marks))
            assert_filled(p, len);
        else if (!marks)
            assert_filled(p, len);
        lend_free(p);
    }
}

/* Also when only one page of it is lost, and when that held zeros, or the mark. */
static void
test_lost(void)
{
    const size_t page = (size_t)sysconf(_SC_PAGESIZE), len = 5 * page;
    static const uint8_t fills[] = {0, 0xa5, 1};
    for (size_t i = 0; i < G_N_ELEMENTS(fills); i++)
        for (size_t lost = 0; lost < 5; lost++) {
            uint8_t *p = lend_new(len);
            memset(p, fills[i], len);
            uint8_t *marks = lend(p, len);
            g_assert_nonnull(marks);
            lend_lose(p + lost * page, page);
            g_assert_false(lend_take_back(p, len, marks));
            lend_free(p);
        }
}

static void
test_peek(void)
{
    const size_t page = (size_t)sysconf(_SC_PAGESIZE), len = 4 * page;
    uint8_t *p = lend_new(len);
    g_autofree uint8_t *buf = g_malloc(len), *all = g_malloc(len);
    fill(p, len);
    fill(all, len);
    uint8_t *marks = lend(p, len);
    g_assert_nonnull(marks);
    for (size_t from = 0; from < len; from += page / 4)
        for (size_t n = 1; n <= len - from; n += page / 3)
            if (lend_peek(p, marks, from, buf, n))
                g_assert_cmpint(memcmp(buf, all + from, n), ==, 0);
    lend_lose(p + page, page);
    g_assert_false(lend_peek(p, marks, page - 1, buf, 2));
    g_assert_false(lend_peek(p, marks, page + 7, buf, 1));
    g_assert_false(lend_peek(p, marks, 0, buf, len));
    g_assert_true(!lend_peek(p, marks, 2 * page, buf, page) || memcmp(buf, all + 2 * page, page) == 0);
    g_assert_false(lend_take_back(p, len, marks));
    lend_free(p);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/lend/back", test_back);
    g_test_add_func("/lend/lost", test_lost);
    g_test_add_func("/lend/peek", test_peek);
    return g_test_run();
}
