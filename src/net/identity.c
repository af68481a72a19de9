/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "net/identity_int.h"

#include "base/clean.h"
#include "base/file.h"

#include <string.h>
#include <sys/mman.h>

struct text_file {
    char *text;
    size_t len;
    int fd;     /* memory file with the same content */
    char *name; /* by which this process can open it */
};

struct net_identity {
    gint refs;
    struct text_file cert, key, ca;
    struct cert_list chain, cas;
    char **names;
    char *thumbprint;
};

/* --- what is on disk --- */

static bool
text_file_load(struct text_file *f, const char *path, const char *what, GError **err)
{
    if (!file_read_all(path, CERT_FILE_MAX, &f->text, &f->len, err)) {
        g_prefix_error(err, "The %s cannot be used.  ", what);
        return false;
    }
    f->fd = memfd_create("vmreplica-pem", MFD_CLOEXEC);
    if (f->fd < 0)
        return err_errno(err, "Cannot keep the %s in memory", what);
    f->name = g_strdup_printf("/proc/self/fd/%d", f->fd);
    return file_write_full(f->fd, f->text, f->len, 0, path, err);
}

static void
text_file_clear(struct text_file *f)
{
    if (f->text)
        explicit_bzero(f->text, f->len);
    g_free(f->text);
    g_free(f->name);
    clean_fd(&f->fd);
}

static bool
key_id(gnutls_x509_privkey_t key, gnutls_x509_crt_t crt, guint8 id[32])
{
    size_t len = 32;
    if (key)
        return gnutls_x509_privkey_get_key_id(key, GNUTLS_KEYID_USE_SHA256, id, &len) >= 0;
    return gnutls_x509_crt_get_key_id(crt, GNUTLS_KEYID_USE_SHA256, id, &len) >= 0;
}

static bool
check_key(const struct net_identity *id, const char *key_path, const char *cert_path, GError **err)
{
    gnutls_x509_privkey_t key;
    if (gnutls_x509_privkey_init(&key) < 0)
        return err_set(err, ERR_NO_MEMORY, "No memory to read the key '%s'.", key_path);
    gnutls_datum_t data = {(unsigned char *)id->key.text, (guint)id->key.len};
    int rc = gnutls_x509_privkey_import2(key, &data, GNUTLS_X509_FMT_PEM, NULL, GNUTLS_PKCS_PLAIN);
    guint8 of_key[32] = {0}, of_cert[32] = {1};
    bool ids = rc >= 0 && key_id(key, NULL, of_key) && key_id(NULL, id->chain.certs[0], of_cert);
    gnutls_x509_privkey_deinit(key);
    if (rc < 0)
        return err_set(err, ERR_INVALID_PARAMETER, "'%s' holds no usable unencrypted private key in PEM form: %s", key_path,
                       gnutls_strerror(rc));
    if (!ids || memcmp(of_key, of_cert, sizeof of_key) != 0)
        return err_set(err, ERR_INVALID_PARAMETER, "The key '%s' does not belong to the certificate '%s'.", key_path, cert_path);
    return true;
}

static bool
check_usages(const struct net_identity *id, const char *cert_path, GError **err)
{
    static const struct {
        const char *oid, *name;
    } wanted[] = {{GNUTLS_KP_TLS_WWW_SERVER, "server"}, {GNUTLS_KP_TLS_WWW_CLIENT, "client"}};
    for (guint i = 0; i < G_N_ELEMENTS(wanted); i++)
        if (!cert_has_usage(id->chain.certs[0], wanted[i].oid))
            return err_set(err, ERR_INVALID_PARAMETER,
                           "The certificate '%s' lacks %s authentication among its extended key usages; replication needs both server and "
                           "client authentication.",
                           cert_path, wanted[i].name);
    return true;
}

static bool
load(struct net_identity *id, const char *cert, const char *key, const char *ca, bool both_usages, GError **err)
{
    if (!text_file_load(&id->cert, cert, "certificate", err) || !text_file_load(&id->key, key, "private key", err) ||
        !text_file_load(&id->ca, ca, "CA certificate", err) || !cert_list_parse(id->cert.text, id->cert.len, cert, &id->chain, err) ||
        !cert_list_parse(id->ca.text, id->ca.len, ca, &id->cas, err) || !check_key(id, key, cert, err) ||
        (both_usages && !check_usages(id, cert, err)))
        return false;
    g_autoptr(GError) reason = NULL;
    if (!cert_verify(id->chain.certs, id->chain.count, &id->cas, NULL, &reason))
        return err_set(err, ERR_INVALID_PARAMETER, "The certificate '%s' cannot be used with the CA '%s'.  %s", cert, ca, reason->message);
    id->names = cert_names(id->chain.certs[0]);
    id->thumbprint = cert_digest(id->chain.certs[0], GNUTLS_DIG_SHA1);
    if (!id->names[0])
        return err_set(err, ERR_INVALID_PARAMETER, "The certificate '%s' names nobody: it has neither a DNS name nor a common name.", cert);
    return true;
}

struct net_identity *
net_identity_load(const char *cert, const char *key, const char *ca, bool both_usages, GError **err)
{
    struct net_identity *id = g_new0(struct net_identity, 1);
    id->refs = 1;
    id->cert.fd = id->key.fd = id->ca.fd = -1;
    if (load(id, cert, key, ca, both_usages, err))
        return id;
    net_identity_unref(id);
    return NULL;
}

/* --- reading it --- */

struct net_identity *
net_identity_ref(const struct net_identity *id)
{
    struct net_identity *mutable = (struct net_identity *)(gsize)id; /* only the count changes */
    if (mutable)
        g_atomic_int_inc(&mutable->refs);
    return mutable;
}

void
net_identity_unref(struct net_identity *id)
{
    if (!id || !g_atomic_int_dec_and_test(&id->refs))
        return;
    text_file_clear(&id->cert);
    text_file_clear(&id->key);
    text_file_clear(&id->ca);
    cert_list_clear(&id->chain);
    cert_list_clear(&id->cas);
    g_strfreev(id->names);
    g_free(id->thumbprint);
    g_free(id);
}

const char *
net_identity_name(const struct net_identity *id)
{
    return id->names[0];
}
const char *
net_identity_thumbprint(const struct net_identity *id)
{
    return id->thumbprint;
}
const char *
net_identity_cert_pem(const struct net_identity *id)
{
    return id->cert.text;
}
const char *
net_identity_key_pem(const struct net_identity *id)
{
    return id->key.text;
}
const char *
net_identity_ca_pem(const struct net_identity *id)
{
    return id->ca.text;
}
const char *
net_identity_cert_file(const struct net_identity *id)
{
    return id->cert.name;
}
const char *
net_identity_key_file(const struct net_identity *id)
{
    return id->key.name;
}
const char *
net_identity_ca_file(const struct net_identity *id)
{
    return id->ca.name;
}
const struct cert_list *
net_identity_cas(const struct net_identity *id)
{
    return &id->cas;
}

gint64
net_identity_expiry_us(const struct net_identity *id)
{
    return (gint64)gnutls_x509_crt_get_expiration_time(id->chain.certs[0]) * G_USEC_PER_SEC;
}

char *
net_identity_der_base64(const struct net_identity *id)
{
    gnutls_datum_t der = {NULL, 0};
    if (gnutls_x509_crt_export2(id->chain.certs[0], GNUTLS_X509_FMT_DER, &der) < 0)
        return g_strdup("");
    char *text = g_base64_encode(der.data, der.size);
    gnutls_free(der.data);
    return text;
}

/* --- the other end --- */

static bool
import_chain(gnutls_session_t session, struct cert_list *out, GError **err)
{
    guint count = 0;
    const gnutls_datum_t *raw = gnutls_certificate_get_peers(session, &count);
    if (!raw || count == 0)
        return true;
    out->certs = gnutls_calloc(MIN(count, CERT_MAX_CHAIN), sizeof *out->certs);
    for (guint i = 0; out->certs && i < MIN(count, CERT_MAX_CHAIN); i++) {
        if (gnutls_x509_crt_init(&out->certs[i]) < 0)
            return err_set(err, ERR_NO_MEMORY, "No memory to read a peer's certificate.");
        out->count = i + 1;
        int rc = gnutls_x509_crt_import(out->certs[i], &raw[i], GNUTLS_X509_FMT_DER);
        if (rc < 0)
            return err_set(err, ERR_PEER_REFUSED, "The peer's certificate cannot be read: %s", gnutls_strerror(rc));
    }
    return true;
}

bool
net_identity_check_client(const struct net_identity *id, gnutls_session_t session, struct net_peer *peer, GError **err)
{
    cert_list_auto chain = {NULL, 0};
    if (!import_chain(session, &chain, err))
        return false;
    if (chain.count == 0)
        return true;
    if (!cert_verify(chain.certs, chain.count, &id->cas, GNUTLS_KP_TLS_WWW_CLIENT, err))
        return false;
    peer->names = cert_names(chain.certs[0]);
    peer->thumbprint = cert_digest(chain.certs[0], GNUTLS_DIG_SHA1);
    peer->fingerprint = cert_digest(chain.certs[0], GNUTLS_DIG_SHA256);
    return true;
}

bool
net_name_matches(const char *pattern, const char *name)
{
    if (strcmp(pattern, "*") == 0)
        return *name != '\0';
    if (!g_str_has_prefix(pattern, "*."))
        return *pattern != '\0' && g_ascii_strcasecmp(pattern, name) == 0;
    const char *domain = strchr(name, '.');
    return domain && domain != name && !strchr(pattern + 2, '*') && pattern[2] != '\0' && g_ascii_strcasecmp(pattern + 1, domain) == 0;
}
