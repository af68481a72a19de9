/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "net/http_server.h"

#include <gnutls/gnutls.h>
#include <microhttpd.h>
#include <stdint.h>

/* The inside of the HTTP server; only for files of net/ whose name begins with http_.
 *
 * Life of a request: http_server.c accepts -> http_exchange.c (head, route, body, handler) -> http_head.c checks the head,
 * http_response.c (bodies that are ready) or http_live.c (bodies that come over time) answers through the library, http_early.c past it
 * while the request is still coming. */

#define HTTP_HEAD_MAX (32u << 10)
#define HTTP_FIELDS_MAX 100

/* --- http_server.c --- */

struct http_route {
    char *method;
    char **segments;
    guint count;
    http_handler handle;               /* or */
    const struct http_stream_ops *ops;
    void *user;
};

struct http_conn {
    struct http_server *server;
    int fd;                            /* the library's */
    gint64 deadline;                   /* g_get_monotonic_time of being cut off, 0: none; under the server's lock */
    struct http_live *live;            /* its answer under way, NULL: none; under the server's lock */
    bool known;                        /* peer (or refusal) is filled in */
    struct net_peer peer;
    char *refusal;                     /* why this peer may do nothing */
    void *kept;                        /* a handler's; the connection's own thread */
    GDestroyNotify kept_free;
};

struct http_limits {
    size_t max_body;
    guint timeout_s;
};
struct http_limits http_server_limits(const struct http_server *s);
/* The route for method and path; NULL with *allow (g_free) listing the methods that the path has, or NULL if it has none. */
const struct http_route *http_server_find(const struct http_server *s, const char *method, const char *path, char **allow);
/* seconds from now; negative: none */
void http_conn_deadline(struct http_conn *conn, double seconds);
void http_conn_live(struct http_conn *conn, struct http_live *l);
bool http_conn_stopping(struct http_conn *conn);
/* Makes the library forget the time since then, in which we worked: it counts it as silence of the client. */
void http_conn_forgive(struct http_conn *conn, struct MHD_Connection *c, gint64 since);
void http_conn_identify(struct http_conn *conn, struct MHD_Connection *c);

/* --- http_exchange.c: callbacks of the library --- */

void *http_exchange_uri(void *server, const char *uri, struct MHD_Connection *c); /* first of all, with the target as it came */
enum MHD_Result http_exchange_access(void *server, struct MHD_Connection *c, const char *path, const char *method, const char *version,
                                     const char *data, size_t *len, void **exchange);
void http_exchange_completed(void *server, struct MHD_Connection *c, void **exchange, enum MHD_RequestTerminationCode code);

/* --- http_head.c --- */

struct http_head {
    bool has_body, chunked, expects;   /* expects: 100-continue */
    uint64_t length;                   /* of the body unless chunked */
};
/* 0, or the status to refuse with and the reason. */
guint http_head_check(struct MHD_Connection *c, const char *version, struct http_head *out, const char **reason);

/* --- http_response.c --- */

struct http_response {
    guint status;                      /* 0: nothing said yet */
    char *body;
    size_t len;
    GPtrArray *fields;                 /* name, value, name, value */
    struct http_live *live;            /* instead of body */
};
void http_response_clear(struct http_response *r);
void http_respond_text(struct http_response *r, guint status, const char *text);
enum MHD_Result http_response_queue(struct http_response *r, struct http_conn *conn, struct MHD_Connection *c, bool close);

/* --- http_live.c --- */

void http_live_free(struct http_live *l);  /* frees its source, too; NULL is fine */
void http_live_detach(struct http_live *l); /* its request is over; the library frees it when it likes */
void http_live_wake(struct http_live *l);
/* The library's answer, which owns `l` from now on; NULL: it does not. */
struct MHD_Response *http_live_response(struct http_live *l, struct http_conn *conn, struct MHD_Connection *c);

/* --- http_early.c --- */

/* Sends the response on the connection itself and throws away what still comes, at most 5 s; the caller then lets the library close it.
 * Only from the connection's own thread while the library waits for body data. */
void http_early_answer(const struct http_response *r, struct MHD_Connection *c, int fd);
