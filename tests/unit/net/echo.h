/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "net/http_client.h"
#include "net/http_server.h"

/* A server for tests: "/echo" answers method, path, query q, header X-Test and body; "/whoami" the peer; "/block" waits until the test
 * lets go; "/sink" swallows a stream and answers with its length, "/lag" the same but waits as /block does at its first piece,
 * "/picky" refuses a stream with 412 at its begin, "/sour" with 507 after 1 MiB. */

struct echo {
    struct http_server *server;
    GMutex lock;
    GCond changed;
    bool waiting, go;                              /* of /block and /lag */
    gint begun, ended, completed, aborted;         /* of streams; atomic */
};
void echo_start(struct echo *e, const struct http_server_config *config); /* address NULL: 127.0.0.1 */
void echo_stop(struct echo *e);
void echo_wait(struct echo *e, const gint *counter, gint value);          /* until *counter >= value, at most 10 s */

/* A client of it by the name "localhost". */
struct http_client *echo_client(struct echo *e, const struct net_identity *identity);
int echo_connect(struct echo *e);                                          /* a raw socket */
