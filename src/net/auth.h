/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "net/http_server.h"

#include <glib.h>
#include <stdbool.h>

/* Who calls the management API: HTTP Basic against a password file of our own, and the users of Unix sockets.
 *
 * The file has a line "user:hash:role" per user, mode 0600 or stricter; hash as crypt(5) writes it (we make yescrypt), role
 * "administrator", "operator" or "viewer" (older files: "admin", "reader"); '#' begins a comment line.  It is read again when it changes;
 * a file that is absent has no users, one that others may read lets nobody in.  A request without Authorization is nobody, always, except
 * on a Unix socket: root and the members of the group "vmreplica" are administrators there, members of "vmreplica-operators" and
 * "vmreplica-viewers" what these names say.
 *
 * An unknown user takes as long as a wrong password.  After AUTH_TRIES failures of a user from an address within AUTH_WINDOW_S seconds
 * even the right password is refused until the window is over; success forgets the failures.  Any thread. */

#define AUTH_TRIES 5
#define AUTH_WINDOW_S 60
#define AUTH_GROUP "vmreplica"
#define AUTH_GROUP_OPERATORS "vmreplica-operators"
#define AUTH_GROUP_VIEWERS "vmreplica-viewers"

struct auth;
struct auth *auth_open(const char *path, GError **err); /* path NULL: Unix sockets only; ERR_ACCESS_DENIED: mode of the file */
void auth_free(struct auth *a);                         /* NULL is fine */

enum auth_result {
    AUTH_OK,
    AUTH_NEED,   /* no or wrong credentials: answer 401 (auth_refuse does) */
    AUTH_DENIED, /* too many failures lately: answer 429 */
};
/* On AUTH_OK, `peer` is request->peer with user and role filled in; its pointers are borrowed from request->peer and from `a` (interned
 * user names live as long as `a`). */
enum auth_result auth_identify(struct auth *a, const struct http_request *request, struct net_peer *peer);
/* The answer to AUTH_NEED and AUTH_DENIED. */
void auth_refuse(enum auth_result why, struct http_response *response);

/* ROLE_NOBODY: no such word. */
enum net_role auth_role_parse(const char *word);

/* --- the file, for the CLI; durable replacement under a lock --- */

bool auth_user_add(const char *path, const char *user, const char *password, const char *role, GError **err); /* replaces an entry */
bool auth_user_remove(const char *path, const char *user, GError **err);                                      /* ERR_NOT_FOUND */
char **auth_user_list(const char *path, GError **err); /* "user role" each; g_strfreev */
