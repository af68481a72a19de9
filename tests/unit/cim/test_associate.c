/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/err.h"
#include "fake.h"

#define GUEST_1 "Msvm_ComputerSystem.CreationClassName='Msvm_ComputerSystem',Name='6ba7b810-9dad-11d1-80b4-000000000001'"
#define HOST "Msvm_ComputerSystem.Name='host-a'"

static void
test_found(void)
{
    static const struct {
        const char *text;
        guint count;
        const char *first; /* class of the first result */
    } rows[] = {
        {"ASSOCIATORS OF {" GUEST_1 "} WHERE AssocClass = Msvm_SystemReplicationRelationship ResultClass = Msvm_ReplicationRelationship", 1,
         "Msvm_ReplicationRelationship"},
        {"ASSOCIATORS OF {" GUEST_1 "} WHERE ResultClass = Msvm_ReplicationRelationship", 1, "Msvm_ReplicationRelationship"},
        {"ASSOCIATORS OF {" GUEST_1 "} WHERE ResultClass = CIM_ManagedSystemElement Role = Antecedent ResultRole = Dependent", 1,
         "Msvm_ReplicationRelationship"},
        {"ASSOCIATORS OF {" GUEST_1 "}", 2, "Msvm_ReplicationRelationship"},
        {"ASSOCIATORS OF {" GUEST_1 "} WHERE Role = Dependent", 1, "Msvm_ComputerSystem"},
        {"ASSOCIATORS OF {" GUEST_1 "} WHERE ResultRole = Antecedent", 1, "Msvm_ComputerSystem"},
        {"ASSOCIATORS OF {" GUEST_1 "} WHERE ResultClass = Msvm_ConcreteJob", 0, NULL},
        {"ASSOCIATORS OF {" GUEST_1 "} WHERE AssocClass = Msvm_SettingsDefineState", 0, NULL},
        {"ASSOCIATORS OF {" GUEST_1 "} WHERE AssocClass = CIM_Dependency", 2, "Msvm_ReplicationRelationship"},
        {"ASSOCIATORS OF {" HOST "} WHERE ResultClass = Msvm_ComputerSystem", 3, "Msvm_ComputerSystem"},
        {"ASSOCIATORS OF {" HOST "} WHERE ResultClass = Msvm_ReplicationRelationship", 0, NULL},
        {"ASSOCIATORS OF {Msvm_ReplicationRelationship.InstanceID='Microsoft:6BA7B810-9DAD-11D1-80B4-000000000002\\\\HVR\\\\0'}", 1,
         "Msvm_ComputerSystem"},
        {"ASSOCIATORS OF {CIM_ComputerSystem.Name='6BA7B810-9DAD-11D1-80B4-000000000001'} WHERE "
         "AssocClass=Msvm_SystemReplicationRelationship",
         1, "Msvm_ReplicationRelationship"},
        {"REFERENCES OF {" GUEST_1 "}", 2, "Msvm_SystemReplicationRelationship"},
        {"REFERENCES OF {" GUEST_1 "} WHERE ResultClass = Msvm_HostedDependency", 1, "Msvm_HostedDependency"},
        {"REFERENCES OF {" GUEST_1 "} WHERE Role = Antecedent", 1, "Msvm_SystemReplicationRelationship"},
        {"REFERENCES OF {" HOST "}", 3, "Msvm_HostedDependency"},
        {"REFERENCES OF {Msvm_ReplicationService}", 0, NULL},
    };
    struct fake *f = fake_new(3);
    for (guint i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autoptr(GError) err = NULL;
        g_autoptr(GPtrArray) found = cim_query_run(f->broker, &fake_viewer, FAKE_NS, rows[i].text, &err);
        g_test_message("%s", rows[i].text);
        g_assert_no_error(err);
        g_assert_cmpuint(found->len, ==, rows[i].count);
        if (rows[i].first)
            g_assert_cmpstr(((struct cim_instance *)g_ptr_array_index(found, 0))->cls->name, ==, rows[i].first);
    }
    fake_free(f);
}

static void
test_refused(void)
{
    static const struct {
        const char *text;
        enum err_code error;
    } rows[] = {
        {"ASSOCIATORS OF {Msvm_ComputerSystem.Name='nobody'}", ERR_NO_SUCH_INSTANCE},
        {"ASSOCIATORS OF {Msvm_Nothing.Name='x'}", ERR_NO_SUCH_CLASS},
        {"ASSOCIATORS OF {Msvm_ComputerSystem}", ERR_INVALID_PARAMETER},
        {"ASSOCIATORS OF {" GUEST_1 "} WHERE ResultClass = Msvm_Nothing", ERR_NO_SUCH_CLASS},
        {"REFERENCES OF {" GUEST_1 "} WHERE ResultClass = Msvm_Nothing", ERR_NO_SUCH_CLASS},
        {"ASSOCIATORS OF {" GUEST_1 "} WHERE AssocClass = x", ERR_NO_SUCH_CLASS},
        {"ASSOCIATORS OF {root/cimv2:" GUEST_1 "}", ERR_NO_SUCH_CLASS},
    };
    struct fake *f = fake_new(3);
    g_autoptr(GError) err = NULL;
    for (guint i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_test_message("%s", rows[i].text);
        g_assert_null(cim_query_run(f->broker, &fake_viewer, FAKE_NS, rows[i].text, &err));
        g_assert_error(err, ERR, (int)rows[i].error);
        g_clear_error(&err);
    }
    g_assert_null(cim_query_run(f->broker, &fake_nobody, FAKE_NS, "ASSOCIATORS OF {" GUEST_1 "}", &err));
    g_assert_true(err_is(err, ERR_ACCESS_DENIED));
    fake_free(f);
}

/* Associations that cannot hold a result are not walked; many results stay linear. */
static void
test_economy(void)
{
    struct fake *f = fake_new(3000);
    g_autoptr(GPtrArray) a =
        cim_query_run(f->broker, &fake_viewer, FAKE_NS, "ASSOCIATORS OF {" GUEST_1 "} WHERE ResultClass = Msvm_ComputerSystem", NULL);
    g_assert_true(a->len == 1 && f->walked == 0);
    gint64 start = g_get_monotonic_time();
    g_autoptr(GPtrArray) b =
        cim_query_run(f->broker, &fake_viewer, FAKE_NS, "ASSOCIATORS OF {" HOST "} WHERE ResultRole = Dependent", NULL);
    g_test_message("%u associators in %" G_GINT64_FORMAT " us", b->len, g_get_monotonic_time() - start);
    g_assert_cmpuint(b->len, ==, 3000);
    g_assert_cmpuint(f->enumerated, ==, 1); /* not each by get */
    g_assert_cmpuint(f->fetched, <=, 3);
    g_assert_cmpstr(cim_get_string(g_ptr_array_index(b, 7), "ElementName"), ==, "guest-7");
    fake_free(f);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/cim/associate/found", test_found);
    g_test_add_func("/cim/associate/refused", test_refused);
    g_test_add_func("/cim/associate/economy", test_economy);
    return g_test_run();
}
