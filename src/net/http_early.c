/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "net/http_int.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>

/* The library can answer before a body and after it, but not while it comes.  A sender of gigabytes must hear of a full disk at once, and
 * closing a socket with unread data would reset the connection and may destroy the answer.  So: write it here, say "no more from us",
 * read the rest into nothing. */

#define LINGER_US (5 * G_USEC_PER_SEC)
#define LINGER_BYTES (256u << 20)

struct line {
    int fd;
    gnutls_session_t tls; /* NULL: plain */
    gint64 until;
};

static bool
wait_for(const struct line *l, short events)
{
    struct pollfd p = {.fd = l->fd, .events = events};
    gint64 left = l->until - g_get_monotonic_time();
    return left > 0 && poll(&p, 1, (int)(left / 1000) + 1) > 0;
}

static bool
send_all(const struct line *l, const char *data, size_t len)
{
    while (len > 0) {
        ssize_t n = l->tls ? gnutls_record_send(l->tls, data, len) : send(l->fd, data, len, MSG_NOSIGNAL | MSG_DONTWAIT);
        bool again = l->tls ? n == GNUTLS_E_AGAIN || n == GNUTLS_E_INTERRUPTED : n < 0 && (errno == EAGAIN || errno == EINTR);
        if (n > 0) {
            data += n;
            len -= (size_t)n;
        } else if (!again || !wait_for(l, POLLOUT)) {
            return false;
        }
    }
    return true;
}

static void
drain(const struct line *l)
{
    char nothing[16384];
    for (size_t total = 0; total < LINGER_BYTES && wait_for(l, POLLIN);) {
        ssize_t n = recv(l->fd, nothing, sizeof nothing, MSG_DONTWAIT);
        if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
            return;
        total += n > 0 ? (size_t)n : 0;
    }
}

void
http_early_answer(const struct http_response *r, struct MHD_Connection *c, int fd)
{
    const union MHD_ConnectionInfo *tls = MHD_get_connection_info(c, MHD_CONNECTION_INFO_GNUTLS_SESSION);
    struct line l = {.fd = fd, .tls = tls ? tls->tls_session : NULL, .until = g_get_monotonic_time() + LINGER_US};
    const char *phrase = MHD_get_reason_phrase_for(r->status);
    g_autoptr(GString) text = g_string_new(NULL);
    g_string_append_printf(text, "HTTP/1.1 %u %s\r\nConnection: close\r\nContent-Length: %zu\r\n", r->status, phrase ? phrase : "Unknown",
                           r->len);
    for (guint i = 0; r->fields && i + 1 < r->fields->len; i += 2)
        g_string_append_printf(text, "%s: %s\r\n", (const char *)r->fields->pdata[i], (const char *)r->fields->pdata[i + 1]);
    g_string_append(text, "\r\n");
    g_string_append_len(text, r->body, (gssize)r->len);
    if (!send_all(&l, text->str, text->len))
        return;
    if (l.tls)
        while (gnutls_bye(l.tls, GNUTLS_SHUT_WR) == GNUTLS_E_AGAIN && wait_for(&l, POLLOUT))
            continue;
    shutdown(fd, SHUT_WR);
    drain(&l);
}
