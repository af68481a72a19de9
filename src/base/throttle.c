/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/throttle.h"

#include "base/clean.h"

static const int64_t BURST_US = G_USEC_PER_SEC / 10;
static const int64_t LOOK_US = G_USEC_PER_SEC / 20; /* how often a flag is looked at that nobody signals */

static const int64_t HOURS_US = G_USEC_PER_SEC;      /* how often the clock on the wall is looked at */
enum { PIECES_PER_S = 8, SHARED_PIECES_PER_S = 100, PIECE_LEAST = 1 << 10, PIECE_MOST = 256 << 10 };

struct throttle {
    guint pieces_per_s; /* fixed */
    GMutex lock;
    struct rates rates;
    bool looked;
    int64_t looked_us; /* monotonic: when bytes_per_s was last found */
    uint64_t bytes_per_s; /* 0: no limit now */
    int64_t free_us; /* when all that was taken so far has gone */
};

struct throttle *
throttle_new_rates(const struct rates *rates, bool shared)
{
    struct throttle *t = g_new0(struct throttle, 1);
    g_mutex_init(&t->lock);
    t->rates = *rates;
    t->pieces_per_s = shared ? SHARED_PIECES_PER_S : PIECES_PER_S;
    return t;
}

struct throttle *
throttle_new(uint64_t bytes_per_s)
{
    struct rates always;
    rates_always(&always, bytes_per_s);
    return bytes_per_s ? throttle_new_rates(&always, false) : NULL;
}

void
throttle_set_rates(struct throttle *t, const struct rates *rates)
{
    HOLD(&t->lock);
    t->rates = *rates;
    t->looked = false;
}

void
throttle_free(struct throttle *t)
{
    if (!t)
        return;
    g_mutex_clear(&t->lock);
    g_free(t);
}

static void
look_locked(struct throttle *t, int64_t now_us)
{
    if (t->looked && now_us >= t->looked_us && now_us - t->looked_us < HOURS_US)
        return;
    t->looked = true;
    t->looked_us = now_us;
    t->bytes_per_s = rates_now(&t->rates);
}

size_t
throttle_piece(struct throttle *t, int64_t now_us)
{
    if (!t)
        return SIZE_MAX;
    HOLD(&t->lock);
    look_locked(t, now_us);
    return t->bytes_per_s ? (size_t)CLAMP(t->bytes_per_s / t->pieces_per_s, PIECE_LEAST, PIECE_MOST) : SIZE_MAX;
}

int64_t
throttle_reserve(struct throttle *t, uint64_t bytes, int64_t now_us)
{
    HOLD(&t->lock);
    look_locked(t, now_us);
    if (t->bytes_per_s == 0) {
        t->free_us = now_us - BURST_US;
        return now_us;
    }
    const double us = (double)bytes * (double)G_USEC_PER_SEC / (double)t->bytes_per_s;
    t->free_us = MAX(t->free_us, now_us - BURST_US) + (int64_t)us;
    return MAX(t->free_us, now_us);
}

bool
throttle_take(struct throttle *t, uint64_t bytes, const gint *cancel)
{
    if (!t)
        return true;
    const int64_t until = throttle_reserve(t, bytes, g_get_monotonic_time());
    for (int64_t left; (left = until - g_get_monotonic_time()) > 0;) {
        if (cancel && __atomic_load_n(cancel, __ATOMIC_RELAXED))
            return false;
        g_usleep((gulong)MIN(left, LOOK_US));
    }
    return true;
}
