/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/err.h"
#include "cim/query.h"

#include <string.h>

#define HOST "HOST-A"

/* The instance that every condition below is asked about. */
static struct cim_instance *
sample(void)
{
    struct cim_instance *i = cim_instance_new(cim_class_find(NULL, "Msvm_ComputerSystem"));
    cim_set_string(i, "Name", "6BA7B810-9DAD-11D1-80B4-00C04FD430C8");
    cim_set_string(i, "ElementName", "web [1] 100% M\303\274ller");
    cim_set_string(i, "Description", "Microsoft:GUID\\HVR\\0");
    cim_set_string(i, "Caption", "it's");
    cim_set_uint(i, "EnabledState", 3);
    cim_set_uint(i, "OnTimeInMilliseconds", G_MAXUINT64);
    cim_set_time(i, "InstallDate", 1396507550000000);
    return i;
}

static const struct {
    const char *condition;
    bool matches;
} conditions[] = {
    {"Name != __SERVER ", true},
    {"Name = '6ba7b810-9dad-11d1-80b4-00c04fd430c8'", true},
    {"Name = \"6BA7B810-9DAD-11D1-80B4-00C04FD430C8\"", true},
    {"name<>'x' and ELEMENTNAME <> 'y'", true},
    {"Name != __SERVER AND (EnabledState = 0 or EnabledState = 3 or EnabledState = 32769) ", true},
    {"Name != __SERVER AND (EnabledState != 0 and EnabledState != 3 and EnabledState != 32769) ", false},
    {"EnabledState = '3'", true},
    {"EnabledState = 3.0", true},
    {"EnabledState = '3x'", false},
    {"EnabledState != 'nan'", false},
    {"EnabledState < 4 AND EnabledState <= 3 AND EnabledState > 2 AND EnabledState >= 3", true},
    {"EnabledState > -1", true},
    {"3 = EnabledState AND 4 > EnabledState AND 2 < EnabledState AND 3 >= EnabledState AND 3 <= EnabledState", true},
    {"'x' <> Name AND 4 != EnabledState", true},
    {"4 < EnabledState", false},
    {"OnTimeInMilliseconds = 18446744073709551615", true},
    {"OnTimeInMilliseconds = 18446744073709551614", false},
    {"OnTimeInMilliseconds > 9223372036854775807", true},
    /* precedence and parentheses */
    {"EnabledState = 3 OR EnabledState = 2 AND EnabledState = 9", true},
    {"(EnabledState = 3 OR EnabledState = 2) AND EnabledState = 9", false},
    {"NOT EnabledState = 2", true},
    {"NOT (EnabledState = 3)", false},
    {"NOT NOT EnabledState = 3", true},
    {"NOT EnabledState = 2 AND EnabledState = 3", true},
    /* strings, escapes */
    {"Description = 'Microsoft:GUID\\\\HVR\\\\0'", true},
    {"Description = 'Microsoft:GUIDHVR0'", false},
    {"Caption = 'it\\'s'", true},
    {"Caption = \"it's\"", true},
    {"Caption = ''", false},
    {"Description < 'microsoft:h' AND Description > 'A'", true},
    /* LIKE */
    {"ElementName LIKE 'web%'", true},
    {"ElementName LIKE 'WEB%M_LLER'", true},
    {"ElementName LIKE '%M\303\234LLER'", true},
    {"ElementName LIKE '%'", true},
    {"ElementName LIKE 'web'", false},
    {"ElementName LIKE 'w_b%'", true},
    {"ElementName LIKE '%[[]1]%'", true},
    {"ElementName LIKE '%[0-9]%'", true},
    {"ElementName LIKE '[a-v]%'", false},
    {"ElementName LIKE '[^a-v]%'", true},
    {"ElementName LIKE '%[%]%'", true},
    {"ElementName LIKE '%[xyz]'", false},
    {"ElementName NOT LIKE 'db%'", true},
    {"NOT ElementName LIKE 'db%'", true},
    {"EnabledState LIKE '_'", true},
    {"Description LIKE 'Microsoft:%\\\\0'", true},
    {"OtherEnabledState LIKE '%'", false},
    {"ElementName LIKE ''", false},
    /* null is unknown */
    {"OtherEnabledState IS NULL", true},
    {"OtherEnabledState IS NOT NULL", false},
    {"Name IS NOT NULL", true},
    {"OtherEnabledState = NULL", true},
    {"Name <> NULL", true},
    {"OtherEnabledState = 'x'", false},
    {"OtherEnabledState <> 'x'", false},
    {"NOT OtherEnabledState = 'x'", false},
    {"OtherEnabledState = 'x' OR EnabledState = 3", true},
    {"NOT (OtherEnabledState = 'x' AND EnabledState = 2)", true},
    {"NOT (OtherEnabledState = 'x' OR EnabledState = 2)", false},
    /* names of the system */
    {"__CLASS = 'msvm_computersystem'", true},
    {"__THIS ISA 'CIM_ComputerSystem'", true},
    {"__THIS ISA 'CIM_Service'", false},
    {"__SERVER = 'host-a'", true},
    {"__NAMESPACE = 'root/virtualization/v2'", true},
    {"__PATH = '\\\\\\\\HOST-A\\\\root\\\\virtualization\\\\v2:Msvm_ComputerSystem.CreationClassName=\"Msvm_ComputerSystem\","
     "Name=\"6ba7b810-9dad-11d1-80b4-00c04fd430c8\"'",
     true},
    {"__PATH = "
     "'root/virtualization/v2:Msvm_ComputerSystem.Name=\"6BA7B810-9DAD-11D1-80B4-00C04FD430C8\",CreationClassName=\"Msvm_ComputerSystem\"'",
     true},
    {"__PATH = 'Msvm_ComputerSystem.Name=\"x\",CreationClassName=\"Msvm_ComputerSystem\"'", false},
    {"__PATH = 'no path'", false},
    /* datetimes and booleans */
    {"InstallDate = '20140403064550.000000+000'", true},
    {"InstallDate < '2014-04-03T06:45:51Z'", true},
    {"InstallDate > '20150101000000.000000+000'", false},
    {"InstallDate = 'x'", false},
    {"__CLASS = TRUE", false},
};

static void
test_conditions(void)
{
    cim_instance_auto i = sample();
    for (guint n = 0; n < G_N_ELEMENTS(conditions); n++) {
        g_autoptr(GError) err = NULL;
        g_autofree char *text = g_strconcat("  select * From Msvm_ComputerSystem WHERE ", conditions[n].condition, NULL);
        struct cim_query *q = cim_query_parse(text, &err);
        g_test_message("%s", text);
        g_assert_no_error(err);
        g_assert_true(cim_query_check(q, i->cls, NULL));
        g_assert_true(cim_query_matches(q, i, HOST) == conditions[n].matches);
        cim_query_free(q);
    }
}

static void
test_select(void)
{
    struct cim_query *all = cim_query_parse("SELECT * FROM Win32_OperatingSystem ", NULL);
    g_assert_true(all->kind == CIM_SELECT && !all->select && !all->where);
    g_assert_cmpstr(all->cls, ==, "Win32_OperatingSystem");
    cim_query_free(all);
    struct cim_query *some = cim_query_parse("SELECT ElementName, InstallDate ,__PATH\nFROM Msvm_ComputerSystem", NULL);
    const struct cim_class *c = cim_class_find(NULL, "Msvm_ComputerSystem");
    g_assert_cmpuint(some->select->len, ==, 3);
    g_assert_cmpstr(g_ptr_array_index(some->select, 1), ==, "InstallDate");
    g_assert_true(cim_query_check(some, c, NULL));
    cim_query_free(some);
    static const char *const unknown[] = {"SELECT Nope FROM C", "SELECT * FROM C WHERE Nope = 1",
                                          "SELECT * FROM C WHERE Name = 'x' OR NOT (Nope IS NULL)", "SELECT * FROM C WHERE Name = Nope"};
    for (guint i = 0; i < G_N_ELEMENTS(unknown); i++) {
        g_autoptr(GError) err = NULL;
        struct cim_query *q = cim_query_parse(unknown[i], NULL);
        g_assert_true(!cim_query_check(q, c, &err) && err_is(err, ERR_BAD_QUERY) && strstr(err->message, "'Nope'"));
        g_assert_true(cim_query_check(q, cim_class_find(NULL, "CIM_System"), NULL));
        cim_query_free(q);
    }
}

static void
test_of(void)
{
    g_autoptr(GError) err = NULL;
    struct cim_query *q = cim_query_parse("ASSOCIATORS OF {Msvm_ComputerSystem.CreationClassName='Msvm_ComputerSystem',Name='a}b'} "
                                          "WHERE AssocClass = Msvm_SettingsDefineState ResultClass = Msvm_VirtualSystemSettingData "
                                          "Role=ManagedElement "
                                          "ResultRole = \"SettingData\" ",
                                          &err);
    g_assert_no_error(err);
    g_assert_true(q->kind == CIM_ASSOCIATORS);
    g_assert_cmpstr(cim_path_get(q->source, "Name"), ==, "a}b");
    g_assert_cmpstr(q->assoc_class, ==, "Msvm_SettingsDefineState");
    g_assert_cmpstr(q->result_class, ==, "Msvm_VirtualSystemSettingData");
    g_assert_cmpstr(q->role, ==, "ManagedElement");
    g_assert_cmpstr(q->result_role, ==, "SettingData");
    cim_query_free(q);
    q = cim_query_parse("references of {\\\\H\\root\\virtualization\\v2:Msvm_ConcreteJob.InstanceID=\"Microsoft:G\\\\0\"} where "
                        "resultclass=Msvm_OwningJobElement",
                        &err);
    g_assert_no_error(err);
    g_assert_true(q->kind == CIM_REFERENCES && !q->role);
    g_assert_cmpstr(cim_path_get(q->source, "InstanceID"), ==, "Microsoft:G\\0");
    cim_query_free(q);
}

static void
test_refused(void)
{
    static const struct {
        const char *text, *says; /* what the message must contain */
    } rows[] = {
        {"", "position 1"},
        {"   ", "SELECT"},
        {"SELECT", "position 7"},
        {"SELECT * ", "FROM"},
        {"SELECT * FROM", "class"},
        {"SELECT a b FROM C", "position 10"},
        {"SELECT a, FROM C", "FROM"},
        {"SELECT * FROM C ORDER BY Name", "position 17: ORDER is not supported"},
        {"SELECT * FROM C WHERE a = '\303\274\303\266' order by a", "position 32: ORDER is not supported"},
        {"SELECT * FROM C WHERE a = 1 order by a", "position 29: ORDER is not supported"},
        {"SELECT * FROM C GROUP WITHIN 5", "position 17: GROUP is not supported"},
        {"SELECT * FROM C WHERE", "property"},
        {"SELECT * FROM C WHERE Name", "comparison"},
        {"SELECT * FROM C WHERE Name =", "value"},
        {"SELECT * FROM C WHERE Name = 'x", "does not end"},
        {"SELECT * FROM C WHERE Name == 'x'", "value"},
        {"SELECT * FROM C WHERE (Name = 'x'", "')'"},
        {"SELECT * FROM C WHERE Name = 'x')", "end here"},
        {"SELECT * FROM C WHERE Name = 'x' 'y'", "end here"},
        {"SELECT * FROM C WHERE Name LIKE 5", "pattern"},
        {"SELECT * FROM C WHERE Name NOT 'x'", "LIKE"},
        {"SELECT * FROM C WHERE Name IS 5", "NULL"},
        {"SELECT * FROM C WHERE Name ISA x", "quotes"},
        {"SELECT * FROM C WHERE 5 = 5", "property"},
        {"SELECT * FROM C WHERE 5", "comparison"},
        {"SELECT * FROM C WHERE a = 5x", "number"},
        {"SELECT * FROM C WHERE a = 99999999999999999999", "too large"},
        {"SELECT * FROM C WHERE a = 1 AND", "property"},
        {"SELECT * FROM C WHERE a # 1", "not expected"},
        {"SELECT * FROM C; DROP", "not expected"},
        {"DELETE FROM C", "SELECT"},
        {"SELECT * FROM C WHERE Name = \377", "UTF-8"},
        {"SELECT count(*) FROM C", "FROM"},
        {"ASSOCIATORS {C.K='x'}", "OF"},
        {"ASSOCIATORS OF C", "braces"},
        {"ASSOCIATORS OF {C.K='x'", "does not end"},
        {"ASSOCIATORS OF {C.K=}", "malformed"},
        {"ASSOCIATORS OF {C.K='x'} WHERE", "expected"},
        {"ASSOCIATORS OF {C.K='x'} WHERE ResultClass", "= and a name"},
        {"ASSOCIATORS OF {C} ORDER", "position 20: ORDER is not supported"},
        {"ASSOCIATORS OF {C} more", "end here"},
        {"ASSOCIATORS OF {C.K='x'} WHERE ResultClass=A ResultClass=B", "not possible"},
        {"ASSOCIATORS OF {C.K='x'} WHERE ClassDefsOnly", "position 32: ClassDefsOnly is not supported"},
        {"ASSOCIATORS OF {C.K='x'} WHERE ResultClass=A classdefsonly", "ClassDefsOnly is not supported"},
        {"ASSOCIATORS OF {C.K='x'} WHERE SchemaOnly", "SchemaOnly is not supported"},
        {"ASSOCIATORS OF {C.K='x'} WHERE KeysOnly", "KeysOnly is not supported"},
        {"ASSOCIATORS OF {C.K='x'} WHERE RequiredQualifier = Key", "RequiredQualifier is not supported"},
        {"ASSOCIATORS OF {C.K='x'} WHERE RequiredAssocQualifier = Association", "RequiredAssocQualifier is not supported"},
        {"ASSOCIATORS OF {C.K='x'} ClassDefsOnly", "ClassDefsOnly is not supported"},
        {"REFERENCES OF {C.K='x'} WHERE SchemaOnly", "SchemaOnly is not supported"},
        {"REFERENCES OF {C.K=}", "position 15: The object path"},
        {"REFERENCES OF {C.K='x'} WHERE AssocClass = A", "not possible"},
        {"REFERENCES OF {C.K='x'} WHERE ResultRole = A", "not possible"},
    };
    for (guint i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autoptr(GError) err = NULL;
        g_autofree char *shown = g_strescape(rows[i].text, NULL);
        g_test_message("%s", shown);
        g_assert_null(cim_query_parse(rows[i].text, &err));
        g_assert_null(cim_query_parse(rows[i].text, NULL));
        g_assert_true(err_is(err, ERR_BAD_QUERY));
        g_assert_nonnull(strstr(err->message, rows[i].says));
    }
}

/* start, then `count` times piece, then end */
static struct cim_query *
parse_long(const char *start, guint count, const char *piece, const char *middle, const char *closing, GError **err)
{
    g_autoptr(GString) text = g_string_new(start);
    for (guint i = 0; i < count; i++)
        g_string_append(text, piece);
    g_string_append(text, middle);
    for (guint i = 0; *closing && i < count; i++)
        g_string_append(text, closing);
    return cim_query_parse(text->str, err);
}

static void
test_limits(void)
{
    static const char from[] = "SELECT * FROM C WHERE ";
    struct cim_query *deep = parse_long(from, 63, "(", "a = 1", ")", NULL);
    g_assert_nonnull(deep);
    cim_query_free(deep);
    static const struct {
        guint count;
        const char *piece, *middle, *closing, *says;
    } rows[] = {
        {64, "(", "a = 1", ")", "too deeply"},           {5000, "(", "", "", "too deeply"},
        {5000, "NOT ", "a = 1", "", "too deeply"},       {5000, "a = 1 OR ", "a = 1", "", "too long"},
        {8000, "a = 1 OR ", "a = 1", "", "longer than"},
    };
    for (guint i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autoptr(GError) err = NULL;
        g_assert_null(parse_long(from, rows[i].count, rows[i].piece, rows[i].middle, rows[i].closing, &err));
        g_assert_true(err_is(err, ERR_BAD_QUERY));
        g_assert_nonnull(strstr(err->message, rows[i].says));
    }
    /* a pattern that would be exponential for a naive matcher */
    cim_instance_auto i = sample();
    g_autofree char *name = g_strnfill(2000, 'a');
    cim_set_string(i, "ElementName", name);
    struct cim_query *q = parse_long("SELECT * FROM C WHERE ElementName LIKE '", 500, "%a", "b'", "", NULL);
    gint64 start = g_get_monotonic_time();
    g_assert_false(cim_query_matches(q, i, HOST));
    g_assert_cmpint(g_get_monotonic_time() - start, <, 5 * G_TIME_SPAN_SECOND);
    cim_query_free(q);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/cim/query/conditions", test_conditions);
    g_test_add_func("/cim/query/select", test_select);
    g_test_add_func("/cim/query/of", test_of);
    g_test_add_func("/cim/query/refused", test_refused);
    g_test_add_func("/cim/query/limits", test_limits);
    return g_test_run();
}
