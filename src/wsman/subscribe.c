/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/err.h"
#include "cim/eventquery.h"
#include "wsman/event.h"
#include "wsman/fault.h"
#include "wsman/names.h"
#include "wsman/operation.h"
#include "wsman/push.h"
#include "wsman/reply.h"
#include "wsman/subscription.h"

#include <string.h>

/* Events over WS-Management (DSP0226 section 10): Subscribe, Pull that waits, Renew, Unsubscribe.  Pull delivery is what
 * Register-CimIndicationEvent asks for; push.c does the pushing. */

static const gint64 PATIENCE_US = 20 * (gint64)G_USEC_PER_SEC; /* of a Pull that names no time */

static bool
offered(const struct operation *op, GError **err)
{
    return op->subscriptions || fault_set(err, FAULT_UNSUPPORTED, "Events are not offered. Poll with Get or Enumerate.");
}

static void
append_lapse(GString *out, const char *element, gint64 us)
{
    g_string_append_printf(out, "<%s>PT%" G_GINT64_FORMAT "S</%s>", element, us / G_USEC_PER_SEC, element);
}

/* ---- Subscribe ---- */

static char *
read_filter(const xmlNode *body, GError **err)
{
    const xmlNode *filter = xml_child(body, NULL, "Filter");
    g_autofree char *dialect = filter ? xml_attr(filter, "Dialect") : NULL;
    if (!filter) {
        fault_set(err, FAULT_FILTER, "A filter in WQL must say which events are wanted.");
        return NULL;
    }
    if (!dialect || (strcmp(dialect, DIALECT_WQL) != 0 && strcmp(dialect, DIALECT_WQL_DMTF) != 0)) {
        fault_set(err, FAULT_DIALECT, "The filter dialect '%s' is not supported; WQL is '" DIALECT_WQL "'.", dialect ? dialect : "XPath");
        return NULL;
    }
    return xml_text(filter);
}

static char *
answer_subscribe(const struct operation *op, const char *id, bool pulled, gint64 lives_us, GError **err)
{
    GString *out = reply_begin(ACTION_SUBSCRIBE "Response", op->request->message_id);
    reply_body(out);
    g_string_append(out, "<e:SubscribeResponse><e:SubscriptionManager><a:Address>" ANONYMOUS "</a:Address><a:ReferenceParameters>");
    reply_text(out, "w:ResourceURI", op->request->uri);
    reply_text(out, "e:Identifier", id);
    g_string_append(out, "</a:ReferenceParameters></e:SubscriptionManager>");
    append_lapse(out, "e:Expires", lives_us);
    if (pulled)
        reply_text(out, "n:EnumerationContext", id);
    g_string_append(out, "</e:SubscribeResponse>");
    return operation_end(op, out, err);
}

char *
operation_subscribe(const struct operation *op, GError **err)
{
    const xmlNode *body = op->request->body;
    gint64 lives_us;
    if (!offered(op, err))
        return NULL;
    if (!body || !xml_is(body, NULL, "Subscribe")) {
        fault_set(err, FAULT_SCHEMA, "The body of a Subscribe request must be the element Subscribe.");
        return NULL;
    }
    g_autofree char *query = read_filter(body, err);
    delivery_auto delivery = {0};
    if (!query || !delivery_read(body, op->caller, &delivery, err) || !operation_lapse(body, "Expires", FAULT_EXPIRES, &lives_us, err))
        return NULL;
    const bool pulled = delivery.mode == DELIVER_PULL;
    g_autofree char *id =
        subscriptions_add(op->subscriptions, op->caller, op->request->resource.ns, g_strstrip(query), !pulled, &lives_us, err);
    char *reply = id ? answer_subscribe(op, id, pulled, lives_us, err) : NULL;
    if (!reply || pulled || push_begin(op, id, &delivery, err))
        return reply;
    g_free(reply);
    return NULL;
}

/* ---- Renew, Unsubscribe ---- */

static char *
identifier(const struct operation *op, GError **err)
{
    const xmlNode *header = xml_child(xmlDocGetRootElement(op->request->doc), NULL, "Header");
    char *id = header ? xml_child_text(header, NULL, "Identifier") : NULL;
    if (id)
        return g_strstrip(id);
    fault_set(err, FAULT_HEADER_MISSING, "The header 'Identifier' of the subscription is missing.");
    return NULL;
}

char *
operation_unsubscribe(const struct operation *op, GError **err)
{
    g_autofree char *id = offered(op, err) ? identifier(op, err) : NULL;
    if (!id || !subscriptions_remove(op->subscriptions, op->caller->user, id, err))
        return NULL;
    GString *out = reply_begin(ACTION_UNSUBSCRIBE "Response", op->request->message_id);
    reply_body(out);
    return reply_end(out);
}

char *
operation_renew_events(const struct operation *op, GError **err)
{
    gint64 lives_us;
    g_autofree char *id = offered(op, err) ? identifier(op, err) : NULL;
    if (!id || !operation_lapse(op->request->body, "Expires", FAULT_EXPIRES, &lives_us, err) ||
        !subscriptions_renew(op->subscriptions, op->caller->user, id, &lives_us, err))
        return NULL;
    GString *out = reply_begin(ACTION_RENEW_EVENT "Response", op->request->message_id);
    reply_body(out);
    g_string_append(out, "<e:RenewResponse>");
    append_lapse(out, "e:Expires", lives_us);
    g_string_append(out, "</e:RenewResponse>");
    return operation_end(op, out, err);
}

/* ---- Pull ---- */

/* How long a Pull waits: the shorter of OperationTimeout and MaxTime. */
static bool
patience(const struct operation *op, gint64 *out, GError **err)
{
    gint64 most;
    if (!operation_lapse(op->request->body, "MaxTime", FAULT_TIMEOUT_VALUE, &most, err))
        return false;
    *out = op->request->timeout_us ? op->request->timeout_us : most ? most : PATIENCE_US;
    if (most)
        *out = MIN(*out, most);
    *out = MIN(*out, 3 * PATIENCE_US); /* a connection that is silent for longer is closed */
    return true;
}

static char *
answer_events(const struct operation *op, struct subscription *s, const char *id, guint count, struct cim_event *first, GError **err)
{
    GString *out = reply_begin(ACTION_PULL "Response", op->request->message_id);
    reply_body(out);
    g_string_append(out, "<n:PullResponse>");
    reply_text(out, "n:EnumerationContext", id);
    g_string_append(out, "<n:Items>");
    for (struct cim_event *e = first; e; e = --count ? cim_watcher_next(s->watcher, 0, NULL) : NULL) {
        event_write(out, s, e, &op->request->resource);
        cim_event_unref(e);
    }
    g_string_append(out, "</n:Items></n:PullResponse>");
    return operation_end(op, out, err);
}

static char *
pull_from(const struct operation *op, struct subscription *s, const char *id, guint count, gint64 wait_us, GError **err)
{
    struct cim_event *first = cim_watcher_next(s->watcher, wait_us, NULL);
    if (first)
        return answer_events(op, s, id, count, first, err);
    if (s->removed)
        fault_set(err, FAULT_CONTEXT, "The subscription '%s' was ended.", id);
    else
        fault_set(err, FAULT_TIMED_OUT, "Nothing happened within the time of the Pull.");
    return NULL;
}

char *
operation_pull_events(const struct operation *op, const char *id, guint count, GError **err)
{
    gint64 wait_us;
    struct subscription *s = patience(op, &wait_us, err) ? subscriptions_take(op->subscriptions, op->caller->user, id, err) : NULL;
    if (!s)
        return NULL;
    char *reply = pull_from(op, s, id, count, wait_us, err);
    subscriptions_give_back(op->subscriptions, s);
    return reply;
}
