/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "cim/dispatch.h"
#include "wsman/enumctx.h"
#include "wsman/envelope.h"
#include "wsman/fault.h"
#include "wsman/subscription.h"

/* What can be asked over WS-Management: one row per action in operation.c, each a short function from a parsed request to the XML of the
 * whole reply.  An action that is in no row and has the form <class URI>/<method> is an invocation.  Any thread. */

struct operation {
    struct cim_broker *broker;
    struct enumctx *contexts;
    const struct cim_caller *caller;
    const struct envelope *request;
    struct subscriptions *subscriptions; /* NULL: events are not offered */
    const struct net_identity *identity; /* towards listeners; NULL: none */
};

/* The reply envelope, g_free; NULL: a fault. */
char *operation_run(const struct operation *op, GError **err);

/* Rows that live in files of their own. */
char *operation_enumerate(const struct operation *op, GError **err);
char *operation_pull(const struct operation *op, GError **err);
char *operation_release(const struct operation *op, GError **err);
char *operation_invoke(const struct operation *op, GError **err);
char *operation_subscribe(const struct operation *op, GError **err);
char *operation_unsubscribe(const struct operation *op, GError **err);
char *operation_renew_events(const struct operation *op, GError **err);
/* A Pull from the subscription `id`: at most `count` events; waits for the first. */
char *operation_pull_events(const struct operation *op, const char *id, guint count, GError **err);
/* Microseconds from now to what the element says as a duration or a point in time; 0: absent. */
bool operation_lapse(const xmlNode *body, const char *name, enum fault_code fault, gint64 *out, GError **err);

/* Shared by the rows: the path that ResourceURI and selectors name; the class must exist (FAULT_CLASS) and have all those properties
 * (FAULT_SELECTORS_UNEXPECTED). */
struct cim_path *operation_path(const struct operation *op, const struct cim_class **cls, GError **err);
/* The class that a request for classes (URI_CLASSES) names, by the selector ClassName or at the end of its URI; NULL: none. */
const char *operation_class_name(const struct operation *op);
/* Tells a lookup that was too vague from other errors: FAULT_SELECTORS_AMBIGUOUS, FAULT_SELECTORS_MISSING.  Moves from to err. */
void operation_vague(const struct operation *op, GError *from, GError **err);
/* Ends `out`, or FAULT_REPLY_TOO_BIG when it is longer than the client's MaxEnvelopeSize. */
char *operation_end(const struct operation *op, GString *out, GError **err);
/* Bytes of UTF-8 that a reply may have. */
gsize operation_room(const struct operation *op);
