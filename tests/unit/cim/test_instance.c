/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cim/instance.h"

static struct cim_instance *
guest(void)
{
    struct cim_instance *i = cim_instance_new(cim_class_find(NULL, "Msvm_ComputerSystem"));
    cim_set_string(i, "Name", "6BA7B810-9DAD-11D1-80B4-00C04FD430C8");
    cim_set_uint(i, "ENABLEDSTATE", 3);
    return i;
}

static void
test_defaults(void)
{
    cim_instance_auto i = cim_instance_new(cim_class_find(NULL, "Msvm_ReplicationService"));
    g_assert_cmpstr(cim_get_string(i, "name"), ==, "replicasvc");
    g_assert_true(cim_get_bool(i, "Started") && !cim_given(i, "Started"));
    g_assert_cmpuint(cim_get_uint(i, "HealthState"), ==, 5);
    const struct cim_value *status = cim_get(i, "OperationalStatus");
    g_assert_cmpuint(status->items->len, ==, 1);
    g_assert_cmpuint(((struct cim_value *)g_ptr_array_index(status->items, 0))->u, ==, 2);
    g_assert_true(cim_get(i, "InstallDate")->null && cim_get(i, "StatusDescriptions")->null);
    g_assert_null(cim_get(i, "Nothing"));
}

static void
test_set(void)
{
    static const guint codes[] = {2, 11};
    cim_instance_auto i = guest();
    g_assert_true(cim_given(i, "Name") && !cim_given(i, "ElementName") && !cim_given(i, "Nothing"));
    cim_set_string(i, "ElementName", NULL);
    g_assert_false(cim_given(i, "ElementName"));
    cim_set_uints(i, "OperationalStatus", codes, 2);
    cim_set_time(i, "InstallDate", 1000000);
    g_assert_cmpint(cim_get(i, "InstallDate")->time.us, ==, 1000000);
    cim_set(i, "EnabledState", cim_uint(CIM_UINT16, 2));
    g_assert_cmpuint(cim_get_uint(i, "enabledstate"), ==, 2);
    g_assert_null(cim_get_string(i, "EnabledState")); /* no string */
    cim_instance_auto copy = cim_instance_copy(i);
    cim_set_string(i, "Name", "changed");
    g_assert_cmpstr(cim_get_string(copy, "Name"), ==, "6BA7B810-9DAD-11D1-80B4-00C04FD430C8");
    g_assert_cmpuint(cim_get(copy, "OperationalStatus")->items->len, ==, 2);
}

static void
test_path(void)
{
    cim_instance_auto i = guest();
    cim_path_auto p = cim_instance_path(i);
    g_autofree char *text = cim_path_text(p);
    g_assert_cmpstr(text, ==,
                    "root\\virtualization\\v2:Msvm_ComputerSystem.CreationClassName=\"Msvm_ComputerSystem\",Name=\"6BA7B810-9DAD-11D1-80B4-"
                    "00C04FD430C8\"");
    cim_instance_auto link = cim_instance_new(cim_class_find(NULL, "Msvm_SystemReplicationRelationship"));
    cim_set_ref(link, "Antecedent", cim_path_copy(p));
    cim_path_auto of_link = cim_instance_path(link);
    cim_path_auto inner = cim_path_parse(cim_path_get(of_link, "Antecedent"), NULL);
    g_assert_true(cim_path_equal(inner, p)); /* a reference is a key as text */
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/cim/instance/defaults", test_defaults);
    g_test_add_func("/cim/instance/set", test_set);
    g_test_add_func("/cim/instance/path", test_path);
    return g_test_run();
}
