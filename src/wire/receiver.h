/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "net/http_server.h"
#include "wire/peer.h"

/* The same protocol, seen from the host that answers.  The receiver parses, checks sizes and names, and hands over to operations; it knows
 * neither store nor relationship.  `peer` is the verified name set of the certificate, never what the body claims.
 *
 * Operations are called from HTTP threads, several at once, one upload per VM at a time (a second one is ERR_IN_USE).  An operation that
 * returns false must set *err; its code and text reach the sender, also in the middle of an upload.  The server needs
 * require_client_cert and tls13_only, and max_body of WIRE_MAX_BODY. */

struct wire_receiver_ops {
    bool (*hello)(void *user, const struct net_peer *peer, struct wire_hello *out, GError **err);
    bool (*offer)(void *user, const struct net_peer *peer, const struct wire_offer *offer, struct wire_status *out, GError **err);
    bool (*reverse)(void *user, const struct net_peer *peer, const struct wire_offer *offer, struct wire_status *out, GError **err);
    bool (*settings)(void *user, const struct net_peer *peer, const struct wire_offer *offer, GError **err);
    bool (*status)(void *user, const struct net_peer *peer, const struct uuid *vm, struct wire_status *out, GError **err);
    bool (*withdraw)(void *user, const struct net_peer *peer, const struct uuid *vm, GError **err);
    bool (*hashes)(void *user, const struct net_peer *peer, const struct wire_hash_query *query, struct wire_hashes *out, GError **err);
    /* One log arrives: open, then write in order, then commit (only when all bytes are there) and always close. */
    void *(*log_open)(void *user, const struct net_peer *peer, const struct uuid *vm, const struct uuid *log, guint64 offset, GError **err);
    bool (*log_write)(void *intake, const void *data, size_t len, GError **err);
    bool (*log_commit)(void *intake, struct wire_status *out, GError **err);
    void (*log_close)(void *intake);
};

struct wire_receiver;
/* Adds its routes to the server; ops and user must outlive the receiver, the receiver must outlive the server's stop. */
struct wire_receiver *wire_receiver_new(struct http_server *server, const struct wire_receiver_ops *ops, void *user);
void wire_receiver_free(struct wire_receiver *r);
