/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "wsman/push.h"

#include "base/clean.h"
#include "base/err.h"
#include "base/log.h"
#include "net/http_client.h"
#include "wsman/event.h"
#include "wsman/fault.h"
#include "wsman/names.h"
#include "wsman/reply.h"

#include <string.h>

#define ANSWER_MAX (64u << 10) /* an Ack has less than 2 KiB */
#define STALL_S 15
#define FAREWELL_S 2           /* a listener that went must not keep the daemon from ending */
#define BATCH_BYTES (256u << 10)

struct push {
    struct subscriptions *table;
    struct subscription *subscription; /* taken */
    char *id, *user;
    struct delivery delivery;
    struct resource resource;
    const struct net_identity *identity;
    struct http_client *client;
    gint64 said_us;                    /* monotonic: when the listener last heard of us; the thread's own */
    GMutex lock;
    GCond changed;
    bool interrupted;                  /* under the lock */
};

static void
push_free(struct push *p)
{
    http_client_free(p->client);
    delivery_clear(&p->delivery);
    resource_clear(&p->resource);
    g_mutex_clear(&p->lock);
    g_cond_clear(&p->changed);
    g_free(p->id);
    g_free(p->user);
    g_free(p);
}

static void
interrupt(void *who)
{
    struct push *p = who;
    HOLD(&p->lock);
    p->interrupted = true;
    g_cond_broadcast(&p->changed);
    http_client_abort(p->client);
}

/* false: interrupted. */
static bool
pause_for(struct push *p, gint64 us)
{
    const gint64 until = g_get_monotonic_time() + us;
    HOLD(&p->lock);
    while (!p->interrupted && g_cond_wait_until(&p->changed, &p->lock, until))
        ;
    return !p->interrupted;
}

/* ---- one message ---- */

struct message {
    GString *text;
    char *id;
    bool ack;
};

static struct message
message_new(const struct push *p, const char *action, bool ack)
{
    struct message m = {.ack = ack};
    m.text = message_begin(action, p->delivery.to.address, &m.id);
    g_string_append(m.text, p->delivery.to.tokens);
    if (ack)
        g_string_append(m.text, "<a:ReplyTo><a:Address>" ANONYMOUS "</a:Address></a:ReplyTo><w:AckRequested/>");
    reply_body(m.text);
    return m;
}

static bool
is_ack(const struct http_answer *answer, const char *id)
{
    g_autoptr(xmlDoc) doc = xml_parse(answer->body, answer->len, ANSWER_MAX, NULL);
    const xmlNode *root = doc ? xmlDocGetRootElement(doc) : NULL;
    const xmlNode *header = root && xml_is(root, NS_SOAP, "Envelope") ? xml_child(root, NS_SOAP, "Header") : NULL;
    g_autofree char *action = header ? xml_child_text(header, NS_ADDRESS, "Action") : NULL;
    g_autofree char *relates = header ? xml_child_text(header, NS_ADDRESS, "RelatesTo") : NULL;
    return action && relates && strcmp(g_strstrip(action), ACTION_ACK) == 0 && strcmp(g_strstrip(relates), id) == 0;
}

static bool
post(struct http_client *client, const char *path, const char *text, struct http_answer *answer, GError **err)
{
    /* Small servers know nothing of Expect, and would be waited for. */
    static const char *const HEADERS[] = {"Content-Type: application/soap+xml;charset=UTF-8", "Expect:", NULL};
    struct http_call call = HTTP_CALL_INIT;
    call.method = "POST";
    call.path = path;
    call.headers = HEADERS;
    call.body = text;
    call.length = strlen(text);
    if (!http_client_call(client, &call, answer, err))
        return false;
    return (answer->status >= 200 && answer->status < 300) || err_set(err, ERR_PEER_REFUSED, "It answered %u.", answer->status);
}

static bool
attempt(struct push *p, const struct message *m, const char *text, GError **err)
{
    http_answer_auto answer = {0};
    return post(p->client, p->delivery.to.path, text, &answer, err) &&
           (!m->ack || is_ack(&answer, m->id) || err_set(err, ERR_PEER_REFUSED, "It did not acknowledge the event."));
}

/* Takes m.  false: given up, or interrupted. */
static bool
deliver(struct push *p, struct message m)
{
    g_autofree char *text = reply_end(m.text);
    g_autofree char *id = m.id;
    (void)id; /* only to be freed */
    for (guint tried = 0;; tried++) {
        g_autoptr(GError) why = NULL;
        if (attempt(p, &m, text, &why)) {
            p->said_us = g_get_monotonic_time();
            return true;
        }
        if (err_is(why, ERR_CANCELLED))
            return false;
        log_debug("An event could not be pushed to '%s': %s", p->delivery.to.server, why->message);
        if (tried == p->delivery.retries) {
            log_warning("The subscription of '%s' ends, as events cannot be pushed to '%s'. %s", p->user, p->delivery.to.server,
                        why->message);
            return false;
        }
        if (!pause_for(p, p->delivery.retry_us))
            return false;
    }
}

/* ---- what there is to say ---- */

static void
write_dropped(GString *out, guint lost)
{
    g_string_append_printf(out, "<w:DroppedEvents Action=\"" ACTION_EVENT "\">%u</w:DroppedEvents>", lost);
}

/* The first, and those behind it that are there already. */
static bool
push_batch(struct push *p, struct cim_event *first, guint lost)
{
    struct message m = message_new(p, ACTION_EVENTS, true);
    guint left = p->delivery.elements;
    g_string_append(m.text, "<w:Events>");
    if (lost) {
        g_string_append(m.text, "<w:Event Action=\"" ACTION_DROPPED "\">");
        write_dropped(m.text, lost);
        g_string_append(m.text, "</w:Event>");
    }
    for (struct cim_event *e = first; e;) {
        g_string_append(m.text, "<w:Event Action=\"" ACTION_EVENT "\">");
        event_write(m.text, p->subscription, e, &p->resource);
        g_string_append(m.text, "</w:Event>");
        cim_event_unref(e);
        e = --left && m.text->len < BATCH_BYTES ? cim_watcher_next(p->subscription->watcher, 0, NULL) : NULL;
    }
    g_string_append(m.text, "</w:Events>");
    return deliver(p, m);
}

static bool
push_dropped(struct push *p, guint lost)
{
    struct message m = message_new(p, ACTION_DROPPED, p->delivery.mode == DELIVER_ACK);
    write_dropped(m.text, lost);
    return deliver(p, m);
}

static bool
push_event(struct push *p, struct cim_event *e)
{
    struct message m = message_new(p, ACTION_EVENT, p->delivery.mode == DELIVER_ACK);
    event_write(m.text, p->subscription, e, &p->resource);
    cim_event_unref(e);
    return deliver(p, m);
}

static bool
push_beat(struct push *p)
{
    return deliver(p, message_new(p, ACTION_HEARTBEAT, p->delivery.mode != DELIVER_PUSH));
}

/* Waits until there is something to say, for `left_us` at most, and says it. */
static bool
push_next(struct push *p, gint64 left_us)
{
    const gint64 silent_us = g_get_monotonic_time() - p->said_us, beat_us = p->delivery.beat_us;
    const gint64 wait_us = beat_us ? MIN(left_us, MAX(beat_us - silent_us, 0)) : left_us;
    guint lost = 0;
    struct cim_event *e = cim_watcher_next(p->subscription->watcher, wait_us, &lost);
    if (e && p->delivery.mode == DELIVER_EVENTS)
        return push_batch(p, e, lost);
    if (lost && !push_dropped(p, lost)) {
        cim_event_unref(e);
        return false;
    }
    if (e)
        return push_event(p, e);
    return !beat_us || g_get_monotonic_time() - p->said_us < beat_us || push_beat(p);
}

/* ---- the thread ---- */

static struct http_client *
connect_to(const struct listener *l, const struct net_identity *identity, guint stall_s, GError **err)
{
    const struct http_client_config config = {
        .url = l->server, .identity = identity, .stall_s = stall_s, .connect_s = stall_s, .max_answer = ANSWER_MAX};
    return http_client_new(&config, err);
}

/* Once, and in vain if it has to be. */
static void
tell_the_end(const struct push *p, const char *status, const char *reason)
{
    const struct listener *to = &p->delivery.end;
    g_autofree char *id = NULL;
    g_autoptr(GError) why = NULL;
    http_answer_auto answer = {0};
    struct http_client *client = to->address ? connect_to(to, p->identity, FAREWELL_S, NULL) : NULL;
    if (!client)
        return;
    GString *out = message_begin(ACTION_SUBSCRIPTION_END, to->address, &id);
    g_string_append(out, to->tokens);
    reply_body(out);
    g_string_append(out, "<e:SubscriptionEnd><e:SubscriptionManager><a:Address>" ANONYMOUS "</a:Address><a:ReferenceParameters>");
    reply_text(out, "e:Identifier", p->id);
    g_string_append_printf(out, "</a:ReferenceParameters></e:SubscriptionManager><e:Status>" NS_EVENT "/%s</e:Status>", status);
    g_string_append_printf(out, "<e:Reason xml:lang=\"en-US\">%s</e:Reason></e:SubscriptionEnd>", reason);
    g_autofree char *text = reply_end(out);
    if (!post(client, to->path, text, &answer, &why))
        log_debug("'%s' could not be told that its subscription ended: %s", to->server, why->message);
    http_client_free(client);
}

static gpointer
run(gpointer user)
{
    struct push *p = user;
    gint64 left_us;
    enum subscription_state state;
    while ((state = subscriptions_look(p->table, p->subscription, &left_us)) == SUBSCRIPTION_GOES_ON)
        if (!push_next(p, left_us))
            break;
    if (state == SUBSCRIPTION_GOES_ON) /* it failed, unless it was interrupted */
        state = subscriptions_look(p->table, p->subscription, &left_us);
    if (state == SUBSCRIPTION_GOES_ON) {
        subscriptions_remove(p->table, p->user, p->id, NULL);
        tell_the_end(p, "DeliveryFailure", "Events could not be delivered.");
    } else if (state == SUBSCRIPTION_CLOSING) {
        tell_the_end(p, "SourceShuttingDown", "The service ends.");
    }
    struct subscriptions *table = p->table;
    struct subscription *s = p->subscription;
    subscriptions_on_end(table, s, NULL, NULL);
    push_free(p);
    subscriptions_give_back(table, s);
    return NULL;
}

bool
push_begin(const struct operation *op, const char *id, struct delivery *delivery, GError **err)
{
    struct http_client *client = connect_to(&delivery->to, op->identity, STALL_S, err);
    struct subscription *s = client ? subscriptions_take(op->subscriptions, op->caller->user, id, err) : NULL;
    if (!s) {
        http_client_free(client);
        subscriptions_remove(op->subscriptions, op->caller->user, id, NULL);
        return false;
    }
    const struct resource *r = &op->request->resource;
    struct push *p = g_new0(struct push, 1);
    *p = (struct push){.table = op->subscriptions, .subscription = s, .id = g_strdup(id), .user = g_strdup(op->caller->user),
                       .delivery = *delivery, .identity = op->identity, .client = client, .said_us = g_get_monotonic_time()};
    p->resource = (struct resource){.family = r->family, .ns = g_strdup(r->ns), .cls = g_strdup(r->cls)};
    memset(delivery, 0, sizeof *delivery);
    g_mutex_init(&p->lock);
    g_cond_init(&p->changed);
    subscriptions_on_end(p->table, s, interrupt, p);
    g_thread_unref(g_thread_new("push", run, p));
    return true;
}
