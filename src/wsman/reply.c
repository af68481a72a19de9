/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "wsman/reply.h"

#include "base/uuid.h"
#include "base/xml.h"
#include "wsman/names.h"

#define ENVELOPE \
    "<s:Envelope xml:lang=\"en-US\" xmlns:s=\"" NS_SOAP "\" xmlns:a=\"" NS_ADDRESS "\" xmlns:w=\"" NS_WSMAN "\" xmlns:n=\"" NS_ENUM \
    "\" xmlns:x=\"" NS_TRANSFER "\" xmlns:e=\"" NS_EVENT "\"><s:Header>"

void
reply_text(GString *out, const char *element, const char *text)
{
    g_string_append_printf(out, "<%s>", element);
    xml_escape(out, text);
    g_string_append_printf(out, "</%s>", element);
}

GString *
message_begin(const char *action, const char *to, char **id)
{
    const struct uuid random = uuid_random();
    char text[UUID_TEXT];
    GString *out = g_string_sized_new(4096);

    *id = g_strconcat("uuid:", uuid_format(&random, text), NULL);
    g_string_append(out, ENVELOPE);
    reply_text(out, "a:Action", action);
    reply_text(out, "a:MessageID", *id);
    reply_text(out, "a:To", to);
    return out;
}

GString *
reply_begin(const char *action, const char *relates_to)
{
    g_autofree char *id = NULL;
    GString *out = message_begin(action, ANONYMOUS, &id);
    if (relates_to && *relates_to)
        reply_text(out, "a:RelatesTo", relates_to);
    return out;
}

void
reply_body(GString *out)
{
    g_string_append(out, "</s:Header><s:Body>");
}

char *
reply_end(GString *out)
{
    g_string_append(out, "</s:Body></s:Envelope>");
    return g_string_free(out, FALSE);
}
