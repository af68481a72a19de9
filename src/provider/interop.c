/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "provider/all.h"
#include "provider/common.h"

/* CIM_Namespace in root/interop: what there is to find on this host.  No profile is registered: none of the DMTF's is kept in full. */

static bool
enumerate(void *user, const struct cim_path *source, cim_emit emit, void *sink, GError **err)
{
    static const char *const rows[][2] = {
        {"root/virtualization/v2", "Virtual machines and their replication"},
        {"root/cimv2", "The host"},
        {"root/interop", "Discovery"},
    };
    for (guint n = 0; n < G_N_ELEMENTS(rows); n++) {
        struct cim_instance *i = cim_instance_new(cim_class_find("root/interop", "CIM_Namespace"));
        cim_set_string(i, "SystemName", repl_host(service_of(user)));
        cim_set_string(i, "Name", rows[n][0]);
        cim_set_string(i, "Description", rows[n][1]);
        if (!emit(sink, i))
            break;
    }
    return true;
}

const struct cim_provider interop_namespace = {"CIM_Namespace", enumerate, NULL, NULL};
