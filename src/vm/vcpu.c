/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "vm/vcpu.h"

#include "vm/handle.h"

enum { VCPUS_MAX = 4096 };

GArray *
vm_vcpu_times(struct vm_conn *c, const struct uuid *vm, GError **err)
{
    g_autoptr(virDomain) dom = conn_domain(c, vm, err);
    virDomainInfo info;
    GArray *times = dom ? g_array_new(FALSE, FALSE, sizeof(guint64)) : NULL;
    if (!dom || virDomainIsActive(dom) != 1 || virDomainGetInfo(dom, &info) < 0 || info.nrVirtCpu > VCPUS_MAX)
        return times;
    g_autofree virVcpuInfo *all = g_new0(virVcpuInfo, info.nrVirtCpu);
    const int count = virDomainGetVcpus(dom, all, info.nrVirtCpu, NULL, 0);
    for (int i = 0; i < count; i++) {
        const guint64 ns = all[i].cpuTime;
        g_array_append_val(times, ns);
    }
    return times;
}
