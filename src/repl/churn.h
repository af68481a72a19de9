/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "base/uuid.h"

#include <glib.h>
#include <stdbool.h>

/* Does a guest change as it usually does?  Known at no cost from what every cycle says anyway: bytes changed, and what the compressor made
 * of them.  Somebody who encrypts a guest's files changes much more than usual, and nothing of it compresses.
 *
 * The first CHURN_LEARN cycles only teach.  A cycle is loud when it changes at least CHURN_LEAST bytes, CHURN_TIMES as much per second as
 * usual, and compresses to no less than nine tenths while what the guest usually writes compresses better.  CHURN_LOUD of them in a row
 * are an alarm, which names the last recovery point before them; it ends an hour after the last loud cycle.  Loud cycles do not teach.
 * Guests that always write what does not compress, and relationships without compression, are never accused.  Nothing outlives a restart.
 *
 * Pure but for its struct; one thread at a time. */

enum { CHURN_LEARN = 20, CHURN_TIMES = 8, CHURN_LOUD = 3, CHURN_LEAST = 4 << 20 };

struct churn_cycle {
    struct uuid log;
    gint64 capture_us;      /* wall */
    guint64 raw, stored;    /* bytes */
    bool compressed;        /* stored says something about the data */
};

struct churn {
    guint known, loud;
    double rate, ratio;     /* usual bytes per second, usual stored / raw */
    double now_rate, now_ratio;
    gint64 last_us;         /* of the last cycle */
    struct uuid quiet;      /* newest log that was not loud */
    gint64 quiet_us;
    struct uuid before;     /* newest quiet log before the alarm */
    gint64 before_us, alarm_us; /* alarm_us: last loud cycle of it; 0: no alarm */
};
void churn_note(struct churn *c, const struct churn_cycle *cycle);
/* The alarm in words with the last quiet point, or NULL; g_free. */
char *churn_alarm(const struct churn *c, gint64 now_us);
