/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <stdbool.h>

/* The password file as a list in memory; only for auth.c. */

struct auth_entry {
    char *user, *hash, *role;
};
GPtrArray *auth_file_parse(const char *text, const char *path, GError **err); /* of struct auth_entry; ERR_MALFORMED names the line */
GPtrArray *auth_file_read(const char *path, GError **err); /* absent: empty; ERR_ACCESS_DENIED: readable by others */
const struct auth_entry *auth_file_find(const GPtrArray *entries, const char *user);
char *auth_hash_new(const char *password); /* yescrypt with a fresh salt; g_free */
