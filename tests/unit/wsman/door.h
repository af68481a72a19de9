/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "net/http_server.h"
#include "soap.h"

/* The whole door over loopback and over a Unix socket, in front of the host of fake.h: users "boss" with "pass:word" (administrator) and
 * "guest" with "guest" (reader). */

struct door {
    char *dir, *socket, *users;
    struct fake *fake;
    struct auth *auth;
    struct wsman_endpoint *endpoint;
    struct http_server *tcp, *local;
};

void door_open(struct door *d);
void door_close(struct door *d);
int door_connect(const struct door *d); /* a new connection to d->tcp */
/* One whole HTTP response from a connection, head and body; its status; 0: the server closed before it was complete.  Body: g_free. */
guint door_read(int fd, char **head, char **body, gsize *len);
