/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <stdbool.h>

/* The control records of this host, in SQLite: WAL, synchronous=FULL, so what db_put returned true for survives a power cut.
 *
 * What db_put_late took survives the death of this process only after db_flush: many records are then one transaction, one flush of the
 * disk.  Only for what can be found out again (late.h says which): acknowledgements and statistics.  Who reads, puts or removes meanwhile
 * finds it as if it had been written.
 *
 * Each table maps a key to a JSON document (repl/record.h): one row is one record, and nothing ever needs two rows to change
 * together.  The schema has a version; an older database is migrated at open, a newer one is refused.
 *
 * The only file of the tree that knows SQLite.  Any thread; one statement at a time. */

enum db_table { DB_HOST, DB_ENTRIES, DB_RELATIONS, DB_DEFINITIONS, DB_JOBS, DB_STATISTICS, DB_CHURN, DB_ADDRESSES, DB_GROUPS, DB_TABLES };

struct db;
struct db *db_open(const char *path, GError **err); /* ERR_IN_USE: another daemon has it */
void db_close(struct db *db); /* NULL is fine */

bool db_put(struct db *db, enum db_table table, const char *key, const char *doc, GError **err);
void db_put_late(struct db *db, enum db_table table, const char *key, const char *doc);
/* All of them, or none and they stay late. */
bool db_flush(struct db *db, GError **err);
bool db_remove(struct db *db, enum db_table table, const char *key, GError **err); /* absent is success */
/* *doc NULL: no such key. g_free. */
bool db_get(struct db *db, enum db_table table, const char *key, char **doc, GError **err);
/* Documents in the order of their keys; g_ptr_array_unref frees them. */
GPtrArray *db_list(struct db *db, enum db_table table, GError **err);
/* Keys from `from` up to, not including, `to`. */
GPtrArray *db_list_range(struct db *db, enum db_table table, const char *from, const char *to, GError **err);
bool db_remove_range(struct db *db, enum db_table table, const char *from, const char *to, GError **err);
/* Called after every change, in the thread that made it; once, before others use the database. */
void db_on_change(struct db *db, void (*changed)(void *user), void *user);
guint64 db_transactions(struct db *db); /* so far */
/* For tests: the next `count` writes fail with ERR_NO_SPACE. */
void db_fail_for_test(struct db *db, guint count);
