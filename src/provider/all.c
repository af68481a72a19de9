/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "provider/all.h"

#include <stddef.h>

const struct cim_provider *const all_providers[] = {
    &computer_system, &replication_service, &replication_service_setting, &replication_setting, &authorization_setting, &relationship,
    &system_relationship, &virtual_system_setting, &snapshot_of_system, &most_current_snapshot, &last_applied_snapshot, &concrete_job,
    &affected_job_element, &owning_job_element, &element_setting, &settings_define_state, NULL,
};
