/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/err.h"
#include "base/file.h"
#include "repl/db.h"
#include "repl/hourly.h"
#include "repl/entries.h"
#include "repl/record.h"

#include <glib/gstdio.h>
#include <string.h>
#include <unistd.h>

/* What lies in the database: records, tables, authorisation entries. */

struct all {
    char *text;
    char **list;
    guint u;
    gint i;
    guint64 big;
    gint64 wide;
    bool yes;
    struct uuid id;
    char name[UUID_TEXT];
};
#define A(type, member) { #member, RECORD_##type, offsetof(struct all, member) }
static const struct record_field ALL[] = { A(TEXT, text), A(LIST, list), A(UINT, u), A(INT, i), A(U64, big), A(I64, wide), A(BOOL, yes),
                                           A(UUID, id), A(ID, name), { NULL, RECORD_END, 0 } };

static void
test_record(void)
{
    struct all a = { g_strdup("ü\"\n"), g_strsplit("x,y", ",", 0), 7, -7, G_MAXUINT64, G_MININT64, true, uuid_random(), "abc" }, b = { 0 };
    g_autoptr(GError) err = NULL;
    json_t *o = json_object();
    record_pack(o, ALL, &a);
    g_autofree char *doc = record_text(o);
    {
        json_scoped_record back = record_parse(doc, &err);
        g_assert_no_error(err);
        g_assert_true(record_unpack(back, ALL, &b, &err));
    }
    g_assert_cmpstr(a.text, ==, b.text);
    g_assert_cmpstr(b.list[1], ==, "y");
    g_assert_true(a.u == b.u && a.i == b.i && a.big == b.big && a.wide == b.wide && b.yes && uuid_equal(&a.id, &b.id));
    g_assert_cmpstr(b.name, ==, "abc");
    record_clear(ALL, &a);
    record_clear(ALL, &b);
    g_assert_null(b.text);
}

/* Texts and lists as they may come from outside. */
static void
test_record_text(void)
{
    struct all a = { .text = (char *)(guintptr)"\x01\\/\x7f\"",
                     .list = (char *[]){ (char *)(guintptr)"\xff", (char *)(guintptr)"", NULL } };
    g_autofree char *doc = record_doc(ALL, &a);
    g_assert_nonnull(strstr(doc, "{\"text\":\"\\u0001\\u005c/\x7f\\u0022\",\"list\":[\"\"],\"u\":0,"));
    json_scoped_record o = record_parse(doc, NULL);
    g_assert_cmpstr(json_string_value(json_object_get(o, "text")), ==, a.text);
    a.list = (char *[]){ NULL };
    a.text = (char *)(guintptr)"\xff";
    g_autofree char *empty = record_doc(ALL, &a);
    g_assert_true(g_str_has_prefix(empty, "{\"list\":[],"));
    a = (struct all){ 0 };
    g_autofree char *none = record_doc(ALL, &a);
    g_assert_true(g_str_has_prefix(none, "{\"text\":null,\"list\":null,"));
}

static void
bad_record(const char *doc, const char *member)
{
    struct all a = { 0 };
    g_autoptr(GError) err = NULL;
    json_scoped_record o = record_parse(doc, &err);
    g_assert_false(o && record_unpack(o, ALL, &a, &err));
    g_assert_true(err_is(err, ERR_CORRUPT));
    g_assert_nonnull(strstr(err->message, member));
    record_clear(ALL, &a);
}

static void
test_bad_records(void)
{
    bad_record("", "JSON");
    bad_record("[]", "JSON");
    bad_record("{\"u\": 1, \"u\": 2}", "JSON");
    bad_record("{\"text\": 1}", "'text'");
    bad_record("{\"list\": \"x\"}", "'list'");
    bad_record("{\"u\": -1}", "'u'");
    bad_record("{\"u\": 4294967296}", "'u'");
    bad_record("{\"i\": 1.5}", "'i'");
    bad_record("{\"yes\": 1}", "'yes'");
    bad_record("{\"id\": \"zz\"}", "'id'");
    bad_record("{\"name\": \"0123456789012345678901234567890123456789\"}", "'name'");
    struct all a = { .u = 5 };
    json_scoped_record o = record_parse("{\"from the future\": {}}", NULL);
    g_assert_true(record_unpack(o, ALL, &a, NULL));
    g_assert_cmpuint(a.u, ==, 5);
}

/* ---- database ---- */

static char *dir;

static char *
db_path(void)
{
    return g_build_filename(dir, "test.db", NULL);
}

static void
test_db(void)
{
    g_autoptr(GError) err = NULL;
    g_autofree char *path = db_path();
    struct db *db = db_open(path, &err);
    g_assert_no_error(err);
    g_autofree char *doc = NULL;
    g_assert_true(db_get(db, DB_RELATIONS, "k", &doc, &err));
    g_assert_null(doc);
    g_assert_true(db_put(db, DB_RELATIONS, "k2", "{\"n\":2}", &err));
    g_assert_true(db_put(db, DB_RELATIONS, "k", "{\"n\":1}", &err));
    g_assert_true(db_put(db, DB_RELATIONS, "k", "{\"n\":3}", &err));
    g_assert_false(db_put(db, DB_RELATIONS, "k", "nonsense", &err));
    g_assert_true(err_is(err, ERR_IO));
    g_clear_error(&err);
    g_assert_null(db_open(path, &err)); /* a second daemon */
    g_assert_true(err_is(err, ERR_IN_USE));
    g_clear_error(&err);
    db_fail_for_test(db, 1);
    g_assert_false(db_remove(db, DB_RELATIONS, "k", &err));
    g_assert_true(err_is(err, ERR_NO_SPACE));
    g_clear_error(&err);
    db_close(db);
    db = db_open(path, &err);
    g_assert_no_error(err);
    g_autoptr(GPtrArray) all = db_list(db, DB_RELATIONS, &err);
    g_assert_cmpuint(all->len, ==, 2);
    g_assert_cmpstr(all->pdata[0], ==, "{\"n\":3}");
    g_assert_true(db_remove(db, DB_RELATIONS, "k", &err));
    g_assert_true(db_remove(db, DB_RELATIONS, "k", &err));
    db_close(db);
}

static void
expect(struct db *db, const char *key, const char *wanted)
{
    g_autofree char *doc = NULL;
    g_assert_true(db_get(db, DB_RELATIONS, key, &doc, NULL));
    g_assert_cmpstr(doc, ==, wanted);
}

/* Late records are seen at once, written together, and lost by a death before that; none replaces a newer one. */
static void
test_db_late(void)
{
    g_autoptr(GError) err = NULL;
    g_autofree char *path = g_build_filename(dir, "late.db", NULL);
    struct db *db = db_open(path, &err);
    g_assert_true(db_put(db, DB_RELATIONS, "a", "{\"n\":1}", &err));
    db_put_late(db, DB_RELATIONS, "a", "{\"n\":2}");
    expect(db, "a", "{\"n\":2}");
    db_close(db); /* as if the process had died */
    db = db_open(path, &err);
    expect(db, "a", "{\"n\":1}");

    db_put_late(db, DB_RELATIONS, "a", "{\"n\":2}");
    g_assert_true(db_put(db, DB_RELATIONS, "a", "{\"n\":3}", &err));
    db_put_late(db, DB_RELATIONS, "b", "{}");
    g_assert_true(db_remove(db, DB_RELATIONS, "b", &err));
    g_assert_true(db_flush(db, &err));
    expect(db, "a", "{\"n\":3}");
    expect(db, "b", NULL);

    const guint64 before = db_transactions(db);
    for (guint i = 0; i < 100; i++) {
        g_autofree char *key = g_strdup_printf("k%02u", i);
        db_put_late(db, DB_RELATIONS, key, "{}");
        db_put_late(db, DB_STATISTICS, key, "{}");
    }
    db_fail_for_test(db, 1);
    g_assert_false(db_flush(db, &err));
    g_assert_true(err_is(err, ERR_NO_SPACE));
    g_clear_error(&err);
    g_assert_true(db_flush(db, &err));
    g_assert_true(db_flush(db, &err)); /* nothing is left */
    g_assert_cmpuint(db_transactions(db), ==, before + 1);
    db_put_late(db, DB_RELATIONS, "bad", "no JSON");
    g_assert_false(db_flush(db, &err)); /* all or none */
    g_assert_true(db_remove(db, DB_RELATIONS, "bad", NULL));
    db_close(db);
    db = db_open(path, NULL);
    g_autoptr(GPtrArray) all = db_list(db, DB_RELATIONS, NULL);
    g_assert_cmpuint(all->len, ==, 101);
    db_close(db);
}

static json_int_t
member(const json_t *doc, const char *disk, const char *name)
{
    return json_integer_value(json_object_get(json_object_get(json_object_get(doc, "disks"), disk), name));
}

/* Churn by the hour: added up, over a restart in the middle of an hour, bounded, and of one relationship only. */
static void
test_hourly(void)
{
    g_autoptr(GError) err = NULL;
    g_autofree char *path = g_build_filename(dir, "hourly.db", NULL);
    struct db *db = db_open(path, &err);
    const gint64 first = 500000 * G_TIME_SPAN_HOUR;
    struct hourly h = { 0 }, other = { 0 };
    hourly_begin(&other, db, "vm/00", first);
    hourly_disk(&other, "vda", false, 1, 1);
    hourly_save(&other, db, "vm/00");
    hourly_clear(&other);
    hourly_begin(&h, db, "vm/0", first);
    hourly_disk(&h, "vda", false, 8192, 100);
    hourly_disk(&h, "vdb", true, 1 << 20, 5000);
    hourly_cycle(&h, 40);
    hourly_save(&h, db, "vm/0");
    hourly_clear(&h);
    g_assert_true(db_flush(db, &err));
    db_close(db);

    db = db_open(path, &err);
    hourly_begin(&h, db, "vm/0", first + G_TIME_SPAN_MINUTE);
    hourly_disk(&h, "vda", false, 4096, 50);
    hourly_cycle(&h, 2);
    for (guint n = 1; n < 300; n++) {
        hourly_begin(&h, db, "vm/0", first + n * G_TIME_SPAN_HOUR); /* the hour before is put there */
        hourly_disk(&h, "vda", false, n, n);
    }
    g_autoptr(GPtrArray) all = hourly_list(db, "vm/0", first, 0, &err);
    g_assert_cmpuint(all->len, <=, 1); /* the oldest may be gone by now */
    g_autoptr(GPtrArray) day = hourly_list(db, "vm/0", first + 299 * G_TIME_SPAN_HOUR, 24, &err);
    g_assert_cmpuint(day->len, ==, 23); /* the running hour was not saved */
    hourly_save(&h, db, "vm/0");
    g_autoptr(GPtrArray) week = hourly_list(db, "vm/0", first + 299 * G_TIME_SPAN_HOUR, 0, &err);
    g_assert_cmpuint(week->len, ==, HOURLY_KEPT);
    json_scoped_record newest = record_parse(week->pdata[HOURLY_KEPT - 1], &err);
    g_assert_cmpint(member(newest, "vda", "changed"), ==, 299);
    g_autoptr(GPtrArray) kept = db_list(db, DB_CHURN, &err);
    g_assert_cmpuint(kept->len, <=, HOURLY_KEPT + 24 + 1);
    g_assert_true(hourly_forget(db, "vm/0", &err));
    g_autoptr(GPtrArray) left = db_list(db, DB_CHURN, &err);
    g_assert_cmpuint(left->len, ==, 1); /* the other one's */
    hourly_clear(&h);
    db_close(db);
}

static void
test_hourly_sums(void)
{
    g_autofree char *path = g_build_filename(dir, "sums.db", NULL);
    struct db *db = db_open(path, NULL);
    struct hourly h = { 0 };
    for (guint i = 0; i < 3; i++) {
        hourly_begin(&h, db, "r", G_TIME_SPAN_HOUR * 7 + i);
        hourly_disk(&h, "vda", false, 8192, 100);
        hourly_disk(&h, "vdb", true, 1 << 20, 5000);
        hourly_cycle(&h, 40);
    }
    g_assert_cmpint(member(h.doc, "vda", "changed"), ==, 3 * 8192);
    g_assert_cmpint(member(h.doc, "vda", "wire"), ==, 300);
    g_assert_cmpint(member(h.doc, "vdb", "changed"), ==, 0);
    g_assert_cmpint(member(h.doc, "vdb", "copied"), ==, 15000);
    g_assert_cmpint(json_integer_value(json_object_get(h.doc, "overhead")), ==, 120);
    g_assert_cmpint(json_integer_value(json_object_get(h.doc, "cycles")), ==, 3);
    hourly_clear(&h);
    db_close(db);
}

static void
test_db_damaged(void)
{
    g_autoptr(GError) err = NULL;
    g_autofree char *path = g_build_filename(dir, "bad.db", NULL);
    g_assert_true(g_file_set_contents(path, "this is no database, but longer than a header of one hundred bytes would be, "
                                            "so that SQLite looks at it and says what it thinks of it.", -1, NULL));
    g_assert_null(db_open(path, &err));
    g_assert_true(err_is(err, ERR_CORRUPT));
}

/* ---- entries ---- */

static struct repl_entry
entry(const char *host, const char *group)
{
    return (struct repl_entry){ g_strdup(host), g_strdup(group), g_strdup(dir) };
}

static void
add(struct entries *e, const char *host, const char *group, enum err_code code)
{
    g_autoptr(GError) err = NULL;
    struct repl_entry x = entry(host, group);
    const bool ok = entries_add(e, &x, &err);
    if (code == ERR_COUNT)
        g_assert_no_error(err);
    else
        g_assert_true(!ok && err_is(err, code));
    g_free(x.host);
    g_free(x.trust_group);
    g_free(x.location);
}

static char *
match(struct entries *e, const char *name)
{
    char *names[] = { g_strdup(name), NULL };
    const struct net_peer peer = { .names = names };
    g_autoptr(GError) err = NULL;
    struct repl_entry *found = entries_match(e, &peer, &err);
    g_assert_true(found || err_is(err, ERR_PEER_REFUSED));
    char *host = found ? g_strdup(found->host) : NULL;
    repl_entry_free(found);
    g_free(names[0]);
    return host;
}

static void
matches(struct entries *e, const char *name, const char *expected)
{
    g_autofree char *host = match(e, name);
    g_assert_cmpstr(host, ==, expected);
}

static bool
allowed(struct entries *e, const char *name, const char *group)
{
    char *names[] = { g_strdup(name), NULL };
    const struct net_peer peer = { .names = names };
    const bool ok = entries_allow(e, &peer, group, NULL);
    g_free(names[0]);
    return ok;
}

static void
check_bad_entries(struct entries *e)
{
    static const char *const BAD[] = { "", "x*.a.b", "*.*.b", "a..b", "a b", "*a", "*." };
    for (guint i = 0; i < G_N_ELEMENTS(BAD); i++)
        add(e, BAD[i], "g", ERR_INVALID_PARAMETER);
    add(e, "a.b", "", ERR_INVALID_PARAMETER);
    g_autoptr(GError) err = NULL;
    struct repl_entry x = { g_strdup("a.b"), g_strdup("g"), g_strdup("relative") };
    g_assert_false(entries_add(e, &x, &err));
    g_assert_true(err_is(err, ERR_INVALID_PARAMETER));
    g_clear_error(&err);
    g_free(x.location);
    x.location = g_strdup("/nowhere/at/all");
    g_assert_false(entries_add(e, &x, &err));
    g_assert_true(err_is(err, ERR_NOT_FOUND));
    g_free(x.host);
    g_free(x.trust_group);
    g_free(x.location);
}

static void
check_modify(struct entries *e)
{
    g_autoptr(GError) err = NULL;
    struct repl_entry x = { g_strdup("A.EXAMPLE.ORG"), g_strdup("other"), NULL };
    g_assert_true(entries_modify(e, &x, &err));
    g_assert_true(allowed(e, "a.example.org", "other"));
    g_free(x.host);
    x.host = g_strdup("unknown.org");
    g_assert_false(entries_modify(e, &x, &err));
    g_assert_true(err_is(err, ERR_INVALID_PARAMETER));
    g_free(x.host);
    g_free(x.trust_group);
}

static void
test_entries(void)
{
    g_autoptr(GError) err = NULL;
    g_autofree char *path = g_build_filename(dir, "entries.db", NULL);
    struct db *db = db_open(path, &err);
    struct entries *e = entries_load(db, &err);
    g_assert_no_error(err);
    check_bad_entries(e);
    matches(e, "a.example.org", NULL);
    add(e, "*.example.org", "wild", ERR_COUNT);
    add(e, "a.example.org", "one", ERR_COUNT);
    add(e, "A.Example.Org", "one", ERR_INVALID_PARAMETER); /* is there */
    add(e, "*", "DEFAULT", ERR_INVALID_STATE);
    matches(e, "A.EXAMPLE.ORG", "a.example.org");
    matches(e, "b.example.org", "*.example.org");
    matches(e, "b.c.example.org", NULL); /* one label only */
    matches(e, "example.org", NULL);
    g_assert_true(allowed(e, "a.example.org", "wild")); /* any entry of the group */
    g_assert_true(allowed(e, "a.example.org", "one"));
    g_assert_false(allowed(e, "b.example.org", "one"));
    check_modify(e);
    entries_free(e);
    e = entries_load(db, &err);
    matches(e, "b.example.org", "*.example.org");
    g_assert_true(entries_remove(e, "a.example.org", &err));
    g_assert_false(entries_remove(e, "a.example.org", &err));
    g_assert_true(err_is(err, ERR_INVALID_PARAMETER));
    g_clear_error(&err);
    g_assert_true(entries_remove(e, "*.EXAMPLE.org", &err));
    add(e, "*", "DEFAULT", ERR_COUNT);
    add(e, "a.example.org", "one", ERR_INVALID_STATE);
    matches(e, "anybody.at.all", "*");
    g_autoptr(GPtrArray) list = entries_list(e);
    g_assert_cmpuint(list->len, ==, 1);
    entries_free(e);
    db_close(db);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    dir = g_dir_make_tmp("vmr-records-XXXXXX", NULL);
    g_test_add_func("/repl/records/record", test_record);
    g_test_add_func("/repl/records/text", test_record_text);
    g_test_add_func("/repl/records/bad-records", test_bad_records);
    g_test_add_func("/repl/records/db", test_db);
    g_test_add_func("/repl/records/db-late", test_db_late);
    g_test_add_func("/repl/records/hourly", test_hourly);
    g_test_add_func("/repl/records/hourly-sums", test_hourly_sums);
    g_test_add_func("/repl/records/db-damaged", test_db_damaged);
    g_test_add_func("/repl/records/entries", test_entries);
    const int rc = g_test_run();
    g_assert_true(file_remove_tree(dir, NULL));
    g_free(dir);
    return rc;
}
