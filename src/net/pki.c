/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "net/pki.h"

#include "base/clock.h"
#include "base/file.h"
#include "net/cert.h"

#include <arpa/inet.h>
#include <gnutls/crypto.h>
#include <string.h>

#define BACKDATE_US (5 * 60 * G_USEC_PER_SEC) /* hosts whose clocks lag a little accept a new certificate at once */

struct pair {
    gnutls_x509_crt_t crt;
    gnutls_x509_privkey_t key;
};

static void
pair_clear(struct pair *p)
{
    if (p->crt)
        gnutls_x509_crt_deinit(p->crt);
    if (p->key)
        gnutls_x509_privkey_deinit(p->key);
}
#define pair_auto __attribute__((cleanup(pair_clear))) struct pair

static bool
ok(int rc, const char *doing, GError **err)
{
    return rc >= 0 || err_set(err, ERR_FAILED, "Cannot %s: %s", doing, gnutls_strerror(rc));
}

/* --- parts that every certificate has --- */

static bool
pair_generate(struct pair *p, GError **err)
{
    return ok(gnutls_x509_privkey_init(&p->key), "make a key", err) && ok(gnutls_x509_crt_init(&p->crt), "make a certificate", err) &&
           ok(gnutls_x509_privkey_generate(p->key, GNUTLS_PK_ECDSA, GNUTLS_CURVE_TO_BITS(GNUTLS_ECC_CURVE_SECP256R1), 0), "make a key",
              err);
}

static bool
set_basics(struct pair *p, const char *name, gint64 from_us, guint days, GError **err)
{
    guint8 serial[16], id[20];
    size_t id_len = sizeof id;
    time_t from = (time_t)(from_us / G_USEC_PER_SEC);
    if (!ok(gnutls_rnd(GNUTLS_RND_NONCE, serial, sizeof serial), "make a serial number", err))
        return false;
    serial[0] = (serial[0] & 0x7f) | 0x40; /* positive, and never shorter */
    return ok(gnutls_x509_crt_set_version(p->crt, 3), "set the version", err) &&
           ok(gnutls_x509_crt_set_serial(p->crt, serial, sizeof serial), "set the serial number", err) &&
           ok(gnutls_x509_crt_set_key(p->crt, p->key), "set the key", err) &&
           ok(gnutls_x509_crt_set_activation_time(p->crt, from), "set the validity", err) &&
           ok(gnutls_x509_crt_set_expiration_time(p->crt, from + (time_t)days * 86400), "set the validity", err) &&
           ok(gnutls_x509_crt_set_dn_by_oid(p->crt, GNUTLS_OID_X520_COMMON_NAME, 0, name, (guint)strlen(name)), "set the subject", err) &&
           ok(gnutls_x509_crt_get_key_id(p->crt, 0, id, &id_len), "derive the key id", err) &&
           ok(gnutls_x509_crt_set_subject_key_id(p->crt, id, id_len), "set the key id", err);
}

static bool
sign(struct pair *p, const struct pair *by, GError **err)
{
    guint8 id[64];
    size_t len = sizeof id;
    return ok(gnutls_x509_crt_get_subject_key_id(by->crt, id, &len, NULL), "read the CA's key id", err) &&
           ok(gnutls_x509_crt_set_authority_key_id(p->crt, id, len), "set the CA's key id", err) &&
           ok(gnutls_x509_crt_sign2(p->crt, by->crt, by->key, GNUTLS_DIG_SHA256, 0), "sign the certificate", err);
}

static bool
refuse_existing(const char *path, GError **err)
{
    return !g_file_test(path, G_FILE_TEST_EXISTS) ||
           err_set(err, ERR_EXISTS, "'%s' is there already and is not replaced; move it away or use another folder.", path);
}

/* Key first: a certificate whose key is lost is worth nothing. */
static bool
pair_save(const struct pair *p, const char *cert_path, const char *key_path, GError **err)
{
    if (!refuse_existing(cert_path, err) || !refuse_existing(key_path, err))
        return false;
    gnutls_datum_t cert = {NULL, 0}, key = {NULL, 0};
    bool done = ok(gnutls_x509_privkey_export2_pkcs8(p->key, GNUTLS_X509_FMT_PEM, NULL, GNUTLS_PKCS_PLAIN, &key), "export the key", err) &&
                ok(gnutls_x509_crt_export2(p->crt, GNUTLS_X509_FMT_PEM, &cert), "export the certificate", err) &&
                file_replace(key_path, key.data, key.size, 0600, err) && file_replace(cert_path, cert.data, cert.size, 0644, err);
    if (key.data)
        gnutls_memset(key.data, 0, key.size);
    gnutls_free(key.data);
    gnutls_free(cert.data);
    return done;
}

/* --- the authority --- */

bool
pki_init(const char *dir, const char *name, guint days, GError **err)
{
    pair_auto ca = {NULL, NULL};
    g_autofree char *cert_path = g_build_filename(dir, "ca.pem", NULL);
    g_autofree char *key_path = g_build_filename(dir, "ca-key.pem", NULL);
    return file_make_dirs(dir, 0700, err) && pair_generate(&ca, err) &&
           set_basics(&ca, name ? name : "vmreplica CA", clock_wall_us() - BACKDATE_US, days ? days : PKI_CA_DAYS, err) &&
           ok(gnutls_x509_crt_set_basic_constraints(ca.crt, 1, 0), "mark the CA", err) &&
           ok(gnutls_x509_crt_set_key_usage(ca.crt, GNUTLS_KEY_KEY_CERT_SIGN | GNUTLS_KEY_CRL_SIGN), "mark the CA", err) &&
           sign(&ca, &ca, err) && pair_save(&ca, cert_path, key_path, err);
}

static bool
load_ca(const char *dir, struct pair *ca, GError **err)
{
    g_autofree char *cert_path = g_build_filename(dir, "ca.pem", NULL);
    g_autofree char *key_path = g_build_filename(dir, "ca-key.pem", NULL);
    g_autofree char *cert = NULL, *key = NULL;
    size_t cert_len, key_len;
    if (!file_read_all(cert_path, CERT_FILE_MAX, &cert, &cert_len, err) || !file_read_all(key_path, CERT_FILE_MAX, &key, &key_len, err)) {
        g_prefix_error(err, "'%s' holds no CA; make one with 'vmreplica pki init'.  ", dir);
        return false;
    }
    gnutls_datum_t cert_pem = {(unsigned char *)cert, (guint)cert_len}, key_pem = {(unsigned char *)key, (guint)key_len};
    bool done = ok(gnutls_x509_crt_init(&ca->crt), "read the CA", err) && ok(gnutls_x509_privkey_init(&ca->key), "read the CA", err) &&
                ok(gnutls_x509_crt_import(ca->crt, &cert_pem, GNUTLS_X509_FMT_PEM), "read the CA's certificate", err) &&
                ok(gnutls_x509_privkey_import2(ca->key, &key_pem, GNUTLS_X509_FMT_PEM, NULL, GNUTLS_PKCS_PLAIN), "read the CA's key", err);
    gnutls_memset(key, 0, key_len);
    return done;
}

/* --- hosts --- */

/* The first name becomes a file name. */
static bool
check_name(const char *name, GError **err)
{
    size_t len = strlen(name);
    bool fine = len > 0 && len <= 253 && *name != '.' && *name != '-';
    for (const char *c = name; *c; c++)
        fine = fine && (g_ascii_isalnum(*c) || strchr(".-:", *c) || (*c == '*' && c == name && c[1] == '.'));
    return fine || err_set(err, ERR_INVALID_PARAMETER, "'%s' is neither a host name nor an IP address.", name);
}

static bool
add_names(gnutls_x509_crt_t crt, const char *const *names, GError **err)
{
    for (guint i = 0; names[i]; i++) {
        guint8 ip[16];
        size_t ip_len = inet_pton(AF_INET, names[i], ip) == 1 ? 4 : inet_pton(AF_INET6, names[i], ip) == 1 ? 16 : 0;
        int rc = ip_len
                     ? gnutls_x509_crt_set_subject_alt_name(crt, GNUTLS_SAN_IPADDRESS, ip, (guint)ip_len, GNUTLS_FSAN_APPEND)
                     : gnutls_x509_crt_set_subject_alt_name(crt, GNUTLS_SAN_DNSNAME, names[i], (guint)strlen(names[i]), GNUTLS_FSAN_APPEND);
        if (!check_name(names[i], err) || !ok(rc, "add a name", err))
            return false;
    }
    return true;
}

static bool
make_host(struct pair *host, const struct pair *ca, const struct pki_request *r, GError **err)
{
    gint64 from = r->from_us ? r->from_us : clock_wall_us() - BACKDATE_US;
    return pair_generate(host, err) && set_basics(host, r->names[0], from, r->days ? r->days : PKI_HOST_DAYS, err) &&
           ok(gnutls_x509_crt_set_basic_constraints(host->crt, 0, -1), "mark the host", err) &&
           ok(gnutls_x509_crt_set_key_usage(host->crt, GNUTLS_KEY_DIGITAL_SIGNATURE), "set the key usage", err) &&
           (!(r->usages & PKI_SERVER) ||
            ok(gnutls_x509_crt_set_key_purpose_oid(host->crt, GNUTLS_KP_TLS_WWW_SERVER, 0), "set the usages", err)) &&
           (!(r->usages & PKI_CLIENT) ||
            ok(gnutls_x509_crt_set_key_purpose_oid(host->crt, GNUTLS_KP_TLS_WWW_CLIENT, 0), "set the usages", err)) &&
           add_names(host->crt, r->names, err) && sign(host, ca, err);
}

bool
pki_issue(const char *dir, const struct pki_request *request, char **cert, char **key, GError **err)
{
    pair_auto ca = {NULL, NULL}, host = {NULL, NULL};
    g_assert(request->names && request->names[0]);
    if (!check_name(request->names[0], err) || !load_ca(dir, &ca, err) || !make_host(&host, &ca, request, err))
        return false;
    g_autofree char *stem = g_strdelimit(g_strdup(request->names[0]), "*:", '_');
    g_autofree char *cert_path = g_strdup_printf("%s/%s.pem", dir, stem);
    g_autofree char *key_path = g_strdup_printf("%s/%s-key.pem", dir, stem);
    if (!pair_save(&host, cert_path, key_path, err))
        return false;
    if (cert)
        *cert = g_steal_pointer(&cert_path);
    if (key)
        *key = g_steal_pointer(&key_path);
    return true;
}

/* --- for people --- */

static void
show_usages(gnutls_x509_crt_t crt, GString *out)
{
    guint ca = 0;
    bool server = cert_has_usage(crt, GNUTLS_KP_TLS_WWW_SERVER), client = cert_has_usage(crt, GNUTLS_KP_TLS_WWW_CLIENT);
    gnutls_x509_crt_get_basic_constraints(crt, NULL, &ca, NULL);
    g_string_append_printf(out, "  usages      %s%s%s%s\n", ca ? "certificate authority" : "", server ? "server authentication" : "",
                           server && client ? ", " : "", client ? "client authentication" : "");
}

static void
show_one(gnutls_x509_crt_t crt, GString *out)
{
    g_autofree char *subject = cert_subject(crt);
    g_auto(GStrv) names = cert_names(crt);
    g_autofree char *list = g_strjoinv(", ", names);
    g_autofree char *from = cert_time(gnutls_x509_crt_get_activation_time(crt));
    time_t end = gnutls_x509_crt_get_expiration_time(crt);
    g_autofree char *until = cert_time(end);
    g_autofree char *sha1 = cert_digest(crt, GNUTLS_DIG_SHA1), *sha256 = cert_digest(crt, GNUTLS_DIG_SHA256);
    gnutls_datum_t issuer = {NULL, 0};
    gint64 days = ((gint64)end - clock_wall_us() / G_USEC_PER_SEC) / 86400;
    g_string_append_printf(out, "%s\n  names       %s\n", subject, list);
    if (gnutls_x509_crt_get_issuer_dn3(crt, &issuer, 0) >= 0)
        g_string_append_printf(out, "  issuer      %.*s\n", (int)issuer.size, (const char *)issuer.data);
    gnutls_free(issuer.data);
    show_usages(crt, out);
    g_string_append_printf(out, "  valid from  %s\n  valid until %s", from, until);
    if (days < 0)
        g_string_append(out, " (expired)\n");
    else
        g_string_append_printf(out, " (%" G_GINT64_FORMAT " days left)\n", days);
    g_string_append_printf(out, "  SHA-1       %s\n  SHA-256     %s\n", sha1, sha256);
}

bool
pki_show(const char *path, GString *out, GError **err)
{
    g_autofree char *pem = NULL;
    size_t len;
    cert_list_auto list = {NULL, 0};
    if (!file_read_all(path, CERT_FILE_MAX, &pem, &len, err) || !cert_list_parse(pem, len, path, &list, err))
        return false;
    for (guint i = 0; i < list.count; i++)
        show_one(list.certs[i], out);
    return true;
}
