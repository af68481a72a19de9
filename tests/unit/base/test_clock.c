/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/clock.h"

static void
test_shift(void)
{
    gint64 before = clock_wall_us(), mono = clock_mono_us();
    clock_shift_for_test(-3600 * (gint64)G_USEC_PER_SEC, 5 * G_USEC_PER_SEC);
    g_assert_cmpint(clock_wall_us(), <, before);
    g_assert_cmpint(clock_mono_us(), >=, mono + 5 * G_USEC_PER_SEC);
    clock_shift_for_test(3600 * (gint64)G_USEC_PER_SEC, -5 * G_USEC_PER_SEC);
    g_autofree char *text = clock_iso8601(G_GINT64_CONSTANT(1763914800123000));
    g_assert_cmpstr(text, ==, "2025-11-23T16:20:00.123Z");
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/base/clock/shift", test_shift);
    return g_test_run();
}
