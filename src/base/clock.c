/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/clock.h"

#include <time.h>

/* Test offsets; atomics, since scheduler threads read while a test shifts. */
static gint64 wall_offset, mono_offset, reboots;

gint64
clock_wall_us(void)
{
    return g_get_real_time() + __atomic_load_n(&wall_offset, __ATOMIC_RELAXED);
}

gint64
clock_mono_us(void)
{
    return g_get_monotonic_time() + __atomic_load_n(&mono_offset, __ATOMIC_RELAXED);
}

gint64
clock_timespec_us(const struct timespec *t)
{
    return (gint64)t->tv_sec * G_USEC_PER_SEC + t->tv_nsec / 1000;
}

gint64
clock_thread_us(void)
{
    struct timespec t = {0};
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return clock_timespec_us(&t);
}

static void
read_boot(char boot[CLOCK_BOOT_TEXT])
{
    g_autofree char *text = NULL;
    boot[0] = '\0';
    if (g_file_get_contents("/proc/sys/kernel/random/boot_id", &text, NULL, NULL))
        g_strlcpy(boot, g_strstrip(text), CLOCK_BOOT_TEXT);
    const gint64 n = __atomic_load_n(&reboots, __ATOMIC_RELAXED);
    if (n)
        g_snprintf(boot, CLOCK_BOOT_TEXT, "test-%d", (int)n);
}

gint64
clock_boot_us(char boot[CLOCK_BOOT_TEXT])
{
    struct timespec t = {0};
    read_boot(boot);
    if (clock_gettime(CLOCK_BOOTTIME, &t) != 0)
        boot[0] = '\0';
    return clock_timespec_us(&t) + __atomic_load_n(&mono_offset, __ATOMIC_RELAXED);
}

void
clock_reboot_for_test(void)
{
    __atomic_add_fetch(&reboots, 1, __ATOMIC_RELAXED);
}

void
clock_shift_for_test(gint64 wall_us, gint64 mono_us)
{
    __atomic_add_fetch(&wall_offset, wall_us, __ATOMIC_RELAXED);
    __atomic_add_fetch(&mono_offset, mono_us, __ATOMIC_RELAXED);
}

char *
clock_iso8601(gint64 wall_us)
{
    gint64 seconds = wall_us / G_USEC_PER_SEC;
    g_autoptr(GDateTime) time = g_date_time_new_from_unix_utc(seconds);
    if (!time)
        return g_strdup("-");
    g_autofree char *text = g_date_time_format(time, "%Y-%m-%dT%H:%M:%S");
    return g_strdup_printf("%s.%03dZ", text, (int)(wall_us % G_USEC_PER_SEC / 1000));
}
