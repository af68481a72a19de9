/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "provider/all.h"
#include "provider/device.h"

/* Msvm_ProcessorSettingData and Msvm_Processor: how many processors a guest has, and how busy they are.
 *
 * Limit is in thousandths of a percent of one processor: <cputune><quota> by <period>.  Weight 100 is libvirt's usual share, 1024. */

enum { WHOLE = 100000, WEIGHT = 100, WEIGHT_MAX = 10000, SHARES = 1024 };

static void
fill_common(struct cim_instance *i)
{
    cim_set_string(i, "Caption", "Processor");
    cim_set_string(i, "Description", "Settings for the processors of a virtual machine");
    cim_set_string(i, "AllocationUnits", "percent / 1000");
    cim_set_string(i, "VirtualQuantityUnits", "count");
    cim_set_uint(i, "Reservation", 0);
}

bool
list_processor_setting(const struct device_owner *o, cim_emit emit, void *sink)
{
    const struct vm_hardware *h = o->hardware;
    const guint vcpus = o->facts ? o->facts->vcpus : h->vcpus;
    struct cim_instance *i = device_setting(o, "Msvm_ProcessorSettingData", device_id(o, "Processor"), "Processor", 3,
                                            "Microsoft:Hyper-V:Processor");
    fill_common(i);
    cim_set_uint(i, "VirtualQuantity", vcpus);
    cim_set_uint(i, "Limit", h->cpu_quota_us ? (guint64)MIN(WHOLE, h->cpu_quota_us * WHOLE / h->cpu_period_us) : WHOLE);
    cim_set_uint(i, "Weight", h->cpu_shares ? MIN(WEIGHT_MAX, (guint64)h->cpu_shares * WEIGHT / SHARES) : WEIGHT);
    cim_set_bool(i, "LimitCPUID", false);
    cim_set_bool(i, "LimitProcessorFeatures", g_strcmp0(h->cpu_mode, "host-passthrough") != 0 && g_strcmp0(h->cpu_mode, "maximum") != 0);
    if (o->facts && o->facts->machine.numa_nodes)
        cim_set_uint(i, "MaxProcessorsPerNumaNode", MAX(1, h->vcpus_max / o->facts->machine.numa_nodes));
    return emit(sink, i);
}

/* What a guest may have at most, as clients ask for it: Microsoft:Definition\...\Maximum. */
static bool
emit_maximum(struct repl_service *s, cim_emit emit, void *sink)
{
    static const char id[] = "Microsoft:Definition\\Processor\\Maximum";
    vm_host_auto host = repl_machine(s, NULL);
    if (!host || !host->max_vcpus)
        return true;
    const struct device_owner nobody = {.service = s};
    struct cim_instance *i = device_setting(&nobody, "Msvm_ProcessorSettingData", g_strdup(id), "Processor", 3,
                                            "Microsoft:Hyper-V:Processor");
    fill_common(i);
    cim_set_uint(i, "VirtualQuantity", host->max_vcpus);
    cim_set_uint(i, "Limit", WHOLE);
    cim_set_uint(i, "Weight", WEIGHT_MAX);
    return emit(sink, i);
}

static bool
enumerate_settings(void *user, const struct cim_path *source, cim_emit emit, void *sink, GError **err)
{
    if (!source && !emit_maximum(service_of(user), emit, sink))
        return true;
    return device_enumerate(service_of(user), source, list_processor_setting, emit, sink, err);
}

static struct cim_instance *
get_setting(void *user, const struct cim_path *path, GError **err)
{
    return device_get(service_of(user), path, list_processor_setting, err);
}

const struct cim_provider processor_setting = {"Msvm_ProcessorSettingData", enumerate_settings, get_setting, NULL};

bool
list_processor(const struct device_owner *o, cim_emit emit, void *sink)
{
    for (guint n = 0; o->facts && n < o->facts->vcpus; n++) {
        g_autofree char *part = g_strdup_printf("Processor\\%u", n);
        struct cim_instance *i = device_new(o, "Msvm_Processor", part, "Virtual processor");
        cim_set_string(i, "Description", "Virtual processor of a virtual machine");
        if (o->facts->load_percent >= 0)
            cim_set_uint(i, "LoadPercentage", (guint)o->facts->load_percent); /* libvirt gives one figure for all of them */
        if (!emit(sink, i))
            return false;
    }
    return true;
}

DEVICE_PROVIDER(processor, "Msvm_Processor", list_processor);
