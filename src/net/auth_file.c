/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "net/auth_file.h"

#include "base/err.h"
#include "base/file.h"
#include "net/auth.h"
#include "net/cert.h"

#include <crypt.h>
#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#define FILE_MAX (1u << 20)

static void
entry_free(gpointer p)
{
    struct auth_entry *e = p;
    g_free(e->user);
    g_free(e->hash);
    g_free(e->role);
    g_free(e);
}

enum net_role
auth_role_parse(const char *word)
{
    static const struct {
        const char *word;
        enum net_role role;
    } WORDS[] = {
        {"administrator", ROLE_ADMINISTRATOR}, {"operator", ROLE_OPERATOR}, {"viewer", ROLE_VIEWER},
        {"admin", ROLE_ADMINISTRATOR}, {"reader", ROLE_VIEWER}, /* older files */
    };
    for (gsize i = 0; i < G_N_ELEMENTS(WORDS); i++)
        if (strcmp(word, WORDS[i].word) == 0)
            return WORDS[i].role;
    return ROLE_NOBODY;
}

static bool
role_known(const char *role)
{
    return auth_role_parse(role) != ROLE_NOBODY;
}

GPtrArray *
auth_file_parse(const char *text, const char *path, GError **err)
{
    g_autoptr(GPtrArray) entries = g_ptr_array_new_with_free_func(entry_free);
    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
    for (guint i = 0; lines[i]; i++) {
        g_strstrip(lines[i]);
        if (*lines[i] == '\0' || *lines[i] == '#')
            continue;
        g_auto(GStrv) parts = g_strsplit(lines[i], ":", 4);
        if (g_strv_length(parts) != 3 || *parts[0] == '\0' || *parts[1] == '\0' || !role_known(parts[2])) {
            err_set(err, ERR_MALFORMED, "Line %u of '%s' is not of the form user:hash:role with a role that is known.", i + 1, path);
            return NULL;
        }
        struct auth_entry *e = g_new0(struct auth_entry, 1);
        *e = (struct auth_entry){g_strdup(parts[0]), g_strdup(parts[1]), g_strdup(parts[2])};
        g_ptr_array_add(entries, e);
    }
    return g_steal_pointer(&entries);
}

GPtrArray *
auth_file_read(const char *path, GError **err)
{
    struct stat st;
    g_autofree char *text = NULL;
    size_t len;
    if (stat(path, &st) != 0 && errno == ENOENT)
        return g_ptr_array_new_with_free_func(entry_free);
    if (stat(path, &st) != 0) {
        err_errno(err, "Cannot look at the password file '%s'", path);
        return NULL;
    }
    if (st.st_mode & 077) {
        err_set(err, ERR_ACCESS_DENIED, "Others may read or write the password file '%s'; run 'chmod 600 %s'.", path, path);
        return NULL;
    }
    return file_read_all(path, FILE_MAX, &text, &len, err) ? auth_file_parse(text, path, err) : NULL;
}

/* Something that comes with Basic. */
static bool
is_password(const char *hash)
{
    return strcmp(hash, AUTH_FILE_KERBEROS) != 0 && !g_str_has_prefix(hash, AUTH_FILE_CERTIFICATE);
}

const struct auth_entry *
auth_file_find(const GPtrArray *entries, const char *user)
{
    for (guint i = 0; i < entries->len; i++) {
        const struct auth_entry *e = entries->pdata[i];
        if (strcmp(e->user, user) == 0 && is_password(e->hash))
            return e;
    }
    return NULL;
}

const struct auth_entry *
auth_file_find_proof(const GPtrArray *entries, const char *user, const char *proof)
{
    for (guint i = 0; i < entries->len; i++) {
        const struct auth_entry *e = entries->pdata[i];
        if (strcmp(e->hash, proof) == 0 && (!user || strcmp(e->user, user) == 0))
            return e;
    }
    return NULL;
}

char *
auth_hash_new(const char *password)
{
    char salt[CRYPT_GENSALT_OUTPUT_SIZE];
    g_autofree struct crypt_data *data = g_new0(struct crypt_data, 1);
    const char *hash = crypt_gensalt_rn("$y$", 0, NULL, 0, salt, sizeof salt) ? crypt_r(password, salt, data) : NULL;
    return hash && *hash != '*' ? g_strdup(hash) : NULL;
}

/* --- changes --- */

static bool
user_fine(const char *user, GError **err)
{
    bool fine = *user && strlen(user) <= 64 && g_utf8_validate(user, -1, NULL) && !strpbrk(user, ":#\r\n") && !g_ascii_isspace(*user);
    return fine ||
           err_set(err, ERR_INVALID_PARAMETER, "'%s' cannot be a user name: it needs 1 to 64 characters, none of them ':' or '#'.", user);
}

static bool
save(const char *path, const GPtrArray *entries, GError **err)
{
    g_autoptr(GString) text = g_string_new("# vmreplica users: user:hash:role, see vmreplica(1)\n");
    for (guint i = 0; i < entries->len; i++) {
        const struct auth_entry *e = entries->pdata[i];
        g_string_append_printf(text, "%s:%s:%s\n", e->user, e->hash, e->role);
    }
    return file_replace(path, text->str, text->len, 0600, err);
}

/* Removes `user`, then adds `entry` (taken) unless it is NULL. */
static bool
change(const char *path, const char *user, struct auth_entry *entry, GError **err)
{
    g_autofree char *lock_path = g_strconcat(path, ".lock", NULL);
    auto_fd lock = file_lock(lock_path, err);
    g_autoptr(GPtrArray) entries = lock >= 0 ? auth_file_read(path, err) : NULL;
    guint before = entries ? entries->len : 0;
    for (guint i = before; i-- > 0;)
        if (strcmp(((const struct auth_entry *)entries->pdata[i])->user, user) == 0)
            g_ptr_array_remove_index(entries, i);
    if (entries && entry)
        g_ptr_array_add(entries, entry);
    else if (entry)
        entry_free(entry);
    if (!entries)
        return false;
    if (!entry && entries->len == before)
        return err_set(err, ERR_NOT_FOUND, "There is no user '%s' in '%s'.", user, path);
    return save(path, entries, err);
}

/* hash is taken */
static bool
add(const char *path, const char *user, char *hash, const char *role, GError **err)
{
    struct auth_entry *e = g_new0(struct auth_entry, 1);
    *e = (struct auth_entry){g_strdup(user), hash, g_strdup(role)};
    return change(path, user, e, err);
}

static bool
check_user(const char *user, const char *role, GError **err)
{
    return user_fine(user, err) &&
           (role_known(role) ||
            err_set(err, ERR_INVALID_PARAMETER, "'%s' is no role; use 'administrator', 'operator' or 'viewer'.", role));
}

bool
auth_user_add(const char *path, const char *user, const char *password, const char *role, GError **err)
{
    if (!check_user(user, role, err))
        return false;
    if (*password == '\0')
        return err_set(err, ERR_INVALID_PARAMETER, "The password of '%s' must not be empty.", user);
    char *hash = auth_hash_new(password);
    return hash ? add(path, user, hash, role, err)
                : err_set(err, ERR_INVALID_PARAMETER, "The password of '%s' cannot be hashed; it may be too long.", user);
}

bool
auth_user_add_kerberos(const char *path, const char *principal, const char *role, GError **err)
{
    if (!check_user(principal, role, err))
        return false;
    if (!strchr(principal, '@'))
        return err_set(err, ERR_INVALID_PARAMETER, "'%s' is no Kerberos principal; it needs its realm, such as '%s@EXAMPLE.ORG'.",
                       principal, principal);
    return add(path, principal, g_strdup(AUTH_FILE_KERBEROS), role, err);
}

bool
auth_user_add_pam(const char *path, const char *user, const char *role, GError **err)
{
    return check_user(user, role, err) && add(path, user, g_strdup(AUTH_FILE_PAM), role, err);
}

bool
auth_user_add_certificate(const char *path, const char *user, const char *pem_file, const char *role, GError **err)
{
    g_autofree char *pem = NULL;
    size_t len;
    cert_list_auto list = {NULL, 0};
    if (!check_user(user, role, err) || !file_read_all(pem_file, CERT_FILE_MAX, &pem, &len, err) ||
        !cert_list_parse(pem, len, pem_file, &list, err))
        return false;
    g_autofree char *digest = cert_digest(list.certs[0], GNUTLS_DIG_SHA256);
    return add(path, user, g_strconcat(AUTH_FILE_CERTIFICATE, digest, NULL), role, err);
}

bool
auth_user_remove(const char *path, const char *user, GError **err)
{
    return change(path, user, NULL, err);
}

static void
user_free(gpointer p)
{
    struct auth_user *u = p;
    g_free(u->name);
    g_free(u->role);
    g_free(u);
}

static const char *
proven_by(const char *hash)
{
    return strcmp(hash, AUTH_FILE_PAM) == 0        ? "pam"
           : is_password(hash)                     ? "password"
           : strcmp(hash, AUTH_FILE_KERBEROS) == 0 ? "kerberos"
                                                   : "certificate";
}

GPtrArray *
auth_user_list(const char *path, GError **err)
{
    g_autoptr(GPtrArray) entries = auth_file_read(path, err);
    if (!entries)
        return NULL;
    GPtrArray *list = g_ptr_array_new_with_free_func(user_free);
    for (guint i = 0; i < entries->len; i++) {
        const struct auth_entry *e = entries->pdata[i];
        struct auth_user *u = g_new0(struct auth_user, 1);
        *u = (struct auth_user){g_strdup(e->user), g_strdup(e->role), proven_by(e->hash)};
        g_ptr_array_add(list, u);
    }
    return list;
}
