/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "repl/compress.h"

#include <string.h>

static const double WEIGHT = 0.3;          /* of a new log in what is known */
static const double LEAST_PROCESSORS = 0.1;

static const struct way {
    const char *name;
    int level;
    double speed, saved; /* of those of zstd:1 */
    double beyond;       /* of what zstd:1 leaves, saved too; grows with what it saves */
} WAYS[COMPRESS_COUNT] = {
    [COMPRESS_AUTO] = { "auto", 0, 0, 0, 0 },
    [COMPRESS_NONE] = { "none", 0, 0, 0, 0 },
    [COMPRESS_LZ4] = { "lz4", 0, 1.65, 0.82, 0 },
    [COMPRESS_ZSTD_FAST] = { "zstd:-1", -1, 1.21, 0.94, 0 },
    [COMPRESS_ZSTD_1] = { "zstd:1", 1, 1.00, 1.00, 0 },
    [COMPRESS_ZSTD_2] = { "zstd:2", 2, 0.84, 1.00, 0.046 },
    [COMPRESS_ZSTD_3] = { "zstd:3", 3, 0.69, 1.00, 0.068 },
};

const char *
compress_name(enum compress c)
{
    g_assert(c < COMPRESS_COUNT);
    return WAYS[c].name;
}

bool
compress_parse(const char *text, enum compress *out)
{
    for (guint i = 0; i < COMPRESS_COUNT; i++)
        if (!strcmp(WAYS[i].name, text)) {
            *out = (enum compress)i;
            return true;
        }
    return false;
}

int
compress_level(enum compress c)
{
    g_assert(c < COMPRESS_COUNT);
    return WAYS[c].level;
}

static double
blend(double known, double now)
{
    return known > 0 ? known + WEIGHT * (now - known) : now;
}

void
compress_note_packed(struct compress_meter *m, enum compress way, guint64 raw, guint64 stored, gint64 cpu_us)
{
    g_assert(way < COMPRESS_COUNT);
    if (raw < COMPRESS_LEAST || cpu_us <= 0 || WAYS[way].speed <= 0)
        return;
    const double saved = stored < raw ? (double)(raw - stored) / (double)raw / WAYS[way].saved : 0;
    m->saved = m->pack > 0 ? m->saved + WEIGHT * (saved - m->saved) : saved;
    m->pack = blend(m->pack, (double)raw * G_USEC_PER_SEC / (double)cpu_us / WAYS[way].speed);
}

void
compress_note_sent(struct compress_meter *m, guint64 bytes, gint64 us)
{
    if (bytes >= COMPRESS_LEAST && us > 0)
        m->link = blend(m->link, (double)bytes * G_USEC_PER_SEC / (double)us);
}

/* Seconds per byte of changes. */
static double
cost(const struct compress_meter *m, enum compress way, double processors)
{
    const struct way *w = &WAYS[way];
    const double left = (1 - MIN(m->saved, 1) * w->saved) * (1 - m->saved * w->beyond);
    return 1 / (MAX(processors, LEAST_PROCESSORS) * m->pack * w->speed) + left / m->link;
}

enum compress
compress_best(const struct compress_meter *m, double processors, bool lz4)
{
    if (m->pack <= 0 || m->link <= 0)
        return COMPRESS_ZSTD_1;
    enum compress best = COMPRESS_ZSTD_1;
    for (enum compress way = lz4 ? COMPRESS_LZ4 : COMPRESS_ZSTD_FAST; way < COMPRESS_COUNT; way++)
        if (cost(m, way, processors) < cost(m, best, processors))
            best = way;
    return best;
}

static enum compress
change_to(struct compress_meter *m, enum compress way)
{
    m->votes = 0;
    return m->now = m->rival = way;
}

enum compress
compress_vote(struct compress_meter *m, double processors, bool lz4)
{
    const enum compress best = compress_best(m, processors, lz4);
    if (m->now == COMPRESS_AUTO || (m->now == COMPRESS_LZ4 && !lz4))
        return change_to(m, best);
    const bool wins = best != m->now && m->pack > 0 && m->link > 0 &&
                      cost(m, best, processors) * (100 + COMPRESS_GAIN) < cost(m, m->now, processors) * 100;
    m->votes = !wins ? 0 : best == m->rival ? m->votes + 1 : 1;
    m->rival = wins ? best : m->now;
    return m->votes >= COMPRESS_VOTES ? change_to(m, best) : m->now;
}
