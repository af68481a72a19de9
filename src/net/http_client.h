/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "base/throttle.h"
#include "net/identity.h"

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

/* An HTTP/1.1 client for one server; the library below (libcurl, GnuTLS flavour) is visible nowhere else.
 *
 * One client keeps one connection alive over many calls and belongs to one thread at a time; http_client_abort is for any thread.  The name
 * of the server is always verified against its certificate.  Proxies, redirects, cookies and the environment play no part.  When the server
 * has closed the connection meanwhile, a call is made once more on a new one, unless more than 64 KiB may be there.
 *
 * Errors are about having no answer: ERR_NETWORK (no connection, broken off), ERR_TIMEOUT (connecting took connect_s, or nothing moved
 * for stall_s), ERR_PEER_REFUSED (certificate or name of the server is wrong), ERR_TOO_BIG (answer longer than max_answer), ERR_CANCELLED
 * (aborted), ERR_CORRUPT (the file of a body is shorter than promised).  An answer with status 4xx or 5xx is no error here. */

struct http_client_config {
    const char *url;                      /* "https://host:port" or "http://host:port", without path */
    const char *unix_socket;              /* connect here instead; the url gives the Host field */
    const struct net_identity *identity;  /* our certificate, and the CA that we trust; NULL: no certificate */
    const char *ca;                       /* without identity: PEM file of trusted CAs; NULL: those of the system */
    const char *user, *password;          /* HTTP Basic, sent with the first request; NULL: none */
    bool kerberos;                        /* Negotiate with the ticket of this process's user */
    bool tls13_only;
    guint stall_s, connect_s;             /* 0: 60 and 10 */
    size_t max_answer;                    /* bytes; 0: 16 MiB */
};

struct http_client;
struct http_client *http_client_new(const struct http_client_config *config, GError **err); /* copies; sends nothing */
void http_client_free(struct http_client *c); /* NULL is fine */
/* The call under way and all later ones end with ERR_CANCELLED: at once while waiting, at the latest within a second. */
void http_client_abort(struct http_client *c);

struct http_call {
    const char *method, *path;     /* path with query, percent-encoded */
    const char *const *headers;    /* "Name: value" lines, NULL-terminated; NULL: none */
    const void *body;              /* or, if NULL, `length` bytes of the file `fd` from `offset` on */
    guint64 length;                /* of the body; 0 without body and fd -1: no body at all.  From 64 KiB on the server is asked first
                                      whether it wants the body (Expect) */
    int fd;                        /* -1: none; read with pread */
    guint64 offset;
    struct throttle *const *limits; /* of the upload, all of which must permit it; NULL-terminated; NULL: none */
    gint64 *sent;                  /* may be NULL; the bytes of the body that went out are added as they go, atomically */
};
#define HTTP_CALL_INIT {.fd = -1}

struct http_answer {
    guint status;
    char *content_type;            /* NULL: none */
    char *body;                    /* NUL-terminated besides, never NULL */
    size_t len;
};
void http_answer_clear(struct http_answer *a);
#define http_answer_auto __attribute__((cleanup(http_answer_clear))) struct http_answer

bool http_client_call(struct http_client *c, const struct http_call *call, struct http_answer *out, GError **err);
