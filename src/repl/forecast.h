/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <stdbool.h>

/* How fast does something grow: a straight line through what was measured (least squares).  Pure; one thread at a time. */

enum { FORECAST_SAMPLES = 144 };

struct forecast_sample {
    gint64 us; /* any clock that only goes forward */
    guint64 bytes;
};

/* Measurements, at least ten minutes apart; the oldest goes when there is no room: a day of them. */
struct forecast {
    guint count;
    struct forecast_sample sample[FORECAST_SAMPLES]; /* oldest first */
};
void forecast_add(struct forecast *f, gint64 us, guint64 bytes);

/* Bytes per day; false: less than an hour or fewer than three samples, which say nothing. */
bool forecast_slope(const struct forecast_sample *samples, guint count, double *per_day);
/* Days until so much is used at that slope; -1: never, or not within a hundred years. */
gint forecast_days(guint64 left, double per_day);
