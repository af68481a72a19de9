/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "repl/window.h"

#include <time.h>

static struct tm
local(gint64 wall_us)
{
    const time_t seconds = (time_t)(wall_us / G_USEC_PER_SEC);
    struct tm t;
    localtime_r(&seconds, &t);
    return t;
}

/* The time of day `of_day` on the day of `now`, or `days` after it; mktime knows about summer time. */
static gint64
at(gint64 now_us, gint64 of_day_us, int days)
{
    struct tm t = local(now_us);
    const gint64 seconds = of_day_us / G_USEC_PER_SEC;
    t.tm_mday += days;
    t.tm_hour = (int)(seconds / 3600);
    t.tm_min = (int)(seconds / 60 % 60);
    t.tm_sec = (int)(seconds % 60);
    t.tm_isdst = -1;
    return (gint64)mktime(&t) * G_USEC_PER_SEC + of_day_us % G_USEC_PER_SEC;
}

bool
window_is_open(gint64 now_us, gint64 start_us, gint64 end_us)
{
    const struct tm t = local(now_us);
    const gint64 of_day = ((t.tm_hour * 60 + t.tm_min) * 60 + t.tm_sec) * (gint64)G_USEC_PER_SEC + now_us % G_USEC_PER_SEC;
    return start_us < end_us ? of_day >= start_us && of_day < end_us : of_day >= start_us || of_day < end_us;
}

gint64
window_opened(gint64 now_us, gint64 start_us)
{
    const gint64 today = at(now_us, start_us, 0);
    return today <= now_us ? today : at(now_us, start_us, -1);
}

gint64
window_opens(gint64 now_us, gint64 start_us)
{
    const gint64 today = at(now_us, start_us, 0);
    return today > now_us ? today : at(now_us, start_us, 1);
}
