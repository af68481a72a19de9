/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "net/identity.h"

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>

/* An HTTP/1.1 server; the library below (libmicrohttpd, GnuTLS) is visible nowhere else.
 *
 * Add routes, then start; a route is a method and a path prefix, the longest prefix wins.  Two ways to take a body:
 *   - `handle`: the whole body, at most `max_body` bytes (a longer one is answered 413 without being read);
 *   - `stream`: begin is called with the head, then chunk for every piece, then end; for uploads of any size.
 * A handler fills the response and returns; it may block.  Thread per connection, at most `max_connections`.
 *
 * Refused before any handler sees it: two Content-Length fields, Content-Length beside Transfer-Encoding, unknown transfer coding, a head
 * larger than 32 KiB, more than 100 fields, requests slower than `timeout_s`. */

struct http_request {
    const char *method, *path;      /* path without query, percent-decoding done */
    const struct net_peer *peer;
    const char *body;               /* NUL-terminated besides; NULL for streams */
    size_t body_len;
    const void *impl;
};
const char *http_request_header(const struct http_request *r, const char *name); /* NULL: absent; case-insensitive */
const char *http_request_query(const struct http_request *r, const char *name);

struct http_response;
void http_respond(struct http_response *r, guint status, const char *content_type, const void *body, size_t len); /* copies */
void http_respond_header(struct http_response *r, const char *name, const char *value);

typedef void (*http_handler)(void *user, const struct http_request *request, struct http_response *response);

struct http_stream_ops {
    void *(*begin)(void *user, const struct http_request *request, struct http_response *response); /* NULL: response is ready, body is drained or the connection closed */
    bool (*chunk)(void *stream, const void *data, size_t len, struct http_response *response);      /* false: response is ready */
    void (*end)(void *stream, bool complete, struct http_response *response);  /* always once; complete: every byte came */
};

struct http_server_config {
    const char *address;            /* "127.0.0.1", "::", or an absolute path: Unix socket (mode 0660) */
    guint port;                     /* 0: any free one, see http_server_port */
    const struct net_identity *identity;  /* NULL: plain HTTP */
    bool require_client_cert;       /* refuse the handshake's result without a certificate that our CA signed */
    size_t max_body;                /* for `handle` routes */
    guint max_connections, timeout_s;
};

struct http_server;
struct http_server *http_server_new(const struct http_server_config *config);
void http_server_route(struct http_server *s, const char *method, const char *prefix, http_handler handle, void *user);
void http_server_stream(struct http_server *s, const char *method, const char *prefix, const struct http_stream_ops *ops, void *user);
bool http_server_start(struct http_server *s, GError **err); /* ERR_IN_USE: port taken */
guint http_server_port(const struct http_server *s);
void http_server_stop(struct http_server *s);  /* waits for handlers under way */
void http_server_free(struct http_server *s);
