/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "store/lookahead.h"

#define SEGMENTS_AHEAD 512
#define CACHE_LEAST ((size_t)32 << 20)
#define CACHE_MOST ((size_t)256 << 20)

struct lookahead {
    size_t next;   /* segment */
    guint8 *asked; /* a bit per frame */
};

struct lookahead *
lookahead_new(const struct stack *s)
{
    struct lookahead *l = g_new0(struct lookahead, 1);
    const unsigned last = stack_count(s) - 1;
    l->asked = g_malloc0((stack_first_frame(s, last) + log_reader_frames(stack_reader(s, last))) / 8 + 1);
    return l;
}

void
lookahead_free(struct lookahead *l)
{
    if (!l)
        return;
    g_free(l->asked);
    g_free(l);
}

struct framecache *
lookahead_cache(struct stack *s)
{
    size_t sum = CACHE_LEAST;
    for (unsigned i = 0; i < stack_count(s); i++)
        sum += 2 * (size_t)log_reader_info(stack_reader(s, i))->frame_raw_max;
    return framecache_new(s, MIN(sum, CACHE_MOST));
}

static void
ask(struct lookahead *l, struct framecache *cache, uint32_t frame)
{
    if (frame == FLAT_ZERO || l->asked[frame / 8] & 1u << frame % 8)
        return;
    l->asked[frame / 8] |= (guint8)(1u << frame % 8);
    framecache_ahead(cache, &frame, 1);
}

void
lookahead_at(struct lookahead *l, struct framecache *cache, const struct flat *flat, size_t i)
{
    if (i == 0)
        l->next = 0;
    for (; l->next < flat_count(flat) && l->next < i + SEGMENTS_AHEAD; l->next++)
        ask(l, cache, flat_at(flat, l->next)->frame);
}
