/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "provider/all.h"

#include <stddef.h>

const struct cim_provider *const all_providers[] = {
    &computer_system, &replication_service, &replication_service_setting, &replication_setting, &authorization_setting, &relationship,
    &replication_churn, &system_relationship,
    &virtual_system_setting, &snapshot_of_system, &most_current_snapshot, &last_applied_snapshot, &concrete_job,
    &affected_job_element, &owning_job_element, &element_setting, &settings_define_state,
    &processor_setting, &memory_setting, &resource_setting, &storage_setting, &serial_setting, &port_setting, &connection_setting,
    &processor, &disk_drive, &keyboard, &synthetic_display, &s3_display, &video_head, &kvp_component, &setting_component, &system_device,
    &device_state,
    &ethernet_switch, &switch_service, &hosted_dependency, &hosted_service, &service_affects, &replication_provider,
    &virtual_system_management, &virtual_system_snapshot, &shutdown_component, &replica_system_dependency,
    &failover_network, &failover_network_component, &interop_namespace,
    &win32_computer, &win32_product, &win32_system, &win32_processor, &win32_computer_processor, &data_file, &vcpu_load,
    &collection, &collection_setting, &collection_point, &point_of_collection, &replica_collection_dependency, &collection_replication,
    &collection_management,
    NULL,
};
