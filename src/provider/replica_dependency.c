/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "provider/all.h"
#include "provider/common.h"

/* Msvm_ReplicaSystemDependency: which guest tests which replica (contract 1.9). */

static bool
enumerate_tests(void *user, const struct cim_path *source, cim_emit emit, void *sink, GError **err)
{
    g_autoptr(GArray) tests = repl_tests(service_of(user));
    for (guint n = 0; n < tests->len; n++) {
        const struct repl_test *t = &g_array_index(tests, struct repl_test, n);
        struct cim_instance *i = new_instance("Msvm_ReplicaSystemDependency");
        cim_set_ref(i, "Antecedent", guest_path(&t->replica));
        cim_set_ref(i, "Dependent", guest_path(&t->test));
        if (!emit(sink, i))
            break;
    }
    return true;
}

const struct cim_provider replica_system_dependency = {"Msvm_ReplicaSystemDependency", enumerate_tests, NULL, NULL};
