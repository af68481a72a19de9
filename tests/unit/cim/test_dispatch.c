/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/err.h"
#include "fake.h"

#include <string.h>

static GPtrArray *
query(struct fake *f, const char *text, GError **err)
{
    return cim_query_run(f->broker, &fake_viewer, FAKE_NS, text, err);
}

static guint
count(struct fake *f, const char *text)
{
    g_autoptr(GError) err = NULL;
    g_autoptr(GPtrArray) found = query(f, text, &err);
    g_test_message("%s", text);
    g_assert_no_error(err);
    return found->len;
}

static void
test_enumerate(void)
{
    struct fake *f = fake_new(3);
    g_autoptr(GError) err = NULL;
    g_autoptr(GPtrArray) own = cim_enumerate(f->broker, &fake_viewer, "ROOT\\virtualization\\V2", "msvm_computersystem", &err);
    g_assert_no_error(err);
    g_assert_cmpuint(own->len, ==, 4);
    g_autoptr(GPtrArray) above = cim_enumerate(f->broker, &fake_viewer, FAKE_NS, "CIM_ManagedElement", NULL);
    g_assert_cmpuint(above->len, ==, 4 + 3 + 1); /* systems, relationships, the service; no associations */
    g_autoptr(GPtrArray) none = cim_enumerate(f->broker, &fake_viewer, FAKE_NS, "Msvm_ConcreteJob", NULL);
    g_assert_cmpuint(none->len, ==, 0);
    g_assert_null(cim_enumerate(f->broker, &fake_viewer, FAKE_NS, "Msvm_Nothing", &err));
    g_assert_true(err_is(err, ERR_NO_SUCH_CLASS));
    g_clear_error(&err);
    g_assert_null(cim_enumerate(f->broker, &fake_viewer, "root/nothing", "Msvm_ComputerSystem", &err));
    g_assert_true(err_is(err, ERR_NO_SUCH_CLASS) && strstr(err->message, "namespace"));
    g_clear_error(&err);
    g_assert_null(cim_enumerate(f->broker, &fake_nobody, FAKE_NS, "Msvm_ComputerSystem", &err));
    g_assert_true(err_is(err, ERR_ACCESS_DENIED));
    g_clear_error(&err);
    f->broken = 1;
    g_assert_null(cim_enumerate(f->broker, &fake_viewer, FAKE_NS, "CIM_System", &err));
    g_assert_true(err_is(err, ERR_NOT_AVAILABLE));
    fake_free(f);
}

/* Paths as clients write them, and what they find: the display name, or the error. */
static void
test_get(void)
{
    static const struct {
        const char *path, *finds;
        enum err_code error;
    } rows[] = {
        {"Msvm_ComputerSystem.CreationClassName='Msvm_ComputerSystem',Name='6BA7B810-9DAD-11D1-80B4-000000000001'", "guest-1", 0},
        {"root/virtualization/v2:msvm_computersystem.name='6ba7b810-9dad-11d1-80b4-000000000002'", "guest-2", 0},
        {"\\\\OTHER\\root\\virtualization\\v2:Msvm_ComputerSystem.Name='host-a'", "HOST-A", 0},
        {"CIM_ComputerSystem.Name='6BA7B810-9DAD-11D1-80B4-000000000000'", "guest-0", 0},
        {"Msvm_ComputerSystem.Name='6BA7B810-9DAD-11D1-80B4-000000000009'", NULL, ERR_NO_SUCH_INSTANCE},
        {"Msvm_ComputerSystem.CreationClassName='CIM_X',Name='host-a'", NULL, ERR_NO_SUCH_INSTANCE},
        {"CIM_ComputerSystem.Name='nobody'", NULL, ERR_NO_SUCH_INSTANCE},
        {"Msvm_ComputerSystem.CreationClassName='Msvm_ComputerSystem'", NULL, ERR_INVALID_PARAMETER},
        {"Msvm_ComputerSystem", NULL, ERR_INVALID_PARAMETER},
        {"Msvm_ComputerSystem.Nothing='x'", NULL, ERR_INVALID_PARAMETER},
        {"Msvm_ComputerSystem.ElementName='guest-1'", NULL, ERR_INVALID_PARAMETER},
        {"Msvm_Nothing.Name='x'", NULL, ERR_NO_SUCH_CLASS},
        {"root/cimv2:Msvm_ComputerSystem.Name='host-a'", NULL, ERR_NO_SUCH_CLASS},
        {"Msvm_ConcreteJob.InstanceID='x'", NULL, ERR_NO_SUCH_INSTANCE},
        {"Msvm_ReplicationRelationship.InstanceID='microsoft:6BA7B810-9DAD-11D1-80B4-000000000001\\\\hvr\\\\0'", "", 0},
    };
    struct fake *f = fake_new(3);
    for (guint i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autoptr(GError) err = NULL;
        cim_path_auto path = cim_path_parse(rows[i].path, NULL);
        cim_instance_auto found = cim_get_instance(f->broker, &fake_viewer, path, &err);
        g_test_message("%s", rows[i].path);
        if (!rows[i].finds) {
            g_assert_null(found);
            g_assert_error(err, ERR, (int)rows[i].error);
            continue;
        }
        g_assert_no_error(err);
        const char *name = cim_get_string(found, "ElementName");
        g_assert_cmpstr(name ? name : "", ==, rows[i].finds);
    }
    fake_free(f);
}

/* A service is found by any part of its keys; get is used where it can be, and its failure is not "absent". */
static void
test_get_ways(void)
{
    struct fake *f = fake_new(3);
    g_autoptr(GError) err = NULL;
    cim_path_auto none = cim_path_parse("Msvm_ReplicationService", NULL),
                  *some = cim_path_parse("Msvm_ReplicationService.CreationClassName=\"MSVM_ReplicationService\"", NULL);
    cim_instance_auto a = cim_get_instance(f->broker, &fake_viewer, none, NULL), *b = cim_get_instance(f->broker, &fake_viewer, some, NULL);
    g_assert_true(a && b);
    cim_path_auto guest = fake_guest_path(1);
    cim_instance_auto c = cim_get_instance(f->broker, &fake_viewer, guest, NULL);
    g_assert_true(c && f->fetched == 1 && f->enumerated == 0);
    f->forgetful = true;
    cim_instance_auto d = cim_get_instance(f->broker, &fake_viewer, guest, NULL);
    g_assert_true(d && f->enumerated == 1);
    g_assert_cmpuint(count(f, "SELECT * FROM Msvm_ComputerSystem WHERE Name = '6BA7B810-9DAD-11D1-80B4-000000000001'"), ==, 1);
    f->enumerated = 0;
    f->broken = 1;
    g_assert_null(cim_get_instance(f->broker, &fake_viewer, guest, &err));
    g_assert_true(err_is(err, ERR_NOT_AVAILABLE) && f->enumerated == 0);
    g_clear_error(&err);
    g_assert_null(cim_get_instance(f->broker, &fake_nobody, guest, &err));
    g_assert_true(err_is(err, ERR_ACCESS_DENIED));
    fake_free(f);
}

static void
test_select(void)
{
    struct fake *f = fake_new(4);
    g_autoptr(GError) err = NULL;
    g_assert_cmpuint(count(f, "SELECT * FROM Msvm_ComputerSystem"), ==, 5);
    g_assert_cmpuint(count(f, "SELECT * FROM Msvm_ComputerSystem WHERE Name != __SERVER "), ==, 4);
    g_assert_cmpuint(count(f, "SELECT * FROM CIM_ComputerSystem WHERE Name = __SERVER"), ==, 1);
    g_assert_cmpuint(count(f, "SELECT * FROM Msvm_ComputerSystem WHERE EnabledState = 3"), ==, 2);
    f->enumerated = 0;
    g_assert_cmpuint(count(f, "SELECT * FROM Msvm_ComputerSystem WHERE Name != __SERVER AND Name = '6ba7b810-9dad-11d1-80b4-000000000002'"),
                     ==, 1);
    g_assert_cmpuint(count(f, "SELECT * FROM Msvm_ComputerSystem WHERE Name = '6ba7b810-9dad-11d1-80b4-000000000002' AND EnabledState = 2"),
                     ==, 0);
    g_assert_cmpuint(count(f, "SELECT * FROM Msvm_ComputerSystem WHERE Name = 'nobody'"), ==, 0);
    static const char head[] = "SELECT * FROM Msvm_ComputerSystem WHERE __PATH = '\\\\\\\\HOST-A\\\\root\\\\virtualization\\\\v2:"
                               "Msvm_ComputerSystem.CreationClassName=\"Msvm_ComputerSystem\",Name=\"";
    g_autofree char *guid = fake_guid(2), *there = g_strconcat(head, guid, "\"'", NULL), *absent = g_strconcat(head, "nobody\"'", NULL);
    g_assert_cmpuint(count(f, there), ==, 1);
    g_assert_cmpuint(count(f, absent), ==, 0);
    g_assert_cmpuint(f->enumerated, ==, 0); /* the keys were enough */
    g_assert_cmpuint(count(f, "SELECT * FROM Msvm_ComputerSystem WHERE Name = 'nobody' OR EnabledState = 3"), ==, 2);
    g_assert_cmpuint(count(f, "SELECT * FROM Msvm_ReplicationRelationship WHERE InstanceID LIKE '%000003\\\\HVR\\\\0'"), ==, 1);
    static const struct {
        const char *text;
        enum err_code error;
    } refused[] = {
        {"SELECT * FROM Msvm_Nothing", ERR_NO_SUCH_CLASS},
        {"SELECT * FROM Msvm_ComputerSystem WHERE Nope = 1", ERR_BAD_QUERY},
        {"SELECT Nope FROM Msvm_ComputerSystem", ERR_BAD_QUERY},
        {"SELECT", ERR_BAD_QUERY},
    };
    for (guint i = 0; i < G_N_ELEMENTS(refused); i++) {
        g_assert_null(query(f, refused[i].text, &err));
        g_assert_error(err, ERR, (int)refused[i].error);
        g_clear_error(&err);
    }
    f->broken = 1;
    g_assert_null(query(f, "SELECT * FROM Msvm_ComputerSystem WHERE Name = 'x'", &err));
    g_assert_true(err_is(err, ERR_NOT_AVAILABLE));
    fake_free(f);
}

/* Goal of the design: 5,000 Get/s over the wire; here dispatch alone, with room. */
static void
test_speed(void)
{
    struct fake *f = fake_new(2000);
    cim_path_auto path = fake_guest_path(1999);
    gint64 start = g_get_monotonic_time();
    for (int i = 0; i < 2000; i++) {
        cim_instance_auto found = cim_get_instance(f->broker, &fake_viewer, path, NULL);
        g_assert_nonnull(found);
    }
    g_test_message("%.0f Get/s", 2000.0 * G_TIME_SPAN_SECOND / (double)(g_get_monotonic_time() - start));
    g_assert_cmpuint(f->enumerated, ==, 0);
    start = g_get_monotonic_time();
    g_assert_cmpuint(count(f, "SELECT * FROM Msvm_ComputerSystem WHERE Name != __SERVER"), ==, 2000);
    g_test_message("2000 instances in %" G_GINT64_FORMAT " us", g_get_monotonic_time() - start);
    fake_free(f);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/cim/dispatch/enumerate", test_enumerate);
    g_test_add_func("/cim/dispatch/get", test_get);
    g_test_add_func("/cim/dispatch/get-ways", test_get_ways);
    g_test_add_func("/cim/dispatch/select", test_select);
    g_test_add_func("/cim/dispatch/speed", test_speed);
    return g_test_run();
}
