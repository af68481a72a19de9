/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "net/http_server.h"
#include "wire/receiver.h"

/* The replication port of this host: TLS 1.3, client certificates required. */
struct listener;
struct listener *listener_start(const char *address, guint port, const struct net_identity *identity, const struct wire_receiver_ops *ops,
                                void *user, GError **err); /* ERR_IN_USE: port taken */
void listener_stop(struct listener *l); /* waits for requests under way; NULL is fine */
