/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "log/readahead.h"

#include "base/clean.h"

/* Pieces are numbered in their order; piece n lives in slot n % slot_count.  A reader plans the next piece under the lock, reads it
 * without, and marks it ready.  It may plan piece n only when piece n - slot_count has been consumed. */

#define RUNS_MAX 1024u

struct piece {
    guint8 *data;   /* NULL before its first use */
    GArray *runs;   /* struct readahead_run */
    GArray *ranges; /* struct block_range: the runs that have data */
    GError *error;
    bool ready; /* under lock */
};

struct readahead {
    /* fixed */
    struct block *from;
    const struct extents *extents;
    guint threads, slot_count;
    GThread **readers;
    struct piece *slots;
    GMutex lock;
    GCond changed;
    /* under lock */
    guint64 planned, consumed;
    size_t extent; /* cursor of the plan: the extent, and how much of it is planned already */
    guint64 within;
    bool stopped;
    /* consumer's thread */
    bool lent; /* piece `consumed` is in the consumer's hands */
};

static bool
plan_ended(const struct readahead *ra)
{
    return ra->extent == extents_count(ra->extents);
}

/* Fills p->runs from the cursor on. */
static void
plan(struct readahead *ra, struct piece *p)
{
    gsize used = 0;
    g_array_set_size(p->runs, 0);
    while (!plan_ended(ra) && used < READAHEAD_PIECE && p->runs->len < RUNS_MAX) {
        const struct extent *e = extents_at(ra->extents, ra->extent);
        bool zero = e->kind == EXTENT_ZERO;
        guint64 left = e->length - ra->within, n = zero ? left : MIN(left, READAHEAD_PIECE - used);
        struct readahead_run run = {e->offset + ra->within, n, zero ? NULL : p->data + used};
        g_array_append_val(p->runs, run);
        used += zero ? 0 : n;
        ra->within = n == left ? 0 : ra->within + n;
        ra->extent += n == left;
    }
}

static void
read_piece(struct readahead *ra, struct piece *p)
{
    g_array_set_size(p->ranges, 0);
    for (guint i = 0; i < p->runs->len; i++) {
        const struct readahead_run *run = &g_array_index(p->runs, struct readahead_run, i);
        if (!run->data)
            continue;
        const struct block_range range = {p->data + (run->data - p->data), run->length, run->offset};
        g_array_append_val(p->ranges, range);
    }
    block_read_all(ra->from, (const struct block_range *)(const void *)p->ranges->data, p->ranges->len, &p->error);
}

/* The next piece, planned; NULL when there is none or the consumer gave up. */
static struct piece *
claim(struct readahead *ra)
{
    HOLD(&ra->lock);
    while (!ra->stopped && !plan_ended(ra) && ra->planned - ra->consumed >= ra->slot_count)
        g_cond_wait(&ra->changed, &ra->lock);
    if (ra->stopped || plan_ended(ra))
        return NULL;
    struct piece *p = &ra->slots[ra->planned++ % ra->slot_count];
    if (!p->data)
        p->data = g_malloc(READAHEAD_PIECE);
    plan(ra, p);
    return p;
}

static void
mark_ready(struct readahead *ra, struct piece *p)
{
    HOLD(&ra->lock);
    p->ready = true;
    g_cond_broadcast(&ra->changed);
}

static bool
read_next(struct readahead *ra)
{
    struct piece *p = claim(ra);
    if (!p)
        return false;
    read_piece(ra, p);
    mark_ready(ra, p);
    return true;
}

static gpointer
reader_thread(gpointer user)
{
    while (read_next(user))
        continue;
    return NULL;
}

struct readahead *
readahead_start(struct block *from, const struct extents *extents, unsigned threads)
{
    struct readahead *ra = g_new0(struct readahead, 1);
    ra->from = from;
    ra->extents = extents;
    ra->threads = threads;
    ra->slot_count = threads + 2;
    ra->slots = g_new0(struct piece, ra->slot_count);
    for (guint i = 0; i < ra->slot_count; i++) {
        ra->slots[i].runs = g_array_new(FALSE, FALSE, sizeof(struct readahead_run));
        ra->slots[i].ranges = g_array_new(FALSE, FALSE, sizeof(struct block_range));
    }
    g_mutex_init(&ra->lock);
    g_cond_init(&ra->changed);
    ra->readers = g_new0(GThread *, threads);
    for (guint i = 0; i < threads; i++)
        ra->readers[i] = g_thread_new("log-read", reader_thread, ra);
    return ra;
}

static void
give_back(struct readahead *ra)
{
    if (!ra->lent)
        return;
    HOLD(&ra->lock);
    ra->slots[ra->consumed++ % ra->slot_count].ready = false;
    ra->lent = false;
    g_cond_broadcast(&ra->changed);
}

/* The piece that is next in order, read; NULL at the end. */
static struct piece *
wait_for_piece(struct readahead *ra)
{
    HOLD(&ra->lock);
    struct piece *p = &ra->slots[ra->consumed % ra->slot_count];
    while (!p->ready && !(plan_ended(ra) && ra->planned == ra->consumed))
        g_cond_wait(&ra->changed, &ra->lock);
    return p->ready ? p : NULL;
}

size_t
readahead_next(struct readahead *ra, const struct readahead_run **runs, GError **err)
{
    give_back(ra);
    if (ra->threads == 0)
        read_next(ra);
    struct piece *p = wait_for_piece(ra);
    if (!p)
        return 0;
    ra->lent = true;
    if (p->error) {
        g_propagate_error(err, g_steal_pointer(&p->error));
        return 0;
    }
    *runs = (const struct readahead_run *)(const void *)p->runs->data;
    return p->runs->len;
}

static void
stop_readers(struct readahead *ra)
{
    g_mutex_lock(&ra->lock);
    ra->stopped = true;
    g_cond_broadcast(&ra->changed);
    g_mutex_unlock(&ra->lock);
    for (guint i = 0; i < ra->threads; i++)
        g_thread_join(ra->readers[i]);
}

void
readahead_stop(struct readahead *ra)
{
    if (!ra)
        return;
    stop_readers(ra);
    for (guint i = 0; i < ra->slot_count; i++) {
        g_free(ra->slots[i].data);
        g_array_unref(ra->slots[i].runs);
        g_array_unref(ra->slots[i].ranges);
        g_clear_error(&ra->slots[i].error);
    }
    g_cond_clear(&ra->changed);
    g_mutex_clear(&ra->lock);
    g_free(ra->readers);
    g_free(ra->slots);
    g_free(ra);
}
