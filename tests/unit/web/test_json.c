/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/err.h"
#include "base/xml.h"
#include "cim/cimxml.h"
#include "web/json.h"

#include <stdlib.h>
#include <string.h>

#define V2 "/api/v1/root/virtualization/v2/"

static char *
dump(json_t *takes)
{
    char *text = json_dumps(takes, JSON_COMPACT | JSON_ENCODE_ANY | JSON_SORT_KEYS), *copy = g_strdup(text);
    free(text);
    json_decref(takes);
    return copy;
}

static json_t *
load(const char *text)
{
    json_t *j = json_loads(text, JSON_DECODE_ANY, NULL);
    g_assert_nonnull(j);
    return j;
}

/* Text to value to text. */
static void
test_values(void)
{
    static const struct {
        enum cim_type type;
        bool array;
        const char *in, *out; /* out NULL: refused */
    } rows[] = {
        {CIM_BOOLEAN, false, "true", "true"},
        {CIM_BOOLEAN, false, "1", NULL},
        {CIM_BOOLEAN, false, "\"true\"", NULL},
        {CIM_UINT8, false, "255", "255"},
        {CIM_UINT8, false, "256", NULL},
        {CIM_UINT8, false, "-1", NULL},
        {CIM_UINT8, false, "1.0", NULL},
        {CIM_UINT8, false, "\"1\"", NULL},
        {CIM_SINT8, false, "-128", "-128"},
        {CIM_SINT8, false, "-129", NULL},
        {CIM_UINT16, false, "65535", "65535"},
        {CIM_UINT16, false, "65536", NULL},
        {CIM_SINT16, false, "32768", NULL},
        {CIM_UINT32, false, "4294967295", "4294967295"},
        {CIM_UINT32, false, "4294967296", NULL},
        {CIM_SINT32, false, "-2147483648", "-2147483648"},
        {CIM_SINT32, false, "-2147483649", NULL},
        {CIM_UINT64, false, "9007199254740992", "9007199254740992"},
        {CIM_UINT64, false, "9007199254740993", "\"9007199254740993\""},
        {CIM_UINT64, false, "\"18446744073709551615\"", "\"18446744073709551615\""},
        {CIM_UINT64, false, "\"7\"", "7"},
        {CIM_UINT64, false, "\"18446744073709551616\"", NULL},
        {CIM_UINT64, false, "\"\"", NULL},
        {CIM_UINT64, false, "\"1 \"", NULL},
        {CIM_UINT64, false, "-1", NULL},
        {CIM_SINT64, false, "\"-9223372036854775808\"", "\"-9223372036854775808\""},
        {CIM_SINT64, false, "\"-9223372036854775809\"", NULL},
        {CIM_SINT64, false, "-9007199254740992", "-9007199254740992"},
        {CIM_REAL64, false, "1", "1.0"},
        {CIM_REAL64, false, "-2.5", "-2.5"},
        {CIM_REAL32, false, "1e300", NULL},
        {CIM_REAL64, false, "\"1\"", NULL},
        {CIM_STRING, false, "\"a\\u00fc\\n\"", "\"a\303\274\\n\""},
        {CIM_STRING, false, "\"\"", "\"\""},
        {CIM_STRING, false, "5", NULL},
        {CIM_STRING, false, "{}", NULL},
        {CIM_STRING, false, "null", "null"},
        {CIM_DATETIME, false, "\"2026-11-23T21:00:00+01:00\"", "\"2026-11-23T20:00:00Z\""},
        {CIM_DATETIME, false, "\"20261123210000.500000+060\"", "\"2026-11-23T20:00:00.500000Z\""},
        {CIM_DATETIME, false, "\"PT90M\"", "\"P0DT1H30M0S\""},
        {CIM_DATETIME, false, "\"tomorrow\"", NULL},
        {CIM_DATETIME, false, "0", NULL},
        {CIM_REFERENCE, false, "\"" V2 "Msvm_ComputerSystem/AB\"", "\"" V2 "Msvm_ComputerSystem/AB\""},
        {CIM_REFERENCE, false, "\"Msvm_ComputerSystem.Name=\\\"AB\\\"\"", "\"" V2 "Msvm_ComputerSystem/AB\""},
        {CIM_REFERENCE, false, "{\"@class\": \"Msvm_ComputerSystem\", \"Name\": \"AB\"}", "\"" V2 "Msvm_ComputerSystem/AB\""},
        {CIM_REFERENCE, false, "{\"@class\": \"CIM_ComputerSystem\", \"Name\": \"AB\"}", "\"" V2 "CIM_ComputerSystem/Name=AB\""},
        {CIM_REFERENCE, false, "{\"@id\": \"" V2 "Msvm_ComputerSystem/AB\", \"Name\": 5}", "\"" V2 "Msvm_ComputerSystem/AB\""},
        {CIM_REFERENCE, false, "{\"@class\": \"Msvm_ComputerSystem\", \"Name\": null}", NULL},
        {CIM_REFERENCE, false, "{\"@class\": \"Msvm_ComputerSystem\", \"Nothing\": \"x\"}", NULL},
        {CIM_REFERENCE, false, "{\"@class\": \"Msvm_Nothing\", \"Name\": \"x\"}", NULL},
        {CIM_REFERENCE, false, "{\"Name\": \"x\"}", NULL},
        {CIM_REFERENCE, false, "{\"@id\": \"/elsewhere\"}", NULL},
        {CIM_REFERENCE, false, "\"/elsewhere\"", NULL},
        {CIM_REFERENCE, false, "\"no path!\"", NULL},
        {CIM_REFERENCE, false, "7", NULL},
        {CIM_UINT16, true, "[1,2,null]", "[1,2,null]"},
        {CIM_UINT16, true, "[]", "[]"},
        {CIM_UINT16, true, "null", "null"},
        {CIM_UINT16, true, "1", NULL},
        {CIM_UINT16, true, "[1,[2]]", NULL},
        {CIM_UINT16, false, "[1]", NULL},
        {CIM_STRING, true, "[\"a\",\"\"]", "[\"a\",\"\"]"},
    };
    for (guint i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autoptr(GError) err = NULL;
        struct cim_value v;
        auto_json j = load(rows[i].in);
        bool fine = web_json_read(j, rows[i].type, rows[i].array, NULL, "Thing", &v, &err);
        g_test_message("%s as %s: %s", rows[i].in, cim_type_name(rows[i].type), err ? err->message : "fine");
        g_assert_true(fine == (rows[i].out != NULL) && fine == (err == NULL));
        if (!fine) {
            g_assert_true(err_is(err, ERR_INVALID_TYPE) || err_is(err, ERR_INVALID_PARAMETER) || err_is(err, ERR_MALFORMED));
            continue;
        }
        g_autofree char *text = dump(web_json_value(&v, "root/virtualization/v2", NULL));
        g_assert_cmpstr(text, ==, rows[i].out);
        cim_value_clear(&v);
    }
}

/* Errors name the property. */
static void
test_names(void)
{
    static const struct {
        const char *in, *says;
        enum err_code error;
    } rows[] = {
        {"{\"RecoveryHistory\": 70000}", "'Data.RecoveryHistory'", ERR_INVALID_TYPE},
        {"{\"RecoveryHistory\": \"1\"}", "'Data.RecoveryHistory'", ERR_INVALID_TYPE},
        {"{\"IncludedDisks\": [\"a\", 5]}", "'Data.IncludedDisks'", ERR_INVALID_TYPE},
        {"{\"Recovery\": 1}", "no property 'Recovery'", ERR_INVALID_PARAMETER},
        {"{\"@class\": \"Msvm_ComputerSystem\"}", "of class 'Msvm_ComputerSystem', but 'Msvm_ReplicationSettingData'", ERR_INVALID_TYPE},
        {"{\"@class\": 5}", "'Data'", ERR_INVALID_TYPE},
        {"{\"@other\": 5}", "no property '@other'", ERR_INVALID_PARAMETER},
        {"[]", "'Data'", ERR_INVALID_TYPE},
    };
    for (guint i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autoptr(GError) err = NULL;
        struct cim_value v;
        auto_json j = load(rows[i].in);
        g_assert_false(web_json_read(j, CIM_STRING, false, "Msvm_ReplicationSettingData", "Data", &v, &err));
        g_test_message("%s", err->message);
        g_assert_true(err_is(err, rows[i].error));
        g_assert_nonnull(strstr(err->message, rows[i].says));
    }
}

/* An embedded instance keeps apart what was given, given as null, and not given. */
static void
test_embedded(void)
{
    g_autoptr(GError) err = NULL;
    struct cim_value v;
    auto_json j = load("{\"@id\": null, \"@class\": \"msvm_replicationsettingdata\", \"RecoveryHistory\": 4,"
                       "\"recoveryconnectionpoint\": null,"
                       "\"IncludedDisks\": [\"<&>\"], \"AutoResynchronizeIntervalStart\": \"PT1H\"}");
    g_assert_true(web_json_read(j, CIM_STRING, false, "Msvm_ReplicationSettingData", "Data", &v, &err));
    g_assert_no_error(err);
    cim_instance_auto i = cim_xml_parse(v.text, "Msvm_ReplicationSettingData", &err);
    g_assert_no_error(err);
    g_assert_cmpuint(cim_get_uint(i, "RecoveryHistory"), ==, 4);
    g_assert_true(cim_given(i, "IncludedDisks") && cim_get(i, "RecoveryConnectionPoint")->null);
    g_assert_false(cim_given(i, "ReplicationInterval")); /* its default was not given */
    json_t *back = web_json_value(&v, NULL, "Msvm_ReplicationSettingData");
    g_assert_cmpstr(json_string_value(json_object_get(back, "@class")), ==, "Msvm_ReplicationSettingData");
    g_assert_cmpstr(json_string_value(json_array_get(json_object_get(back, "IncludedDisks"), 0)), ==, "<&>");
    g_assert_cmpstr(json_string_value(json_object_get(back, "AutoResynchronizeIntervalStart")), ==, "P0DT1H0M0S");
    g_assert_true(json_is_null(json_object_get(back, "@id")) || json_is_string(json_object_get(back, "@id")));
    json_decref(back);
    cim_value_clear(&v);
}

static void
test_instance(void)
{
    cim_instance_auto i = cim_instance_new(cim_class_find(NULL, "Msvm_ComputerSystem"));
    cim_set_string(i, "Name", "AB");
    cim_set_string(i, "ElementName", "no UTF-8: \377");
    g_autoptr(GPtrArray) select = g_ptr_array_new();
    g_ptr_array_add(select, (gpointer)(gsize) "elementname");
    g_ptr_array_add(select, (gpointer)(gsize) "ProcessID");
    g_autofree char *text = dump(web_json_instance(i, select));
    g_assert_cmpstr(text, ==,
                    "{\"@class\":\"Msvm_ComputerSystem\",\"@id\":\"" V2 "Msvm_ComputerSystem/AB\","
                    "\"ElementName\":\"no UTF-8: \357\277\275\",\"ProcessID\":null}");
    json_t *all = web_json_instance(i, NULL);
    g_assert_cmpuint(json_object_size(all), ==, i->cls->property_count + 2);
    json_decref(all);
}

static void
test_documents(void)
{
    static const struct {
        const char *text;
        bool fine;
        enum err_code error;
    } rows[] = {
        {"{}", true, ERR_FAILED},
        {" {\"a\": \"[[[[[[[[[[[[[[[[[[[[[[[[[{\"} ", true, ERR_FAILED},
        {"{\"a\": \"\\\"[[[[[[[[[[[[[[[[[[[[[[[[[{\"} ", true, ERR_FAILED},
        {"", false, ERR_MALFORMED},
        {"{", false, ERR_MALFORMED},
        {"5", false, ERR_MALFORMED},
        {"{} {}", false, ERR_MALFORMED},
        {"{\"a\": 1, \"a\": 2}", false, ERR_MALFORMED},
        {"{\"a\": 99999999999999999999}", false, ERR_MALFORMED},
        {"{\"a\": \"\\u0000\"}", false, ERR_MALFORMED},
        {"{\"a\": \"\377\"}", false, ERR_MALFORMED},
        {"[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]", false, ERR_TOO_BIG},
        {"{'a': 1}", false, ERR_MALFORMED},
    };
    for (guint i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autoptr(GError) err = NULL;
        auto_json j = web_json_parse(rows[i].text, strlen(rows[i].text), &err);
        g_assert_true((j != NULL) == rows[i].fine && (err == NULL) == rows[i].fine);
        g_assert_true(!err || err_is(err, rows[i].error));
    }
    g_autofree char *big = g_strnfill(WEB_JSON_MAX + 1, ' ');
    g_autoptr(GError) err = NULL;
    g_assert_null(web_json_parse(big, strlen(big), &err));
    g_assert_true(err_is(err, ERR_TOO_BIG));
}

static void
test_arguments(void)
{
    static const struct {
        const char *text;
        int error, bad; /* enum err_code, -1: none; index of the argument that is bad, -1: none */
    } rows[] = {
        {"{}", -1, -1},
        {"{\"computersystem\": \"" V2 "Msvm_ComputerSystem/AB\", \"SnapshotSettingData\": null}", -1, -1},
        {"{\"ComputerSystem\": 5}", -1, 0},
        {"{\"SnapshotSettingData\": null, \"ComputerSystem\": []}", -1, 1},
        {"{\"Nothing\": 5}", ERR_INVALID_PARAMETER, -1},
        {"{\"Job\": null}", ERR_INVALID_PARAMETER, -1},
        {"{\"ComputerSystem\": \"x.y='z'\", \"computersystem\": \"x.y='z'\"}", ERR_INVALID_PARAMETER, -1},
        {"[]", ERR_MALFORMED, -1},
    };
    const struct cim_method *m = cim_class_method(cim_class_find(NULL, "Msvm_ReplicationService"), "InitiateFailover");
    for (guint i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autoptr(GError) err = NULL;
        struct cim_args *args = cim_args_new();
        auto_json j = load(rows[i].text);
        g_assert_true(web_json_arguments(j, m, args, &err) == (rows[i].error < 0));
        g_assert_true(rows[i].error < 0 || err_is(err, (enum err_code)rows[i].error));
        for (guint a = 0; !err && a < cim_args_count(args); a++)
            g_assert_true((cim_args_bad(args, a) != NULL) == ((int)a == rows[i].bad));
        cim_args_free(args);
    }
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    xml_init();
    g_test_add_func("/web/json/values", test_values);
    g_test_add_func("/web/json/names", test_names);
    g_test_add_func("/web/json/embedded", test_embedded);
    g_test_add_func("/web/json/instance", test_instance);
    g_test_add_func("/web/json/documents", test_documents);
    g_test_add_func("/web/json/arguments", test_arguments);
    return g_test_run();
}
