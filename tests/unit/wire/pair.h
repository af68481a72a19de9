/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "base/err.h"
#include "box.h"
#include "wire/peer.h"
#include "wire/receiver.h"

/* Two ends of the replication protocol over real TLS; the receiving one has operations that write down what they are asked for and keep
 * the bytes of logs in memory. */

enum pair_fail { FAIL_NEVER, FAIL_STATUS, FAIL_OPEN, FAIL_WRITE, FAIL_COMMIT };

struct pair {
    struct box box;
    struct net_identity *a, *b;        /* "a.example" asks, "localhost" answers */
    struct http_server *server;
    struct wire_receiver *receiver;
    GMutex lock;
    GCond changed;
    GString *record;                   /* one line per operation; under lock, as all below */
    GByteArray *held;                  /* bytes of the log that is coming or came */
    enum pair_fail fail;
    enum err_code code;                /* with which the operation fails */
    guint64 fail_after;                /* FAIL_WRITE: bytes */
    bool block;                        /* the first write waits until this is false */
    bool blocked;
    guint closes;
    gint64 shift_us;                   /* hello moves the clock by this */
    guint hash_forms;                  /* that hello admits to; 0: all */
    const struct hash128 *there;       /* what the pages of a disk of `pages` pages hash to; NULL: five pages of the test's own */
    guint64 pages;
};
void pair_open(struct pair *p);
void pair_close(struct pair *p);
struct wire_peer *pair_peer(const struct pair *p);
void pair_await_closes(struct pair *p, guint closes);
void pair_unblock(struct pair *p);
char *pair_take_record(struct pair *p); /* and begins anew; g_free */

/* Forwards connections to `port` until `limit` bytes went towards it in total, then resets the client, lets what is
 * under way towards the server arrive, and serves no more. */
struct cutter;
struct cutter *cutter_new(guint port, guint64 limit, guint *own_port);
guint64 cutter_bytes(struct cutter *c); /* that went through, both ways; any time */
void cutter_free(struct cutter *c);
