/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <stdbool.h>

/* The password file as a list in memory; only for auth.c. */

#define AUTH_FILE_KERBEROS "kerberos"
#define AUTH_FILE_CERTIFICATE "certificate="
#define AUTH_FILE_PAM "pam"

struct auth_entry {
    char *user, *hash, *role; /* hash: of a password, or one of the words above */
};
GPtrArray *auth_file_parse(const char *text, const char *path, GError **err); /* of struct auth_entry; ERR_MALFORMED names the line */
GPtrArray *auth_file_read(const char *path, GError **err); /* absent: empty; ERR_ACCESS_DENIED: readable by others */
/* The user whom a password proves: ours, or with hash AUTH_FILE_PAM one that PAM knows. */
const struct auth_entry *auth_file_find(const GPtrArray *entries, const char *user);
/* The entry with that proof, of that user unless NULL. */
const struct auth_entry *auth_file_find_proof(const GPtrArray *entries, const char *user, const char *proof);
char *auth_hash_new(const char *password); /* yescrypt with a fresh salt; g_free */
