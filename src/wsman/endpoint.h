/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "cim/dispatch.h"
#include "cim/watch.h"
#include "net/auth.h"

/* The door: POST /wsman (and /wsman/) of an HTTP server, and /wsman-anon/identify for anonymous probes.
 *
 * A request without credentials is answered 401 before its body is looked at, with one exception: Identify, when the client announces it
 * with "WSMANIDENTIFY: unauthenticated".  Roles are those of net/auth.h.  Faults are logged at
 * debug level, invocations at info level with user and ReturnValue.  Any thread. */

struct wsman_endpoint;
struct wsman_endpoint *wsman_endpoint_new(struct cim_broker *broker, struct auth *auth); /* both outlive it */
/* Once, before the first request; both outlive the endpoint.  identity (NULL: none) is who we are to listeners with https, and whose CA
 * must have signed their certificates; without it the CAs of the system. */
void wsman_endpoint_offer_events(struct wsman_endpoint *e, struct cim_watch *watch, const struct net_identity *identity);
void wsman_endpoint_free(struct wsman_endpoint *e);
void wsman_endpoint_mount(struct wsman_endpoint *e, struct http_server *server); /* before http_server_start; the endpoint outlives it */

/* The same without HTTP, for tests and fuzzers: bytes of a request to bytes of a reply. */
struct wsman_reply {
    guint status;
    char *body; /* g_free */
    size_t len;
    const char *content_type;
};
void wsman_endpoint_serve(struct wsman_endpoint *e, const struct cim_caller *caller, const char *content_type, const char *body, size_t len,
                          struct wsman_reply *out);
