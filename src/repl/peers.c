/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "repl/peers.h"

#include "base/clean.h"

struct waiting {
    char *host;
    guint port;
    struct wire_peer *peer;
};

struct peers {
    GMutex lock;
    GQueue queue; /* struct waiting; used last: head */
    guint most;
};

static void
waiting_free(struct waiting *w)
{
    if (!w)
        return;
    wire_peer_free(w->peer);
    g_free(w->host);
    g_free(w);
}

struct peers *
peers_new(guint most)
{
    struct peers *p = g_new0(struct peers, 1);
    g_mutex_init(&p->lock);
    g_queue_init(&p->queue);
    p->most = most;
    return p;
}

void
peers_free(struct peers *p)
{
    if (!p)
        return;
    g_queue_clear_full(&p->queue, (GDestroyNotify)waiting_free);
    g_mutex_clear(&p->lock);
    g_free(p);
}

struct wire_peer *
peers_take(struct peers *p, const char *host, guint port)
{
    HOLD(&p->lock);
    for (GList *l = p->queue.head; l; l = l->next) {
        struct waiting *w = l->data;
        if (w->port != port || g_strcmp0(w->host, host))
            continue;
        struct wire_peer *peer = g_steal_pointer(&w->peer);
        waiting_free(w);
        g_queue_delete_link(&p->queue, l);
        return peer;
    }
    return NULL;
}

void
peers_give(struct peers *p, const char *host, guint port, struct wire_peer *peer)
{
    struct waiting *surplus = NULL;
    if (!peer)
        return;
    struct waiting *w = g_new(struct waiting, 1);
    *w = (struct waiting){ g_strdup(host), port, peer };
    {
        HOLD(&p->lock);
        g_queue_push_head(&p->queue, w);
        if (p->queue.length > p->most)
            surplus = g_queue_pop_tail(&p->queue);
    }
    waiting_free(surplus); /* it takes leave of the other host, without the lock */
}
