/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "repl/churn.h"

static const gint64 ALARM_US = 3600 * (gint64)G_USEC_PER_SEC;
static const double WEIGHT = 0.05;       /* of a new cycle in what is usual: the last 20 count most */
static const double INCOMPRESSIBLE = 0.9;

static double
blend(double usual, double now, bool first)
{
    return first ? now : usual + WEIGHT * (now - usual);
}

static bool
is_loud(const struct churn *c, const struct churn_cycle *cycle)
{
    return c->known >= CHURN_LEARN && cycle->compressed && cycle->raw >= CHURN_LEAST && c->now_rate > CHURN_TIMES * c->rate &&
           c->now_ratio >= INCOMPRESSIBLE && c->ratio < INCOMPRESSIBLE;
}

static void
learn(struct churn *c, const struct churn_cycle *cycle)
{
    c->rate = blend(c->rate, c->now_rate, c->known == 0);
    if (cycle->raw)
        c->ratio = blend(c->ratio, c->now_ratio, c->ratio <= 0);
    c->known++;
    c->loud = 0;
    c->quiet = cycle->log;
    c->quiet_us = cycle->capture_us;
}

static void
raise_alarm(struct churn *c, const struct churn_cycle *cycle)
{
    if (++c->loud < CHURN_LOUD)
        return;
    if (c->loud == CHURN_LOUD) {
        c->before = c->quiet;
        c->before_us = c->quiet_us;
    }
    c->alarm_us = cycle->capture_us;
}

void
churn_note(struct churn *c, const struct churn_cycle *cycle)
{
    const gint64 span = cycle->capture_us - c->last_us;
    const bool first = c->last_us == 0 || span <= 0; /* of unknown length, also when the clock was set */
    c->last_us = cycle->capture_us;
    if (first)
        return;
    c->now_rate = (double)cycle->raw * G_USEC_PER_SEC / (double)span;
    c->now_ratio = cycle->raw ? (double)cycle->stored / (double)cycle->raw : 0;
    if (is_loud(c, cycle))
        raise_alarm(c, cycle);
    else
        learn(c, cycle);
}

char *
churn_alarm(const struct churn *c, gint64 now_us)
{
    char text[UUID_TEXT];
    if (!c->alarm_us || now_us - c->alarm_us > ALARM_US)
        return NULL;
    g_autoptr(GDateTime) when = g_date_time_new_from_unix_local(c->before_us / G_USEC_PER_SEC);
    g_autofree char *time = when ? g_date_time_format(when, "%Y-%m-%d %H:%M:%S") : NULL;
    g_autofree char *rate = g_format_size((guint64)c->now_rate);
    return g_strdup_printf("The guest changes %s per second, far more than usual, and nothing of it compresses: it may be under attack by "
                           "ransomware.  The last quiet recovery point is %s of %s.",
                           rate, uuid_format(&c->before, text), time ? time : "an unknown time");
}
