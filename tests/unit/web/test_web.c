/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "site.h"

#include <string.h>

/* The JSON API as clients see it, over real HTTP: reading, methods, refusals, who may. */

static struct site site;

static json_t *
at(const struct answer *a, const char *list, guint i)
{
    return json_array_get(json_object_get(a->json, list), i);
}

static const char *
text(const json_t *o, const char *name)
{
    return json_string_value(json_object_get(o, name));
}

static void
get(const char *target, struct answer *out)
{
    site_call(&site, "GET", target, BOSS, NULL, out);
}

static void
test_root(void)
{
    answer_auto a = {0}, classes = {0}, one = {0};
    get("/api/v1", &a);
    g_assert_cmpuint(a.status, ==, 200);
    g_assert_nonnull(strstr(a.head, "Content-Type: application/json\r\n"));
    g_assert_nonnull(strstr(a.head, "Cache-Control: no-store\r\n"));
    g_assert_null(strcasestr(a.head, "Access-Control"));
    g_assert_cmpstr(answer_text(&a, "host"), ==, FAKE_HOST);
    get(answer_text(&a, "classes"), &classes);
    g_assert_cmpuint(json_array_size(json_object_get(classes.json, "items")), ==, cim_class_count);
    get("/api/v1/classes/root/virtualization/v2/msvm_replicationservice", &one);
    g_assert_cmpuint(one.status, ==, 200);
    g_assert_cmpuint(json_array_size(json_object_get(one.json, "methods")), >=, 29);
    g_assert_cmpstr(answer_text(&one, "instances"), ==, V2 "Msvm_ReplicationService");
}

static void
test_openapi(void)
{
    answer_auto a = {0};
    get("/api/v1/openapi.json", &a);
    g_assert_cmpuint(a.status, ==, 200);
    g_assert_cmpstr(answer_text(&a, "openapi"), ==, "3.1.0");
    const json_t *paths = json_object_get(a.json, "paths");
    g_assert_nonnull(json_object_get(paths, "/root/virtualization/v2/Msvm_ReplicationService/{key}/InitiateFailover"));
    /* Every class, and every method, has its place. */
    for (guint i = 0; i < cim_class_count; i++) {
        const struct cim_class *c = &cim_classes[i];
        g_autofree char *list = g_strdup_printf("/%s/%s", c->ns, c->name);
        g_assert_nonnull(json_object_get(paths, list));
        for (guint m = 0; m < c->method_count; m++) {
            g_autofree char *method = g_strdup_printf("/%s/%s/{key}/%s", c->ns, c->name, c->methods[m].name);
            g_assert_nonnull(json_object_get(json_object_get(paths, method), "post"));
        }
    }
}

static void
test_list(void)
{
    static const struct {
        const char *target;
        guint count;
        const char *name; /* ElementName of the first */
    } rows[] = {
        {V2 "Msvm_ComputerSystem", 4, "web"}, /* by path: GUIDs before the host's name */
        {V2 "Msvm_ComputerSystem/", 4, "web"},
        {V2 "CIM_ComputerSystem", 4, "web"},
        {V2 "Msvm_ComputerSystem?where=ElementName%3D'db'", 1, "db"},
        {V2 "Msvm_ComputerSystem?where=ReplicationMode+%3E+0", 2, "web"},
        {V2 "Msvm_ComputerSystem?where=EnabledState=2+AND+ElementName+LIKE+'d%25'", 1, "db"},
        {V2 "Msvm_ComputerSystem?where=ElementName='nobody'", 0, NULL},
        {V2 "Msvm_ReplicationRelationship", 3, "web"},
        {V2 "Msvm_ComputerSystem/" WEB "/associators", 3 + 2, NULL},
        {V2 "Msvm_ComputerSystem/" WEB "/associators?resultClass=Msvm_ReplicationRelationship", 1, "web"},
        {V2 "Msvm_ComputerSystem/" WEB "/associators?assocClass=Msvm_SnapshotOfVirtualSystem&role=Antecedent", 3, NULL},
        {V2 "Msvm_ComputerSystem/" WEB "/associators?assocClass=Msvm_SnapshotOfVirtualSystem&resultRole=Antecedent", 0, NULL},
        {V2 "Msvm_ComputerSystem/" WEB "/references?resultClass=Msvm_SnapshotOfVirtualSystem", 3, NULL},
    };
    for (guint i = 0; i < G_N_ELEMENTS(rows); i++) {
        answer_auto a = {0};
        get(rows[i].target, &a);
        g_test_message("%s: %.300s", rows[i].target, a.body);
        g_assert_cmpuint(a.status, ==, 200);
        g_assert_cmpuint(json_array_size(json_object_get(a.json, "items")), ==, rows[i].count);
        g_assert_cmpint(json_integer_value(json_object_get(a.json, "total")), ==, rows[i].count);
        g_assert_true(json_is_null(json_object_get(a.json, "next")));
        if (rows[i].name)
            g_assert_cmpstr(text(at(&a, "items", 0), "ElementName"), ==, rows[i].name);
    }
}

static void
test_instance(void)
{
    answer_auto a = {0}, b = {0}, c = {0}, d = {0};
    get(V2 "Msvm_ComputerSystem/" WEB, &a);
    g_assert_cmpuint(a.status, ==, 200);
    g_assert_cmpstr(answer_text(&a, "ElementName"), ==, "web");
    g_assert_cmpstr(answer_text(&a, "@class"), ==, "Msvm_ComputerSystem");
    g_assert_cmpstr(answer_text(&a, "@id"), ==, V2 "Msvm_ComputerSystem/" WEB);
    g_assert_cmpstr(answer_text(&a, "InstallDate"), ==, "2026-11-18T11:06:40Z");
    g_assert_cmpint(json_integer_value(json_object_get(a.json, "ProcessID")), ==, 4711);
    g_assert_cmpuint(json_array_size(json_object_get(a.json, "OperationalStatus")), ==, 2);
    g_assert_true(json_is_null(json_object_get(a.json, "OtherEnabledState")));
    get(V2 "msvm_computersystem/Name=" WEB ";CreationClassName=Msvm_ComputerSystem?select=ElementName,EnabledState", &b);
    g_assert_cmpuint(b.status, ==, 200);
    g_assert_cmpuint(json_object_size(b.json), ==, 4);
    get(V2 "Msvm_ReplicationService/@", &c);
    g_assert_cmpuint(c.status, ==, 200);
    get(answer_text(&c, "@id"), &d);
    g_assert_true(json_equal(c.json, d.json));
}

/* Every object of the lists is found where its @id says. */
static void
test_ids(void)
{
    static const char *const classes[] = {"Msvm_ComputerSystem",           "Msvm_ReplicationService", "Msvm_ReplicationRelationship",
                                          "Msvm_VirtualSystemSettingData", "Msvm_ElementSettingData", "Msvm_SnapshotOfVirtualSystem"};
    for (guint i = 0; i < G_N_ELEMENTS(classes); i++) {
        g_autofree char *target = g_strconcat(V2, classes[i], NULL);
        answer_auto list = {0};
        get(target, &list);
        g_assert_cmpuint(json_array_size(json_object_get(list.json, "items")), >, 0);
        for (guint n = 0; n < json_array_size(json_object_get(list.json, "items")); n++) {
            answer_auto one = {0};
            get(text(at(&list, "items", n), "@id"), &one);
            g_assert_cmpuint(one.status, ==, 200);
            g_assert_true(json_equal(one.json, at(&list, "items", n)));
        }
    }
}

static void
test_pages(void)
{
    g_autofree char *target = g_strdup(V2 "Msvm_ComputerSystem?where=Name+IS+NOT+NULL&limit=1&select=Name");
    guint pages = 0;
    g_autoptr(GString) names = g_string_new(NULL);
    while (target) {
        answer_auto a = {0};
        get(target, &a);
        g_assert_cmpuint(a.status, ==, 200);
        g_assert_cmpuint(json_array_size(json_object_get(a.json, "items")), ==, 1);
        g_assert_cmpint(json_integer_value(json_object_get(a.json, "total")), ==, 4);
        g_string_append_printf(names, "%s ", text(at(&a, "items", 0), "Name"));
        g_free(target);
        target = g_strdup(answer_text(&a, "next"));
        pages++;
    }
    g_assert_cmpuint(pages, ==, 4);
    g_assert_cmpstr(names->str, ==, WEB " " DB " " NEW " " FAKE_HOST " ");
    static const char *const bad[] = {"cursor=", "cursor=!", "cursor=YWJj", "cursor=YQ", "limit=0", "limit=1001", "limit=x", "limit=-1"};
    for (guint i = 0; i < G_N_ELEMENTS(bad); i++) {
        g_autofree char *wrong = g_strconcat(V2 "Msvm_ComputerSystem?", bad[i], NULL);
        answer_auto a = {0};
        get(wrong, &a);
        g_assert_cmpuint(a.status, ==, 400);
        g_assert_cmpstr(answer_text(&a, "code"), ==, "invalid-parameter");
    }
}

#define SERVICE V2 "Msvm_ReplicationService/@/"
#define SYSTEM(id) "{\"ComputerSystem\": \"" V2 "Msvm_ComputerSystem/" id "\"}"

static void
test_method(void)
{
    answer_auto job = {0}, done = {0}, refused = {0}, empty = {0};
    g_free(fake_calls(site.fake)); /* only those from here on */
    site_call(&site, "POST", SERVICE "InitiateFailover", BOSS JSON,
              "{\"ComputerSystem\": {\"@class\": \"Msvm_ComputerSystem\", \"Name\": \"" WEB "\"}, \"SnapshotSettingData\": null}", &job);
    g_test_message("%s%s", job.head, job.body);
    g_assert_cmpuint(job.status, ==, 202);
    g_assert_cmpint(json_integer_value(json_object_get(job.json, "ReturnValue")), ==, 4096);
    g_assert_true(json_is_null(json_object_get(job.json, "reason")));
    g_autofree char *location = g_strdup_printf("Location: %s\r\n", answer_text(&job, "Job"));
    g_assert_nonnull(strstr(job.head, location));
    get(answer_text(&job, "Job"), &done);
    g_assert_cmpuint(done.status, ==, 200);
    g_assert_cmpstr(answer_text(&done, "@class"), ==, "Msvm_ConcreteJob");
    site_call(&site, "POST", SERVICE "initiatefailover", BOSS JSON, SYSTEM(DB), &refused);
    g_assert_cmpuint(refused.status, ==, 409);
    g_assert_nonnull(strstr(refused.head, "Content-Type: application/problem+json\r\n"));
    g_assert_cmpint(json_integer_value(json_object_get(refused.json, "ReturnValue")), ==, 32775);
    g_assert_cmpstr(answer_text(&refused, "code"), ==, "invalid-state");
    g_assert_cmpstr(answer_text(&refused, "reason"), ==, "'db' is no replica on this host. Call this on the other one.");
    g_assert_cmpstr(answer_text(&refused, "detail"), ==, answer_text(&refused, "reason"));
    g_assert_nonnull(answer_text(&refused, "nextStep"));
    g_assert_true(json_is_null(json_object_get(refused.json, "Job")));
    site_call(&site, "POST", V2 "Msvm_ComputerSystem/" WEB "/RequestStateChange", BOSS JSON, "", &empty);
    g_assert_cmpint(json_integer_value(json_object_get(empty.json, "ReturnValue")), ==, 32773); /* RequestedState is missing */
    g_assert_cmpuint(empty.status, ==, 400);
    g_autofree char *made = fake_calls(site.fake);
    g_assert_nonnull(strstr(made, "InitiateFailover(ComputerSystem="));
    g_assert_nonnull(strstr(made, "-> 4096\n"));
}

/* Settings go in as an object and come out as they were. */
static void
test_settings(void)
{
    answer_auto a = {0}, list = {0}, bad = {0};
    site_call(&site, "POST", SERVICE "ModifyServiceSettings", BOSS "content-type: Application/JSON; charset=utf-8\r\n",
              "{\"SettingData\": {\"@class\": \"Msvm_ReplicationServiceSettingData\", \"RecoveryServerEnabled\": true,"
              "\"MonitoringInterval\": 43200}}",
              &a);
    g_test_message("%s", a.body);
    g_assert_cmpuint(a.status, ==, 200);
    g_assert_cmpint(json_integer_value(json_object_get(a.json, "ReturnValue")), ==, 0);
    get(V2 "Msvm_ReplicationServiceSettingData", &list);
    g_assert_true(json_is_true(json_object_get(at(&list, "items", 0), "RecoveryServerEnabled")));
    site_call(&site, "POST", SERVICE "ModifyServiceSettings", BOSS JSON, "{\"SettingData\": {\"RecoveryServerEnabled\": \"yes\"}}", &bad);
    g_assert_cmpuint(bad.status, ==, 400);
    g_assert_cmpint(json_integer_value(json_object_get(bad.json, "ReturnValue")), ==, 32776);
    g_assert_nonnull(strstr(answer_text(&bad, "reason"), "'SettingData.RecoveryServerEnabled'"));
}

static void
test_refusals(void)
{
    static const struct {
        const char *method, *target, *headers, *body;
        guint status;
        const char *code;
    } rows[] = {
        {"GET", "/api/v1/nothing", BOSS, NULL, 404, "no-such-url"},
        {"GET", V2 "Msvm_Nothing", BOSS, NULL, 404, "no-such-class"},
        {"GET", V2 "Msvm_ComputerSystem/nobody", BOSS, NULL, 404, "no-such-instance"},
        {"GET", V2 "Msvm_ComputerSystem/nobody/associators", BOSS, NULL, 404, "no-such-instance"},
        {"GET", V2 "Msvm_ComputerSystem/@", BOSS, NULL, 400, "invalid-parameter"}, /* more than one */
        {"GET", V2 "Msvm_ComputerSystem/Nothing=x", BOSS, NULL, 400, "invalid-parameter"},
        {"GET", V2 "Msvm_ComputerSystem/%zz", BOSS, NULL, 400, "malformed"},
        {"GET", V2 "Msvm_ComputerSystem?where=Name+=+", BOSS, NULL, 400, "bad-query"},
        {"GET", V2 "Msvm_ComputerSystem?where=Nothing+=+1", BOSS, NULL, 400, "bad-query"},
        {"GET", V2 "Msvm_ComputerSystem?select=Nothing", BOSS, NULL, 400, "invalid-parameter"},
        {"GET", V2 "Msvm_ComputerSystem?select=Name;", BOSS, NULL, 400, "invalid-parameter"},
        {"GET", V2 "Msvm_ComputerSystem?nothing=1", BOSS, NULL, 400, "invalid-parameter"},
        {"GET", V2 "Msvm_ComputerSystem?limit=1&limit=2", BOSS, NULL, 400, "invalid-parameter"},
        {"GET", "/api/v1?x=y", BOSS, NULL, 400, "invalid-parameter"},
        {"GET", SERVICE "InitiateFailover", BOSS, NULL, 405, "wrong-http-method"},
        {"POST", V2 "Msvm_ComputerSystem", BOSS JSON, "{}", 405, "wrong-http-method"},
        {"DELETE", V2 "Msvm_ComputerSystem/" WEB, BOSS, NULL, 405, "wrong-http-method"},
        {"PUT", V2 "Msvm_ComputerSystem/" WEB, BOSS JSON, "{}", 405, "wrong-http-method"},
        {"PATCH", "/api/v1", BOSS JSON, "{}", 405, "wrong-http-method"},
        {"POST", SERVICE "InitiateFailover", BOSS, "{}", 415, "wrong-content-type"},
        {"POST", SERVICE "InitiateFailover", BOSS "Content-Type: text/plain\r\n", "{}", 415, "wrong-content-type"},
        {"POST", SERVICE "InitiateFailover", BOSS "Content-Type: application/jsonp\r\n", "{}", 415, "wrong-content-type"},
        {"POST", SERVICE "InitiateFailover", BOSS "Content-Type: application/x-www-form-urlencoded\r\n", "a=b", 415, "wrong-content-type"},
        {"POST", SERVICE "InitiateFailover", BOSS JSON, "{", 400, "malformed"},
        {"POST", SERVICE "InitiateFailover", BOSS JSON, "[]", 400, "malformed"},
        {"POST", SERVICE "InitiateFailover", BOSS JSON, "[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]", 413, "too-big"},
        {"POST", SERVICE "InitiateFailover", BOSS JSON, "{\"Nothing\": 1}", 400, "invalid-parameter"},
        {"POST", SERVICE "InitiateFailover", BOSS JSON, "{\"Job\": null}", 400, "invalid-parameter"},
        {"POST", SERVICE "InitiateFailover?x=1", BOSS JSON, "{}", 400, "invalid-parameter"},
        {"POST", SERVICE "InitiateFailover", BOSS JSON, "{}", 400, "invalid-parameter"},                   /* missing */
        {"POST", SERVICE "InitiateFailover", BOSS JSON, "{\"ComputerSystem\": 5}", 400, "invalid-type"},   /* undecodable */
        {"POST", SERVICE "InitiateFailover", GUEST JSON, "{\"ComputerSystem\": 5}", 403, "access-denied"}, /* access first */
        {"POST", SERVICE "Nothing", BOSS JSON, "{}", 404, "no-such-method"},
        {"POST", V2 "Msvm_ReplicationService/Name=other/InitiateFailover", BOSS JSON, "{}", 404, "no-such-instance"},
        {"GET", "/api/v1", "", NULL, 401, "not-authenticated"},
        {"GET", "/api/v1/openapi.json", "", NULL, 401, "not-authenticated"},
        {"GET", "/api/v1/nothing", "", NULL, 401, "not-authenticated"},
        {"POST", SERVICE "InitiateFailover", JSON, "{}", 401, "not-authenticated"},
        {"GET", "/api/v1/events?class=Msvm_ComputerSystem", "", NULL, 401, "not-authenticated"},
        {"GET", "/api/v1/events?class=Msvm_ComputerSystem", BOSS, NULL, 501, "not-supported"}, /* this site has none */
    };
    for (guint i = 0; i < G_N_ELEMENTS(rows); i++) {
        answer_auto a = {0};
        site_call(&site, rows[i].method, rows[i].target, rows[i].headers, rows[i].body, &a);
        g_test_message("%s %s: %s", rows[i].method, rows[i].target, a.body);
        g_assert_cmpuint(a.status, ==, rows[i].status);
        g_assert_nonnull(strstr(a.head, "Content-Type: application/problem+json\r\n"));
        g_assert_cmpstr(answer_text(&a, "code"), ==, rows[i].code);
        g_assert_cmpint(json_integer_value(json_object_get(a.json, "status")), ==, rows[i].status);
        g_assert_true(g_str_has_prefix(answer_text(&a, "type"), "urn:vmreplica:problem:"));
        g_assert_true(answer_text(&a, "title") && answer_text(&a, "detail") && answer_text(&a, "nextStep"));
        g_assert_true((strstr(a.head, "WWW-Authenticate: ") != NULL) == (a.status == 401));
        g_assert_true((strstr(a.head, "Allow: ") != NULL) == (a.status == 405));
    }
}

static void
test_big_body(void)
{
    answer_auto a = {0};
    g_autofree char *spaces = g_strnfill((256 << 10) + 1, ' ');
    site_call(&site, "POST", SERVICE "InitiateFailover", BOSS JSON, spaces, &a);
    g_assert_cmpuint(a.status, ==, 413);
    g_assert_cmpstr(answer_text(&a, "code"), ==, "too-big");
}

/* A reader reads; what he may not, dispatch says. */
static void
test_roles(void)
{
    answer_auto list = {0}, post = {0};
    site_call(&site, "GET", V2 "Msvm_ComputerSystem", GUEST, NULL, &list);
    g_assert_cmpuint(list.status, ==, 200);
    site_call(&site, "POST", SERVICE "InitiateFailover", GUEST JSON, SYSTEM(WEB), &post);
    g_assert_cmpuint(post.status, ==, 403);
    g_assert_cmpint(json_integer_value(json_object_get(post.json, "ReturnValue")), ==, 32769);
    g_assert_cmpstr(answer_text(&post, "code"), ==, "access-denied");
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    site_open(&site, NULL, 0);
    g_test_add_func("/web/root", test_root);
    g_test_add_func("/web/openapi", test_openapi);
    g_test_add_func("/web/list", test_list);
    g_test_add_func("/web/instance", test_instance);
    g_test_add_func("/web/ids", test_ids);
    g_test_add_func("/web/pages", test_pages);
    g_test_add_func("/web/method", test_method);
    g_test_add_func("/web/settings", test_settings);
    g_test_add_func("/web/refusals", test_refusals);
    g_test_add_func("/web/big-body", test_big_body);
    g_test_add_func("/web/roles", test_roles);
    int result = g_test_run();
    site_close(&site);
    return result;
}
