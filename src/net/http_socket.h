/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "net/identity.h"

/* Listening sockets and who is at the other end of a connection.  An address that begins with '/' is a Unix socket: mode 0660, `group` if
 * there is such a group, and what an earlier process left at the path is replaced unless somebody still listens there (ERR_IN_USE). */

int http_socket_listen(const char *address, const char *group, guint *port, GError **err); /* -1: error; *port 0 becomes the real one */
void http_socket_forget(const char *address);                                             /* removes the path of a Unix socket */
void http_socket_peer(int fd, struct net_peer *peer); /* address, on Unix sockets user and role (root), too */
