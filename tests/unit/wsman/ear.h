/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "net/http_server.h"

/* A listener for pushed events: a real server on loopback that keeps what it hears and answers as it is told. */

struct ear {
    struct http_server *server;
    GMutex lock;
    GCond changed;
    GPtrArray *heard;      /* bodies, in order of arrival */
    bool refuse;           /* 503 */
    bool mute;             /* 200, but no Ack */
    bool deaf;             /* no answer until this ends */
    bool waiting;          /* somebody waits for that */
};
void ear_open(struct ear *e, const struct net_identity *identity); /* NULL: http */
void ear_close(struct ear *e);
void ear_set(struct ear *e, bool *what, bool value);               /* one of the switches */
char *ear_address(const struct ear *e, const char *path);          /* g_free */
/* The nth thing that was heard, from 0 on; waits for it, fails after 20 s.  Owned by e. */
const char *ear_wait(struct ear *e, guint n);
guint ear_count(struct ear *e);
