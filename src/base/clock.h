/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <time.h>

/* Time.  Wall time is for people and for retention windows; nothing is ever ordered by it (design D3: logs form a chain by id).
 * Everything that waits uses monotonic time.  Unit: microseconds.  Any thread. */

gint64 clock_wall_us(void);      /* since 1970-01-01 UTC */
gint64 clock_mono_us(void);      /* since an arbitrary start */
gint64 clock_timespec_us(const struct timespec *t); /* of a file, of a clock */
gint64 clock_thread_us(void);    /* processor time of the calling thread */
/* Time since this host booted, also while it slept, and which boot that is: what nobody can set.  "" when the kernel does not say. */
enum { CLOCK_BOOT_TEXT = 37 };
gint64 clock_boot_us(char boot[CLOCK_BOOT_TEXT]);
/* Shifts the clocks, for tests; the real clocks tick on below.  mono_us shifts the time since boot, too. */
void clock_shift_for_test(gint64 wall_us, gint64 mono_us);
void clock_reboot_for_test(void);
char *clock_iso8601(gint64 wall_us);                      /* "2026-11-23T16:20:00.123Z"; free with g_free */
