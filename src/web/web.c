/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "web/web.h"

#include "base/err.h"
#include "base/log.h"
#include "web/call.h"
#include "web/openapi.h"
#include "web/problem.h"

#include <string.h>

struct web {
    struct cim_broker *broker;
    struct auth *auth;
    const struct web_events_ops *events; /* NULL: there are none */
    void *events_user;
};

struct web *
web_new(struct cim_broker *broker, struct auth *auth)
{
    struct web *w = g_new0(struct web, 1);
    w->broker = broker;
    w->auth = auth;
    return w;
}

void
web_free(struct web *w)
{
    if (!w)
        return;
    if (w->events)
        w->events->free(w->events_user);
    g_free(w);
}

void
web_set_events(struct web *w, const struct web_events_ops *ops, void *user)
{
    g_assert(!w->events);
    w->events = ops;
    w->events_user = user;
}

static bool
send_openapi(const struct web_call *c, GError **err)
{
    if (!url_check_query(c->url, "", err))
        return false;
    http_respond(c->response, 200, "application/vnd.oai.openapi+json;version=3.1", web_openapi, web_openapi_len);
    http_respond_header(c->response, "Cache-Control", "no-store");
    return true;
}

static bool
run(struct web *w, const struct web_call *c, GError **err)
{
    switch (c->url->kind) {
    case URL_ROOT:
        return read_root(c, err);
    case URL_OPENAPI:
        return send_openapi(c, err);
    case URL_EVENTS:
        return w->events ? w->events->run(w->events_user, c, err) : err_set(err, ERR_NOT_SUPPORTED, "This daemon has no events.");
    case URL_CLASSES:
        return read_classes(c, err);
    case URL_CLASS:
        return read_class(c, err);
    case URL_LIST:
        return read_list(c, err);
    case URL_INSTANCE:
        return read_instance(c, err);
    case URL_ASSOCIATORS:
    case URL_REFERENCES:
        return read_related(c, err);
    case URL_METHOD:
        return invoke_method(c, err);
    }
    return err_set(err, ERR_NOT_FOUND, "There is nothing at this URL.");
}

static void
refuse_method(const struct web_call *c)
{
    const char *allow = c->url->kind == URL_METHOD ? "POST" : "GET";
    g_autofree char *detail = g_strdup_printf("This URL does not have the HTTP method %s, but %s.", c->request->method, allow);
    http_respond_header(c->response, "Allow", allow);
    problem_respond_as(c->response, 405, "wrong-http-method", "Wrong HTTP method", detail,
                       "Objects are read with GET, and changed by their methods with POST.");
}

static void
serve(struct web *w, const struct cim_caller *caller, const struct http_request *request, struct http_response *response)
{
    g_autoptr(GError) why = NULL;
    url_auto url = {0};
    const struct web_call c = {.broker = w->broker, .caller = caller, .url = &url, .request = request, .response = response};
    bool found = url_parse(request->target, &url, &why);
    if (found && strcmp(request->method, url.kind == URL_METHOD ? "POST" : "GET") != 0)
        refuse_method(&c);
    else if (!found && err_is(why, ERR_NOT_FOUND))
        problem_respond_as(response, 404, "no-such-url", "No such URL", why->message, "GET " URL_BASE " and follow what it names.");
    else if (!found || !run(w, &c, &why))
        problem_respond(response, why);
    if (why)
        log_debug("JSON request refused: %s user=%s target=%.200s", why->message, caller->user, request->target);
}

/* auth_refuse says how to authenticate; the body becomes one that clients of this API can read. */
static void
refuse_caller(const struct web *w, enum auth_result result, struct http_response *response)
{
    auth_refuse(w->auth, result, response);
    if (result == AUTH_DENIED)
        problem_respond_as(response, 429, "too-many-failures", "Too many failures", "There were too many wrong passwords lately.",
                           "Wait a minute, then try again.");
    else
        problem_respond_as(response, 401, "not-authenticated", "Not authenticated", "This request has no valid credentials.",
                           "Send user and password (HTTP Basic) of a user made with 'vmreplica user add'.");
}

static void
handle(void *user, const struct http_request *request, struct http_response *response)
{
    struct web *w = user;
    struct net_peer peer;
    enum auth_result result = auth_identify(w->auth, request, response, &peer);
    if (result != AUTH_OK) {
        refuse_caller(w, result, response);
        return;
    }
    const struct cim_caller caller = {.user = peer.user, .role = cim_role_of(peer.role), .address = peer.address};
    serve(w, &caller, request, response);
}

void
web_mount(struct web *w, struct http_server *server)
{
    static const char *const methods[] = {"GET", "POST", "PUT", "PATCH", "DELETE"};
    for (guint i = 0; i < G_N_ELEMENTS(methods); i++)
        http_server_route(server, methods[i], URL_BASE, handle, w);
}
