/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "net/http_int.h"

#include "base/clean.h"

#include <poll.h>

/* A body that is made while it is sent.  The library asks for the next piece in the connection's own thread, which then waits for the
 * source; so nobody else waits.  Between two pieces the connection has no deadline, while one is on its way it has one: a reader that does
 * not read is cut off by the watch of http_server.c, or by the library when nothing moves for timeout_s. */

#define BLOCK 16384

struct http_live {
    struct http_conn *conn; /* NULL until queued */
    struct MHD_Connection *connection;
    void *source;
    const struct http_source_ops *ops;
};

void
http_respond_live(struct http_response *r, guint status, const char *content_type, const struct http_source_ops *ops, void *source)
{
    http_respond(r, status, content_type, NULL, 0);
    r->live = g_new0(struct http_live, 1);
    *r->live = (struct http_live){.ops = ops, .source = source};
}

void
http_live_free(struct http_live *l)
{
    if (!l)
        return;
    if (l->conn)
        http_conn_live(l->conn, NULL);
    l->ops->free(l->source);
    g_free(l);
}

void
http_live_detach(struct http_live *l)
{
    http_conn_live(l->conn, NULL);
    l->conn = NULL;
}

void
http_live_wake(struct http_live *l)
{
    l->ops->wake(l->source);
}

/* Nobody sends on a connection whose answer is still coming, except those who hang up. */
static bool
gone(const struct http_live *l)
{
    struct pollfd p = {.fd = l->conn->fd, .events = POLLRDHUP};
    return poll(&p, 1, 0) > 0 && (p.revents & (POLLRDHUP | POLLHUP | POLLERR));
}

static ssize_t
on_wanted(void *user, uint64_t position, char *buffer, size_t max)
{
    struct http_live *l = user;
    double patience = 2.0 * http_server_limits(l->conn->server).timeout_s;
    gint64 start = g_get_monotonic_time();
    ssize_t n = 0;
    http_conn_deadline(l->conn, -1);
    while (n == 0)
        n = !http_conn_stopping(l->conn) && !gone(l) ? l->ops->next(l->source, buffer, max) : -1;
    http_conn_forgive(l->conn, l->connection, start);
    http_conn_deadline(l->conn, patience);
    return n > 0 ? n : MHD_CONTENT_READER_END_OF_STREAM;
}

static void
on_done(void *user)
{
    http_live_free(user);
}

struct MHD_Response *
http_live_response(struct http_live *l, struct http_conn *conn, struct MHD_Connection *c)
{
    struct MHD_Response *answer = MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, BLOCK, on_wanted, l, on_done);
    if (!answer)
        return NULL;
    l->conn = conn;
    l->connection = c;
    http_conn_live(conn, l);
    return answer;
}
