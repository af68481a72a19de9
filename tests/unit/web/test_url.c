/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/err.h"
#include "web/url.h"

#include <string.h>

#define V2 "/api/v1/root/virtualization/v2/"

static void
test_kinds(void)
{
    static const struct {
        const char *target;
        enum url_kind kind;
        const char *path, *method; /* the path as text; NULL: none */
    } rows[] = {
        {"/api/v1", URL_ROOT, NULL, NULL},
        {"/api/v1/", URL_ROOT, NULL, NULL},
        {"/api/v1?x=y", URL_ROOT, NULL, NULL},
        {"/api/v1/openapi.json", URL_OPENAPI, NULL, NULL},
        {"/api/v1/events?class=x", URL_EVENTS, NULL, NULL},
        {"/api/v1/classes", URL_CLASSES, NULL, NULL},
        {"/api/v1/classes/", URL_CLASSES, NULL, NULL},
        {"/api/v1/classes/root/cimv2/win32_operatingsystem", URL_CLASS, NULL, NULL},
        {V2 "Msvm_ComputerSystem", URL_LIST, NULL, NULL},
        {V2 "Msvm_ComputerSystem/", URL_LIST, NULL, NULL},
        {"/api/v1/ROOT/Virtualization/V2/msvm_computersystem", URL_LIST, NULL, NULL},
        {V2 "Msvm_ComputerSystem/ab-C", URL_INSTANCE, "root\\virtualization\\v2:Msvm_ComputerSystem.Name=\"ab-C\"", NULL},
        {V2 "Msvm_ComputerSystem/Name=x", URL_INSTANCE, "root\\virtualization\\v2:Msvm_ComputerSystem.Name=\"x\"", NULL},
        {V2 "Msvm_ComputerSystem/a%3Db%2Fc%3bd", URL_INSTANCE, "root\\virtualization\\v2:Msvm_ComputerSystem.Name=\"a=b/c;d\"", NULL},
        {V2 "Msvm_ComputerSystem/a+b", URL_INSTANCE, "root\\virtualization\\v2:Msvm_ComputerSystem.Name=\"a+b\"", NULL},
        {V2 "Msvm_ReplicationService/@", URL_INSTANCE, "root\\virtualization\\v2:Msvm_ReplicationService", NULL},
        {V2 "Msvm_ComputerSystem/%40", URL_INSTANCE, "root\\virtualization\\v2:Msvm_ComputerSystem.Name=\"@\"", NULL},
        {V2 "Msvm_ReplicationService/Name=a;SystemName=b%5cc/InitiateFailover", URL_METHOD,
         "root\\virtualization\\v2:Msvm_ReplicationService.Name=\"a\",SystemName=\"b\\\\c\"", "InitiateFailover"},
        {V2 "Msvm_ComputerSystem/x/Associators?role=y", URL_ASSOCIATORS, "root\\virtualization\\v2:Msvm_ComputerSystem.Name=\"x\"",
         "Associators"},
        {V2 "Msvm_ComputerSystem/x/references", URL_REFERENCES, "root\\virtualization\\v2:Msvm_ComputerSystem.Name=\"x\"", "references"},
        {V2 "CIM_ComputerSystem/Name=x", URL_INSTANCE, "root\\virtualization\\v2:CIM_ComputerSystem.Name=\"x\"", NULL},
    };
    for (guint i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autoptr(GError) err = NULL;
        url_auto u = {0};
        g_test_message("%s", rows[i].target);
        g_assert_true(url_parse(rows[i].target, &u, &err));
        g_assert_no_error(err);
        g_assert_cmpint(u.kind, ==, rows[i].kind);
        g_autofree char *path = u.path ? cim_path_text(u.path) : NULL;
        g_assert_cmpstr(path, ==, rows[i].path);
        g_assert_cmpstr(u.method, ==, rows[i].method);
    }
}

static void
test_refused(void)
{
    static const struct {
        const char *target;
        enum err_code error;
    } rows[] = {
        {"/", ERR_NOT_FOUND},
        {"*", ERR_NOT_FOUND},
        {"/api/v11", ERR_NOT_FOUND},
        {"/api/v1//", ERR_NOT_FOUND},
        {"/api/v1/nothing", ERR_NOT_FOUND},
        {"/api/v1/openapi.json/more", ERR_NOT_FOUND},
        {"/api/v1/root/virtualization/v2", ERR_NOT_FOUND},
        {"/api/v1/root/nothing/Msvm_ComputerSystem", ERR_NOT_FOUND},
        {V2 "Msvm_Nothing", ERR_NO_SUCH_CLASS},
        {V2 "Win32_OperatingSystem", ERR_NO_SUCH_CLASS}, /* of another namespace */
        {"/api/v1/classes/root/cimv2/Msvm_ComputerSystem", ERR_NO_SUCH_CLASS},
        {V2 "Msvm_ComputerSystem/x/y/z", ERR_NOT_FOUND},
        {V2 "Msvm_ComputerSystem//y", ERR_NO_SUCH_INSTANCE}, /* an empty name: parsed, never found */
        {V2 "Msvm_ComputerSystem/a%", ERR_MALFORMED},
        {V2 "Msvm_ComputerSystem/a%4", ERR_MALFORMED},
        {V2 "Msvm_ComputerSystem/a%4g", ERR_MALFORMED},
        {V2 "Msvm_ComputerSystem/a%00b", ERR_MALFORMED},
        {V2 "Msvm_ComputerSystem/%ff", ERR_MALFORMED},
        {V2 "Msvm_ComputerSystem?a=%zz", ERR_MALFORMED},
        {V2 "Msvm_ReplicationService/replicasvc", ERR_INVALID_PARAMETER}, /* two keys: by name */
        {V2 "Msvm_ReplicationService/Name=a;Name=b", ERR_INVALID_PARAMETER},
        {V2 "Msvm_ReplicationService/Name=a;", ERR_INVALID_PARAMETER},
        {V2 "Msvm_ReplicationService/a%20b=c", ERR_INVALID_PARAMETER},
        {"/api/v1?1=&2=&3=&4=&5=&6=&7=&8=&9=&0=&1=&2=&3=&4=&5=&6=&7=&8=&9=&0=&1=&2=&3=&4=&5=&6=&7=&8=&9=&0=&1=&2=&3=&4=", ERR_TOO_BIG},
    };
    for (guint i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autoptr(GError) err = NULL;
        url_auto u = {0};
        g_test_message("%s", rows[i].target);
        bool fine = url_parse(rows[i].target, &u, &err);
        if (rows[i].error == ERR_NO_SUCH_INSTANCE)
            g_assert_true(fine && g_str_equal(cim_path_get(u.path, "Name"), ""));
        else
            g_assert_true(!fine && err_is(err, rows[i].error));
    }
}

static void
test_query(void)
{
    g_autoptr(GError) err = NULL;
    url_auto u = {0};
    g_assert_true(url_parse(V2 "Msvm_ComputerSystem?where=a+%3D%20'b%26c'&&select=&x=1=2", &u, NULL));
    g_assert_cmpstr(url_query(&u, "WHERE"), ==, "a = 'b&c'");
    g_assert_cmpstr(url_query(&u, "select"), ==, "");
    g_assert_cmpstr(url_query(&u, "x"), ==, "1=2");
    g_assert_null(url_query(&u, "y"));
    g_assert_true(url_check_query(&u, "where select x", NULL));
    g_assert_false(url_check_query(&u, "where select", &err));
    g_assert_true(err_is(err, ERR_INVALID_PARAMETER));
    url_clear(&u);
    g_clear_error(&err);
    g_assert_true(url_parse("/api/v1?a=1&A=2", &u, NULL));
    g_assert_false(url_check_query(&u, "a", &err));
    g_assert_nonnull(strstr(err->message, "twice"));
}

/* What is written is read as the same object. */
static void
test_round(void)
{
    static const struct {
        const char *path, *url;
    } rows[] = {
        {"Msvm_ComputerSystem.CreationClassName=\"Msvm_ComputerSystem\",Name=\"AB\"", V2 "Msvm_ComputerSystem/AB"},
        {"msvm_computersystem.Name=\"a/b c%=;@\"", V2 "Msvm_ComputerSystem/a%2Fb%20c%25%3D%3B%40"},
        {"Msvm_ComputerSystem.Name=\".\"", V2 "Msvm_ComputerSystem/Name=."},
        {"Msvm_ComputerSystem.Name=\"\"", V2 "Msvm_ComputerSystem/Name="},
        {"Msvm_ReplicationRelationship.InstanceID=\"Microsoft:X\\\\HVR\\\\0\"", V2 "Msvm_ReplicationRelationship/Microsoft:X%5CHVR%5C0"},
        {"Msvm_ReplicationService.Name=\"r\",SystemName=\"h\303\274\",CreationClassName=\"x\"",
         V2 "Msvm_ReplicationService/Name=r;SystemName=h%C3%BC"},
        {"Msvm_ReplicationService", V2 "Msvm_ReplicationService/@"},
        {"Win32_OperatingSystem.Name=\"x\"", "/api/v1/root/cimv2/Win32_OperatingSystem/x"},
    };
    for (guint i = 0; i < G_N_ELEMENTS(rows); i++) {
        cim_path_auto path = cim_path_parse(rows[i].path, NULL);
        g_autofree char *url = url_of(path, NULL);
        g_assert_cmpstr(url, ==, rows[i].url);
        g_autoptr(GError) err = NULL;
        cim_path_auto back = url_reference(url, &err);
        g_assert_no_error(err);
        g_autofree char *again = url_of(back, NULL);
        g_assert_cmpstr(again, ==, url);
        for (guint k = 0; k < back->keys->len; k++) {
            const struct cim_key *key = g_ptr_array_index(back->keys, k);
            g_assert_cmpstr(key->value, ==, cim_path_get(path, key->name));
        }
    }
}

static void
test_reference(void)
{
    cim_path_auto plain = url_reference("\\\\HOST\\root\\virtualization\\v2:Msvm_ComputerSystem.Name='x'", NULL);
    g_assert_cmpstr(plain->cls, ==, "Msvm_ComputerSystem");
    cim_path_auto unknown = cim_path_parse("Their_Class.Name=\"x\"", NULL);
    g_autofree char *text = url_of(unknown, "root/virtualization/v2");
    g_assert_cmpstr(text, ==, "Their_Class.Name=\"x\"");
    static const char *const wrong[] = {"",
                                        "/api/v1",
                                        V2 "Msvm_ComputerSystem",
                                        V2 "Msvm_ComputerSystem/x/associators",
                                        V2 "Msvm_ComputerSystem/x?a=b",
                                        "http://elsewhere/"};
    for (guint i = 0; i < G_N_ELEMENTS(wrong); i++) {
        g_autoptr(GError) err = NULL;
        g_assert_null(url_reference(wrong[i], &err));
        g_assert_nonnull(err);
    }
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/web/url/kinds", test_kinds);
    g_test_add_func("/web/url/refused", test_refused);
    g_test_add_func("/web/url/query", test_query);
    g_test_add_func("/web/url/round", test_round);
    g_test_add_func("/web/url/reference", test_reference);
    return g_test_run();
}
