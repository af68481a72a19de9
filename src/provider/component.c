/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "provider/all.h"
#include "provider/device.h"

#include <string.h>

/* Msvm_VirtualSystemSettingDataComponent (settings of a guest or recovery point, settings of one device), Msvm_SystemDevice (guest, one of
 * its devices), and those of Msvm_SettingsDefineState that tie a device to its settings. */

struct linker {
    const struct device_owner *owner;
    const char *cls;
    cim_emit emit;
    void *sink;
};

static bool
link_part(void *p, struct cim_instance *part)
{
    const struct linker *l = p;
    struct cim_instance *i = new_instance(l->cls);
    g_autofree char *settings = settings_id(&l->owner->id);
    const bool device = cim_class_is_a(part->cls, "CIM_LogicalDevice");
    cim_set_ref(i, "GroupComponent", device ? guest_path(&l->owner->id) : with_id("Msvm_VirtualSystemSettingData", settings));
    cim_set_ref(i, "PartComponent", cim_instance_path(part));
    cim_instance_free(part);
    return l->emit(l->sink, i);
}

static bool
link_all(const struct device_owner *o, const char *cls, const device_list *lists, guint count, cim_emit emit, void *sink)
{
    struct linker l = {o, cls, emit, sink};
    for (guint n = 0; n < count; n++)
        if (!lists[n](o, link_part, &l))
            return false;
    return true;
}

static bool
list_setting_links(const struct device_owner *o, cim_emit emit, void *sink)
{
    static const device_list lists[] = {list_processor_setting, list_memory_setting, list_resource_setting, list_storage_setting,
                                        list_serial_setting,    list_port_setting,   list_connection_setting};
    return link_all(o, "Msvm_VirtualSystemSettingDataComponent", lists, G_N_ELEMENTS(lists), emit, sink);
}

static bool
enumerate_settings(void *user, const struct cim_path *source, cim_emit emit, void *sink, GError **err)
{
    return device_enumerate(service_of(user), source, list_setting_links, emit, sink, err);
}

const struct cim_provider setting_component = {"Msvm_VirtualSystemSettingDataComponent", enumerate_settings, NULL, NULL};

/* shutdown_component.c knows the rest of it. */
static bool
list_shutdown(const struct device_owner *o, cim_emit emit, void *sink)
{
    return !o->facts || o->facts->power != VM_RUNNING || emit(sink, device_new(o, "Msvm_ShutdownComponent", "Shutdown", "Shutdown"));
}

static bool
list_device_links(const struct device_owner *o, cim_emit emit, void *sink)
{
    static const device_list lists[] = {list_processor, list_disk_drive, list_keyboard, list_synthetic_display,
                                        list_s3_display, list_video_head, list_kvp_name,  list_shutdown};
    return link_all(o, "Msvm_SystemDevice", lists, G_N_ELEMENTS(lists), emit, sink);
}

static bool
enumerate_devices(void *user, const struct cim_path *source, cim_emit emit, void *sink, GError **err)
{
    return device_enumerate(service_of(user), source, list_device_links, emit, sink, err);
}

const struct cim_provider system_device = {"Msvm_SystemDevice", enumerate_devices, NULL, NULL};

static bool
state_link(cim_emit emit, void *sink, struct cim_instance *device, const char *cls, char *id)
{
    g_autofree char *setting = id;
    struct cim_instance *i = new_instance("Msvm_SettingsDefineState");
    cim_set_ref(i, "ManagedElement", cim_instance_path(device));
    cim_set_ref(i, "SettingData", with_id(cls, setting));
    cim_instance_free(device);
    return emit(sink, i);
}

struct states {
    const struct device_owner *owner;
    cim_emit emit;
    void *sink;
};

static bool
link_state(void *p, struct cim_instance *device)
{
    const struct states *s = p;
    const char *target = cim_get_string(device, "Name");
    if (strcmp(device->cls->name, "Msvm_Processor") == 0)
        return state_link(s->emit, s->sink, device, "Msvm_ProcessorSettingData", device_id(s->owner, "Processor"));
    return state_link(s->emit, s->sink, device, "Msvm_ResourceAllocationSettingData", device_id(s->owner, "%s\\Drive", target));
}

static bool
list_states(const struct device_owner *o, cim_emit emit, void *sink)
{
    struct states s = {o, emit, sink};
    return list_processor(o, link_state, &s) && list_disk_drive(o, link_state, &s);
}

static bool
enumerate_states(void *user, const struct cim_path *source, cim_emit emit, void *sink, GError **err)
{
    return device_enumerate(service_of(user), source, list_states, emit, sink, err);
}

const struct cim_provider device_state = {"Msvm_SettingsDefineState", enumerate_states, NULL, NULL};
