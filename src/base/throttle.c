/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/throttle.h"

#include "base/clean.h"

static const int64_t BURST_US = G_USEC_PER_SEC / 10;
static const int64_t LOOK_US = G_USEC_PER_SEC / 20; /* how often a flag is looked at that nobody signals */

struct throttle {
    GMutex lock;
    double us_per_byte;
    int64_t free_us; /* when all that was taken so far has gone */
};

struct throttle *
throttle_new(uint64_t bytes_per_s)
{
    if (bytes_per_s == 0)
        return NULL;
    struct throttle *t = g_new0(struct throttle, 1);
    g_mutex_init(&t->lock);
    t->us_per_byte = (double)G_USEC_PER_SEC / (double)bytes_per_s;
    return t;
}

void
throttle_free(struct throttle *t)
{
    if (!t)
        return;
    g_mutex_clear(&t->lock);
    g_free(t);
}

int64_t
throttle_reserve(struct throttle *t, uint64_t bytes, int64_t now_us)
{
    HOLD(&t->lock);
    t->free_us = MAX(t->free_us, now_us - BURST_US) + (int64_t)((double)bytes * t->us_per_byte);
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
