/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/throttle.h"

#define SECOND ((int64_t)G_USEC_PER_SEC)

/* Without a real clock: when may who asks at that time go on? */
static void
test_rate(void)
{
    struct throttle *t = throttle_new(1000);
    g_assert_cmpint(throttle_reserve(t, 100, 10 * SECOND), ==, 10 * SECOND); /* a tenth of a second's worth is there */
    g_assert_cmpint(throttle_reserve(t, 500, 10 * SECOND), ==, 10 * SECOND + SECOND / 2);
    g_assert_cmpint(throttle_reserve(t, 500, 10 * SECOND), ==, 11 * SECOND); /* the next one waits for both */
    g_assert_cmpint(throttle_reserve(t, 0, 10 * SECOND), ==, 11 * SECOND);
    g_assert_cmpint(throttle_reserve(t, 100, 100 * SECOND), ==, 100 * SECOND); /* what was not taken is not saved up */
    g_assert_cmpint(throttle_reserve(t, 1000, 100 * SECOND), ==, 101 * SECOND);
    throttle_free(t);
}

static void
test_none(void)
{
    gint cancel = 1;
    g_assert_null(throttle_new(0));
    g_assert_true(throttle_take(NULL, G_MAXUINT64, &cancel));
    throttle_free(NULL);
}

static void
test_cancel(void)
{
    gint cancel = 0;
    struct throttle *t = throttle_new(1);
    g_assert_true(throttle_take(t, 0, &cancel));
    cancel = 1;
    g_assert_false(throttle_take(t, 3600, &cancel)); /* would be an hour */
    throttle_free(t);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/throttle/rate", test_rate);
    g_test_add_func("/throttle/none", test_none);
    g_test_add_func("/throttle/cancel", test_cancel);
    return g_test_run();
}
