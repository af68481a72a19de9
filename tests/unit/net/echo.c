/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "echo.h"
#include "patience.h"

#include "base/clean.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

static void
on_echo(void *user, const struct http_request *q, struct http_response *r)
{
    const char *query = http_request_query(q, "q"), *field = http_request_header(q, "x-test");
    g_autofree char *text =
        g_strdup_printf("%s %s q=%s x=%s %zu:%s", q->method, q->path, query ? query : "-", field ? field : "-", q->body_len, q->body);
    http_respond_header(r, "X-One", "1");
    http_respond(r, 200, "text/plain", text, strlen(text));
}

static void
on_expects(void *user, const struct http_request *q, struct http_response *r)
{
    const char *field = http_request_header(q, "expect");
    const char *text = field ? field : "nothing";
    http_respond(r, 200, "text/plain", text, strlen(text));
}

static void
on_whoami(void *user, const struct http_request *q, struct http_response *r)
{
    g_autofree char *names = q->peer->names ? g_strjoinv(",", q->peer->names) : g_strdup("-");
    g_autofree char *text = g_strdup_printf("%s %s %s %s %d", q->peer->address, names, q->peer->thumbprint ? q->peer->thumbprint : "-",
                                            q->peer->user ? q->peer->user : "-", q->peer->role == ROLE_ADMINISTRATOR);
    http_respond(r, 200, "text/plain", text, strlen(text));
}

static void
on_block(void *user, const struct http_request *q, struct http_response *r)
{
    struct echo *e = user;
    HOLD(&e->lock);
    e->waiting = true;
    g_cond_broadcast(&e->changed);
    while (!e->go)
        g_cond_wait(&e->changed, &e->lock);
    http_respond(r, 200, "text/plain", "go", 2);
}

static void
on_silent(void *user, const struct http_request *q, struct http_response *r)
{
}

struct sink {
    struct echo *e;
    guint64 bytes, limit;
    bool lags;
};

static void
count(struct echo *e, gint *counter)
{
    HOLD(&e->lock);
    g_atomic_int_inc(counter);
    g_cond_broadcast(&e->changed);
}

static void *
sink_begin(void *user, const struct http_request *q, struct http_response *r)
{
    struct echo *e = user;
    count(e, &e->begun);
    if (g_str_has_prefix(q->path, "/picky")) {
        http_respond(r, 412, "text/plain", "not like this", 13);
        return NULL;
    }
    struct sink *s = g_new0(struct sink, 1);
    s->e = e;
    s->lags = g_str_has_prefix(q->path, "/lag");
    s->limit = g_str_has_prefix(q->path, "/sour") ? 1u << 20 : G_MAXUINT64;
    return s;
}

static bool
sink_chunk(void *stream, const void *data, size_t len, struct http_response *r)
{
    struct sink *s = stream;
    HOLD(&s->e->lock);
    s->bytes += len;
    s->e->waiting = true;
    g_cond_broadcast(&s->e->changed);
    while (s->lags && !s->e->go)
        g_cond_wait(&s->e->changed, &s->e->lock);
    if (s->bytes <= s->limit)
        return true;
    http_respond(r, 507, "text/plain", "full", 4);
    return false;
}

static void
sink_end(void *stream, bool complete, struct http_response *r)
{
    struct sink *s = stream;
    g_autofree char *text = g_strdup_printf("%" G_GUINT64_FORMAT, s->bytes);
    http_respond(r, 200, "text/plain", text, strlen(text));
    count(s->e, complete ? &s->e->completed : &s->e->aborted);
    count(s->e, &s->e->ended);
    g_free(s);
}

static const struct http_stream_ops sink_ops = {sink_begin, sink_chunk, sink_end};

void
echo_start(struct echo *e, const struct http_server_config *config)
{
    GError *err = NULL;
    struct http_server_config own = *config;
    *e = (struct echo){0};
    g_mutex_init(&e->lock);
    g_cond_init(&e->changed);
    own.address = own.address ? own.address : "127.0.0.1";
    e->server = http_server_new(&own);
    http_server_route(e->server, "POST", "/echo", on_echo, e);
    http_server_route(e->server, "GET", "/echo", on_echo, e);
    http_server_route(e->server, "GET", "/echo/*/deep", on_silent, e);
    http_server_route(e->server, "POST", "/expects", on_expects, e);
    http_server_route(e->server, "GET", "/whoami", on_whoami, e);
    http_server_route(e->server, "GET", "/block", on_block, e);
    http_server_stream(e->server, "PUT", "/sink", &sink_ops, e);
    http_server_stream(e->server, "PUT", "/lag", &sink_ops, e);
    http_server_stream(e->server, "PUT", "/picky", &sink_ops, e);
    http_server_stream(e->server, "PUT", "/sour", &sink_ops, e);
    g_assert_true(http_server_start(e->server, &err));
    g_assert_no_error(err);
}

void
echo_stop(struct echo *e)
{
    http_server_free(e->server);
    g_mutex_clear(&e->lock);
    g_cond_clear(&e->changed);
}

void
echo_wait(struct echo *e, const gint *counter, gint value)
{
    gint64 until = g_get_monotonic_time() + PATIENCE_S * (gint64)G_USEC_PER_SEC;
    HOLD(&e->lock);
    while (*counter < value)
        g_assert_true(g_cond_wait_until(&e->changed, &e->lock, until));
}

struct http_client *
echo_client(struct echo *e, const struct net_identity *identity)
{
    GError *err = NULL;
    g_autofree char *url = g_strdup_printf("%s://localhost:%u", identity ? "https" : "http", http_server_port(e->server));
    struct http_client_config config = {.url = url, .identity = identity};
    struct http_client *c = http_client_new(&config, &err);
    g_assert_no_error(err);
    return c;
}

int
echo_connect(struct echo *e)
{
    struct sockaddr_in at = {
        .sin_family = AF_INET, .sin_port = htons((guint16)http_server_port(e->server)), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    g_assert_cmpint(connect(fd, (struct sockaddr *)&at, sizeof at), ==, 0);
    return fd;
}
