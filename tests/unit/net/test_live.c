/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "patience.h"

#include "base/clean.h"
#include "base/err.h"
#include "net/http_server.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

/* Answers that come over time.  The source of "/live" gives what the test hands it, the one of "/flood" never stops. */

struct world {
    struct http_server *server;
    GMutex lock;
    GCond changed;
    GString *pending;
    bool end, waiting, woken;
    guint made, freed, woke;
    char *target;
};
struct source {
    struct world *w;
    bool flood;
};

static ssize_t
next(void *source, char *buffer, size_t max)
{
    struct source *s = source;
    struct world *w = s->w;
    gint64 until = g_get_monotonic_time() + G_USEC_PER_SEC / 2;
    if (s->flood) {
        memset(buffer, 'x', max);
        return (ssize_t)max;
    }
    HOLD(&w->lock);
    w->waiting = true;
    g_cond_broadcast(&w->changed);
    while (w->pending->len == 0 && !w->end && !w->woken)
        if (!g_cond_wait_until(&w->changed, &w->lock, until))
            break;
    size_t n = MIN(max, w->pending->len);
    memcpy(buffer, w->pending->str, n);
    g_string_erase(w->pending, 0, (gssize)n);
    return n > 0 ? (ssize_t)n : w->end ? -1 : 0;
}

static void
wake(void *source)
{
    struct source *s = source;
    HOLD(&s->w->lock);
    s->w->woken = true;
    s->w->woke++;
    g_cond_broadcast(&s->w->changed);
}

static void
release(void *source)
{
    struct source *s = source;
    HOLD(&s->w->lock);
    s->w->freed++;
    g_cond_broadcast(&s->w->changed);
    g_free(s);
}

static const struct http_source_ops ops = {next, wake, release};

static void
on_live(void *user, const struct http_request *q, struct http_response *r)
{
    struct source *s = g_new0(struct source, 1);
    s->w = user;
    s->flood = g_str_has_prefix(q->path, "/flood");
    g_mutex_lock(&s->w->lock);
    s->w->made++;
    g_free(s->w->target);
    s->w->target = g_strdup(q->target);
    g_mutex_unlock(&s->w->lock);
    http_respond_header(r, "X-Live", "yes");
    http_respond_live(r, 200, "text/event-stream", &ops, s);
    if (g_str_has_prefix(q->path, "/live/never")) /* a second thought */
        http_respond(r, 409, "text/plain", "no", 2);
}

static void
world_open(struct world *w, guint timeout_s)
{
    GError *err = NULL;
    *w = (struct world){.pending = g_string_new(NULL)};
    g_mutex_init(&w->lock);
    g_cond_init(&w->changed);
    w->server = http_server_new(&(struct http_server_config){.address = "127.0.0.1", .timeout_s = timeout_s});
    http_server_route(w->server, "GET", "/live", on_live, w);
    http_server_route(w->server, "GET", "/flood", on_live, w);
    g_assert_true(http_server_start(w->server, &err));
    g_assert_no_error(err);
}

static void
world_close(struct world *w)
{
    http_server_free(w->server);
    g_assert_cmpuint(w->made, ==, w->freed);
    g_string_free(w->pending, TRUE);
    g_mutex_clear(&w->lock);
    g_cond_clear(&w->changed);
    g_free(w->target);
}

static void
give(struct world *w, const char *text)
{
    HOLD(&w->lock);
    if (text)
        g_string_append(w->pending, text);
    else
        w->end = true;
    g_cond_broadcast(&w->changed);
}

static void
wait_freed(struct world *w, guint count)
{
    gint64 until = g_get_monotonic_time() + PATIENCE_S * (gint64)G_USEC_PER_SEC;
    HOLD(&w->lock);
    while (w->freed < count)
        g_assert_true(g_cond_wait_until(&w->changed, &w->lock, until));
}

static int
call(struct world *w, const char *target)
{
    struct sockaddr_in at = {
        .sin_family = AF_INET, .sin_port = htons((guint16)http_server_port(w->server)), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), small = 4096;
    struct timeval patience = {.tv_sec = 20};
    g_autofree char *head = g_strdup_printf("GET %s HTTP/1.1\r\nHost: x\r\n\r\n", target);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
    g_assert_cmpint(connect(fd, (struct sockaddr *)&at, sizeof at), ==, 0);
    g_assert_cmpint(send(fd, head, strlen(head), MSG_NOSIGNAL), ==, (ssize_t)strlen(head));
    return fd;
}

/* Reads until the text is there; the whole so far, g_free. */
static void
expect(int fd, GString *got, const char *text)
{
    char piece[256];
    while (!strstr(got->str, text)) {
        ssize_t n = recv(fd, piece, sizeof piece, 0);
        g_assert_cmpint(n, >, 0);
        g_string_append_len(got, piece, n);
    }
}

static void
test_pieces(void)
{
    struct world w;
    g_autoptr(GString) got = g_string_new(NULL);
    world_open(&w, 0);
    auto_fd fd = call(&w, "/live/a%2Fb?x=%20y");
    give(&w, "one\n");
    expect(fd, got, "one\n");
    g_assert_nonnull(strstr(got->str, "HTTP/1.1 200"));
    g_assert_nonnull(strstr(got->str, "X-Live: yes\r\n"));
    g_assert_nonnull(strstr(got->str, "Content-Type: text/event-stream\r\n"));
    give(&w, "two\n");
    expect(fd, got, "two\n");
    g_assert_cmpuint(w.freed, ==, 0);
    give(&w, NULL);
    expect(fd, got, "\r\n0\r\n\r\n");
    wait_freed(&w, 1);
    g_assert_cmpstr(w.target, ==, "/live/a%2Fb?x=%20y");
    world_close(&w);
}

static void
test_hang_up(void)
{
    struct world w;
    world_open(&w, 0);
    for (guint i = 1; i <= 3; i++) {
        g_autoptr(GString) got = g_string_new(NULL);
        auto_fd fd = call(&w, "/live");
        give(&w, "one\n");
        expect(fd, got, "one\n");
        close(g_steal_fd(&fd));
        wait_freed(&w, i);
    }
    world_close(&w);
}

static void
test_stop(void)
{
    struct world w;
    world_open(&w, 0);
    auto_fd a = call(&w, "/live"), b = call(&w, "/live"), c = call(&w, "/flood");
    g_assert_true(a >= 0 && b >= 0 && c >= 0);
    gint64 until = g_get_monotonic_time() + PATIENCE_S * (gint64)G_USEC_PER_SEC;
    g_mutex_lock(&w.lock);
    while (w.made < 3 || !w.waiting)
        g_assert_true(g_cond_wait_until(&w.changed, &w.lock, until) || w.made == 3);
    g_mutex_unlock(&w.lock);
    http_server_stop(w.server);
    g_assert_cmpuint(w.woke, >=, 1);
    g_assert_cmpuint(w.freed, ==, 3);
    world_close(&w);
}

/* A reader that does not read is cut off, although the source never stops. */
static void
test_slow_reader(void)
{
    struct world w;
    world_open(&w, 1);
    auto_fd fd = call(&w, "/flood");
    g_assert_cmpint(fd, >=, 0);
    wait_freed(&w, 1);
    world_close(&w);
}

/* The silence of a source is none of the client: the connection outlives the time-out. */
static void
test_silence(void)
{
    struct world w;
    g_autoptr(GString) got = g_string_new(NULL);
    world_open(&w, 1);
    auto_fd fd = call(&w, "/live");
    give(&w, "one\n");
    expect(fd, got, "one\n");
    g_usleep(3 * G_USEC_PER_SEC); /* what is tested is that nothing happens */
    give(&w, "two\n");
    expect(fd, got, "two\n");
    g_assert_cmpuint(w.freed, ==, 0);
    world_close(&w);
}

static void
test_replaced(void)
{
    struct world w;
    g_autoptr(GString) got = g_string_new(NULL);
    world_open(&w, 0);
    auto_fd fd = call(&w, "/live/never");
    expect(fd, got, "\r\n\r\nno");
    g_assert_nonnull(strstr(got->str, "HTTP/1.1 409"));
    g_assert_null(strstr(got->str, "text/event-stream"));
    g_assert_nonnull(strstr(got->str, "X-Live: yes"));
    wait_freed(&w, 1);
    world_close(&w);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/net/live/pieces", test_pieces);
    g_test_add_func("/net/live/hang-up", test_hang_up);
    g_test_add_func("/net/live/stop", test_stop);
    g_test_add_func("/net/live/slow-reader", test_slow_reader);
    g_test_add_func("/net/live/silence", test_silence);
    g_test_add_func("/net/live/replaced", test_replaced);
    return g_test_run();
}
