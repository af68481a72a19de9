/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "net/http_int.h"

#include <string.h>

/* What the library lets pass although two readers could understand it differently (RFC 9112 sections 3.2, 6.1, 6.3 and 11.2). */

struct tally {
    guint fields, lengths, codings, hosts, authorizations;
    size_t bytes;
    bool bad_length, bad_coding, bad_byte;
    struct http_head *head;
};

static void
note_length(struct tally *t, const char *value, size_t len)
{
    t->lengths++;
    t->bad_length |= len == 0 || len > 18 || strspn(value, "0123456789") != len;
    if (!t->bad_length)
        t->head->length = g_ascii_strtoull(value, NULL, 10);
}

static enum MHD_Result
note_field(void *user, enum MHD_ValueKind kind, const char *name, size_t name_len, const char *value, size_t len)
{
    struct tally *t = user;
    t->fields++;
    t->bytes += name_len + len + 4;
    for (size_t i = 0; i < len; i++)
        t->bad_byte |= value[i] == '\0' || value[i] == '\r' || value[i] == '\n';
    t->bad_byte |= name_len == 0 || strcspn(name, " \t\r\n\"(),/;<=>?@[\\]{}") != name_len;
    if (g_ascii_strcasecmp(name, "Content-Length") == 0)
        note_length(t, value ? value : "", len);
    if (g_ascii_strcasecmp(name, "Transfer-Encoding") == 0) {
        t->codings++;
        t->bad_coding |= !value || g_ascii_strcasecmp(value, "chunked") != 0;
    }
    t->hosts += g_ascii_strcasecmp(name, "Host") == 0;
    t->authorizations += g_ascii_strcasecmp(name, "Authorization") == 0;
    t->head->expects |= g_ascii_strcasecmp(name, "Expect") == 0 && value && g_ascii_strcasecmp(value, "100-continue") == 0;
    return MHD_YES;
}

guint
http_head_check(struct MHD_Connection *c, const char *version, struct http_head *out, const char **reason)
{
    struct tally t = {.head = out};
    *out = (struct http_head){0};
    MHD_get_connection_values_n(c, MHD_HEADER_KIND, note_field, &t);
    const union MHD_ConnectionInfo *size = MHD_get_connection_info(c, MHD_CONNECTION_INFO_REQUEST_HEADER_SIZE);
    out->chunked = t.codings > 0;
    out->has_body = out->chunked || out->length > 0 || t.bad_length;
    const struct {
        bool wrong;
        guint status;
        const char *reason;
    } rules[] = {
        {t.lengths > 1, 400, "More than one Content-Length."},
        {t.lengths > 0 && t.codings > 0, 400, "Content-Length beside Transfer-Encoding."},
        {t.bad_length, 400, "Content-Length is not a number."},
        {t.codings > 1, 400, "More than one Transfer-Encoding."},
        {t.bad_coding, 501, "Unknown transfer coding."},
        {t.hosts > 1, 400, "More than one Host."},
        {t.hosts == 0 && strcmp(version, "HTTP/1.1") == 0, 400, "No Host."},
        {t.authorizations > 1, 400, "More than one Authorization."},
        {t.bad_byte, 400, "A header field has bytes that do not belong there."},
        {t.fields > HTTP_FIELDS_MAX, 431, "Too many header fields."},
        {t.bytes > HTTP_HEAD_MAX || (size && size->header_size > HTTP_HEAD_MAX), 431, "The request's head is too large."},
    };
    for (guint i = 0; i < G_N_ELEMENTS(rules); i++)
        if (rules[i].wrong) {
            *reason = rules[i].reason;
            return rules[i].status;
        }
    return 0;
}
