/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <time.h>

/* Bytes per second by hours of the day, as text.
 *
 *   rates  = entry { ";" entry }                          at most RATES_MAX
 *   entry  = [ hours ] [ days ] rate
 *   hours  = HH:MM "-" HH:MM                              00:00 .. 24:00; an end before the begin is on the next day
 *   days   = day [ "-" day ] { "," day [ "-" day ] }      mon tue wed thu fri sat sun; the day on which the hours begin
 *   rate   = "unlimited" | number [ unit ] [ "/s" ]       unit: B, KiB, MiB, GiB, kB, MB, GB, kbit, Mbit, Gbit; without one: bytes
 *
 * "20MiB; 08:00-18:00 mon-fri 2MiB; 22:00-06:00 unlimited": the last entry that matches the time wins; when none does, there is no limit.
 * Hours are those that a clock on the wall of this host shows: an hour that daylight saving time skips matches nothing on that day, one
 * that it repeats matches twice.
 *
 * Limits: RATES_LEAST .. 2^63-1 bytes per second.  Pure but for rates_now; any thread. */

enum { RATES_MAX = 16, RATES_LEAST = 1024 };

struct rates {
    guint count;
    struct rates_entry {
        guint from, to;         /* minutes of the day; from > to: over midnight */
        guint days;             /* bit 0: Sunday, as tm_wday */
        guint64 bytes_per_s;    /* 0: unlimited */
    } entry[RATES_MAX];
};

/* ERR_INVALID_PARAMETER says which word of the text is wrong and where; text may be "" or NULL: no limit. */
bool rates_parse(const char *text, struct rates *out, GError **err);
char *rates_text(const struct rates *r);                          /* the same in one form, which reads as the same again; g_free */
void rates_always(struct rates *out, guint64 bytes_per_s);        /* 0: no limit */
guint64 rates_at(const struct rates *r, const struct tm *local);  /* 0: unlimited; looks at tm_wday, tm_hour and tm_min */
guint64 rates_now(const struct rates *r);                         /* by base/clock.h and the host's time zone */
