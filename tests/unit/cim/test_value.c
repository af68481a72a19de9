/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/err.h"
#include "cim/path.h"
#include "cim/value.h"

static void
test_texts(void)
{
    static const struct {
        enum cim_type type;
        const char *text, *again; /* again NULL: refused */
    } rows[] = {
        {CIM_UINT8, "255", "255"},
        {CIM_UINT8, "256", NULL},
        {CIM_UINT8, "-1", NULL},
        {CIM_UINT8, "", NULL},
        {CIM_UINT8, " 7 ", "7"},
        {CIM_SINT8, "-128", "-128"},
        {CIM_SINT8, "-129", NULL},
        {CIM_SINT8, "128", NULL},
        {CIM_SINT8, "+127", "127"},
        {CIM_UINT16, "65535", "65535"},
        {CIM_UINT16, "65536", NULL},
        {CIM_UINT16, "1.0", NULL},
        {CIM_UINT16, "0x10", NULL},
        {CIM_SINT16, "-32768", "-32768"},
        {CIM_SINT16, "32768", NULL},
        {CIM_UINT32, "4294967295", "4294967295"},
        {CIM_UINT32, "4294967296", NULL},
        {CIM_SINT32, "-2147483648", "-2147483648"},
        {CIM_SINT32, "2147483648", NULL},
        {CIM_UINT64, "18446744073709551615", "18446744073709551615"},
        {CIM_UINT64, "18446744073709551616", NULL},
        {CIM_SINT64, "-9223372036854775808", "-9223372036854775808"},
        {CIM_SINT64, "9223372036854775808", NULL},
        {CIM_BOOLEAN, "true", "true"},
        {CIM_BOOLEAN, "TRUE", "true"},
        {CIM_BOOLEAN, "False", "false"},
        {CIM_BOOLEAN, "1", "true"},
        {CIM_BOOLEAN, "0", "false"},
        {CIM_BOOLEAN, "yes", NULL},
        {CIM_BOOLEAN, "", NULL},
        {CIM_REAL64, "1.5", "1.5"},
        {CIM_REAL64, "nan", NULL},
        {CIM_REAL64, "0x1p3", NULL},
        {CIM_REAL64, "infinity", NULL},
        {CIM_REAL64, "8e888", NULL},
        {CIM_REAL32, "2e3", "2000"},
        {CIM_STRING, " kept ", " kept "},
        {CIM_STRING, "", ""},
        {CIM_REFERENCE, "Msvm_ConcreteJob.InstanceID='x'", "Msvm_ConcreteJob.InstanceID=\"x\""},
        {CIM_REFERENCE, "no path", NULL},
        {CIM_DATETIME, "20140403144550.468750+480", "20140403064550.468750+000"},
        {CIM_DATETIME, "today", NULL},
    };
    for (guint i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autoptr(GError) err = NULL;
        struct cim_value v;
        bool ok = cim_value_parse(&v, rows[i].type, rows[i].text, &err);
        g_autofree char *text = cim_value_text(&v);
        if (rows[i].again)
            g_assert_no_error(err);
        else
            g_assert_true(err_is(err, ERR_INVALID_TYPE) && v.null && v.type == rows[i].type);
        g_assert_true(ok == (rows[i].again != NULL));
        g_assert_cmpstr(text, ==, rows[i].again);
        cim_value_clear(&v);
    }
}

static void
test_names(void)
{
    for (int t = CIM_BOOLEAN; t <= CIM_REFERENCE; t++) {
        enum cim_type back;
        g_assert_true(cim_type_parse(cim_type_name((enum cim_type)t), &back) && (int)back == t);
    }
    enum cim_type type;
    g_assert_true(cim_type_parse("UINT16", &type) && type == CIM_UINT16);
    g_assert_false(cim_type_parse("int", &type));
    g_assert_true(cim_type_is_signed(CIM_SINT8) && !cim_type_is_signed(CIM_UINT8) && cim_type_is_integer(CIM_UINT64));
    g_assert_false(cim_type_is_integer(CIM_BOOLEAN) || cim_type_is_integer(CIM_STRING));
}

/* Orders: -1, 0, 1; 9 says that the two cannot be compared.  Every row also holds the other way round. */
static void
test_compare(void)
{
    struct cim_value big = cim_uint(CIM_UINT64, G_MAXUINT64), near = cim_uint(CIM_UINT64, G_MAXUINT64 - 1),
                     minus = cim_sint(CIM_SINT64, -1);
    struct cim_value two = cim_uint(CIM_UINT16, 2), real = {.type = CIM_REAL64, .real = 2.5}, yes = cim_bool(true),
                     none = cim_null(CIM_STRING, false);
    struct cim_value word = cim_string("abc"), other = cim_string("ABD"), digits = cim_string("2"), nan = cim_string("nan"),
                     truth = cim_string("True");
    struct cim_value huge = cim_string("18446744073709551615"), low = cim_string("-1"), day = cim_time(86400000000),
                     later = cim_string("1970-01-02T00:00:01Z");
    struct cim_value list = cim_array(CIM_UINT16), span = cim_interval(86400000000);
    const struct {
        const struct cim_value *a, *b;
        int order;
    } rows[] = {
        {&near, &big, -1}, {&minus, &big, -1}, {&minus, &two, -1},  {&two, &real, -1},  {&two, &digits, 0},
        {&two, &nan, 9},   {&two, &word, 9},   {&word, &other, -1}, {&word, &none, 9},  {&none, &none, 9},
        {&yes, &truth, 0}, {&yes, &word, 9},   {&big, &huge, 0},    {&near, &huge, -1}, {&minus, &low, 0},
        {&low, &two, -1},  {&day, &later, -1}, {&day, &span, 9},    {&day, &word, 9},   {&list, &two, 9},
    };
    for (guint i = 0; i < G_N_ELEMENTS(rows); i++) {
        int order = 9, back = 9;
        if (!cim_value_compare(rows[i].a, rows[i].b, &order))
            order = 9;
        if (!cim_value_compare(rows[i].b, rows[i].a, &back))
            back = 9;
        g_assert_cmpint(order == 9 ? 9 : CLAMP(order, -1, 1), ==, rows[i].order);
        g_assert_cmpint(back == 9 ? 9 : -CLAMP(back, -1, 1), ==, rows[i].order);
    }
    struct cim_value *all[] = {&word, &other, &digits, &nan, &truth, &huge, &low, &later, &list};
    for (guint i = 0; i < G_N_ELEMENTS(all); i++)
        cim_value_clear(all[i]);
}

static void
test_copies(void)
{
    char *const texts[] = {(char[]){"a"}, (char[]){"b"}, NULL};
    struct cim_value strings = cim_strings(texts), copy;
    cim_array_add(&strings, cim_null(CIM_STRING, false));
    cim_value_copy(&copy, &strings);
    cim_value_clear(&strings);
    g_assert_true(strings.null && strings.array);
    g_assert_cmpuint(copy.items->len, ==, 3);
    g_assert_cmpstr(((struct cim_value *)g_ptr_array_index(copy.items, 1))->text, ==, "b");
    g_assert_true(((struct cim_value *)g_ptr_array_index(copy.items, 2))->null);
    cim_value_clear(&copy);
    struct cim_value ref = cim_ref(cim_path_new("root/x", "C")), second;
    cim_value_copy(&second, &ref);
    cim_value_clear(&ref);
    g_assert_cmpstr(second.ref->cls, ==, "C");
    cim_value_clear(&second);
    struct cim_value nothing[] = {cim_strings(NULL), cim_ref(NULL), cim_string(NULL), cim_time(0)};
    for (guint i = 0; i < G_N_ELEMENTS(nothing); i++)
        g_assert_true(nothing[i].null && !cim_value_text(&nothing[i]));
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/cim/value/texts", test_texts);
    g_test_add_func("/cim/value/names", test_names);
    g_test_add_func("/cim/value/compare", test_compare);
    g_test_add_func("/cim/value/copies", test_copies);
    return g_test_run();
}
