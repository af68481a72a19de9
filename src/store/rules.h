/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <stdbool.h>

/* Retention rules as text: which points stay for how long.
 *
 *   rules    = rule { "," rule }                                   at most RULES_MAX
 *   rule     = [ "application" ] spacing "for" time
 *   spacing  = "all" | "every" time | "hourly" | "daily" | "weekly"
 *   time     = number unit                                         unit: s, min, h, d, w
 *
 * "every 10s for 1h, every 5min for 24h, daily for 30d, application every 1h for 7d": time is cut into slots of the spacing (counted from
 * 1970, so that a slot never moves); of each slot the oldest point stays until it is older than the rule says.  A rule with "application"
 * looks only at application-consistent points.  A point stays when one rule keeps it.
 *
 * Limits: spacing 1 s .. 366 d, kept 1 s .. 36500 d, and not shorter than the spacing.  Units: microseconds.  Pure. */

enum { RULES_MAX = 16 };

struct rule {
    bool application;
    gint64 every_us; /* 0: all */
    gint64 for_us;
};

struct rules {
    guint count;
    struct rule rule[RULES_MAX];
};

/* ERR_INVALID_PARAMETER says which word of the text is wrong; text may be "" or NULL: no rules. */
bool rules_parse(const char *text, struct rules *out, GError **err);
char *rules_text(const struct rules *rules); /* the same in one form, which reads as the same again; "" without rules; g_free */
