/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "provider/all.h"
#include "provider/device.h"

/* Msvm_VirtualSystemSettingDataComponent (settings of a guest or recovery point, settings of one device) and Msvm_SystemDevice (guest, one
 * of its devices). */

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

static bool
list_device_links(const struct device_owner *o, cim_emit emit, void *sink)
{
    static const device_list lists[] = {list_processor, list_disk_drive, list_keyboard, list_synthetic_display,
                                        list_s3_display, list_video_head, list_kvp_name};
    return link_all(o, "Msvm_SystemDevice", lists, G_N_ELEMENTS(lists), emit, sink);
}

static bool
enumerate_devices(void *user, const struct cim_path *source, cim_emit emit, void *sink, GError **err)
{
    return device_enumerate(service_of(user), source, list_device_links, emit, sink, err);
}

const struct cim_provider system_device = {"Msvm_SystemDevice", enumerate_devices, NULL, NULL};
