/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/clean.h"
#include "echo.h"

#include <poll.h>
#include <string.h>
#include <sys/socket.h>

/* Malformed HTTP over raw sockets: what would be understood differently by two readers is refused, and the connection ends, so that
 * nothing that follows is taken for a request (RFC 9112 sections 2.2, 3.2, 5, 6, 7.1, 11). */

#define TAIL "GET /echo?q=smuggled HTTP/1.1\r\nHost: x\r\n\r\n"

enum { ANY4XX = -4 };

struct conformance {
    const char *what, *bytes;
    size_t len; /* 0: strlen */
    int status; /* or ANY4XX: refused by the library, in one way or another */
    bool closes;
};
#define POST "POST /echo HTTP/1.1\r\n"
#define HOST "Host: x\r\n"
#define NUL_FIELD POST HOST "X-Test: a\0b\r\nContent-Length: 0\r\n\r\n"

static const struct conformance cases[] = {
    {"plain", POST HOST "Content-Length: 2\r\n\r\nab", 0, 200, false},
    {"chunked", POST HOST "Transfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n", 0, 200, false},
    {"HTTP/1.0 without Host", "GET /echo HTTP/1.0\r\n\r\n", 0, 200, true},
    {"two different Content-Length", POST HOST "Content-Length: 2\r\nContent-Length: 0\r\n\r\nab" TAIL, 0, 400, true},
    {"two equal Content-Length", POST HOST "Content-Length: 2\r\nContent-Length: 2\r\n\r\nab" TAIL, 0, 400, true},
    {"list of Content-Length", POST HOST "Content-Length: 2, 2\r\n\r\nab" TAIL, 0, 400, true},
    {"Content-Length beside chunked", POST HOST "Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" TAIL, 0, 400, true},
    {"chunked beside Content-Length", POST HOST "Transfer-Encoding: chunked\r\nContent-Length: 2\r\n\r\n0\r\n\r\n" TAIL, 0, 400, true},
    {"unknown coding", POST HOST "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n" TAIL, 0, 501, true},
    {"identity coding", POST HOST "Transfer-Encoding: identity\r\n\r\n" TAIL, 0, 501, true},
    {"two codings", POST HOST "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n" TAIL, 0, 501, true},
    {"two coding fields", POST HOST "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" TAIL, 0, 400, true},
    {"Content-Length with plus", POST HOST "Content-Length: +2\r\n\r\nab" TAIL, 0, 400, true},
    {"negative Content-Length", POST HOST "Content-Length: -2\r\n\r\nab" TAIL, 0, 400, true},
    {"hexadecimal Content-Length", POST HOST "Content-Length: 0x2\r\n\r\nab" TAIL, 0, 400, true},
    {"empty Content-Length", POST HOST "Content-Length:\r\n\r\nab" TAIL, 0, 400, true},
    {"Content-Length beyond 64 bits", POST HOST "Content-Length: 99999999999999999999\r\n\r\nab" TAIL, 0, ANY4XX, true},
    {"Content-Length of 2^63", POST HOST "Content-Length: 9223372036854775808\r\n\r\nab" TAIL, 0, ANY4XX, true},
    {"chunk size beyond 64 bits", POST HOST "Transfer-Encoding: chunked\r\n\r\n10000000000000002\r\nab\r\n0\r\n\r\n" TAIL, 0, ANY4XX, true},
    {"negative chunk size", POST HOST "Transfer-Encoding: chunked\r\n\r\n-2\r\nab\r\n0\r\n\r\n" TAIL, 0, ANY4XX, true},
    {"chunk size no number", POST HOST "Transfer-Encoding: chunked\r\n\r\nzz\r\nab\r\n0\r\n\r\n" TAIL, 0, ANY4XX, true},
    {"no Host", POST "Content-Length: 0\r\n\r\n" TAIL, 0, 400, true},
    {"two Host", POST HOST "Host: y\r\nContent-Length: 0\r\n\r\n" TAIL, 0, 400, true},
    {"two Authorization", POST HOST "Authorization: Basic YTpi\r\nAuthorization: Basic Yzpk\r\nContent-Length: 0\r\n\r\n" TAIL, 0, 400,
     true},
    {"field name with parenthesis", POST HOST "X(y): 1\r\nContent-Length: 0\r\n\r\n" TAIL, 0, 400, true},
    {"space before colon", POST HOST "Content-Length : 2\r\n\r\nab" TAIL, 0, 400, true},
    /* Lenient: the library cuts the value off and shows us no raw bytes.  It stays one field, so framing is not in doubt. */
    {"NUL in a field", NUL_FIELD, sizeof NUL_FIELD - 1, 200, false},
    {"folded field", POST HOST "X-Test: a\r\n b\r\nContent-Length: 0\r\n\r\n", 0, 200, false},
    {"bare line feeds", "POST /echo HTTP/1.1\nHost: x\nContent-Length: 0\n\n", 0, 200, false},
    {"no colon", POST HOST "Nonsense\r\nContent-Length: 0\r\n\r\n" TAIL, 0, ANY4XX, true},
    {"not HTTP at all", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 15, ANY4XX, true},
    {"no version", "GET /echo\r\n\r\n" TAIL, 0, ANY4XX, true},
    {"HTTP/3.0", "GET /echo HTTP/3.0\r\nHost: x\r\n\r\n" TAIL, 0, ANY4XX, true},
};

/* Everything until the server closes; where it should not, until it says nothing more for a while after its answer. */
static char *
converse(struct echo *e, const char *bytes, size_t len, bool closes, bool *closed)
{
    auto_fd fd = echo_connect(e);
    GString *answer = g_string_new(NULL);
    struct pollfd p = {.fd = fd, .events = POLLIN};
    ssize_t n = send(fd, bytes, len, MSG_NOSIGNAL);
    g_assert_cmpint(n, ==, (gssize)len);
    *closed = false;
    while (!*closed && poll(&p, 1, *answer->str && !closes ? 300 : 10 * 1000) > 0) {
        char buffer[4096];
        n = recv(fd, buffer, sizeof buffer, 0);
        *closed = n <= 0;
        g_string_append_len(answer, buffer, MAX(n, 0));
    }
    return g_string_free(answer, FALSE);
}

static void
test_conformance(void)
{
    struct echo e;
    echo_start(&e, &(struct http_server_config){.timeout_s = 60}); /* who is idle is not closed before we have ceased to wait for it */
    for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
        const struct conformance *c = &cases[i];
        bool closed;
        g_autofree char *answer = converse(&e, c->bytes, c->len ? c->len : strlen(c->bytes), c->closes, &closed);
        int status = g_str_has_prefix(answer, "HTTP/1.") ? atoi(answer + 9) : 0;
        g_test_message("%s: %d%s", c->what, status, closed ? ", closed" : "");
        if (c->status == ANY4XX)
            g_assert_true((status >= 400 && status < 500) || (status == 0 && closed) || status == 505);
        else
            g_assert_cmpint(status, ==, c->status);
        g_assert_null(strstr(answer, "smuggled"));
        g_assert_cmpint(closed, ==, c->closes);
    }
    echo_stop(&e);
}

static void
assert_large_head(struct echo *e, guint fields, guint size, int status)
{
    g_autoptr(GString) head = g_string_new("GET /echo HTTP/1.1\r\nHost: x\r\n");
    g_autofree char *value = g_strnfill(size, 'v');
    for (guint i = 0; i < fields; i++)
        g_string_append_printf(head, "X-%u: %s\r\n", i, value);
    g_string_append(head, "\r\n");
    auto_fd fd = echo_connect(e);
    char answer[32] = "";
    send(fd, head->str, head->len, MSG_NOSIGNAL); /* the server may stop reading in the middle */
    ssize_t n = recv(fd, answer, sizeof answer - 1, 0);
    g_test_message("%u fields of %u bytes: %s", fields, size, answer);
    g_assert_cmpint(n > 0 ? atoi(answer + 9) : 431, ==, status); /* a reset may have overtaken the answer */
}

static void
test_large_heads(void)
{
    struct echo e;
    echo_start(&e, &(struct http_server_config){.timeout_s = 5});
    assert_large_head(&e, 90, 10, 200);
    assert_large_head(&e, 101, 10, 431);
    assert_large_head(&e, 10000, 10, 431);
    assert_large_head(&e, 1, 30 << 10, 200);
    assert_large_head(&e, 1, 33 << 10, 431);
    assert_large_head(&e, 1, 1 << 20, 431);
    echo_stop(&e);
}

/* Two seconds of patience (twice timeout_s): a byte now and then does not buy more. */
static void
assert_cut_off(struct echo *e, const char *start, const char *drip)
{
    gint64 begin = g_get_monotonic_time(); /* before the server's patience begins: whoever is slow here, it has had all of that */
    auto_fd fd = echo_connect(e);
    struct pollfd p = {.fd = fd, .events = POLLIN};
    bool closed = false;
    send(fd, start, strlen(start), MSG_NOSIGNAL);
    while (!closed && g_get_monotonic_time() - begin < 15 * G_USEC_PER_SEC) {
        char buffer[1024];
        if (poll(&p, 1, 200) > 0)
            closed = recv(fd, buffer, sizeof buffer, 0) <= 0;
        else if (drip)
            send(fd, drip, strlen(drip), MSG_NOSIGNAL);
    }
    g_test_message("closed after %" G_GINT64_FORMAT " ms", (g_get_monotonic_time() - begin) / 1000);
    g_assert_true(closed);
    g_assert_cmpint(g_get_monotonic_time() - begin, >, 900 * 1000);
}

static void
test_slow_clients(void)
{
    struct echo e;
    echo_start(&e, &(struct http_server_config){.timeout_s = 1});
    assert_cut_off(&e, "", NULL);
    assert_cut_off(&e, "GET /echo HT", NULL);
    assert_cut_off(&e, "GET /echo HTTP/1.1\r\nX: ", "y");
    assert_cut_off(&e, POST HOST "Content-Length: 1000\r\n\r\n", "z");
    assert_cut_off(&e, "PUT /sink HTTP/1.1\r\n" HOST "Content-Length: 1000\r\n\r\nbegin", NULL);
    echo_wait(&e, &e.ended, 1);
    g_assert_cmpint(e.aborted, ==, 1);
    echo_stop(&e);
}

static void
test_half_closed(void)
{
    struct echo e;
    char answer[512] = "";
    echo_start(&e, &(struct http_server_config){.timeout_s = 5});
    auto_fd fd = echo_connect(&e);
    const char whole[] = POST HOST "Content-Length: 2\r\n\r\nab";
    g_assert_cmpint(write(fd, whole, strlen(whole)), ==, (gssize)strlen(whole));
    shutdown(fd, SHUT_WR);
    ssize_t n = recv(fd, answer, sizeof answer - 1, MSG_WAITALL);
    g_assert_cmpint(n, >, 0);
    g_assert_true(g_str_has_prefix(answer, "HTTP/1.1 200"));

    auto_fd part = echo_connect(&e); /* half a request and no more: closed, and the stream knows */
    const char half[] = "PUT /sink HTTP/1.1\r\n" HOST "Content-Length: 100\r\n\r\nab";
    g_assert_cmpint(write(part, half, strlen(half)), ==, (gssize)strlen(half));
    shutdown(part, SHUT_WR);
    echo_wait(&e, &e.ended, 1);
    g_assert_cmpint(e.aborted, ==, 1);
    echo_stop(&e);
}

/* A sender that ignores everything still gets the answer when it reads at last. */
static void
test_deaf_sender(void)
{
    struct echo e;
    echo_start(&e, &(struct http_server_config){.timeout_s = 5});
    auto_fd fd = echo_connect(&e);
    const char head[] = POST HOST "Content-Length: 10485760\r\n\r\n";
    g_autofree char *body = g_strnfill(10 << 20, 'b');
    char answer[16] = "";
    g_assert_cmpint(write(fd, head, strlen(head)), ==, (gssize)strlen(head));
    for (size_t done = 0; done < 10 << 20;) {
        ssize_t n = send(fd, body + done, (10 << 20) - done, MSG_NOSIGNAL);
        g_assert_cmpint(n, >, 0);
        done += (size_t)n;
    }
    g_assert_cmpint(recv(fd, answer, 12, MSG_WAITALL), ==, 12);
    g_assert_cmpstr(answer, ==, "HTTP/1.1 413");
    echo_stop(&e);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/http-raw/conformance", test_conformance);
    g_test_add_func("/http-raw/large-heads", test_large_heads);
    g_test_add_func("/http-raw/slow-clients", test_slow_clients);
    g_test_add_func("/http-raw/half-closed", test_half_closed);
    g_test_add_func("/http-raw/deaf-sender", test_deaf_sender);
    return g_test_run();
}
