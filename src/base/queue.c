/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/queue.h"

#include "base/clean.h"

struct queue {
    GMutex lock;
    GCond filled, drained; /* GLib asks the kernel at each signal, so there is one only when somebody waits */
    /* under lock */
    GQueue items;
    guint takers, givers; /* that wait */
    bool closed, aborted;
    /* fixed */
    size_t capacity;
    GDestroyNotify destroy;
};

struct queue *
queue_new(size_t capacity, GDestroyNotify destroy)
{
    struct queue *q = g_new0(struct queue, 1);
    g_mutex_init(&q->lock);
    g_cond_init(&q->filled);
    g_cond_init(&q->drained);
    g_queue_init(&q->items);
    q->capacity = capacity;
    q->destroy = destroy;
    return q;
}

static void
wait_for(struct queue *q, GCond *what, guint *waiting)
{
    ++*waiting;
    g_cond_wait(what, &q->lock);
    --*waiting;
}

static void
tell(GCond *what, guint waiting)
{
    if (waiting)
        g_cond_signal(what);
}

bool
queue_push(struct queue *q, void *item)
{
    HOLD(&q->lock);
    g_assert(item && !q->closed);
    while (!q->aborted && q->items.length >= q->capacity)
        wait_for(q, &q->drained, &q->givers);
    if (q->aborted)
        return false;
    g_queue_push_tail(&q->items, item);
    tell(&q->filled, q->takers);
    return true;
}

void *
queue_pop(struct queue *q)
{
    HOLD(&q->lock);
    while (!q->aborted && !q->closed && q->items.length == 0)
        wait_for(q, &q->filled, &q->takers);
    if (q->aborted)
        return NULL;
    void *item = g_queue_pop_head(&q->items);
    tell(&q->drained, q->givers);
    return item;
}

static void
queue_end(struct queue *q, bool *how)
{
    HOLD(&q->lock);
    *how = true;
    g_cond_broadcast(&q->filled);
    g_cond_broadcast(&q->drained);
}

void
queue_close(struct queue *q)
{
    queue_end(q, &q->closed);
}

void
queue_abort(struct queue *q)
{
    queue_end(q, &q->aborted);
}

void
queue_free(struct queue *q)
{
    if (!q)
        return;
    for (void *item; (item = g_queue_pop_head(&q->items));)
        if (q->destroy)
            q->destroy(item);
    g_cond_clear(&q->filled);
    g_cond_clear(&q->drained);
    g_mutex_clear(&q->lock);
    g_free(q);
}
