/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "provider/all.h"
#include "provider/device.h"

/* Win32_PerfRawData_HvStats_HyperVHypervisorVirtualProcessor (root/cimv2): processor time of each virtual processor of the running guests.
 * Name is "<guest>:Hv VP <n>"; PercentTotalRunTime is raw: 100 ns units used since the guest started, with Timestamp_Sys100NS the clock to
 * divide by.  The other counters are the hypervisor's own, which KVM does not keep. */

#define CLASS "Win32_PerfRawData_HvStats_HyperVHypervisorVirtualProcessor"
enum { TICKS_PER_S = 10000000 };
static const gint64 TICKS_1601_TO_1970 = 116444736000000000;

static struct cim_instance *
instance_of(const char *guest, guint n, guint64 ns)
{
    const guint64 now = (guint64)(g_get_real_time() * 10 + TICKS_1601_TO_1970);
    g_autofree char *name = g_strdup_printf("%s:Hv VP %u", guest, n);
    struct cim_instance *i = cim_instance_new(cim_class_find("root/cimv2", CLASS));
    cim_set_string(i, "Name", name);
    cim_set_string(i, "Caption", name);
    cim_set_uint(i, "PercentTotalRunTime", ns / 100);
    cim_set_uint(i, "PercentTotalRunTime_Base", now);
    cim_set_uint(i, "Timestamp_Sys100NS", now);
    cim_set_uint(i, "Frequency_Sys100NS", TICKS_PER_S);
    return i;
}

static bool
enumerate(void *user, const struct cim_path *source, cim_emit emit, void *sink, GError **err)
{
    struct repl_service *s = service_of(user);
    g_autoptr(GPtrArray) guests = repl_guests(s, err);
    for (guint g = 0; guests && g < guests->len; g++) {
        const struct vm_facts *f = g_ptr_array_index(guests, g);
        const bool on = f->power != VM_OFF && f->power != VM_SAVED;
        g_autoptr(GArray) times = on ? repl_vcpu_times(s, &f->uuid, NULL) : NULL;
        for (guint n = 0; times && n < times->len; n++)
            if (!emit(sink, instance_of(f->name, n, g_array_index(times, guint64, n))))
                return true;
    }
    return guests != NULL;
}

const struct cim_provider vcpu_load = {CLASS, enumerate, NULL, NULL};
