/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/err.h"
#include "cim/path.h"

#include <string.h>

static void
test_read(void)
{
    static const struct {
        const char *text, *again; /* again NULL: refused */
    } rows[] = {
        {"\\\\HOST\\root\\virtualization\\v2:Msvm_ConcreteJob.InstanceID=\"A\"", "\\\\HOST\\root\\virtualization\\v2:Msvm_ConcreteJob."
                                                                                 "InstanceID=\"A\""},
        {"//host.example.com/Root/Virtualization/V2:C.K='x'", "\\\\host.example.com\\root\\virtualization\\v2:C.K=\"x\""},
        {"root/virtualization/v2:C.B=1,a=TRUE", "root\\virtualization\\v2:C.a=\"TRUE\",B=\"1\""},
        {"\\root\\cimv2:C", "root\\cimv2:C"},
        {"C", "C"},
        {" C ", "C"},
        {"C=@", "C"},
        {"\\\\h\\\\/root/x:C", "\\\\h\\root\\x:C"},
        {"ROOT\\cimv2:C=@", "root\\cimv2:C"},
        {"C.K=\"Microsoft:GUID\\\\HVR\\\\0\"", "C.K=\"Microsoft:GUID\\\\HVR\\\\0\""},
        {"C.K=\"a\\\"b\"", "C.K=\"a\\\"b\""},
        {"C.K='it\\'s'", "C.K=\"it's\""},
        {"C.K=\"a\\b\"", "C.K=\"a\\\\b\""},
        {"C.K=\"\"", "C.K=\"\""},
        {"C.K=\"a:b.c=d,e}\" , L = 2", NULL},
        {"C.K=\"a:b.c=d,e}\" , L=2 ", "C.K=\"a:b.c=d,e}\",L=\"2\""},
        {"C.k=\"1\",K=\"2\"", "C.k=\"2\""},
        {"", NULL},
        {"root x:C", NULL},
        {"\\\\h\\a;b:C", NULL},
        {".", NULL},
        {"C.", NULL},
        {"C.K", NULL},
        {"C.K=", NULL},
        {"C.K=\"x", NULL},
        {"C.K=\"x\"y", NULL},
        {"C.K=\"x\",", NULL},
        {"C=\"x\"", NULL},
        {"C=@x", NULL},
        {"C.@", NULL},
        {"C D", NULL},
        {"\\\\HOST", NULL},
        {"\\\\HOST\\", NULL},
        {"a:b:C", NULL},
        {"ns:", NULL},
        {"C.=\"x\"", NULL},
        {"C.K=\"x\" L=\"y\"", NULL},
    };
    for (guint i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autoptr(GError) err = NULL;
        cim_path_auto p = cim_path_parse(rows[i].text, &err), *quiet = cim_path_parse(rows[i].text, NULL);
        g_test_message("%s", rows[i].text);
        g_assert_true((p != NULL) == (rows[i].again != NULL) && (quiet != NULL) == (p != NULL));
        if (!p) {
            g_assert_true(err_is(err, ERR_MALFORMED) && strstr(err->message, "position"));
            continue;
        }
        g_assert_no_error(err);
        g_autofree char *text = cim_path_text(p);
        g_assert_cmpstr(text, ==, rows[i].again);
        cim_path_auto again = cim_path_parse(text, &err);
        g_assert_no_error(err);
        g_assert_true(cim_path_equal(p, again));
    }
}

static void
test_many_keys(void)
{
    g_autoptr(GString) text = g_string_new("C.K0=\"0\"");
    for (int i = 1; i < 32; i++)
        g_string_append_printf(text, ",K%d=\"%d\"", i, i);
    cim_path_auto most = cim_path_parse(text->str, NULL);
    g_assert_cmpuint(most->keys->len, ==, 32);
    g_string_append(text, ",K32=\"32\"");
    cim_path_auto more = cim_path_parse(text->str, NULL);
    g_assert_null(more);
}

static void
test_equal(void)
{
    cim_path_auto a = cim_path_new("ROOT\\Virtualization\\v2", "Msvm_ComputerSystem"), *b = cim_path_copy(a);
    cim_path_set(a, "Name", "8E1B7A9F-5B0C-4F4B-9B1E-6E4E0E0E0E0E");
    g_assert_false(cim_path_equal(a, b));
    cim_path_set(b, "NAME", "8e1b7a9f-5b0c-4f4b-9b1e-6e4e0e0e0e0e");
    g_assert_true(cim_path_equal(a, b));
    g_assert_cmpstr(a->ns, ==, "root/virtualization/v2");
    g_assert_cmpstr(cim_path_get(a, "name"), ==, "8E1B7A9F-5B0C-4F4B-9B1E-6E4E0E0E0E0E");
    g_assert_null(cim_path_get(a, "Other"));
    g_autofree char *on = cim_path_text_on(a, "HOST-A");
    g_assert_true(g_str_has_prefix(on, "\\\\HOST-A\\root\\virtualization\\v2:Msvm_ComputerSystem.Name=\"8E1B"));
    cim_path_auto absolute = cim_path_parse(on, NULL), *other_host = cim_path_copy(absolute);
    g_assert_true(cim_path_equal(a, absolute));
    g_free(other_host->host);
    other_host->host = g_strdup("HOST-B");
    g_assert_true(cim_path_equal(a, other_host) && !cim_path_equal(absolute, other_host));
    cim_path_auto other_class = cim_path_new(NULL, "Msvm_ConcreteJob"), *other_ns = cim_path_new("root/cimv2", "Msvm_ComputerSystem");
    g_assert_false(cim_path_equal(other_class, a));
    cim_path_set(other_ns, "Name", cim_path_get(a, "Name"));
    g_assert_false(cim_path_equal(other_ns, a));
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/cim/path/read", test_read);
    g_test_add_func("/cim/path/many-keys", test_many_keys);
    g_test_add_func("/cim/path/equal", test_equal);
    return g_test_run();
}
