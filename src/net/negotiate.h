/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <stdbool.h>

/* The accepting side of Kerberos over HTTP (RFC 4559): the schemes Negotiate (SPNEGO) and Kerberos, against the keys of a keytab.
 *
 * A talk is one handshake, on one connection; it is done after one leg, or two when the client guessed the mechanism wrong.  NTLM is not
 * spoken.  The library below (GSS-API, MIT krb5) is visible nowhere else.  A negotiator may be used by any thread, a talk by one at a
 * time. */

struct negotiator;
/* Any key of the keytab will do, so that HTTP/host and WSMAN/host both work.  ERR_NOT_AVAILABLE: the file cannot be read or has no keys. */
struct negotiator *negotiator_new(const char *keytab, GError **err);
void negotiator_free(struct negotiator *n); /* NULL is fine */

struct negotiate_talk;
struct negotiate_talk *negotiate_begin(struct negotiator *n); /* must end before `n` does */
void negotiate_end(struct negotiate_talk *t);                 /* NULL is fine */

enum negotiate_step {
    NEGOTIATE_REFUSED, /* the error says why; begin anew */
    NEGOTIATE_MORE,    /* answer 401 with *reply, the client has another token */
    NEGOTIATE_DONE,
};
/* token: base64 as the client sent it.  *reply: base64 for the client, NULL: none; g_free. */
enum negotiate_step negotiate_leg(struct negotiate_talk *t, const char *token, char **reply, GError **err);
/* After NEGOTIATE_DONE and while the ticket is valid: the principal, "alice@EXAMPLE.ORG"; else NULL. */
const char *negotiate_principal(const struct negotiate_talk *t);
