/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "link.h"

#include "base/clean.h"

#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>

enum { PAIRS = 64 };

struct pair {
    int client, server;
    bool client_ended, server_ended; /* it sends nothing any more, and the other was told; it may still be sent to */
};

struct link {
    int listener, wake[2];
    GThread *thread;
    GMutex lock;
    guint port;
    bool cut, quit;
    gint64 left, bytes; /* left < 0: no limit */
    struct pair pairs[PAIRS];
    guint count;
};

static void
drop_locked(struct link *l, guint i)
{
    close(l->pairs[i].client);
    close(l->pairs[i].server);
    l->pairs[i] = l->pairs[--l->count];
}

static void
drop_all_locked(struct link *l)
{
    while (l->count)
        drop_locked(l, 0);
}

static void
accept_locked(struct link *l)
{
    struct sockaddr_in at = { .sin_family = AF_INET, .sin_port = htons((guint16)l->port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    int client = accept(l->listener, NULL, NULL);
    int server = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (client >= 0 && !l->cut && l->count < PAIRS && connect(server, (struct sockaddr *)&at, sizeof at) == 0) {
        l->pairs[l->count++] = (struct pair){ .client = client, .server = server };
        return;
    }
    if (client >= 0)
        close(client);
    close(server);
}

/* An end is passed on as an end: closing would reset the other side, and who answers before he was told all would not be heard. */
static bool
forward_locked(struct link *l, int from, int to, bool counts, bool *ended)
{
    char buffer[16384];
    const gsize room = counts && l->left >= 0 ? MIN(sizeof buffer, (gsize)l->left) : sizeof buffer;
    const ssize_t n = room ? recv(from, buffer, room, 0) : 0;
    *ended = room && n == 0;
    if (*ended)
        return shutdown(to, SHUT_WR) == 0;
    if (n <= 0)
        return false;
    for (ssize_t done = 0; done < n;) {
        const ssize_t k = send(to, buffer + done, (size_t)(n - done), MSG_NOSIGNAL);
        if (k <= 0)
            return false;
        done += k;
    }
    if (!counts)
        return true;
    l->bytes += n;
    if (l->left >= 0 && (l->left -= n) == 0)
        l->cut = true;
    return true;
}

/* False: it is over.  A side that has ended is only looked at for its being gone. */
static bool
serve_pair_locked(struct link *l, struct pair *x, short from_client, short from_server)
{
    if ((from_client && (x->client_ended || !forward_locked(l, x->client, x->server, true, &x->client_ended))) ||
        (from_server && (x->server_ended || !forward_locked(l, x->server, x->client, false, &x->server_ended))))
        return false;
    return !x->client_ended || !x->server_ended;
}

static void
serve_locked(struct link *l, const struct pollfd *p, guint pairs)
{
    for (guint i = pairs; i-- > 0;) {
        const struct pollfd *c = &p[2 + i * 2], *s = c + 1;
        if (i >= l->count || l->pairs[i].client != c->fd)
            continue;
        if (!serve_pair_locked(l, &l->pairs[i], c->revents, s->revents))
            drop_locked(l, i);
    }
    if (l->cut)
        drop_all_locked(l);
}

static guint
watch_locked(struct link *l, struct pollfd *p)
{
    p[0] = (struct pollfd){ l->listener, POLLIN, 0 };
    p[1] = (struct pollfd){ l->wake[0], POLLIN, 0 };
    for (guint i = 0; i < l->count; i++) {
        const struct pair *x = &l->pairs[i];
        p[2 + i * 2] = (struct pollfd){ x->client, x->client_ended ? 0 : POLLIN, 0 };
        p[3 + i * 2] = (struct pollfd){ x->server, x->server_ended ? 0 : POLLIN, 0 };
    }
    return l->count;
}

static void *
run(void *data)
{
    struct link *l = data;
    struct pollfd p[2 + 2 * PAIRS];
    for (;;) {
        g_mutex_lock(&l->lock);
        const guint pairs = watch_locked(l, p);
        const bool quit = l->quit;
        g_mutex_unlock(&l->lock);
        if (quit)
            return NULL;
        poll(p, 2 + 2 * pairs, -1);
        HOLD(&l->lock);
        char byte[16];
        if (p[1].revents && read(l->wake[0], byte, sizeof byte) < 0)
            g_error("The link's pipe is broken.");
        serve_locked(l, p, pairs);
        if (p[0].revents)
            accept_locked(l);
    }
}

struct link *
link_new(guint *own_port)
{
    struct link *l = g_new0(struct link, 1);
    struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t len = sizeof at;
    g_mutex_init(&l->lock);
    l->left = -1;
    l->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    g_assert_cmpint(bind(l->listener, (struct sockaddr *)&at, len), ==, 0);
    g_assert_cmpint(listen(l->listener, 16), ==, 0);
    g_assert_cmpint(getsockname(l->listener, (struct sockaddr *)&at, &len), ==, 0);
    g_assert_cmpint(pipe(l->wake), ==, 0);
    *own_port = ntohs(at.sin_port);
    l->thread = g_thread_new("link", run, l);
    return l;
}

static void
wake(struct link *l)
{
    g_assert_cmpint(write(l->wake[1], "w", 1), ==, 1);
}

void
link_free(struct link *l)
{
    {
        HOLD(&l->lock);
        l->quit = true;
    }
    wake(l);
    g_thread_join(l->thread);
    drop_all_locked(l);
    close(l->listener);
    close(l->wake[0]);
    close(l->wake[1]);
    g_mutex_clear(&l->lock);
    g_free(l);
}

void
link_target(struct link *l, guint port)
{
    HOLD(&l->lock);
    l->port = port;
}

void
link_cut(struct link *l, bool cut)
{
    {
        HOLD(&l->lock);
        l->cut = cut;
        l->left = -1;
    }
    wake(l);
}

void
link_cut_after(struct link *l, gint64 bytes)
{
    HOLD(&l->lock);
    l->left = bytes;
}

gint64
link_bytes(struct link *l)
{
    HOLD(&l->lock);
    return l->bytes;
}

guint
link_open(struct link *l)
{
    HOLD(&l->lock);
    return l->count;
}
