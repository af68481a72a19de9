/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "cim/dispatch.h"
#include "net/auth.h"

/* The second door: JSON over HTTP below /api/v1, for scripts and programs that do not speak WS-Management.  The same operations, the same
 * users and roles, the same refusals (design D5); docs/rest.md is the manual for clients, web/url.h lists the URLs.
 *
 * Every request needs credentials.  POST needs Content-Type application/json, and no header permits other sites anything, so that a page
 * in an administrator's browser can do nothing here.  Any thread. */

struct web;
struct web *web_new(struct cim_broker *broker, struct auth *auth); /* both outlive it; without events, see events_offer in web/events.h */
void web_mount(struct web *w, struct http_server *server); /* before http_server_start */
void web_free(struct web *w);                              /* after the servers; NULL is fine */
