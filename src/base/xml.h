/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <libxml/tree.h>
#include <stdbool.h>

/* libxml2, fenced: no DTD, no entities but the five, no network, no huge documents, depth at most 256.  A document with a DOCTYPE is
 * refused.  Elements are matched by namespace URI and local name, never by prefix; ns NULL matches any namespace.
 * xml_init once from main; then any thread, one document per thread. */

void xml_init(void);
xmlDoc *xml_parse(const char *data, size_t len, size_t max, GError **err); /* ERR_MALFORMED with line and reason, ERR_TOO_BIG */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(xmlDoc, xmlFreeDoc)

bool xml_is(const xmlNode *node, const char *ns, const char *name);
xmlNode *xml_child(const xmlNode *parent, const char *ns, const char *name); /* first; name NULL: first element */
xmlNode *xml_next(const xmlNode *node, const char *ns, const char *name);    /* next sibling that fits */
char *xml_text(const xmlNode *node);                       /* g_free; "" for none; NULL node gives NULL */
char *xml_attr(const xmlNode *node, const char *name);     /* by local name, any namespace; g_free; NULL if absent */
char *xml_child_text(const xmlNode *parent, const char *ns, const char *name); /* g_free; NULL if absent */
char *xml_dump(xmlDoc *doc, size_t *len);                  /* UTF-8 without declaration; g_free */
char *xml_dump_node(xmlNode *node);                        /* g_free */
char *xml_dump_alone(xmlNode *node);                       /* with every namespace that it uses declared on it; g_free */

/* Text escaped for element content and attribute values; characters that XML 1.0 forbids become U+FFFD. */
void xml_escape(GString *out, const char *text);
