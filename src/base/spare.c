/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/spare.h"

#include "base/clean.h"

#include <stdio.h>
#include <string.h>

static const gint64 SPAN_US = G_USEC_PER_SEC;

struct spare {
    GMutex lock;
    /* under lock */
    struct spare_ticks ticks; /* at the last look; total 0: there was none */
    guint64 own_us;
    gint64 looked_us;         /* monotonic */
    double processors;
};

bool
spare_parse(const char *stat, struct spare_ticks *out)
{
    guint64 t[8]; /* user, nice, system, idle, iowait, irq, softirq, steal */
    if (!g_str_has_prefix(stat, "cpu "))
        return false;
    const char *at = stat + strlen("cpu ");
    *out = (struct spare_ticks){ 0 };
    for (guint i = 0; i < G_N_ELEMENTS(t); i++) {
        char *end;
        t[i] = g_ascii_strtoull(at, &end, 10);
        if (end == at)
            return false;
        at = end;
        out->total += t[i];
    }
    out->idle = t[3] + t[4];
    return true;
}

double
spare_between(const struct spare_ticks *from, const struct spare_ticks *to, guint processors, guint64 own_us, gint64 span_us)
{
    if (to->total <= from->total || to->idle < from->idle || span_us <= 0)
        return processors;
    const double idle = (double)(to->idle - from->idle) / (double)(to->total - from->total) * processors;
    return MIN(idle + (double)own_us / (double)span_us, processors);
}

struct spare *
spare_new(void)
{
    struct spare *s = g_new0(struct spare, 1);
    g_mutex_init(&s->lock);
    s->processors = g_get_num_processors();
    return s;
}

void
spare_free(struct spare *s)
{
    if (!s)
        return;
    g_mutex_clear(&s->lock);
    g_free(s);
}

static bool
look(struct spare_ticks *out)
{
    char line[256];
    FILE *f = fopen("/proc/stat", "re");
    const bool ok = f && fgets(line, sizeof line, f) && spare_parse(line, out);
    if (f)
        fclose(f);
    return ok;
}

double
spare_processors(struct spare *s, guint64 own_us)
{
    struct spare_ticks ticks;
    HOLD(&s->lock);
    const gint64 now = g_get_monotonic_time();
    if ((s->ticks.total && now - s->looked_us < SPAN_US) || !look(&ticks))
        return s->processors;
    if (s->ticks.total)
        s->processors = spare_between(&s->ticks, &ticks, g_get_num_processors(), own_us - s->own_us, now - s->looked_us);
    s->ticks = ticks;
    s->own_us = own_us;
    s->looked_us = now;
    return s->processors;
}
