/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "base/err.h"

#include <gnutls/gnutls.h>
#include <gnutls/x509.h>

/* What we ask of X.509 certificates; only for files of net/.  Pure functions over GnuTLS objects; any thread as long as nobody changes the
 * object.  Rules: contract section 5.2 and 5.3. */

#define CERT_MAX_NAMES 100
#define CERT_MAX_CHAIN 16
#define CERT_FILE_MAX (1u << 20) /* bytes of a PEM file that we are willing to read */

struct cert_list {
    gnutls_x509_crt_t *certs;
    guint count;
};
/* Every certificate of a PEM text, at least one.  `what` names the source in errors. */
bool cert_list_parse(const char *pem, size_t len, const char *what, struct cert_list *out, GError **err);
void cert_list_clear(struct cert_list *list);
#define cert_list_auto __attribute__((cleanup(cert_list_clear))) struct cert_list

char **cert_names(gnutls_x509_crt_t crt);                  /* dNSNames, else the CN, else empty; g_strfreev */
char *cert_subject(gnutls_x509_crt_t crt);                 /* RFC 4514 text; g_free */
char *cert_digest(gnutls_x509_crt_t crt, gnutls_digest_algorithm_t algorithm); /* hex, upper case; g_free */
bool cert_has_usage(gnutls_x509_crt_t crt, const char *oid); /* without an extended key usage extension: no */
char *cert_time(time_t when);                              /* "2026-11-23 16:20:00 UTC"; g_free */

/* Signed by one of `ca` (chain[1..] may lie between), within its validity now, and fit for `purpose` (a key purpose OID; NULL: any).
 * The error says which of these fails. */
bool cert_verify(gnutls_x509_crt_t *chain, guint count, const struct cert_list *ca, const char *purpose, GError **err);
