/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "net/cert.h"
#include "net/identity.h"

/* The inside of an identity, only for files of net/.  Pointers live as long as the identity. */

const char *net_identity_cert_pem(const struct net_identity *id);
const char *net_identity_key_pem(const struct net_identity *id);
const char *net_identity_ca_pem(const struct net_identity *id);
const struct cert_list *net_identity_cas(const struct net_identity *id);
/* The same as files that can be opened again by this process only (memory files), because libcurl's GnuTLS flavour wants names; what is on
 * disk may change meanwhile without harm. */
const char *net_identity_cert_file(const struct net_identity *id);
const char *net_identity_key_file(const struct net_identity *id);
const char *net_identity_ca_file(const struct net_identity *id);

/* Verifies the certificate of the other end of a server's TLS session against our CA (time, signature, client authentication) and fills
 * names and thumbprint of `peer`.  No certificate: true and names stay NULL.  ERR_PEER_REFUSED with the reason. */
bool net_identity_check_client(const struct net_identity *id, gnutls_session_t session, struct net_peer *peer, GError **err);
