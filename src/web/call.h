/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "cim/dispatch.h"
#include "net/http_server.h"
#include "web/url.h"

/* One request of the JSON API on its way; only for files of web/.  Operations answer, or return false with what went wrong. */

struct web_call {
    struct cim_broker *broker;
    const struct cim_caller *caller;
    const struct url *url;
    const struct http_request *request;
    struct http_response *response;
};

/* --- web.c --- */

/* Who answers for /events; nobody at first. */
struct web;
struct web_events_ops {
    bool (*run)(void *user, const struct web_call *c, GError **err);
    void (*free)(void *user);
};
void web_set_events(struct web *w, const struct web_events_ops *ops, void *user); /* takes user */

/* --- read.c --- */

bool read_root(const struct web_call *c, GError **err);
bool read_classes(const struct web_call *c, GError **err);    /* the schema: all classes */
bool read_class(const struct web_call *c, GError **err);      /* and one, with properties and methods */
bool read_list(const struct web_call *c, GError **err);       /* instances, by where, in pages */
bool read_instance(const struct web_call *c, GError **err);
bool read_related(const struct web_call *c, GError **err);    /* associators and references, in pages */

/* --- invoke.c --- */

bool invoke_method(const struct web_call *c, GError **err);
