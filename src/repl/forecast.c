/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "repl/forecast.h"

#include <string.h>

static const gint64 APART_US = 600 * (gint64)G_USEC_PER_SEC;
static const gint64 LEAST_US = 3600 * (gint64)G_USEC_PER_SEC;
static const double DAY_US = 86400.0 * G_USEC_PER_SEC;
enum { LEAST = 3, DAYS_MAX = 36500 };

void
forecast_add(struct forecast *f, gint64 us, guint64 bytes)
{
    if (f->count && us - f->sample[f->count - 1].us < APART_US)
        return;
    if (f->count == FORECAST_SAMPLES)
        memmove(f->sample, f->sample + 1, sizeof f->sample[0] * --f->count);
    f->sample[f->count++] = (struct forecast_sample){us, bytes};
}

bool
forecast_slope(const struct forecast_sample *s, guint count, double *per_day)
{
    double x = 0, y = 0, xx = 0, xy = 0;
    if (count < LEAST || s[count - 1].us - s[0].us < LEAST_US)
        return false;
    for (guint i = 0; i < count; i++) { /* from the first, so that the sums stay small */
        const double a = (double)(s[i].us - s[0].us) / DAY_US, b = (double)s[i].bytes - (double)s[0].bytes;
        x += a;
        y += b;
        xx += a * a;
        xy += a * b;
    }
    const double spread = count * xx - x * x;
    if (spread <= 0)
        return false;
    *per_day = (count * xy - x * y) / spread;
    return true;
}

gint
forecast_days(guint64 left, double per_day)
{
    const double days = per_day > 0 ? (double)left / per_day : -1;
    return days < 0 || days > DAYS_MAX ? -1 : (gint)days;
}
