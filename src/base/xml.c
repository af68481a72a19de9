/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/xml.h"

#include "base/err.h"

#include <libxml/parser.h>
#include <libxml/xmlerror.h>
#include <limits.h>
#include <string.h>

/* libxml2 prints to standard error by default; every message of ours goes through GError. */
static void
silent(void *user, const char *format, ...)
{
}

void
xml_init(void)
{
    xmlInitParser();
    xmlSetGenericErrorFunc(NULL, silent);
}

static xmlDoc *
refuse(xmlDoc *doc, GError **err, enum err_code code, const char *text)
{
    xmlFreeDoc(doc);
    err_set(err, code, "%s", text);
    return NULL;
}

xmlDoc *
xml_parse(const char *data, size_t len, size_t max, GError **err)
{
    if (len > max || len > INT_MAX) {
        err_set(err, ERR_TOO_BIG, "The XML document has %zu bytes; at most %zu are accepted.", len, max);
        return NULL;
    }
    xmlParserCtxt *ctxt = xmlNewParserCtxt();
    g_assert(ctxt);
    xmlDoc *doc =
        xmlCtxtReadMemory(ctxt, data, (int)len, NULL, NULL, XML_PARSE_NONET | XML_PARSE_NOERROR | XML_PARSE_NOWARNING | XML_PARSE_NOCDATA);
    if (!doc) {
        const xmlError *why = xmlCtxtGetLastError(ctxt);
        g_autofree char *reason = g_strchomp(g_strdup(why && why->message ? why->message : "no reason given"));
        err_set(err, ERR_MALFORMED, "The XML document is malformed in line %d: %s.", why ? why->line : 0, reason);
    }
    xmlFreeParserCtxt(ctxt);
    if (doc && (doc->intSubset || doc->extSubset))
        return refuse(doc, err, ERR_MALFORMED, "The XML document has a DOCTYPE, which is refused.");
    if (doc && !xmlDocGetRootElement(doc))
        return refuse(doc, err, ERR_MALFORMED, "The XML document has no root element.");
    return doc;
}

bool
xml_is(const xmlNode *node, const char *ns, const char *name)
{
    if (!node || node->type != XML_ELEMENT_NODE)
        return false;
    if (name && strcmp((const char *)node->name, name) != 0)
        return false;
    return !ns || (node->ns && node->ns->href && strcmp((const char *)node->ns->href, ns) == 0);
}

static xmlNode *
first_from(xmlNode *node, const char *ns, const char *name)
{
    while (node && !xml_is(node, ns, name))
        node = node->next;
    return node;
}

xmlNode *
xml_child(const xmlNode *parent, const char *ns, const char *name)
{
    return parent ? first_from(parent->children, ns, name) : NULL;
}

xmlNode *
xml_next(const xmlNode *node, const char *ns, const char *name)
{
    return first_from(node->next, ns, name);
}

static char *
take(xmlChar *text)
{
    char *copy = g_strdup((const char *)text);
    xmlFree(text);
    return copy;
}

char *
xml_text(const xmlNode *node)
{
    if (!node)
        return NULL;
    xmlChar *text = xmlNodeGetContent(node);
    return text ? take(text) : g_strdup("");
}

char *
xml_attr(const xmlNode *node, const char *name)
{
    for (xmlAttr *a = node ? node->properties : NULL; a; a = a->next)
        if (strcmp((const char *)a->name, name) == 0)
            return a->children ? take(xmlNodeListGetString(node->doc, a->children, 1)) : g_strdup("");
    return NULL;
}

char *
xml_child_text(const xmlNode *parent, const char *ns, const char *name)
{
    return xml_text(xml_child(parent, ns, name));
}

char *
xml_dump_node(xmlNode *node)
{
    xmlBuffer *buffer = xmlBufferCreate();
    xmlNodeDump(buffer, node->doc, node, 0, 0);
    char *text = g_strdup((const char *)xmlBufferContent(buffer));
    xmlBufferFree(buffer);
    return text;
}

char *
xml_dump_alone(xmlNode *node)
{
    xmlDoc *doc = xmlNewDoc(NULL);
    xmlNode *copy = xmlDocCopyNode(node, doc, 1);
    xmlDocSetRootElement(doc, copy);
    xmlReconciliateNs(doc, copy);
    char *text = xml_dump_node(copy);
    xmlFreeDoc(doc);
    return text;
}

char *
xml_dump(xmlDoc *doc, size_t *len)
{
    char *text = xml_dump_node(xmlDocGetRootElement(doc));
    if (len)
        *len = strlen(text);
    return text;
}

static bool
allowed(gunichar c)
{
    return c == '\t' || c == '\n' || c == '\r' || (c >= 0x20 && c <= 0xd7ff) || (c >= 0xe000 && c <= 0xfffd) || c >= 0x10000;
}

static void
escape_char(GString *out, gunichar c)
{
    switch (c) {
    case '&':
        g_string_append(out, "&amp;");
        break;
    case '<':
        g_string_append(out, "&lt;");
        break;
    case '>':
        g_string_append(out, "&gt;");
        break;
    case '"':
        g_string_append(out, "&quot;");
        break;
    case '\r':
        g_string_append(out, "&#13;");
        break;
    default:
        g_string_append_unichar(out, allowed(c) ? c : 0xfffd);
    }
}

/* Bytes at the start that stand for themselves: printing ASCII but the four. */
static gsize
plain_run(const char *text)
{
    gsize n = 0;
    for (char c = text[0]; c >= ' ' && c < 0x7f && c != '&' && c != '<' && c != '>' && c != '"'; c = text[n])
        n++;
    return n;
}

void
xml_escape(GString *out, const char *text)
{
    for (const char *p = text; *p;) {
        const gsize plain = plain_run(p);
        g_string_append_len(out, p, (gssize)plain);
        p += plain;
        if (!*p)
            break;
        gunichar c = g_utf8_get_char_validated(p, -1);
        if (c == (gunichar)-1 || c == (gunichar)-2) {
            g_string_append_unichar(out, 0xfffd);
            p++;
            continue;
        }
        escape_char(out, c);
        p += g_unichar_to_utf8(c, NULL);
    }
}
