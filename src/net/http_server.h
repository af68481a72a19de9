/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "net/identity.h"

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* An HTTP/1.1 server; the library below (libmicrohttpd, GnuTLS) is visible nowhere else.
 *
 * Add routes, then start.  A route is a method and a path prefix of whole segments; the segment "*" stands for any one; most
 * segments win (/vms/{any}/logs before /vms).  No route: 404; another method: 405.  Two ways to take a body:
 *   - `handle`: the whole body, at most `max_body` bytes (a longer one is answered 413 without being kept);
 *   - `stream`: begin is called with the head, then chunk for every piece, then end; for uploads of any size.
 * A handler fills the response and returns; it may block.  Thread per connection, at most `max_connections`.  Connections are kept alive.
 * An answer given before the whole body came (413, begin or chunk refusing) reaches a client that is still sending: it is sent at once,
 * what still comes is thrown away for a while, and the connection closes.  Clients that send "Expect: 100-continue" do not send in vain.
 *
 * Refused before any handler sees it: two Content-Length, Transfer-Encoding, Host or Authorization fields, Content-Length beside
 * Transfer-Encoding, unknown transfer coding, HTTP/1.1 without Host, a head larger than 32 KiB, more than 100 fields; 403 with the reason
 * when require_client_cert and the certificate is missing or bad.  A connection that is idle, or whose head or (handled) body is not
 * complete after twice timeout_s, is closed; so is one that stalls for timeout_s. */

struct http_request {
    const char *method, *path;      /* path without query, percent-decoding done ("%00" stays as it is) */
    const char *target;             /* path and query as they came */
    const struct net_peer *peer;
    const char *body;               /* NUL-terminated besides; NULL for streams */
    size_t body_len;
    const void *impl;
};
const char *http_request_header(const struct http_request *r, const char *name); /* NULL: absent; case-insensitive */
const char *http_request_query(const struct http_request *r, const char *name);  /* NULL: absent */

/* What a handler keeps with the connection that a request came on, until that ends; a second one replaces and frees the first. */
void http_connection_keep(const struct http_request *r, void *data, GDestroyNotify destroy);
void *http_connection_kept(const struct http_request *r); /* NULL: nothing */

struct http_response;
/* Copies.  A second call replaces the first, but keeps other fields. */
void http_respond(struct http_response *r, guint status, const char *content_type, const void *body, size_t len);
void http_respond_header(struct http_response *r, const char *name, const char *value); /* adds; also twice the same name */

/* An answer that comes over time (events): `next` writes at most max bytes and returns how many; 0: nothing yet, ask again; negative: the
 * end.  It runs in the connection's own thread and may wait, at most a second, so that a client that went is noticed; `wake` (any thread,
 * must not block) cuts the waiting short when the server stops.  `free` is called once, also when nothing was ever asked for.  A client
 * that does not read is cut off after twice timeout_s. */
struct http_source_ops {
    ssize_t (*next)(void *source, char *buffer, size_t max);
    void (*wake)(void *source);
    void (*free)(void *source);
};
void http_respond_live(struct http_response *r, guint status, const char *content_type, const struct http_source_ops *ops,
                       void *source); /* takes source */

typedef void (*http_handler)(void *user, const struct http_request *request, struct http_response *response);

struct http_stream_ops {
    void *(*begin)(void *user, const struct http_request *request, struct http_response *response); /* NULL: response is ready */
    bool (*chunk)(void *stream, const void *data, size_t len, struct http_response *response);      /* false: response is ready */
    /* Always once; complete: every byte came and no chunk refused.  The response it makes counts only then. */
    void (*end)(void *stream, bool complete, struct http_response *response);
};

struct http_server_config {
    const char *address;            /* "127.0.0.1", "::", or an absolute path: Unix socket (mode 0660) */
    const char *group;              /* of a Unix socket; NULL or unknown: left as it is */
    guint port;                     /* 0: any free one, see http_server_port */
    const struct net_identity *identity;  /* NULL: plain HTTP */
    bool ask_client_cert;           /* ask for a certificate; one that our CA did not sign counts as none */
    bool require_client_cert;       /* refuse every request without a certificate that our CA signed */
    bool tls13_only;                /* the replication port; otherwise TLS 1.2 is accepted, too */
    size_t max_body;                /* for `handle` routes; 0: 512 KiB */
    guint max_connections, timeout_s; /* 0: 256 and 30 */
};

/* On a Unix socket peer->user is the name of the process's user and peer->role is administrator for root. */
struct http_server;
struct http_server *http_server_new(const struct http_server_config *config); /* copies */
void http_server_route(struct http_server *s, const char *method, const char *prefix, http_handler handle, void *user);
void http_server_stream(struct http_server *s, const char *method, const char *prefix, const struct http_stream_ops *ops, void *user);
bool http_server_start(struct http_server *s, GError **err); /* ERR_IN_USE: port taken */
guint http_server_port(const struct http_server *s);
void http_server_stop(struct http_server *s);  /* waits for handlers under way; closes idle connections; may be called twice */
void http_server_free(struct http_server *s);  /* stops; NULL is fine */
