/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "provider/all.h"
#include "provider/device.h"

/* Msvm_MemorySettingData, in MiB.  VirtualQuantity is what the guest has (<currentMemory>), Limit what its balloon may let it have
 * (<memory>).  The host reserves nothing beforehand unless the memory is of huge pages. */

bool
list_memory_setting(const struct device_owner *o, cim_emit emit, void *sink)
{
    const struct vm_hardware *h = o->hardware;
    const guint64 now = h->memory_kib / 1024, most = h->memory_max_kib / 1024;
    struct cim_instance *i = device_setting(o, "Msvm_MemorySettingData", device_id(o, "Memory"), "Memory", 4, "Microsoft:Hyper-V:Memory");
    cim_set_string(i, "Caption", "Memory");
    cim_set_string(i, "Description", "Settings for the memory of a virtual machine");
    cim_set_string(i, "AllocationUnits", "byte * 2^20");
    cim_set_string(i, "VirtualQuantityUnits", "byte * 2^20");
    cim_set_uint(i, "VirtualQuantity", now);
    cim_set_uint(i, "Limit", most);
    cim_set_uint(i, "Reservation", h->hugepages ? most : 0);
    cim_set_bool(i, "DynamicMemoryEnabled", false); /* a balloon moves when an operator says so */
    cim_set_bool(i, "IsVirtualized", !h->hugepages);
    cim_set_bool(i, "SwapFilesInUse", false);
    if (o->facts && o->facts->machine.numa_nodes)
        cim_set_uint(i, "MaxMemoryBlocksPerNumaNode", most / o->facts->machine.numa_nodes);
    return emit(sink, i);
}

DEVICE_PROVIDER(memory_setting, "Msvm_MemorySettingData", list_memory_setting);
