/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "repl/listener.h"

#include "base/err.h"

enum { MAX_CONNECTIONS = 1024, TIMEOUT_S = 60 };

struct listener {
    struct http_server *server;
    struct wire_receiver *receiver;
};

struct listener *
listener_start(const char *address, guint port, const struct net_identity *identity, const struct wire_receiver_ops *ops, void *user,
               GError **err)
{
    if (!identity) {
        err_set(err, ERR_INVALID_STATE, "This host has no certificate, so it cannot receive replicas; see 'vmreplica pki'.");
        return NULL;
    }
    const struct http_server_config config = {
        .address = address ? address : "::", .port = port, .identity = identity, .require_client_cert = true,
        .max_body = WIRE_MAX_BODY, .tls13_only = true, .max_connections = MAX_CONNECTIONS, .timeout_s = TIMEOUT_S,
    };
    struct listener *l = g_new0(struct listener, 1);
    l->server = http_server_new(&config);
    l->receiver = wire_receiver_new(l->server, ops, user);
    if (http_server_start(l->server, err))
        return l;
    listener_stop(l);
    return NULL;
}

void
listener_stop(struct listener *l)
{
    if (!l)
        return;
    http_server_stop(l->server);
    wire_receiver_free(l->receiver);
    http_server_free(l->server);
    g_free(l);
}
