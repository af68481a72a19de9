/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "repl/entries.h"

#include "base/clean.h"
#include "base/err.h"
#include "repl/record.h"

#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct entries {
    GMutex lock;
    struct db *db;
    GPtrArray *list; /* struct repl_entry, sorted by host */
};

static const struct record_field FIELDS[] = {
    { "host", RECORD_TEXT, offsetof(struct repl_entry, host) },
    { "trust_group", RECORD_TEXT, offsetof(struct repl_entry, trust_group) },
    { "location", RECORD_TEXT, offsetof(struct repl_entry, location) },
    { NULL, RECORD_END, 0 },
};

void
repl_entry_free(struct repl_entry *e)
{
    if (!e)
        return;
    record_clear(FIELDS, e);
    g_free(e);
}

static struct repl_entry *
copy_of(const struct repl_entry *e)
{
    struct repl_entry *copy = g_new0(struct repl_entry, 1);
    record_copy(FIELDS, copy, e);
    return copy;
}

static gint
by_host(gconstpointer a, gconstpointer b)
{
    const struct repl_entry *const *x = a, *const *y = b;
    return g_ascii_strcasecmp((*x)->host, (*y)->host);
}

struct entries *
entries_load(struct db *db, GError **err)
{
    g_autoptr(GPtrArray) docs = db_list(db, DB_ENTRIES, err);
    if (!docs)
        return NULL;
    struct entries *e = g_new0(struct entries, 1);
    g_mutex_init(&e->lock);
    e->db = db;
    e->list = g_ptr_array_new_with_free_func((GDestroyNotify)repl_entry_free);
    for (guint i = 0; i < docs->len; i++) {
        struct repl_entry *entry = g_new0(struct repl_entry, 1);
        g_ptr_array_add(e->list, entry);
        json_scoped_record o = record_parse(docs->pdata[i], err);
        if (!o || !record_unpack(o, FIELDS, entry, err)) {
            entries_free(e);
            return NULL;
        }
    }
    return e;
}

void
entries_free(struct entries *e)
{
    if (!e)
        return;
    g_ptr_array_unref(e->list);
    g_mutex_clear(&e->lock);
    g_free(e);
}

GPtrArray *
entries_list(struct entries *e)
{
    GPtrArray *out = g_ptr_array_new_with_free_func((GDestroyNotify)repl_entry_free);
    HOLD(&e->lock);
    for (guint i = 0; i < e->list->len; i++)
        g_ptr_array_add(out, copy_of(e->list->pdata[i]));
    return out;
}

static bool
name_ok(const char *name)
{
    if (!*name || strlen(name) > 255 || *name == '.' || *name == '-')
        return false;
    for (const char *p = name; *p; p++)
        if (!g_ascii_isalnum(*p) && !strchr("-._", *p) && !((guchar)*p & 0x80))
            return false;
    return !strstr(name, "..");
}

static bool
check_pattern(const char *host, GError **err)
{
    if (host && (!strcmp(host, "*") || name_ok(g_str_has_prefix(host, "*.") ? host + 2 : host)))
        return true;
    return err_set(err, ERR_INVALID_PARAMETER, "'%s' is not a host name, '*.domain' or '*'.", host ? host : "");
}

static bool
check_group(const char *group, GError **err)
{
    return (group && *group) || err_set(err, ERR_INVALID_PARAMETER, "Property 'TrustGroup' must not be empty.");
}

static bool
check_location(const char *location, GError **err)
{
    struct stat st;
    if (!location || !g_path_is_absolute(location))
        return err_set(err, ERR_INVALID_PARAMETER, "Property 'ReplicaStorageLocation' must be an absolute path.");
    if (stat(location, &st) != 0 || !S_ISDIR(st.st_mode))
        return err_set(err, ERR_NOT_FOUND, "Folder '%s' does not exist; make it first.", location);
    if (access(location, W_OK | X_OK) != 0)
        return err_set(err, ERR_ACCESS_DENIED, "Access to the replica location '%s' is denied.", location);
    return true;
}

static bool
check_all(const struct repl_entry *e, GError **err)
{
    return check_pattern(e->host, err) && check_group(e->trust_group, err) && check_location(e->location, err);
}

static guint
find_locked(struct entries *e, const char *host)
{
    guint i = 0;
    while (i < e->list->len && g_ascii_strcasecmp(((const struct repl_entry *)e->list->pdata[i])->host, host))
        i++;
    return i;
}

struct repl_entry *
entries_get(struct entries *e, const char *host, GError **err)
{
    HOLD(&e->lock);
    const guint at = find_locked(e, host);
    if (at < e->list->len)
        return copy_of(e->list->pdata[at]);
    err_set(err, ERR_INVALID_PARAMETER, "There is no authorisation entry for '%s'.", host);
    return NULL;
}

static bool
save(struct entries *e, const struct repl_entry *entry, GError **err)
{
    g_autofree char *doc = record_doc(FIELDS, entry);
    g_autofree char *key = g_ascii_strdown(entry->host, -1);
    return db_put(e->db, DB_ENTRIES, key, doc, err);
}

bool
entries_add(struct entries *e, const struct repl_entry *entry, GError **err)
{
    if (!check_all(entry, err))
        return false;
    HOLD(&e->lock);
    if (find_locked(e, entry->host) < e->list->len)
        return err_set(err, ERR_INVALID_PARAMETER, "An authorisation entry for '%s' exists already; modify it.", entry->host);
    if (e->list->len && !strcmp(entry->host, "*"))
        return err_set(err, ERR_INVALID_STATE, "'*' excludes other authorisation entries; remove them first.");
    if (find_locked(e, "*") < e->list->len)
        return err_set(err, ERR_INVALID_STATE, "The authorisation entry '*' excludes others; remove it first.");
    if (!save(e, entry, err))
        return false;
    g_ptr_array_add(e->list, copy_of(entry));
    g_ptr_array_sort(e->list, by_host);
    return true;
}

static gboolean
unknown(const char *host, GError **err)
{
    return err_set(err, ERR_INVALID_PARAMETER, "There is no authorisation entry for '%s'.", host ? host : "");
}

bool
entries_modify(struct entries *e, const struct repl_entry *entry, GError **err)
{
    if (!check_pattern(entry->host, err))
        return false;
    HOLD(&e->lock);
    const guint i = find_locked(e, entry->host);
    if (i == e->list->len)
        return unknown(entry->host, err);
    const struct repl_entry *now = e->list->pdata[i];
    const struct repl_entry wanted = { now->host, entry->trust_group ? entry->trust_group : now->trust_group,
                                       entry->location ? entry->location : now->location };
    if (!check_all(&wanted, err) || !save(e, &wanted, err))
        return false;
    struct repl_entry *fresh = copy_of(&wanted);
    repl_entry_free(e->list->pdata[i]);
    e->list->pdata[i] = fresh;
    return true;
}

bool
entries_remove(struct entries *e, const char *host, GError **err)
{
    HOLD(&e->lock);
    const guint i = host ? find_locked(e, host) : e->list->len;
    if (i == e->list->len)
        return unknown(host, err);
    g_autofree char *key = g_ascii_strdown(host, -1);
    if (!db_remove(e->db, DB_ENTRIES, key, err))
        return false;
    g_ptr_array_remove_index(e->list, i);
    return true;
}

/* 3 exact, 2 one label, 1 any, 0 no. */
static int
fits(const char *pattern, const struct net_peer *peer)
{
    for (char **name = peer->names; name && *name; name++)
        if (net_name_matches(pattern, *name))
            return !strcmp(pattern, "*") ? 1 : *pattern == '*' ? 2 : 3;
    return 0;
}

static gboolean
refuse(const struct net_peer *peer, GError **err)
{
    g_autofree char *names = peer->names ? g_strjoinv(", ", peer->names) : g_strdup("no certificate");
    return err_set(err, ERR_PEER_REFUSED,
                   "Host '%s' is not authorised to send here; add an authorisation entry for it on the replica host.", names);
}

struct repl_entry *
entries_match(struct entries *e, const struct net_peer *peer, GError **err)
{
    const struct repl_entry *best = NULL;
    int rank = 0;
    HOLD(&e->lock);
    for (guint i = 0; i < e->list->len; i++) {
        const struct repl_entry *entry = e->list->pdata[i];
        const int fit = fits(entry->host, peer);
        if (fit > rank) {
            rank = fit;
            best = entry;
        }
    }
    if (best)
        return copy_of(best);
    refuse(peer, err);
    return NULL;
}

bool
entries_allow(struct entries *e, const struct net_peer *peer, const char *group, GError **err)
{
    HOLD(&e->lock);
    for (guint i = 0; i < e->list->len; i++) {
        const struct repl_entry *entry = e->list->pdata[i];
        if (!g_strcmp0(entry->trust_group, group) && fits(entry->host, peer))
            return true;
    }
    return refuse(peer, err);
}
