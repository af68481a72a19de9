/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "wsman/fault.h"

#include "base/xml.h"
#include "wsman/names.h"
#include "wsman/reply.h"

#include <stdarg.h>
#include <string.h>

static const struct fault_info table[] = {
#define X(name, value, subcode, detail, number, http, err) [name] = {value, subcode, detail, number, http, err},
    FAULT_TABLE(X)
#undef X
};

/* Errors that do not come from this layer.  A test compares the subcodes with those of base/err.h. */
static const enum fault_code of_err[ERR_COUNT] = {
    [ERR_FAILED] = FAULT_INTERNAL,
    [ERR_ACCESS_DENIED] = FAULT_ACCESS,
    [ERR_NOT_SUPPORTED] = FAULT_UNSUPPORTED,
    [ERR_STATUS_UNKNOWN] = FAULT_INTERNAL,
    [ERR_TIMEOUT] = FAULT_TIMED_OUT,
    [ERR_INVALID_PARAMETER] = FAULT_PARAMETER,
    [ERR_IN_USE] = FAULT_CONCURRENCY,
    [ERR_INVALID_STATE] = FAULT_INTERNAL,
    [ERR_INVALID_TYPE] = FAULT_SCHEMA,
    [ERR_NOT_AVAILABLE] = FAULT_UNAVAILABLE,
    [ERR_NO_MEMORY] = FAULT_QUOTA,
    [ERR_NOT_FOUND] = FAULT_NOT_FOUND,
    [ERR_IO] = FAULT_INTERNAL,
    [ERR_NO_SPACE] = FAULT_QUOTA,
    [ERR_CORRUPT] = FAULT_INTERNAL,
    [ERR_NETWORK] = FAULT_UNAVAILABLE,
    [ERR_PEER_REFUSED] = FAULT_ACCESS,
    [ERR_FAILED_OVER] = FAULT_INTERNAL,
    [ERR_OUT_OF_SEQUENCE] = FAULT_INTERNAL,
    [ERR_TRACKING_LOST] = FAULT_INTERNAL,
    [ERR_CANCELLED] = FAULT_INTERNAL,
    [ERR_NO_SUCH_CLASS] = FAULT_CLASS,
    [ERR_NO_SUCH_INSTANCE] = FAULT_INSTANCE,
    [ERR_NO_SUCH_METHOD] = FAULT_ACTION,
    [ERR_BAD_QUERY] = FAULT_FILTER,
    [ERR_MALFORMED] = FAULT_SCHEMA,
    [ERR_TOO_BIG] = FAULT_REQUEST_TOO_BIG,
    [ERR_EXISTS] = FAULT_EXISTS,
    [ERR_USAGE] = FAULT_PARAMETER,
};

G_DEFINE_QUARK(vmreplica-wsman-fault, fault)

const struct fault_info *
fault_info(enum fault_code code)
{
    g_assert((guint)code < FAULT_COUNT);
    return &table[code];
}

enum fault_code
fault_of(const GError *err)
{
    if (err && err->domain == WSMAN_FAULT)
        return (enum fault_code)err->code;
    return err && err->domain == ERR ? of_err[err->code] : FAULT_INTERNAL;
}

gboolean
fault_set(GError **err, enum fault_code code, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    g_autofree char *text = g_strdup_vprintf(format, args);
    va_end(args);
    g_set_error_literal(err, WSMAN_FAULT, code, text);
    return FALSE;
}

gboolean
fault_is(const GError *err, enum fault_code code)
{
    return err && g_error_matches(err, WSMAN_FAULT, code);
}

enum err_code
fault_err_of_number(guint32 number)
{
    for (guint i = 0; i < FAULT_COUNT; i++)
        if (table[i].number == number)
            return table[i].err;
    return ERR_FAILED;
}

static const char *
action_of(const struct fault_info *f)
{
    switch (f->subcode[0]) {
    case 'a':
        return ACTION_FAULT_ADDRESS;
    case 'n':
        return ACTION_FAULT_ENUM;
    case 'x':
        return ACTION_FAULT_TRANSFER;
    case 'e':
        return ACTION_FAULT_EVENT;
    default:
        return ACTION_FAULT_WSMAN;
    }
}

char *
fault_text(const char *message)
{
    gsize len = strlen(message);
    if (len <= FAULT_TEXT_MAX)
        return g_strdup(message);
    const char *end = g_utf8_find_prev_char(message, message + FAULT_TEXT_MAX);
    return g_strdup_printf("%.*s...", (int)(end - message), message);
}

char *
fault_envelope(const GError *err, const char *relates_to, const char *machine)
{
    const struct fault_info *f = fault_info(fault_of(err));
    g_autofree char *text = fault_text(err->message);
    GString *out = reply_begin(action_of(f), relates_to);

    reply_body(out);
    g_string_append_printf(out, "<s:Fault><s:Code><s:Value>%s</s:Value>", f->value);
    if (*f->subcode)
        g_string_append_printf(out, "<s:Subcode><s:Value>%s</s:Value></s:Subcode>", f->subcode);
    g_string_append(out, "</s:Code><s:Reason><s:Text xml:lang=\"en-US\">");
    xml_escape(out, text);
    g_string_append(out, "</s:Text></s:Reason><s:Detail>");
    if (*f->detail)
        g_string_append_printf(out, "<w:FaultDetail>" FAULT_DETAIL "%s</w:FaultDetail>", f->detail);
    g_string_append_printf(out, "<f:WSManFault xmlns:f=\"" NS_FAULT "\" Code=\"%u\" Machine=\"", f->number);
    xml_escape(out, machine);
    g_string_append(out, "\"><f:Message>");
    xml_escape(out, text);
    g_string_append(out, "</f:Message></f:WSManFault></s:Detail></s:Fault>");
    return reply_end(out);
}
