/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "net/http_int.h"

#include <string.h>

/* One request from its head to its answer.  The library calls http_exchange_access once with the head, then for every piece of the body,
 * then once with nothing: now the answer is due. */

struct exchange {
    struct http_conn *conn;
    const struct http_route *route;
    void *stream; /* what begin returned, until end */
    char *target, *path, *method;
    GByteArray *body; /* of a handled route */
    struct http_request request;
    struct http_response response;
};

const char *
http_request_header(const struct http_request *r, const char *name)
{
    struct MHD_Connection *c = (struct MHD_Connection *)(gsize)r->impl;
    return MHD_lookup_connection_value(c, MHD_HEADER_KIND, name);
}

const char *
http_request_query(const struct http_request *r, const char *name)
{
    struct MHD_Connection *c = (struct MHD_Connection *)(gsize)r->impl;
    const char *value = NULL;
    size_t len = 0;
    if (MHD_lookup_connection_value_n(c, MHD_GET_ARGUMENT_KIND, name, strlen(name), &value, &len) != MHD_YES)
        return NULL;
    return value ? value : "";
}

static struct http_conn *
conn_of(const struct http_request *r)
{
    struct MHD_Connection *c = (struct MHD_Connection *)(gsize)r->impl;
    return MHD_get_connection_info(c, MHD_CONNECTION_INFO_SOCKET_CONTEXT)->socket_context;
}

void
http_connection_keep(const struct http_request *r, void *data, GDestroyNotify destroy)
{
    struct http_conn *conn = conn_of(r);
    if (conn->kept_free)
        conn->kept_free(conn->kept);
    conn->kept = data;
    conn->kept_free = destroy;
}

void *
http_connection_kept(const struct http_request *r)
{
    return conn_of(r)->kept;
}

void *
http_exchange_uri(void *server, const char *uri, struct MHD_Connection *c)
{
    struct exchange *x = g_new0(struct exchange, 1);
    x->target = g_strdup(uri);
    return x;
}

static void
exchange_open(struct exchange *x, struct http_conn *conn, struct MHD_Connection *c, const char *path, const char *method)
{
    x->conn = conn;
    x->path = g_strdup(path);
    x->method = g_strdup(method);
    x->request = (struct http_request){.method = x->method, .path = x->path, .target = x->target, .peer = &conn->peer, .impl = c};
}

static void
end_stream(struct exchange *x, bool complete)
{
    struct http_response ignored = {0};
    void *stream = g_steal_pointer(&x->stream);
    if (stream)
        x->route->ops->end(stream, complete, complete ? &x->response : &ignored);
    http_response_clear(&ignored);
}

static void
exchange_free(struct exchange *x)
{
    end_stream(x, false);
    if (x->body)
        g_byte_array_unref(x->body);
    http_response_clear(&x->response);
    g_free(x->target);
    g_free(x->path);
    g_free(x->method);
    g_free(x);
}

static double
patience(const struct exchange *x)
{
    return 2.0 * http_server_limits(x->conn->server).timeout_s;
}

static enum MHD_Result
answer(struct exchange *x, struct MHD_Connection *c, bool close)
{
    http_conn_deadline(x->conn, patience(x) + (double)x->response.len / 10000); /* slower readers are cut off */
    return http_response_queue(&x->response, x->conn, c, close);
}

/* Answers although the body has not come (completely). */
static enum MHD_Result
answer_early(struct exchange *x, struct MHD_Connection *c)
{
    if (x->response.status == 0)
        http_respond_text(&x->response, 500, "No answer was given.");
    http_early_answer(&x->response, c, x->conn->fd);
    return MHD_NO;
}

static enum MHD_Result
refuse(struct exchange *x, struct MHD_Connection *c, const struct http_head *head)
{
    if (head->has_body && !head->expects)
        return answer_early(x, c);
    return answer(x, c, head->has_body);
}

static bool
choose_route(struct exchange *x)
{
    g_autofree char *allow = NULL;
    x->route = http_server_find(x->conn->server, x->method, x->path, &allow);
    if (x->route)
        return true;
    if (allow) {
        http_respond_text(&x->response, 405, "This path does not have that method.");
        http_respond_header(&x->response, "Allow", allow);
    } else {
        http_respond_text(&x->response, 404, "There is nothing at this path.");
    }
    return false;
}

static bool
check_head(struct exchange *x, struct MHD_Connection *c, const char *version, struct http_head *head)
{
    const char *reason = NULL;
    guint status = http_head_check(c, version, head, &reason);
    http_conn_identify(x->conn, c);
    if (status != 0)
        http_respond_text(&x->response, status, reason);
    else if (x->conn->refusal)
        http_respond_text(&x->response, 403, x->conn->refusal);
    else if (choose_route(x) && x->route->handle && head->length > http_server_limits(x->conn->server).max_body)
        http_respond_text(&x->response, 413, "The request's body is too large.");
    return x->response.status == 0;
}

/* The framing of a request with a bad head is not known, so its connection must end. */
static enum MHD_Result
begin(struct exchange *x, struct MHD_Connection *c, const char *version)
{
    struct http_head head;
    if (!check_head(x, c, version, &head)) {
        guint status = x->response.status;
        return status == 400 || status == 431 || status == 501 ? answer_early(x, c) : refuse(x, c, &head);
    }
    if (x->route->ops) {
        gint64 start = g_get_monotonic_time();
        http_conn_deadline(x->conn, -1);
        x->stream = x->route->ops->begin(x->route->user, &x->request, &x->response);
        http_conn_forgive(x->conn, c, start);
        return x->stream ? MHD_YES : refuse(x, c, &head);
    }
    http_conn_deadline(x->conn, patience(x));
    x->body = g_byte_array_new();
    return MHD_YES;
}

static enum MHD_Result
take(struct exchange *x, struct MHD_Connection *c, const char *data, size_t *len)
{
    size_t n = *len;
    *len = 0;
    if (x->route->ops) {
        gint64 start = g_get_monotonic_time();
        bool fine = x->route->ops->chunk(x->stream, data, n, &x->response);
        http_conn_forgive(x->conn, c, start);
        if (fine)
            return MHD_YES;
        end_stream(x, false);
        return answer_early(x, c);
    }
    if (n > http_server_limits(x->conn->server).max_body - x->body->len) {
        http_respond_text(&x->response, 413, "The request's body is too large.");
        return answer_early(x, c);
    }
    g_byte_array_append(x->body, (const guint8 *)data, (guint)n);
    return MHD_YES;
}

static enum MHD_Result
finish(struct exchange *x, struct MHD_Connection *c)
{
    gint64 start = g_get_monotonic_time();
    http_conn_deadline(x->conn, -1);
    if (x->route->ops) {
        end_stream(x, true);
    } else {
        x->request.body_len = x->body->len;
        g_byte_array_append(x->body, (const guint8 *)"", 1);
        x->request.body = (const char *)x->body->data;
        x->route->handle(x->route->user, &x->request, &x->response);
    }
    http_conn_forgive(x->conn, c, start);
    return answer(x, c, false);
}

enum MHD_Result
http_exchange_access(void *server, struct MHD_Connection *c, const char *path, const char *method, const char *version, const char *data,
                     size_t *len, void **exchange)
{
    struct exchange *x = *exchange;
    if (x->conn)
        return *len > 0 ? take(x, c, data, len) : finish(x, c);
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(c, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    if (!info || !info->socket_context)
        return MHD_NO;
    exchange_open(x, info->socket_context, c, path, method);
    return begin(x, c, version);
}

void
http_exchange_completed(void *server, struct MHD_Connection *c, void **exchange, enum MHD_RequestTerminationCode code)
{
    struct exchange *x = g_steal_pointer(exchange);
    if (!x)
        return;
    if (x->conn && x->conn->live)
        http_live_detach(x->conn->live);
    if (x->conn)
        http_conn_deadline(x->conn, patience(x)); /* for the next request */
    exchange_free(x);
}
