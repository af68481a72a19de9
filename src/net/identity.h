/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <stdbool.h>

/* Who we are and whom we trust, for TLS: certificate, key and CA as PEM files.  Immutable after load, reference counted; any thread. */

struct net_identity;
/* Refuses with the reason in words: unreadable file, key that does not fit, expired, not signed by the CA, and, when `both_usages`,
 * without server or client authentication among the extended key usages (contract section 5.2). */
struct net_identity *net_identity_load(const char *cert, const char *key, const char *ca, bool both_usages, GError **err);
struct net_identity *net_identity_ref(const struct net_identity *id);
void net_identity_unref(struct net_identity *id);
const char *net_identity_name(const struct net_identity *id);       /* first dNSName, else CN */
const char *net_identity_thumbprint(const struct net_identity *id); /* SHA-1, hex, upper case */
gint64 net_identity_expiry_us(const struct net_identity *id);
char *net_identity_der_base64(const struct net_identity *id);       /* g_free; for GetSystemCertificates */

/* The other end of a connection, after verification. */
/* viewer: read.  operator: failover, test, pause, resume, start and stop guests.  administrator: settings, too. */
enum net_role { ROLE_NOBODY, ROLE_VIEWER, ROLE_OPERATOR, ROLE_ADMINISTRATOR };
struct net_peer {
    char **names;      /* dNSNames of a verified client certificate (CN if there is none); NULL: no certificate */
    char *thumbprint;  /* of that certificate: SHA-1, hex, upper case */
    char *fingerprint; /* of that certificate: SHA-256, hex, upper case */
    char *user;        /* set by authentication of the management API: user name, NULL: nobody */
    enum net_role role; /* what that user may do */
    char *address;     /* "127.0.0.1", "unix" */
};
/* pattern: exact name, "*.domain" (one label), "*".  Contract section 5.4. */
bool net_name_matches(const char *pattern, const char *name);
