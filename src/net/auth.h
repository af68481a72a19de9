/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "net/http_server.h"

#include <glib.h>
#include <stdbool.h>

/* Who calls the management API: HTTP Basic, TLS client certificates and Kerberos, all against one users' file of our own, and the users of
 * Unix sockets.
 *
 * The file has a line "user:proof:role" per user, mode 0600 or stricter.  Proof is a password's hash as crypt(5) writes it (we make
 * yescrypt), "kerberos" (the user is a principal, such as alice@EXAMPLE.ORG), "pam" (PAM knows the password), or "certificate=" and the
 * SHA-256 fingerprint of a certificate; role is "administrator", "operator" or "viewer" (older files: "admin", "reader"); '#' begins a
 * comment line.  It is read again when it changes; a file that is absent has no users, one that others may read lets nobody in.
 *
 * A request without Authorization is nobody, also with a certificate, which needs the header value AUTH_CERTIFICATE.  Except on a Unix
 * socket: root and the members of the group "vmreplica" are administrators there, members of "vmreplica-operators" and
 * "vmreplica-viewers" what these names say.  And except on a connection on which a Kerberos handshake was completed: it stays that
 * principal's until the ticket ends or another Authorization comes (RFC 4559 section 6).
 *
 * An unknown user takes as long as a wrong password of ours; how long PAM takes is its own affair.  A password that PAM found right is
 * believed for AUTH_PAM_TRUST_S, as Basic sends it with every request.  After AUTH_TRIES failures of a user from an address within
 * AUTH_WINDOW_S seconds even the right password is refused until the window is over; success forgets the failures.  Tickets and
 * certificates cannot be guessed and are not counted.  Any thread. */

#define AUTH_TRIES 5
#define AUTH_WINDOW_S 60
#define AUTH_PAM_TRUST_S 60
#define AUTH_CERTIFICATE "http://schemas.dmtf.org/wbem/wsman/1/wsman/secprofile/https/mutual" /* DSP0226 C.3.2 */
#define AUTH_GROUP "vmreplica"
#define AUTH_GROUP_OPERATORS "vmreplica-operators"
#define AUTH_GROUP_VIEWERS "vmreplica-viewers"

struct auth;
struct auth *auth_open(const char *path, GError **err); /* path NULL: Unix sockets only; ERR_ACCESS_DENIED: mode of the file */
void auth_free(struct auth *a);                         /* NULL is fine */
/* Offers Negotiate and Kerberos with the keys of this file; before the first request. */
bool auth_use_keytab(struct auth *a, const char *keytab, GError **err);
/* Asks that program about passwords of users with the proof "pam" (net/auth_pam.h); before the first request.  Without it they are
 * refused. */
bool auth_use_pam(struct auth *a, const char *program, const char *service, guint limit_s, GError **err);

enum auth_result {
    AUTH_OK,
    AUTH_NEED,   /* no or wrong credentials: answer 401 (auth_refuse does) */
    AUTH_VAIN,   /* a Kerberos token that is refused, or of nobody here: 401 that does not ask for another, or some clients never end */
    AUTH_MORE,   /* a handshake is under way: answer 401 */
    AUTH_DENIED, /* too many failures lately, or too many logins at once: answer 429 */
};
/* On AUTH_OK, `peer` is request->peer with user and role filled in; its pointers are borrowed from request->peer and from `a` (interned
 * user names live as long as `a`).  Adds a header to the response when the client is to get a token. */
enum auth_result auth_identify(struct auth *a, const struct http_request *request, struct http_response *response, struct net_peer *peer);
/* The request carries a token of a handshake; with an empty body it is nothing else (clients prepare encryption so). */
bool auth_is_handshake(const struct http_request *request);
/* The answer to the others. */
void auth_refuse(const struct auth *a, enum auth_result why, struct http_response *response);

/* ROLE_NOBODY: no such word. */
enum net_role auth_role_parse(const char *word);

/* --- the file, for the CLI; durable replacement under a lock --- */

/* Each replaces the entry of that name. */
bool auth_user_add(const char *path, const char *user, const char *password, const char *role, GError **err);
bool auth_user_add_kerberos(const char *path, const char *principal, const char *role, GError **err);
bool auth_user_add_pam(const char *path, const char *user, const char *role, GError **err);
bool auth_user_add_certificate(const char *path, const char *user, const char *pem_file, const char *role, GError **err);
bool auth_user_remove(const char *path, const char *user, GError **err); /* ERR_NOT_FOUND */
struct auth_user {
    char *name, *role;
    const char *by; /* "password", "kerberos", "certificate", "pam" */
};
GPtrArray *auth_user_list(const char *path, GError **err); /* of struct auth_user */
