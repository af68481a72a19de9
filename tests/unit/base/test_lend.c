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

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/lend/back", test_back);
    g_test_add_func("/lend/lost", test_lost);
    return g_test_run();
}
