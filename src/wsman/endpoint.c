/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "wsman/endpoint.h"

#include "base/log.h"
#include "wsman/fault.h"
#include "wsman/names.h"
#include "wsman/operation.h"
#include "wsman/reply.h"

#include <string.h>

struct wsman_endpoint {
    struct cim_broker *broker;
    struct auth *auth;
    struct enumctx *contexts;
    struct subscriptions *subscriptions; /* NULL: no events */
    const struct net_identity *identity; /* towards listeners */
};

struct wsman_endpoint *
wsman_endpoint_new(struct cim_broker *broker, struct auth *auth)
{
    struct wsman_endpoint *e = g_new0(struct wsman_endpoint, 1);
    e->broker = broker;
    e->auth = auth;
    e->contexts = enumctx_new();
    return e;
}

void
wsman_endpoint_offer_events(struct wsman_endpoint *e, struct cim_watch *watch, const struct net_identity *identity)
{
    e->subscriptions = subscriptions_new(watch);
    e->identity = identity;
}

void
wsman_endpoint_free(struct wsman_endpoint *e)
{
    if (!e)
        return;
    subscriptions_free(e->subscriptions);
    enumctx_free(e->contexts);
    g_free(e);
}

/* DSP0226 section 11.  Who is not authenticated learns no version. */
static char *
identify(const struct cim_caller *caller)
{
    bool known = caller->role > CIM_NOBODY;
    return g_strdup_printf(
        "<s:Envelope xml:lang=\"en-US\" xmlns:s=\"" NS_SOAP "\"><s:Header/><s:Body><wsmid:IdentifyResponse xmlns:wsmid=\"" NS_IDENTITY "\">"
        "<wsmid:ProtocolVersion>" PROTOCOL "</wsmid:ProtocolVersion><wsmid:ProductVendor>vmreplica</wsmid:ProductVendor>"
        "<wsmid:ProductVersion>OS: 0.0.0 SP: 0.0 Stack: 3.0%s</wsmid:ProductVersion></wsmid:IdentifyResponse></s:Body></s:Envelope>",
        known ? " vmreplica " VMR_VERSION : "");
}

static char *
answer(struct wsman_endpoint *e, const struct cim_caller *caller, const struct envelope *request, GError **err)
{
    struct operation op = {e->broker, e->contexts, caller, request, e->subscriptions, e->identity};
    if (request->identify)
        return identify(caller);
    if (caller->role == CIM_NOBODY) {
        fault_set(err, FAULT_ACCESS, "Only Identify is answered without authentication.");
        return NULL;
    }
    return operation_run(&op, err);
}

static void
note(const struct cim_caller *caller, const struct envelope *request, const GError *err)
{
    const char *user = caller->user ? caller->user : "-";
    g_autofree char *action = fault_text(request->action ? request->action : "-"), *why = err ? fault_text(err->message) : NULL;
    if (err)
        log_debug("WS-Management request refused: %s user=%s action=%s", why, user, action);
    else if (!request->identify && g_str_has_prefix(action, "http://schemas.microsoft.com/"))
        log_debug("WS-Management invocation. user=%s action=%s", user, action);
}

void
wsman_endpoint_serve(struct wsman_endpoint *e, const struct cim_caller *caller, const char *content_type, const char *body, size_t len,
                     struct wsman_reply *out)
{
    struct envelope request;
    g_autoptr(GError) why = NULL;
    char *xml = NULL;

    if (envelope_parse(content_type, body, len, &request, &why))
        xml = answer(e, caller, &request, &why);
    out->status = xml ? 200 : fault_info(fault_of(why))->http;
    if (!xml)
        xml = fault_envelope(why, request.message_id, cim_broker_host(e->broker));
    note(caller, &request, why);
    out->body = envelope_encode(&request, xml, &out->len, &out->content_type);
    envelope_clear(&request);
}

/* --- HTTP --------------------------------------------------------------------------------------------------------------------------- */

static void
respond(struct wsman_endpoint *e, const struct cim_caller *caller, const struct http_request *request, struct http_response *response)
{
    struct wsman_reply reply;
    wsman_endpoint_serve(e, caller, http_request_header(request, "Content-Type"), request->body, request->body_len, &reply);
    http_respond(response, reply.status, reply.content_type, reply.body, reply.len);
    g_free(reply.body);
}

static bool
type_fine(const struct http_request *request, struct http_response *response)
{
    static const char text[] = "The body must be application/soap+xml.\n";
    if (envelope_type_fine(http_request_header(request, "Content-Type")))
        return true;
    http_respond(response, 415, "text/plain", text, strlen(text));
    return false;
}

/* An anonymous caller may identify and nothing else; `answer` sees to that. */
static void
handle_anonymous(void *user, const struct http_request *request, struct http_response *response)
{
    const struct cim_caller nobody = {.user = NULL, .role = CIM_NOBODY};
    if (type_fine(request, response))
        respond(user, &nobody, request, response);
}

static bool
is_probe(const struct http_request *request)
{
    const char *value = http_request_header(request, "WSMANIDENTIFY");
    return value && g_ascii_strcasecmp(value, "unauthenticated") == 0;
}

static void
handle(void *user, const struct http_request *request, struct http_response *response)
{
    struct wsman_endpoint *e = user;
    struct net_peer peer;
    enum auth_result result = auth_identify(e->auth, request, response, &peer);

    if (result == AUTH_NEED && is_probe(request)) {
        handle_anonymous(user, request, response);
        return;
    }
    if (result != AUTH_OK) {
        auth_refuse(e->auth, result, response);
        return;
    }
    if (request->body_len == 0 && auth_is_handshake(request)) {
        http_respond(response, 200, NULL, NULL, 0);
        return;
    }
    const struct cim_caller caller = {.user = peer.user, .role = cim_role_of(peer.role), .address = peer.address};
    if (type_fine(request, response))
        respond(e, &caller, request, response);
}

void
wsman_endpoint_mount(struct wsman_endpoint *e, struct http_server *server)
{
    http_server_route(server, "POST", "/wsman", handle, e);
    http_server_route(server, "POST", "/wsman-anon/identify", handle_anonymous, e);
}
