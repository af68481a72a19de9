/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <stdbool.h>

/* A small certificate authority, enough to connect hosts that have no other: `vmreplica pki init|issue|show`.
 *
 * It lives in one folder: ca.pem (give it to every host), ca-key.pem (mode 0600, stays with the administrator), and per host NAME.pem and
 * NAME-key.pem (0600).  Keys are ECDSA P-256; host certificates carry each name as dNSName (an IP address as iPAddress) and both server and
 * client authentication (contract section 5.2).  Nothing is ever overwritten: ERR_EXISTS.  Four commands connect two hosts:
 *
 *   vmreplica pki init DIR;  vmreplica pki issue DIR a.example;  vmreplica pki issue DIR b.example;  copy ca.pem and the pair to each host
 *
 * Blocking; any thread, one at a time per folder. */

#define PKI_CA_DAYS 3650
#define PKI_HOST_DAYS 825

/* Makes `dir` (0700) if it is not there.  name: of the CA, NULL: "vmreplica CA". */
bool pki_init(const char *dir, const char *name, guint days, GError **err);

enum pki_usage { PKI_SERVER = 1, PKI_CLIENT = 2, PKI_BOTH = 3 };

struct pki_request {
    const char *const *names;  /* NULL-terminated, at least one; the first also names the files and the subject */
    enum pki_usage usages;     /* hosts need PKI_BOTH */
    guint days;                /* 0: PKI_HOST_DAYS */
    gint64 from_us;            /* wall clock; 0: five minutes ago */
};
/* cert and key (either may be NULL): paths of the new files; g_free.  ERR_NOT_FOUND: `dir` holds no CA. */
bool pki_issue(const char *dir, const struct pki_request *request, char **cert, char **key, GError **err);

/* Appends what a person wants to know about every certificate of a PEM file: subject, issuer, names, usages, validity, thumbprints. */
bool pki_show(const char *path, GString *out, GError **err);
