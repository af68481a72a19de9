/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "soap.h"

#include "base/xml.h"

#include <stdarg.h>
#include <string.h>

void
soap_open(struct soap *s)
{
    memset(s, 0, sizeof *s);
    s->fake = fake_new();
    s->endpoint = wsman_endpoint_new(fake_broker(s->fake), NULL);
    s->caller = (struct cim_caller){"root", CIM_ADMINISTRATOR};
}

void
soap_close(struct soap *s)
{
    g_free(s->reply.body);
    wsman_endpoint_free(s->endpoint);
    fake_free(s->fake);
}

const char *
soap_send(struct soap *s, const char *content_type, const char *body, size_t len)
{
    g_free(s->reply.body);
    wsman_endpoint_serve(s->endpoint, &s->caller, content_type, body, len, &s->reply);
    g_assert_nonnull(s->reply.body);
    return s->reply.body;
}

char *
soap_text(const char *action, const char *uri, const char *header, const char *body)
{
    return g_strdup_printf(
        "<s:Envelope xmlns:s=\"" NS_SOAP "\" xmlns:a=\"" NS_ADDRESS "\" xmlns:w=\"" NS_WSMAN "\" xmlns:n=\"" NS_ENUM
        "\" xmlns:b=\"" NS_BINDING
        "\"><s:Header><a:Action s:mustUnderstand=\"true\">%s</a:Action><a:To s:mustUnderstand=\"true\">http://elsewhere:5985/wsman</a:To>"
        "<w:ResourceURI s:mustUnderstand=\"true\">%s</w:ResourceURI><a:MessageID s:mustUnderstand=\"true\">uuid:0001</a:MessageID>"
        "<a:ReplyTo><a:Address>" ANONYMOUS "</a:Address></a:ReplyTo>%s</s:Header><s:Body>%s</s:Body></s:Envelope>",
        action, uri, header ? header : "", body ? body : "");
}

const char *
soap_ask(struct soap *s, const char *action, const char *uri, const char *header, const char *body)
{
    g_autofree char *text = soap_text(action, uri, header, body);
    const char *reply = soap_send(s, "application/soap+xml;charset=UTF-8", text, strlen(text));
    g_autoptr(xmlDoc) doc = xml_parse(reply, strlen(reply), 16 << 20, NULL);
    g_assert_nonnull(doc);
    return reply;
}

char *
soap_selectors(const char *name, ...)
{
    GString *out = g_string_new("<w:SelectorSet>");
    va_list args;
    va_start(args, name);
    for (; name; name = va_arg(args, const char *)) {
        const char *value = va_arg(args, const char *);
        g_string_append_printf(out, "<w:Selector Name=\"%s\">%s</w:Selector>", name, value);
    }
    va_end(args);
    g_string_append(out, "</w:SelectorSet>");
    return g_string_free(out, FALSE);
}

void
soap_has(struct soap *s, const char *text)
{
    if (!strstr(s->reply.body, text)) {
        g_test_message("'%s' is missing in: %s", text, s->reply.body);
        g_test_fail();
    }
}

void
soap_lacks(struct soap *s, const char *text)
{
    if (strstr(s->reply.body, text)) {
        g_test_message("'%s' must not be in: %s", text, s->reply.body);
        g_test_fail();
    }
}

guint
soap_count(struct soap *s, const char *text)
{
    guint n = 0;
    for (const char *p = s->reply.body; (p = strstr(p, text)); p += strlen(text))
        n++;
    return n;
}

void
soap_fault(struct soap *s, const char *subcode, guint32 number)
{
    g_autofree char *code = g_strdup_printf("Code=\"%u\"", number);
    g_autofree char *sub = g_strdup_printf("<s:Subcode><s:Value>%s</s:Value></s:Subcode>", subcode);
    g_assert_cmpuint(s->reply.status, ==, 500);
    soap_has(s, "<s:Fault><s:Code><s:Value>s:");
    soap_has(s, code);
    if (*subcode)
        soap_has(s, sub);
    else
        soap_lacks(s, "<s:Subcode>");
}

char *
soap_value(struct soap *s, const char *element)
{
    g_autofree char *open = g_strdup_printf("<%s>", element), *close = g_strdup_printf("</%s>", element);
    const char *from = strstr(s->reply.body, open), *to = from ? strstr(from, close) : NULL;
    return to ? g_strndup(from + strlen(open), (gsize)(to - from) - strlen(open)) : NULL;
}
