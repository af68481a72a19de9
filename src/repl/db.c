/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "repl/db.h"

#include "base/clean.h"
#include "base/err.h"

#include <sqlite3.h>
#include <string.h>

static const char *const NAMES[DB_TABLES] = { "host", "entries", "relations", "definitions", "jobs", "statistics", "churn", "addresses",
                                              "groups" };

/* Row i brings a database from version i to version i + 1. */
static const char *const MIGRATIONS[] = {
    "CREATE TABLE host (key TEXT PRIMARY KEY, doc TEXT NOT NULL CHECK (json_valid(doc))) WITHOUT ROWID;"
    "CREATE TABLE entries (key TEXT PRIMARY KEY, doc TEXT NOT NULL CHECK (json_valid(doc))) WITHOUT ROWID;"
    "CREATE TABLE relations (key TEXT PRIMARY KEY, doc TEXT NOT NULL CHECK (json_valid(doc))) WITHOUT ROWID;"
    "CREATE TABLE definitions (key TEXT PRIMARY KEY, doc TEXT NOT NULL) WITHOUT ROWID;"
    "CREATE TABLE jobs (key TEXT PRIMARY KEY, doc TEXT NOT NULL CHECK (json_valid(doc))) WITHOUT ROWID;"
    "CREATE TABLE statistics (key TEXT PRIMARY KEY, doc TEXT NOT NULL CHECK (json_valid(doc))) WITHOUT ROWID;",
    "CREATE TABLE churn (key TEXT PRIMARY KEY, doc TEXT NOT NULL CHECK (json_valid(doc))) WITHOUT ROWID;",
    "CREATE TABLE addresses (key TEXT PRIMARY KEY, doc TEXT NOT NULL CHECK (json_valid(doc))) WITHOUT ROWID;",
    "CREATE TABLE groups (key TEXT PRIMARY KEY, doc TEXT NOT NULL CHECK (json_valid(doc))) WITHOUT ROWID;",
};

enum statement { PUT, REMOVE, GET, LIST, LIST_RANGE, REMOVE_RANGE, STATEMENTS };

struct db {
    GMutex lock; /* a leaf: nothing else is locked under it */
    sqlite3 *handle;
    sqlite3_stmt *prepared[DB_TABLES][STATEMENTS];
    char *path;
    GHashTable *late[DB_TABLES]; /* key -> document that is not written yet */
    guint64 transactions;
    guint fail; /* for tests */
    void (*changed)(void *user);
    void *changed_user;
};

static gboolean
refuse(struct db *db, const char *what, GError **err)
{
    const int code = sqlite3_errcode(db->handle) & 0xff;
    const enum err_code ours = code == SQLITE_FULL ? ERR_NO_SPACE
        : code == SQLITE_BUSY || code == SQLITE_LOCKED ? ERR_IN_USE
        : code == SQLITE_CORRUPT || code == SQLITE_NOTADB ? ERR_CORRUPT
        : code == SQLITE_NOMEM ? ERR_NO_MEMORY
        : ERR_IO;
    return err_set(err, ours, "Database '%s' cannot %s: %s.", db->path, what, sqlite3_errmsg(db->handle));
}

static bool
execute(struct db *db, const char *sql, GError **err)
{
    return sqlite3_exec(db->handle, sql, NULL, NULL, NULL) == SQLITE_OK || refuse(db, "be prepared", err);
}

static bool
version(struct db *db, int *out, GError **err)
{
    sqlite3_stmt *s = NULL;
    const bool ok = sqlite3_prepare_v2(db->handle, "PRAGMA user_version", -1, &s, NULL) == SQLITE_OK && sqlite3_step(s) == SQLITE_ROW;
    if (ok)
        *out = sqlite3_column_int(s, 0);
    sqlite3_finalize(s);
    return ok || refuse(db, "tell its version", err);
}

static bool
migrate(struct db *db, GError **err)
{
    const int newest = G_N_ELEMENTS(MIGRATIONS);
    int now = 0;
    if (!version(db, &now, err))
        return false;
    if (now > newest)
        return err_set(err, ERR_NOT_SUPPORTED, "Database '%s' has version %d, this program knows %d; install the newer program.", db->path,
                       now, newest);
    for (; now < newest; now++) {
        g_autofree char *sql = g_strdup_printf("BEGIN IMMEDIATE; %s PRAGMA user_version = %d; COMMIT;", MIGRATIONS[now], now + 1);
        if (!execute(db, sql, err)) {
            sqlite3_exec(db->handle, "ROLLBACK", NULL, NULL, NULL);
            return false;
        }
    }
    return true;
}

static bool
prepare(struct db *db, GError **err)
{
    static const char *const SQL[STATEMENTS] = {
        [PUT] = "INSERT INTO %s (key, doc) VALUES (?1, ?2) ON CONFLICT (key) DO UPDATE SET doc = ?2",
        [REMOVE] = "DELETE FROM %s WHERE key = ?1",
        [GET] = "SELECT doc FROM %s WHERE key = ?1",
        [LIST] = "SELECT doc FROM %s ORDER BY key",
        [LIST_RANGE] = "SELECT doc FROM %s WHERE key >= ?1 AND key < ?2 ORDER BY key",
        [REMOVE_RANGE] = "DELETE FROM %s WHERE key >= ?1 AND key < ?2",
    };
    for (guint t = 0; t < DB_TABLES; t++)
        for (guint s = 0; s < STATEMENTS; s++) {
            g_autoptr(GString) sql = g_string_new(SQL[s]);
            g_string_replace(sql, "%s", NAMES[t], 0);
            if (sqlite3_prepare_v3(db->handle, sql->str, -1, SQLITE_PREPARE_PERSISTENT, &db->prepared[t][s], NULL) != SQLITE_OK)
                return refuse(db, "prepare a statement", err);
        }
    return true;
}

struct db *
db_open(const char *path, GError **err)
{
    struct db *db = g_new0(struct db, 1);
    g_mutex_init(&db->lock);
    db->path = g_strdup(path);
    for (guint t = 0; t < DB_TABLES; t++)
        db->late[t] = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    const bool opened = sqlite3_open_v2(path, &db->handle, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_FULLMUTEX, NULL) ==
                            SQLITE_OK ||
                        refuse(db, "be opened", err);
    /* EXCLUSIVE: a second daemon on the same folder is refused instead of sharing. */
    if (opened &&
        execute(db, "PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON;",
                err) &&
        migrate(db, err) && prepare(db, err))
        return db;
    db_close(db);
    return NULL;
}

void
db_close(struct db *db)
{
    if (!db)
        return;
    for (guint t = 0; t < DB_TABLES; t++)
        for (guint s = 0; s < STATEMENTS; s++)
            sqlite3_finalize(db->prepared[t][s]);
    sqlite3_close(db->handle);
    for (guint t = 0; t < DB_TABLES; t++)
        g_hash_table_unref(db->late[t]);
    g_mutex_clear(&db->lock);
    g_free(db->path);
    g_free(db);
}

static sqlite3_stmt *
bound_locked(struct db *db, enum db_table table, enum statement which, const char *key, const char *doc)
{
    sqlite3_stmt *s = db->prepared[table][which];
    if (key)
        sqlite3_bind_text(s, 1, key, -1, SQLITE_STATIC);
    if (doc)
        sqlite3_bind_text(s, 2, doc, -1, SQLITE_STATIC);
    return s;
}

static void
release_locked(sqlite3_stmt *s)
{
    sqlite3_reset(s);
    sqlite3_clear_bindings(s);
}

static bool
may_write_locked(struct db *db, GError **err)
{
    if (!db->fail)
        return true;
    db->fail--;
    return err_set(err, ERR_NO_SPACE, "Database '%s' cannot be written: no space left (injected by a test).", db->path);
}

static bool
step_locked(struct db *db, enum db_table table, enum statement which, const char *key, const char *doc, GError **err)
{
    sqlite3_stmt *s = bound_locked(db, table, which, key, doc);
    const bool ok = sqlite3_step(s) == SQLITE_DONE || refuse(db, "be written", err);
    release_locked(s);
    return ok;
}

static bool
change(struct db *db, enum db_table table, enum statement which, const char *key, const char *doc, GError **err)
{
    HOLD(&db->lock);
    if (!may_write_locked(db, err) || !step_locked(db, table, which, key, doc, err))
        return false;
    db->transactions++;
    g_hash_table_remove(db->late[table], key); /* it is older */
    return true;
}

static guint
late_locked(const struct db *db)
{
    guint sum = 0;
    for (guint t = 0; t < DB_TABLES; t++)
        sum += g_hash_table_size(db->late[t]);
    return sum;
}

static bool
put_all_locked(struct db *db, GError **err)
{
    for (guint t = 0; t < DB_TABLES; t++) {
        GHashTableIter it;
        gpointer key, doc;
        g_hash_table_iter_init(&it, db->late[t]);
        while (g_hash_table_iter_next(&it, &key, &doc))
            if (!step_locked(db, t, PUT, key, doc, err))
                return false;
    }
    return true;
}

static bool
flush_locked(struct db *db, GError **err)
{
    if (!late_locked(db))
        return true;
    if (!may_write_locked(db, err) || !execute(db, "BEGIN IMMEDIATE", err))
        return false;
    if (!put_all_locked(db, err) || !execute(db, "COMMIT", err)) {
        sqlite3_exec(db->handle, "ROLLBACK", NULL, NULL, NULL);
        return false;
    }
    db->transactions++;
    for (guint t = 0; t < DB_TABLES; t++)
        g_hash_table_remove_all(db->late[t]);
    return true;
}

bool
db_flush(struct db *db, GError **err)
{
    HOLD(&db->lock);
    return flush_locked(db, err);
}

guint64
db_transactions(struct db *db)
{
    HOLD(&db->lock);
    return db->transactions;
}

void
db_on_change(struct db *db, void (*changed)(void *user), void *user)
{
    db->changed = changed;
    db->changed_user = user;
}

static bool
told(const struct db *db)
{
    if (db->changed)
        db->changed(db->changed_user);
    return true;
}

bool
db_put(struct db *db, enum db_table table, const char *key, const char *doc, GError **err)
{
    return change(db, table, PUT, key, doc, err) && told(db);
}

void
db_put_late(struct db *db, enum db_table table, const char *key, const char *doc)
{
    {
        HOLD(&db->lock);
        g_hash_table_replace(db->late[table], g_strdup(key), g_strdup(doc));
    }
    told(db);
}

bool
db_remove(struct db *db, enum db_table table, const char *key, GError **err)
{
    return change(db, table, REMOVE, key, NULL, err) && told(db);
}

bool
db_get(struct db *db, enum db_table table, const char *key, char **doc, GError **err)
{
    HOLD(&db->lock);
    const char *late = g_hash_table_lookup(db->late[table], key);
    if (late) {
        *doc = g_strdup(late);
        return true;
    }
    sqlite3_stmt *s = bound_locked(db, table, GET, key, NULL);
    const int step = sqlite3_step(s);
    *doc = step == SQLITE_ROW ? g_strdup((const char *)sqlite3_column_text(s, 0)) : NULL;
    const bool ok = step == SQLITE_ROW || step == SQLITE_DONE || refuse(db, "be read", err);
    release_locked(s);
    return ok;
}

static GPtrArray *
list(struct db *db, enum db_table table, enum statement which, const char *from, const char *to, GError **err)
{
    HOLD(&db->lock);
    if (!flush_locked(db, err))
        return NULL;
    sqlite3_stmt *s = bound_locked(db, table, which, from, to);
    GPtrArray *out = g_ptr_array_new_with_free_func(g_free);
    int step;
    while ((step = sqlite3_step(s)) == SQLITE_ROW)
        g_ptr_array_add(out, g_strdup((const char *)sqlite3_column_text(s, 0)));
    const bool ok = step == SQLITE_DONE || refuse(db, "be read", err);
    release_locked(s);
    if (!ok)
        g_clear_pointer(&out, g_ptr_array_unref);
    return out;
}

GPtrArray *
db_list(struct db *db, enum db_table table, GError **err)
{
    return list(db, table, LIST, NULL, NULL, err);
}

GPtrArray *
db_list_range(struct db *db, enum db_table table, const char *from, const char *to, GError **err)
{
    return list(db, table, LIST_RANGE, from, to, err);
}

static gboolean
between(gpointer key, gpointer doc, gpointer range)
{
    const char *const *r = range;
    return strcmp(key, r[0]) >= 0 && strcmp(key, r[1]) < 0;
}

bool
db_remove_range(struct db *db, enum db_table table, const char *from, const char *to, GError **err)
{
    const char *range[] = { from, to };
    HOLD(&db->lock);
    if (!may_write_locked(db, err) || !step_locked(db, table, REMOVE_RANGE, from, to, err))
        return false;
    db->transactions++;
    g_hash_table_foreach_remove(db->late[table], between, range);
    return true;
}

void
db_fail_for_test(struct db *db, guint count)
{
    HOLD(&db->lock);
    db->fail = count;
}
