/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "store/coverage.h"

#include <string.h>

/* Against a byte per sector. */

#define SECTORS 5000

static uint64_t
pick(uint64_t below)
{
    uint64_t n = (uint64_t)g_test_rand_int_range(0, (gint32)below + 1);
    return g_test_rand_int_range(0, 2) ? n / 8 * 8 : n;
}

static void
check_claim(struct coverage *c, uint8_t *seen, uint64_t from, uint64_t to)
{
    g_autoptr(GArray) gaps = g_array_new(FALSE, FALSE, sizeof(struct coverage_gap));
    coverage_claim(c, from, to, gaps);
    uint64_t at = from;
    for (guint i = 0; i < gaps->len; i++) {
        const struct coverage_gap *gap = &g_array_index(gaps, struct coverage_gap, i);
        g_assert_cmpuint(gap->from, >=, at);
        g_assert_cmpuint(gap->to, >, gap->from);
        g_assert_cmpuint(gap->to, <=, to);
        for (; at < gap->from; at++)
            g_assert_cmpuint(seen[at], ==, 1);
        for (; at < gap->to; at++)
            g_assert_cmpuint(seen[at], ==, 0);
    }
    for (; at < to; at++)
        g_assert_cmpuint(seen[at], ==, 1);
    memset(seen + from, 1, to - from);
}

static void
test_random(void)
{
    for (int round = 0; round < 50; round++) {
        struct coverage *c = coverage_new(SECTORS);
        uint8_t seen[SECTORS] = {0};
        for (int i = 0; i < 200; i++) {
            uint64_t from = pick(SECTORS - 1), to = from + 1 + pick(i % 10 ? 40 : SECTORS - from - 1);
            check_claim(c, seen, from, MIN(to, SECTORS));
        }
        coverage_free(c);
    }
}

/* A petabyte claimed at once costs neither time nor memory, and borders between the pieces of 1 GiB do not show. */
static void
test_huge(void)
{
    uint64_t sectors = UINT64_C(1) << 41, gib = UINT64_C(1) << 21;
    struct coverage *c = coverage_new(sectors);
    g_autoptr(GArray) gaps = g_array_new(FALSE, FALSE, sizeof(struct coverage_gap));
    coverage_claim(c, gib - 3, gib + 5, gaps);
    g_assert_cmpuint(gaps->len, ==, 1);
    g_array_set_size(gaps, 0);
    coverage_claim(c, 0, sectors, gaps);
    g_assert_cmpuint(gaps->len, ==, 2);
    const struct coverage_gap *gap = &g_array_index(gaps, struct coverage_gap, 0);
    g_assert_cmpuint(gap[0].to, ==, gib - 3);
    g_assert_cmpuint(gap[1].from, ==, gib + 5);
    g_assert_cmpuint(gap[1].to, ==, sectors);
    g_array_set_size(gaps, 0);
    coverage_claim(c, 0, sectors, gaps);
    g_assert_cmpuint(gaps->len, ==, 0);
    coverage_free(c);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/coverage/random", test_random);
    g_test_add_func("/coverage/huge", test_huge);
    return g_test_run();
}
