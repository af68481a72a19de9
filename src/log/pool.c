/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "log/pool.h"

#include "base/queue.h"

struct log_pool {
    guint threads;
    GThread **workers;
    struct queue *work;
    guint64 busy_us; /* atomic */
};

static gpointer
worker(gpointer user)
{
    struct log_pool *p = user;
    for (struct log_pool_work *w; (w = queue_pop(p->work));) {
        const gint64 us = w->run(w);
        __atomic_add_fetch(&p->busy_us, (guint64)us, __ATOMIC_RELAXED);
    }
    return NULL;
}

struct log_pool *
log_pool_new(guint threads)
{
    struct log_pool *p = g_new0(struct log_pool, 1);
    p->threads = CLAMP(threads, 1, LOG_POOL_MAX);
    p->work = queue_new(LOG_POOL_QUEUE, NULL);
    p->workers = g_new0(GThread *, p->threads);
    for (guint i = 0; i < p->threads; i++)
        p->workers[i] = g_thread_new("log-pack", worker, p);
    return p;
}

void
log_pool_free(struct log_pool *p)
{
    if (!p)
        return;
    queue_close(p->work);
    for (guint i = 0; i < p->threads; i++)
        g_thread_join(p->workers[i]);
    queue_free(p->work);
    g_free(p->workers);
    g_free(p);
}

guint
log_pool_threads(const struct log_pool *p)
{
    return p->threads;
}

void
log_pool_add(struct log_pool *p, struct log_pool_work *work)
{
    const gboolean taken = queue_push(p->work, work); /* it is never aborted */
    g_assert(taken);
}

guint64
log_pool_busy_us(const struct log_pool *p)
{
    return __atomic_load_n(&p->busy_us, __ATOMIC_RELAXED);
}
