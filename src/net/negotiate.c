/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "net/negotiate.h"

#include "base/err.h"

#include <gssapi/gssapi_ext.h>
#include <gssapi/gssapi_krb5.h>
#include <string.h>

#define TOKEN_MAX (48u << 10) /* base64; tickets with many groups are long, an HTTP head is 32 KiB at most */

struct negotiator {
    gss_cred_id_t keys;
};

struct negotiate_talk {
    struct negotiator *negotiator;
    gss_ctx_id_t context;
    char *principal;
    gint64 until; /* monotonic; end of the ticket */
};

/* SPNEGO (RFC 4178) and Kerberos itself (RFC 4121): clients send the latter bare under either scheme. */
static gss_OID_desc MECHANISMS[] = {{6, (void *)(gsize) "\x2b\x06\x01\x05\x05\x02"},
                                    {9, (void *)(gsize) "\x2a\x86\x48\x86\xf7\x12\x01\x02\x02"}};

/* Both texts of a failure: what GSS-API says and what the mechanism says. */
static char *
explain(OM_uint32 major, OM_uint32 minor)
{
    const struct {
        OM_uint32 code;
        int type;
    } PARTS[] = {{major, GSS_C_GSS_CODE}, {minor, GSS_C_MECH_CODE}};
    GString *out = g_string_new(NULL);
    for (gsize i = 0; i < G_N_ELEMENTS(PARTS); i++) {
        OM_uint32 more = 0, ignored;
        gss_buffer_desc text = GSS_C_EMPTY_BUFFER;
        if (!PARTS[i].code || gss_display_status(&ignored, PARTS[i].code, PARTS[i].type, GSS_C_NO_OID, &more, &text) != GSS_S_COMPLETE)
            continue;
        g_string_append_printf(out, "%s%.*s", out->len ? "; " : "", (int)text.length, (const char *)text.value);
        gss_release_buffer(&ignored, &text);
    }
    return g_string_free(out, FALSE);
}

struct negotiator *
negotiator_new(const char *keytab, GError **err)
{
    g_autofree char *name = g_strconcat("FILE:", keytab, NULL);
    gss_key_value_element_desc element = {"keytab", name};
    const gss_key_value_set_desc store = {1, &element};
    gss_OID_set_desc mechanisms = {G_N_ELEMENTS(MECHANISMS), MECHANISMS};
    gss_cred_id_t keys = GSS_C_NO_CREDENTIAL;
    OM_uint32 minor;
    const OM_uint32 major =
        gss_acquire_cred_from(&minor, GSS_C_NO_NAME, GSS_C_INDEFINITE, &mechanisms, GSS_C_ACCEPT, &store, &keys, NULL, NULL);
    if (GSS_ERROR(major)) {
        g_autofree char *why = explain(major, minor);
        err_set(err, ERR_NOT_AVAILABLE, "The keytab '%s' cannot be used: %s.", keytab, why);
        return NULL;
    }
    struct negotiator *n = g_new0(struct negotiator, 1);
    n->keys = keys;
    return n;
}

void
negotiator_free(struct negotiator *n)
{
    OM_uint32 minor;
    if (!n)
        return;
    gss_release_cred(&minor, &n->keys);
    g_free(n);
}

struct negotiate_talk *
negotiate_begin(struct negotiator *n)
{
    struct negotiate_talk *t = g_new0(struct negotiate_talk, 1);
    t->negotiator = n;
    return t;
}

static void
forget(struct negotiate_talk *t)
{
    OM_uint32 minor;
    if (t->context != GSS_C_NO_CONTEXT)
        gss_delete_sec_context(&minor, &t->context, GSS_C_NO_BUFFER);
    g_clear_pointer(&t->principal, g_free);
}

void
negotiate_end(struct negotiate_talk *t)
{
    if (!t)
        return;
    forget(t);
    g_free(t);
}

/* The principal as text; names that could be taken for another one (NUL inside) are refused. */
static char *
text_of(gss_name_t name, GError **err)
{
    gss_buffer_desc text = GSS_C_EMPTY_BUFFER;
    OM_uint32 minor;
    char *out = NULL;
    if (gss_display_name(&minor, name, &text, NULL) == GSS_S_COMPLETE && text.length && !memchr(text.value, '\0', text.length))
        out = g_strndup(text.value, text.length);
    gss_release_buffer(&minor, &text);
    if (!out)
        err_set(err, ERR_ACCESS_DENIED, "The Kerberos principal of the client has no name that can be used.");
    return out;
}

static enum negotiate_step
finish(struct negotiate_talk *t, gss_name_t client, OM_uint32 flags, OM_uint32 seconds, GError **err)
{
    t->principal = flags & GSS_C_ANON_FLAG ? NULL : text_of(client, err);
    t->until = g_get_monotonic_time() + (gint64)seconds * G_USEC_PER_SEC;
    if (t->principal)
        return NEGOTIATE_DONE;
    if (flags & GSS_C_ANON_FLAG)
        err_set(err, ERR_ACCESS_DENIED, "An anonymous Kerberos ticket says nothing about who calls.");
    return NEGOTIATE_REFUSED;
}

static enum negotiate_step
accept_token(struct negotiate_talk *t, gss_buffer_t in, gss_buffer_t out, GError **err)
{
    gss_name_t client = GSS_C_NO_NAME;
    OM_uint32 minor, ignored, flags = 0, seconds = 0;
    const OM_uint32 major = gss_accept_sec_context(&minor, &t->context, t->negotiator->keys, in, GSS_C_NO_CHANNEL_BINDINGS, &client, NULL,
                                                   out, &flags, &seconds, NULL);
    enum negotiate_step step = NEGOTIATE_MORE;
    if (GSS_ERROR(major)) {
        g_autofree char *why = explain(major, minor);
        err_set(err, ERR_ACCESS_DENIED, "The Kerberos token of the client is refused: %s.", why);
        step = NEGOTIATE_REFUSED;
    } else if (!(major & GSS_S_CONTINUE_NEEDED)) {
        step = finish(t, client, flags, seconds, err);
    }
    gss_release_name(&ignored, &client);
    return step;
}

enum negotiate_step
negotiate_leg(struct negotiate_talk *t, const char *token, char **reply, GError **err)
{
    gsize len = 0;
    g_autofree guchar *raw = strlen(token) <= TOKEN_MAX ? g_base64_decode(token, &len) : NULL;
    gss_buffer_desc in = {len, raw}, out = GSS_C_EMPTY_BUFFER;
    OM_uint32 minor;
    *reply = NULL;
    if (t->principal)
        forget(t);
    if (!len) {
        err_set(err, ERR_ACCESS_DENIED, "The client sent no Kerberos token.");
        return NEGOTIATE_REFUSED;
    }
    const enum negotiate_step step = accept_token(t, &in, &out, err);
    if (out.length)
        *reply = g_base64_encode(out.value, out.length);
    gss_release_buffer(&minor, &out);
    if (step == NEGOTIATE_REFUSED)
        forget(t);
    return step;
}

const char *
negotiate_principal(const struct negotiate_talk *t)
{
    return t->principal && g_get_monotonic_time() < t->until ? t->principal : NULL;
}
