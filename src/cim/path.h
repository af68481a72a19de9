/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <stdbool.h>

/* Object paths: \\HOST\root\virtualization\v2:Class.Key="value",Key2="value".
 *
 * Host, namespace and keys may be missing.  Both kinds of slashes are read; names and key values compare without regard to case (WMI
 * does, and GUIDs arrive in either).  Inside quotes a backslash protects itself and the quote.  Pure; any thread. */

#define CIM_PATH_KEYS_MAX 32

struct cim_key {
    char *name, *value;
};
struct cim_path {
    char *host, *ns, *cls;    /* host and ns may be NULL; ns with forward slashes */
    GPtrArray *keys;          /* struct cim_key, sorted by name */
};

struct cim_path *cim_path_new(const char *ns, const char *cls);
void cim_path_free(struct cim_path *p);
#define cim_path_auto __attribute__((cleanup(cim_path_clean))) struct cim_path *
static inline void cim_path_clean(struct cim_path **p) { cim_path_free(*p); }
struct cim_path *cim_path_copy(const struct cim_path *p);
void cim_path_set(struct cim_path *p, const char *name, const char *value);  /* replaces */
bool cim_is_name(const char *text);                                          /* letters, digits, underscores; at least one */
const char *cim_path_get(const struct cim_path *p, const char *name);        /* NULL: no such key */
struct cim_path *cim_path_parse(const char *text, GError **err);             /* so many keys at most; ERR_MALFORMED with the position */
char *cim_path_text(const struct cim_path *p);                               /* g_free */
char *cim_path_text_on(const struct cim_path *p, const char *host);          /* absolute, with that host where p has none */
bool cim_path_equal(const struct cim_path *a, const struct cim_path *b);     /* class and keys; host and namespace only if both have one */
char *cim_namespace(const char *text);                                       /* forward slashes, lower case; g_free */
