/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cim/instance.h"

#include <string.h>

static void
test_find(void)
{
    const struct cim_class *c = cim_class_find(NULL, "msvm_computersystem");
    g_assert_cmpstr(c->name, ==, "Msvm_ComputerSystem");
    g_assert_true(cim_class_find("ROOT\\Virtualization\\V2", "Msvm_ComputerSystem") == c &&
                  cim_class_find("root/virtualization/v2", "MSVM_COMPUTERSYSTEM") == c);
    g_assert_null(cim_class_find("root/cimv2", "Msvm_ComputerSystem"));
    g_assert_null(cim_class_find(NULL, "Msvm_Nothing"));
    g_assert_null(cim_class_find(NULL, ""));
    g_assert_true(cim_namespace_known("Root\\CIMV2") && !cim_namespace_known("root/other") && !cim_namespace_known(""));
}

static void
test_inheritance(void)
{
    const struct cim_class *c = cim_class_find(NULL, "Msvm_ReplicationSettingData");
    g_assert_true(cim_class_is_a(c, "cim_settingdata") && cim_class_is_a(c, "CIM_ManagedElement") && cim_class_is_a(c, c->name));
    g_assert_false(cim_class_is_a(c, "CIM_ComputerSystem") || cim_class_is_a(cim_class_find(NULL, "CIM_SettingData"), c->name));
    g_assert_true(cim_class_find(NULL, "Msvm_ElementSettingData")->association && !c->association);
    /* inherited properties and an override of a default */
    const struct cim_class *keyboard = cim_class_find(NULL, "Msvm_Keyboard");
    int at = cim_class_property(keyboard, "creationclassname");
    g_assert_true(at >= 0 && keyboard->properties[at].key && cim_class_property(keyboard, "DeviceID") >= 0);
    g_assert_cmpstr(keyboard->properties[at].value, ==, "Msvm_Keyboard");
}

static void
test_members(void)
{
    const struct cim_class *c = cim_class_find(NULL, "Msvm_ReplicationService");
    const struct cim_method *m = cim_class_method(c, "INITIATEFAILOVER");
    const struct cim_parameter *p = cim_method_parameter(m, "snapshotsettingdata"), *vm = cim_method_parameter(m, "ComputerSystem");
    g_assert_true(p->in && !p->out && !p->required && p->type == CIM_REFERENCE && vm->required);
    g_assert_cmpstr(p->ref, ==, "CIM_VirtualSystemSettingData");
    g_assert_true(cim_method_parameter(m, "Job")->out && !cim_method_parameter(m, "Job")->in);
    g_assert_null(cim_method_parameter(m, "Nothing"));
    g_assert_null(cim_class_method(c, "Nothing"));
    const struct cim_parameter *e = cim_method_parameter(cim_class_method(c, "SetFailoverNetworkAdapterSettings"), "NetworkSettings");
    g_assert_true(e->array && e->type == CIM_STRING);
    g_assert_cmpstr(e->embedded, ==, "Msvm_FailoverNetworkAdapterSettingData");
    int at = cim_class_property(c, "operationalstatus");
    g_assert_true(c->properties[at].array && c->properties[at].type == CIM_UINT16);
}

/* Of every class: names are sorted, found, unique; superclass and references exist; defaults make an instance. */
static void
test_all(void)
{
    g_assert_cmpuint(cim_class_count, >, 90);
    for (guint n = 0; n < cim_class_count; n++) {
        const struct cim_class *c = &cim_classes[n];
        g_assert_true(cim_class_find(c->ns, c->name) == c && (!c->super || cim_class_find(NULL, c->super)));
        for (guint i = 0; i < c->property_count; i++) {
            const struct cim_property *p = &c->properties[i];
            g_assert_cmpint(cim_class_property(c, p->name), ==, (int)i);
            g_assert_true(i == 0 || g_ascii_strcasecmp(c->properties[i - 1].name, p->name) < 0);
            g_assert_true((p->type == CIM_REFERENCE) == (p->ref != NULL) && (!p->ref || cim_class_find(NULL, p->ref)));
        }
        cim_instance_auto i = cim_instance_new(c);
        cim_path_auto path = cim_instance_path(i);
        g_assert_cmpstr(path->cls, ==, c->name);
    }
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/cim/schema/find", test_find);
    g_test_add_func("/cim/schema/inheritance", test_inheritance);
    g_test_add_func("/cim/schema/members", test_members);
    g_test_add_func("/cim/schema/all", test_all);
    return g_test_run();
}
