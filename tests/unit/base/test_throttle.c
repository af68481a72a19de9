/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/throttle.h"

#include "base/clock.h"

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

/* Whoever asks again when its time has come gets its share, whatever another limit of its own does. */
static void
test_shares(void)
{
    enum { TAKERS = 4 };
    struct rates rates;
    rates_always(&rates, 1 << 20);
    struct throttle *t = throttle_new_rates(&rates, true);
    struct throttle *slow = throttle_new(64 << 10); /* of the last one */
    int64_t at[TAKERS] = { 0 };
    uint64_t got[TAKERS] = { 0 };
    const size_t piece = throttle_piece(t, 0);
    for (;;) {
        guint next = 0;
        for (guint i = 1; i < TAKERS; i++)
            next = at[i] < at[next] ? i : next;
        const int64_t now = at[next];
        if (now > 60 * SECOND)
            break;
        const bool last = next == TAKERS - 1;
        const size_t n = last ? MIN(piece, throttle_piece(slow, now)) : piece;
        got[next] += n;
        const int64_t until = throttle_reserve(t, n, now), own = last ? throttle_reserve(slow, n, now) : 0;
        at[next] = MAX(until, own);
    }
    const uint64_t share = (60 * ((1 << 20) - (64 << 10))) / (TAKERS - 1);
    for (guint i = 0; i + 1 < TAKERS; i++)
        g_assert_cmpfloat_with_epsilon((double)got[i], (double)share, (double)share / 20);
    g_assert_cmpfloat_with_epsilon((double)got[TAKERS - 1], 60 * (64 << 10), 6 * (64 << 10));
    throttle_free(slow);
    throttle_free(t);
}

/* The rate changes while others wait, by what somebody sets and by the hour. */
static void
test_change(void)
{
    struct rates rates;
    struct throttle *t = throttle_new_rates(&(struct rates){ 0 }, false);
    g_assert_cmpuint(throttle_piece(t, SECOND), ==, SIZE_MAX);
    g_assert_cmpint(throttle_reserve(t, G_MAXINT64, 2 * SECOND), ==, 2 * SECOND);
    rates_always(&rates, 10000);
    throttle_set_rates(t, &rates);
    g_assert_cmpuint(throttle_piece(t, 3 * SECOND), ==, 10000 / 8);
    g_assert_cmpint(throttle_reserve(t, 1000, 3 * SECOND), ==, 3 * SECOND);
    g_assert_cmpint(throttle_reserve(t, 10000, 3 * SECOND), ==, 4 * SECOND);
    rates_always(&rates, 100000);
    throttle_set_rates(t, &rates);
    g_assert_cmpint(throttle_reserve(t, 100000, 3 * SECOND), ==, 5 * SECOND);
    throttle_set_rates(t, &(struct rates){ 0 });
    g_assert_cmpint(throttle_reserve(t, 100000, 3 * SECOND), ==, 3 * SECOND);
    throttle_free(t);
}

static void
test_hours(void)
{
    struct rates rates;
    const gint64 day = 24 * 3600 * SECOND;
    const gint64 nine = (day / 24 * 9 - clock_wall_us() % day + day) % day;
    g_assert_true(rates_parse("1MiB; 09:00-10:00 2MiB", &rates, NULL));
    struct throttle *t = throttle_new_rates(&rates, false);
    clock_shift_for_test(nine - 3600 * SECOND, 0);
    g_assert_cmpint(throttle_reserve(t, 10 << 20, 100 * SECOND), >, 109 * SECOND);
    clock_shift_for_test(3660 * SECOND, 0);
    const int64_t before = throttle_reserve(t, 0, 110 * SECOND);
    g_assert_cmpint(throttle_reserve(t, 10 << 20, 110 * SECOND) - before, ==, 5 * SECOND - SECOND / 10); /* a tenth is there at once */
    clock_shift_for_test(-3660 * SECOND - nine + 3600 * SECOND, 0);
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
    g_setenv("TZ", "UTC", TRUE);
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/throttle/rate", test_rate);
    g_test_add_func("/throttle/shares", test_shares);
    g_test_add_func("/throttle/change", test_change);
    g_test_add_func("/throttle/hours", test_hours);
    g_test_add_func("/throttle/none", test_none);
    g_test_add_func("/throttle/cancel", test_cancel);
    return g_test_run();
}
