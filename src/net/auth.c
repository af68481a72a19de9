/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "net/auth.h"

#include "base/clean.h"
#include "base/err.h"
#include "base/log.h"
#include "net/auth_file.h"

#include <crypt.h>
#include <gnutls/crypto.h>
#include <grp.h>
#include <pwd.h>
#include <string.h>
#include <sys/stat.h>

#define FAILURES_MAX 10000 /* remembered address and user pairs; then the oldest knowledge is dropped as a whole */
#define PROVEN_MAX 1000
#define GROUPS_MAX 1024
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
    GHashTable *proven;   /* HMAC of user, password and hash that were right once: yescrypt takes longer than the rest of a request */
    GStringChunk *names;
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
    a->proven = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
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

/* The lock is given up while hashing; the entry is copied for that. */
static enum auth_result
check(struct auth *a, const char *key, const char *user, const char *password, struct net_peer *peer)
{
    g_mutex_lock(&a->lock);
    refresh(a);
    bool out = locked_out(a, key);
    const struct auth_entry *e = a->entries ? auth_file_find(a->entries, user) : NULL;
    g_autofree char *hash = g_strdup(e ? e->hash : a->decoy);
    const enum net_role role = e ? auth_role_parse(e->role) : ROLE_NOBODY;
    const bool known = e != NULL;
    g_autofree char *token = proof(a, user, password, hash ? hash : "");
    bool proven = known && g_hash_table_contains(a->proven, token);
    g_mutex_unlock(&a->lock);
    if (out)
        return AUTH_DENIED;
    bool fits = (proven || (hash && password_fits(password, hash))) && known;
    HOLD(&a->lock);
    if (!fits) {
        note_failure(a, key);
        return AUTH_NEED;
    }
    g_hash_table_remove(a->failures, key);
    if (g_hash_table_size(a->proven) >= PROVEN_MAX)
        g_hash_table_remove_all(a->proven);
    if (!proven)
        g_hash_table_add(a->proven, g_steal_pointer(&token));
    succeed(a, user, role, peer);
    return AUTH_OK;
}

/* --- Unix sockets --- */

static bool
in_group(const char *user, const char *name)
{
    struct passwd pw, *found = NULL;
    struct group gr, *group = NULL;
    g_autofree char *pw_buffer = g_malloc(16384), *gr_buffer = g_malloc(65536);
    g_autofree gid_t *groups = g_new(gid_t, GROUPS_MAX);
    int count = GROUPS_MAX;
    if (getgrnam_r(name, &gr, gr_buffer, 65536, &group) != 0 || !group || getpwnam_r(user, &pw, pw_buffer, 16384, &found) != 0 ||
        !found || getgrouplist(user, found->pw_gid, groups, &count) < 0)
        return false;
    for (int i = 0; i < count; i++)
        if (groups[i] == group->gr_gid)
            return true;
    return false;
}

static enum net_role
local_role(const struct net_peer *from)
{
    static const struct {
        const char *group;
        enum net_role role;
    } GROUPS[] = {{AUTH_GROUP, ROLE_ADMINISTRATOR}, {AUTH_GROUP_OPERATORS, ROLE_OPERATOR}, {AUTH_GROUP_VIEWERS, ROLE_VIEWER}};
    if (from->role == ROLE_ADMINISTRATOR)
        return from->role;
    for (gsize i = 0; i < G_N_ELEMENTS(GROUPS); i++)
        if (in_group(from->user, GROUPS[i].group))
            return GROUPS[i].role;
    return ROLE_NOBODY;
}

enum auth_result
auth_identify(struct auth *a, const struct http_request *request, struct net_peer *peer)
{
    const struct net_peer *from = request->peer;
    const char *header = http_request_header(request, "Authorization");
    bool local = from->address && strcmp(from->address, "unix") == 0 && from->user;
    *peer = *from;
    peer->role = ROLE_NOBODY;
    peer->user = NULL;
    const enum net_role role = local && !header ? local_role(from) : ROLE_NOBODY;
    if (role != ROLE_NOBODY) {
        HOLD(&a->lock);
        succeed(a, from->user, role, peer);
        return AUTH_OK;
    }
    g_autofree char *user = NULL, *password = NULL;
    if (!header || !parse_basic(header, &user, &password))
        return AUTH_NEED;
    g_autofree char *key = g_strdup_printf("%s %s", from->address ? from->address : "", user);
    enum auth_result result = check(a, key, user, password, peer);
    explicit_bzero(password, strlen(password));
    return result;
}

void
auth_refuse(enum auth_result why, struct http_response *response)
{
    if (why == AUTH_DENIED) {
        http_respond(response, 429, NULL, NULL, 0);
        http_respond_header(response, "Retry-After", G_STRINGIFY(AUTH_WINDOW_S));
    } else {
        http_respond(response, 401, NULL, NULL, 0);
        http_respond_header(response, "WWW-Authenticate", "Basic realm=\"WSMAN\", charset=\"UTF-8\"");
    }
}
