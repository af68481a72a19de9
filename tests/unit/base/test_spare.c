/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/spare.h"

static void
test_parse(void)
{
    static const char *const wrong[] = { "", "cpu", "cpu0 1 2 3 4 5 6 7 8", "cpu  1 2 3 x 5 6 7 8", "cpu  1 2 3 4", "intr 1 2 3 4 5" };
    struct spare_ticks t;
    g_assert_true(spare_parse("cpu  100 20 30 400 50 6 7 8 99 9\ncpu0 1", &t));
    g_assert_cmpuint(t.idle, ==, 450);
    g_assert_cmpuint(t.total, ==, 621);
    for (guint i = 0; i < G_N_ELEMENTS(wrong); i++)
        g_assert_false(spare_parse(wrong[i], &t));
}

static void
test_between(void)
{
    const struct spare_ticks from = { 1000, 10000 }, idle = { 2000, 11000 }, busy = { 1000, 11000 }, half = { 1500, 11000 };
    const gint64 second = G_USEC_PER_SEC;
    g_assert_cmpfloat_with_epsilon(spare_between(&from, &idle, 4, 0, second), 4, 1e-9);
    g_assert_cmpfloat_with_epsilon(spare_between(&from, &busy, 4, 0, second), 0, 1e-9);
    g_assert_cmpfloat_with_epsilon(spare_between(&from, &half, 4, 0, second), 2, 1e-9);
    g_assert_cmpfloat_with_epsilon(spare_between(&from, &busy, 4, 1500000, second), 1.5, 1e-9); /* we could give it up */
    g_assert_cmpfloat_with_epsilon(spare_between(&from, &idle, 4, 1500000, second), 4, 1e-9);
    g_assert_cmpfloat_with_epsilon(spare_between(&from, &from, 4, 0, second), 4, 1e-9); /* says nothing */
    g_assert_cmpfloat_with_epsilon(spare_between(&idle, &from, 4, 0, second), 4, 1e-9);
}

static void
test_this_machine(void)
{
    struct spare *s = spare_new();
    for (guint i = 0; i < 3; i++) {
        const double n = spare_processors(s, 0);
        g_assert_cmpfloat(n, >=, 0);
        g_assert_cmpfloat(n, <=, g_get_num_processors());
    }
    spare_free(s);
    spare_free(NULL);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/base/spare/parse", test_parse);
    g_test_add_func("/base/spare/between", test_between);
    g_test_add_func("/base/spare/this-machine", test_this_machine);
    return g_test_run();
}
