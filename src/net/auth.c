/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "net/auth.h"

#include "base/clean.h"
#include "base/err.h"
#include "base/log.h"
#include "net/auth_file.h"
#include "net/auth_local.h"
#include "net/auth_pam.h"
#include "net/negotiate.h"

#include <crypt.h>
#include <gnutls/crypto.h>
#include <string.h>
#include <sys/stat.h>

#define FAILURES_MAX 10000 /* remembered address and user pairs; then the oldest knowledge is dropped as a whole */
#define PROVEN_MAX 1000
#define CREDENTIALS_MAX 1024

struct failures {
    guint count;
    gint64 until; /* monotonic */
};

struct auth {
    char *path;
    char *decoy;          /* hash that no password fits, for unknown users */
    guint8 secret[32];    /* keys `proven` */
    GMutex lock;          /* guards all below; not held while hashing */
    GPtrArray *entries;   /* NULL: the file cannot be used */
    struct stat seen;     /* of the file that `entries` came from */
    GHashTable *failures; /* "address user" -> struct failures */
    GHashTable *proven;   /* HMAC of user, password and hash that were right once -> gint64, until when (monotonic): yescrypt takes longer
                           * than the rest of a request, PAM much longer */
    GStringChunk *names;
    struct negotiator *negotiator; /* NULL: no Kerberos; fixed before the first request */
    struct auth_pam *pam;          /* NULL: no PAM; likewise */
};

struct auth *
auth_open(const char *path, GError **err)
{
    g_autoptr(GPtrArray) entries = path ? auth_file_read(path, err) : g_ptr_array_new();
    if (!entries)
        return NULL;
    struct auth *a = g_new0(struct auth, 1);
    a->path = g_strdup(path);
    g_mutex_init(&a->lock);
    gnutls_rnd(GNUTLS_RND_KEY, a->secret, sizeof a->secret);
    g_autofree char *nobody = g_base64_encode(a->secret, sizeof a->secret);
    a->decoy = auth_hash_new(nobody);
    gnutls_rnd(GNUTLS_RND_KEY, a->secret, sizeof a->secret);
    a->entries = g_steal_pointer(&entries);
    if (path && stat(path, &a->seen) != 0)
        memset(&a->seen, 0, sizeof a->seen);
    a->failures = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    a->proven = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    a->names = g_string_chunk_new(256);
    return a;
}

void
auth_free(struct auth *a)
{
    if (!a)
        return;
    g_clear_pointer(&a->entries, g_ptr_array_unref);
    g_hash_table_unref(a->failures);
    g_hash_table_unref(a->proven);
    g_string_chunk_free(a->names);
    negotiator_free(a->negotiator);
    auth_pam_free(a->pam);
    g_mutex_clear(&a->lock);
    explicit_bzero(a->secret, sizeof a->secret);
    g_free(a->decoy);
    g_free(a->path);
    g_free(a);
}

/* --- the file --- */

static bool
same_file(const struct stat *a, const struct stat *b)
{
    return a->st_ino == b->st_ino && a->st_dev == b->st_dev && a->st_size == b->st_size && a->st_mode == b->st_mode &&
           a->st_mtim.tv_sec == b->st_mtim.tv_sec && a->st_mtim.tv_nsec == b->st_mtim.tv_nsec && a->st_ctim.tv_sec == b->st_ctim.tv_sec &&
           a->st_ctim.tv_nsec == b->st_ctim.tv_nsec;
}

static void
refresh(struct auth *a)
{
    struct stat now = {0};
    g_autoptr(GError) reason = NULL;
    if (!a->path)
        return;
    if (stat(a->path, &now) != 0)
        memset(&now, 0, sizeof now);
    if (same_file(&now, &a->seen))
        return;
    g_clear_pointer(&a->entries, g_ptr_array_unref);
    g_hash_table_remove_all(a->proven);
    a->entries = auth_file_read(a->path, &reason);
    a->seen = now;
    if (!a->entries)
        log_warning("Nobody can log in.  %s", reason->message);
}

/* --- failures --- */

static bool
locked_out(struct auth *a, const char *key)
{
    const struct failures *f = g_hash_table_lookup(a->failures, key);
    if (f && g_get_monotonic_time() >= f->until) {
        g_hash_table_remove(a->failures, key);
        return false;
    }
    return f && f->count >= AUTH_TRIES;
}

static void
note_failure(struct auth *a, const char *key)
{
    struct failures *f = g_hash_table_lookup(a->failures, key);
    if (!f) {
        if (g_hash_table_size(a->failures) >= FAILURES_MAX)
            g_hash_table_remove_all(a->failures);
        f = g_new0(struct failures, 1);
        f->until = g_get_monotonic_time() + AUTH_WINDOW_S * (gint64)G_USEC_PER_SEC;
        g_hash_table_insert(a->failures, g_strdup(key), f);
    }
    if (++f->count == AUTH_TRIES) {
        g_autofree char *shown = g_strescape(key, NULL);
        log_warning("Too many failed logins (address and user: %s); refusing more for %u s.", shown, AUTH_WINDOW_S);
    }
}

/* --- credentials --- */

static bool
same_text(const char *a, const char *b)
{
    size_t len = strlen(a);
    return len == strlen(b) && gnutls_memcmp(a, b, len) == 0;
}

static bool
password_fits(const char *password, const char *hash)
{
    g_autofree struct crypt_data *data = g_new0(struct crypt_data, 1);
    const char *made = crypt_r(password, hash, data);
    bool fits = made && *made != '*' && same_text(made, hash);
    explicit_bzero(data, sizeof *data);
    return fits;
}

static char *
proof(const struct auth *a, const char *user, const char *password, const char *hash)
{
    g_autofree char *text = g_strdup_printf("%s\n%s\n%s", user, hash, password);
    char *made = g_compute_hmac_for_string(G_CHECKSUM_SHA256, a->secret, sizeof a->secret, text, -1);
    explicit_bzero(text, strlen(text));
    return made;
}

/* "Basic base64(user:password)"; the password may contain colons. */
static bool
parse_basic(const char *header, char **user, char **password)
{
    gsize len = 0;
    if (g_ascii_strncasecmp(header, "Basic ", 6) != 0 || strlen(header) > CREDENTIALS_MAX)
        return false;
    g_autofree guchar *raw = g_base64_decode(header + 6, &len);
    const guchar *colon = raw ? memchr(raw, ':', len) : NULL;
    bool fine = colon && colon != raw && !memchr(raw, '\0', len);
    if (fine) {
        *user = g_strndup((const char *)raw, (gsize)(colon - raw));
        *password = g_strndup((const char *)colon + 1, len - (gsize)(colon - raw) - 1);
    }
    if (raw)
        explicit_bzero(raw, len);
    return fine;
}

static void
succeed(struct auth *a, const char *user, enum net_role role, struct net_peer *peer)
{
    peer->user = g_string_chunk_insert_const(a->names, user);
    peer->role = role;
}

static bool
still_proven(struct auth *a, const char *token)
{
    const gint64 *until = g_hash_table_lookup(a->proven, token);
    return until && g_get_monotonic_time() < *until;
}

static void
note_proven(struct auth *a, char **token, bool pam)
{
    if (g_hash_table_size(a->proven) >= PROVEN_MAX)
        g_hash_table_remove_all(a->proven);
    const gint64 until = pam ? g_get_monotonic_time() + AUTH_PAM_TRUST_S * (gint64)G_USEC_PER_SEC : G_MAXINT64;
    g_hash_table_replace(a->proven, g_steal_pointer(token), g_memdup2(&until, sizeof until));
}

/* No lock is held: this takes long. */
static enum auth_pam_answer
ask_pam(const struct auth *a, const char *user, const char *password, const char *address)
{
    if (a->pam)
        return auth_pam_ask(a->pam, user, password, address);
    log_warning("The user '%s' is to be proven by PAM, but there is no pam_service in [api].", user);
    return AUTH_PAM_BROKEN;
}

static enum auth_pam_answer
compare(const char *password, const char *hash)
{
    return hash && password_fits(password, hash) ? AUTH_PAM_YES : AUTH_PAM_NO;
}

/* The lock is given up while hashing; the entry is copied for that. */
static enum auth_result
check(struct auth *a, const char *key, const char *user, const char *password, const char *address, struct net_peer *peer)
{
    g_mutex_lock(&a->lock);
    refresh(a);
    bool out = locked_out(a, key);
    const struct auth_entry *e = a->entries ? auth_file_find(a->entries, user) : NULL;
    g_autofree char *hash = g_strdup(e ? e->hash : a->decoy);
    const enum net_role role = e ? auth_role_parse(e->role) : ROLE_NOBODY;
    const bool known = e != NULL, pam = e && strcmp(e->hash, AUTH_FILE_PAM) == 0;
    g_autofree char *token = proof(a, user, password, hash ? hash : "");
    bool proven = known && still_proven(a, token);
    g_mutex_unlock(&a->lock);
    if (out)
        return AUTH_DENIED;
    const enum auth_pam_answer answer = proven ? AUTH_PAM_YES : pam ? ask_pam(a, user, password, address) : compare(password, hash);
    HOLD(&a->lock);
    if (answer == AUTH_PAM_YES && known) {
        g_hash_table_remove(a->failures, key);
        if (!proven)
            note_proven(a, &token, pam);
        succeed(a, user, role, peer);
        return AUTH_OK;
    }
    if (answer == AUTH_PAM_BUSY)
        return AUTH_DENIED;
    note_failure(a, key);
    return AUTH_NEED;
}

/* Somebody whom something else than a password has proven: what the users' file says about them now. */
static enum auth_result
admit(struct auth *a, const char *user, const char *proof, struct net_peer *peer)
{
    HOLD(&a->lock);
    refresh(a);
    const struct auth_entry *e = a->entries ? auth_file_find_proof(a->entries, user, proof) : NULL;
    if (!e)
        return AUTH_NEED;
    succeed(a, e->user, auth_role_parse(e->role), peer);
    return AUTH_OK;
}

/* --- certificates --- */

/* A browser sends its certificate with every request, also with those that another site makes it send: so the header that says that the
 * certificate is meant as authentication is needed, too. */
static enum auth_result
by_certificate(struct auth *a, const struct http_request *request, struct net_peer *peer)
{
    if (!request->peer->fingerprint)
        return AUTH_NEED;
    g_autofree char *proof = g_strconcat(AUTH_FILE_CERTIFICATE, request->peer->fingerprint, NULL);
    const enum auth_result result = admit(a, NULL, proof, peer);
    if (result != AUTH_OK)
        log_info("The client certificate with SHA-256 fingerprint %s from %s belongs to no user; see 'vmreplica user add --certificate'.",
                 request->peer->fingerprint, request->peer->address);
    return result;
}

/* --- Kerberos --- */

static void
end_talk(gpointer talk)
{
    negotiate_end(talk);
}

static enum auth_result
by_principal(struct auth *a, const struct negotiate_talk *talk, struct net_peer *peer)
{
    const char *principal = negotiate_principal(talk);
    const enum auth_result result = principal ? admit(a, principal, AUTH_FILE_KERBEROS, peer) : AUTH_NEED;
    if (principal && result != AUTH_OK)
        log_info("Kerberos principal '%s' is no user here; see 'vmreplica user add --kerberos'.", principal);
    return result;
}

static void
add_reply(struct http_response *response, const char *scheme, const char *reply)
{
    if (!reply)
        return;
    g_autofree char *value = g_strdup_printf("%s %s", scheme, reply);
    http_respond_header(response, "WWW-Authenticate", value);
}

/* The talk stays with the connection: a handshake may need two requests, and those after it carry no header (RFC 4559 section 6). */
static enum auth_result
by_kerberos(struct auth *a, const struct http_request *request, const char *scheme, const char *token, struct http_response *response,
            struct net_peer *peer)
{
    g_autoptr(GError) why = NULL;
    g_autofree char *reply = NULL;
    struct negotiate_talk *talk = http_connection_kept(request);
    if (!a->negotiator)
        return AUTH_NEED;
    if (!talk)
        http_connection_keep(request, talk = negotiate_begin(a->negotiator), end_talk);
    const enum negotiate_step step = negotiate_leg(talk, token, &reply, &why);
    if (step == NEGOTIATE_REFUSED)
        log_info("A login of %s failed.  %s", request->peer->address, why->message);
    const enum auth_result result = step == NEGOTIATE_DONE ? by_principal(a, talk, peer)
                                    : step == NEGOTIATE_MORE ? AUTH_MORE
                                                             : AUTH_NEED;
    if (result == AUTH_NEED)
        return AUTH_VAIN;
    add_reply(response, scheme, reply);
    return result;
}

bool
auth_use_keytab(struct auth *a, const char *keytab, GError **err)
{
    return (a->negotiator = negotiator_new(keytab, err)) != NULL;
}

bool
auth_use_pam(struct auth *a, const char *program, const char *service, guint limit_s, GError **err)
{
    return (a->pam = auth_pam_new(program, service, limit_s, err)) != NULL;
}

/* --- who is it --- */

static enum auth_result
by_password(struct auth *a, const struct http_request *request, const char *header, struct net_peer *peer)
{
    const char *address = request->peer->address;
    g_autofree char *user = NULL, *password = NULL;
    if (!parse_basic(header, &user, &password))
        return AUTH_NEED;
    g_autofree char *key = g_strdup_printf("%s %s", address ? address : "", user);
    enum auth_result result = check(a, key, user, password, address, peer);
    explicit_bzero(password, strlen(password));
    return result;
}

/* The token behind a scheme of Kerberos, NULL: another scheme. */
static const char *
handshake(const char *header, const char **scheme)
{
    static const char *const KERBEROS[] = {"Negotiate", "Kerberos"};
    for (gsize i = 0; header && i < G_N_ELEMENTS(KERBEROS); i++) {
        const gsize len = strlen(KERBEROS[i]);
        *scheme = KERBEROS[i];
        if (g_ascii_strncasecmp(header, *scheme, len) == 0 && header[len] == ' ')
            return header + len + 1;
    }
    return NULL;
}

bool
auth_is_handshake(const struct http_request *request)
{
    const char *scheme;
    return handshake(http_request_header(request, "Authorization"), &scheme) != NULL;
}

static enum auth_result
by_header(struct auth *a, const struct http_request *request, const char *header, struct http_response *response, struct net_peer *peer)
{
    const char *scheme, *token = handshake(header, &scheme);
    if (token)
        return by_kerberos(a, request, scheme, token, response, peer);
    http_connection_keep(request, NULL, NULL); /* who says anew who he is, is not the one from before */
    return strcmp(header, AUTH_CERTIFICATE) == 0 ? by_certificate(a, request, peer) : by_password(a, request, header, peer);
}

enum auth_result
auth_identify(struct auth *a, const struct http_request *request, struct http_response *response, struct net_peer *peer)
{
    const struct net_peer *from = request->peer;
    const char *header = http_request_header(request, "Authorization");
    bool local = from->address && strcmp(from->address, "unix") == 0 && from->user;
    *peer = *from;
    peer->role = ROLE_NOBODY;
    peer->user = NULL;
    if (header)
        return by_header(a, request, header, response, peer);
    const enum net_role role = local ? auth_local_role(from) : ROLE_NOBODY;
    if (role != ROLE_NOBODY) {
        HOLD(&a->lock);
        succeed(a, from->user, role, peer);
        return AUTH_OK;
    }
    const struct negotiate_talk *talk = http_connection_kept(request);
    return talk ? by_principal(a, talk, peer) : AUTH_NEED;
}

void
auth_refuse(const struct auth *a, enum auth_result why, struct http_response *response)
{
    http_respond(response, why == AUTH_DENIED ? 429 : 401, NULL, NULL, 0);
    if (why == AUTH_DENIED)
        http_respond_header(response, "Retry-After", G_STRINGIFY(AUTH_WINDOW_S));
    if (why != AUTH_NEED && why != AUTH_VAIN)
        return;
    if (a->negotiator && why == AUTH_NEED)
        http_respond_header(response, "WWW-Authenticate", "Negotiate");
    http_respond_header(response, "WWW-Authenticate", "Basic realm=\"WSMAN\", charset=\"UTF-8\"");
}
