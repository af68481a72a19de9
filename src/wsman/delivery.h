/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "base/xml.h"
#include "cim/dispatch.h"

/* How a subscriber wants its events: the Delivery of a Subscribe (DSP0226 section 10.2) and who may name which listener.
 *
 * What we send to a listener leaves from this host, perhaps behind a firewall, so that naming one is a right.  Only http and https, no user
 * in the URL.  An administrator may name any listener.  Anybody else only the address that the Subscribe itself came from, as digits, with
 * a port from 1024 on, and never the loopback of this host: behind a proxy everybody seems to come from there.
 *
 * Faults: FAULT_DELIVERY (mode), FAULT_PARAMETER, FAULT_ACCESS, FAULT_UNSUPPORTED.  Pure; any thread. */

#define DELIVERY_TOKENS_MAX 8192u  /* bytes of the header blocks that a listener wants to have back */
#define DELIVERY_ADDRESS_MAX 2048u

enum delivery_mode { DELIVER_PULL, DELIVER_PUSH, DELIVER_ACK, DELIVER_EVENTS };

struct listener {
    char *address;  /* as it was named: a:To */
    char *server;   /* "https://host:port", built from the parts of the address, so that no other reader finds another host in it */
    char *path;     /* with the query */
    char *tokens;   /* its reference parameters as header blocks, "" if none */
};

struct delivery {
    enum delivery_mode mode;
    struct listener to, end;  /* NotifyTo and EndTo; without address: not named */
    gint64 beat_us;           /* Heartbeats; 0: none */
    guint elements;           /* events in a message, DELIVER_EVENTS only */
    guint retries;            /* ConnectionRetry: after a failure so often, so long apart */
    gint64 retry_us;
};

bool delivery_read(const xmlNode *subscribe, const struct cim_caller *caller, struct delivery *out, GError **err);
void delivery_clear(struct delivery *d);
#define delivery_auto __attribute__((cleanup(delivery_clear))) struct delivery
/* An address and who may name it, alone; out is empty when it is refused. */
bool listener_parse(const char *address, const struct cim_caller *caller, struct listener *out, GError **err);
void listener_clear(struct listener *l);
