/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "net/cert.h"

#include <time.h>

bool
cert_list_parse(const char *pem, size_t len, const char *what, struct cert_list *out, GError **err)
{
    gnutls_datum_t data = {(unsigned char *)(gpointer)(gsize)pem, (guint)len};
    guint count = 0;
    gnutls_x509_crt_t *certs = NULL;
    int rc = gnutls_x509_crt_list_import2(&certs, &count, &data, GNUTLS_X509_FMT_PEM, 0);
    if (rc < 0)
        return err_set(err, ERR_INVALID_PARAMETER, "'%s' holds no usable certificate in PEM form: %s", what, gnutls_strerror(rc));
    out->certs = certs;
    out->count = count;
    return true;
}

void
cert_list_clear(struct cert_list *list)
{
    for (guint i = 0; i < list->count; i++)
        gnutls_x509_crt_deinit(list->certs[i]);
    gnutls_free(list->certs);
    list->certs = NULL;
    list->count = 0;
}

static char *
common_name(gnutls_x509_crt_t crt)
{
    char text[256];
    size_t len = sizeof text;
    if (gnutls_x509_crt_get_dn_by_oid(crt, GNUTLS_OID_X520_COMMON_NAME, 0, 0, text, &len) < 0 || strlen(text) != len)
        return NULL;
    return g_strdup(text);
}

/* A name with a NUL inside must not pass for its beginning. */
char **
cert_names(gnutls_x509_crt_t crt)
{
    g_autoptr(GPtrArray) names = g_ptr_array_new();
    for (guint i = 0; i < CERT_MAX_NAMES; i++) {
        char text[256];
        size_t len = sizeof text;
        int type = gnutls_x509_crt_get_subject_alt_name(crt, i, text, &len, NULL);
        if (type == GNUTLS_E_REQUESTED_DATA_NOT_AVAILABLE)
            break;
        if (type == GNUTLS_SAN_DNSNAME && len > 0 && len < sizeof text && memchr(text, 0, len) == NULL)
            g_ptr_array_add(names, g_strndup(text, len));
    }
    if (names->len == 0) {
        char *cn = common_name(crt);
        if (cn)
            g_ptr_array_add(names, cn);
    }
    g_ptr_array_add(names, NULL);
    return (char **)g_ptr_array_free(g_steal_pointer(&names), FALSE);
}

char *
cert_subject(gnutls_x509_crt_t crt)
{
    gnutls_datum_t dn = {NULL, 0};
    if (gnutls_x509_crt_get_dn3(crt, &dn, 0) < 0)
        return g_strdup("(no subject)");
    char *text = g_strndup((const char *)dn.data, dn.size);
    gnutls_free(dn.data);
    return text;
}

char *
cert_digest(gnutls_x509_crt_t crt, gnutls_digest_algorithm_t algorithm)
{
    guint8 raw[64];
    size_t len = sizeof raw;
    GString *hex = g_string_new(NULL);
    if (gnutls_x509_crt_get_fingerprint(crt, algorithm, raw, &len) >= 0)
        for (size_t i = 0; i < len; i++)
            g_string_append_printf(hex, "%02X", raw[i]);
    return g_string_free(hex, FALSE);
}

bool
cert_has_usage(gnutls_x509_crt_t crt, const char *oid)
{
    for (guint i = 0; i < CERT_MAX_NAMES; i++) {
        char text[128];
        size_t len = sizeof text;
        int rc = gnutls_x509_crt_get_key_purpose_oid(crt, i, text, &len, NULL);
        if (rc == GNUTLS_E_REQUESTED_DATA_NOT_AVAILABLE)
            return false;
        if (rc >= 0 && strcmp(text, oid) == 0)
            return true;
    }
    return false;
}

char *
cert_time(time_t when)
{
    struct tm tm;
    char text[64] = "an unknown time";
    if (when != (time_t)-1 && gmtime_r(&when, &tm))
        strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S UTC", &tm);
    return g_strdup(text);
}

static bool
refuse(gnutls_x509_crt_t crt, guint status, const char *purpose, GError **err)
{
    g_autofree char *subject = cert_subject(crt);
    g_autofree char *until = cert_time(gnutls_x509_crt_get_expiration_time(crt));
    g_autofree char *from = cert_time(gnutls_x509_crt_get_activation_time(crt));
    if (status & GNUTLS_CERT_EXPIRED)
        return err_set(err, ERR_PEER_REFUSED, "The certificate '%s' expired at %s; issue a new one.", subject, until);
    if (status & GNUTLS_CERT_NOT_ACTIVATED)
        return err_set(err, ERR_PEER_REFUSED, "The certificate '%s' is not valid before %s; check the clocks of both hosts.", subject,
                       from);
    if (status & GNUTLS_CERT_SIGNER_NOT_FOUND)
        return err_set(err, ERR_PEER_REFUSED, "The certificate '%s' is not signed by a trusted CA.", subject);
    if (purpose && !cert_has_usage(crt, purpose))
        return err_set(err, ERR_PEER_REFUSED, "The certificate '%s' lacks %s authentication among its extended key usages.", subject,
                       strcmp(purpose, GNUTLS_KP_TLS_WWW_CLIENT) == 0 ? "client" : "server");
    gnutls_datum_t text = {NULL, 0};
    if (gnutls_certificate_verification_status_print(status, GNUTLS_CRT_X509, &text, 0) < 0)
        return err_set(err, ERR_PEER_REFUSED, "The certificate '%s' cannot be verified.", subject);
    err_set(err, ERR_PEER_REFUSED, "The certificate '%s' is refused: %s", subject, (const char *)text.data);
    gnutls_free(text.data);
    return false;
}

bool
cert_verify(gnutls_x509_crt_t *chain, guint count, const struct cert_list *ca, const char *purpose, GError **err)
{
    g_assert(count > 0);
    gnutls_x509_trust_list_t trust;
    guint status = 0;
    if (gnutls_x509_trust_list_init(&trust, 0) < 0)
        return err_set(err, ERR_NO_MEMORY, "No memory to verify a certificate.");
    int rc = gnutls_x509_trust_list_add_cas(trust, ca->certs, ca->count, GNUTLS_TL_NO_DUPLICATES);
    if (rc >= 0)
        rc = gnutls_x509_trust_list_verify_crt2(trust, chain, count, NULL, 0, 0, &status, NULL);
    gnutls_x509_trust_list_deinit(trust, 0); /* 0: the certificates stay ours */
    if (rc < 0)
        return err_set(err, ERR_PEER_REFUSED, "A certificate cannot be verified: %s", gnutls_strerror(rc));
    if (status != 0 || (purpose && !cert_has_usage(chain[0], purpose)))
        return refuse(chain[0], status, purpose, err);
    return true;
}
