/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "vm/domain.h"

#include "base/err.h"
#include "vm/handle.h"

/* Runs one libvirt call on the guest; `doing` completes "Guest 'x' could not be ...". */
static bool
power_call(struct vm_conn *c, const struct uuid *vm, int (*call)(virDomainPtr), const char *doing, GError **err)
{
    g_autoptr(virDomain) dom = conn_domain(c, vm, err);
    if (!dom)
        return false;
    const char *name = virDomainGetName(dom);
    if (call(dom) < 0)
        return conn_error(err, "Guest '%s' could not be %s", name, doing);
    return true;
}

bool
vm_start(struct vm_conn *c, const struct uuid *vm, GError **err)
{
    return power_call(c, vm, virDomainCreate, "started", err);
}

bool
vm_force_off(struct vm_conn *c, const struct uuid *vm, GError **err)
{
    return power_call(c, vm, virDomainDestroy, "switched off", err);
}

/* The agent shuts a guest down that has no ACPI handler; ACPI works where no agent runs. */
static int
ask_to_shut_down(virDomainPtr dom)
{
    if (virDomainShutdownFlags(dom, VIR_DOMAIN_SHUTDOWN_GUEST_AGENT) == 0)
        return 0;
    return virDomainShutdown(dom);
}

bool
vm_shutdown(struct vm_conn *c, const struct uuid *vm, GError **err)
{
    return power_call(c, vm, ask_to_shut_down, "asked to shut down", err);
}

static int
reset(virDomainPtr dom)
{
    return virDomainReset(dom, 0);
}

bool
vm_reset(struct vm_conn *c, const struct uuid *vm, GError **err)
{
    return power_call(c, vm, reset, "reset", err);
}

bool
vm_pause(struct vm_conn *c, const struct uuid *vm, GError **err)
{
    return power_call(c, vm, virDomainSuspend, "paused", err);
}

bool
vm_resume(struct vm_conn *c, const struct uuid *vm, GError **err)
{
    return power_call(c, vm, virDomainResume, "resumed", err);
}

static int
managed_save(virDomainPtr dom)
{
    return virDomainManagedSave(dom, 0);
}

bool
vm_save(struct vm_conn *c, const struct uuid *vm, GError **err)
{
    return power_call(c, vm, managed_save, "saved", err);
}

bool
vm_define(struct vm_conn *c, const char *xml, GError **err)
{
    virt_conn_auto conn = conn_ref(c, err);
    if (!conn)
        return false;
    g_autoptr(virDomain) dom = virDomainDefineXML(conn, xml);
    if (!dom)
        return conn_error(err, "The guest could not be defined");
    return true;
}

bool
vm_undefine(struct vm_conn *c, const struct uuid *vm, GError **err)
{
    const unsigned int flags = VIR_DOMAIN_UNDEFINE_MANAGED_SAVE | VIR_DOMAIN_UNDEFINE_SNAPSHOTS_METADATA |
                               VIR_DOMAIN_UNDEFINE_CHECKPOINTS_METADATA | VIR_DOMAIN_UNDEFINE_NVRAM;
    g_autoptr(GError) missing = NULL;
    g_autoptr(virDomain) dom = conn_domain(c, vm, &missing);
    if (!dom && err_is(missing, ERR_NO_SUCH_INSTANCE))
        return true;
    if (!dom) {
        g_propagate_error(err, g_steal_pointer(&missing));
        return false;
    }
    const char *name = virDomainGetName(dom);
    if (virDomainUndefineFlags(dom, flags) == 0)
        return true;
    const virError *e = virGetLastError();
    if (e && e->code == VIR_ERR_NO_DOMAIN)
        return true;
    /* A driver without these flags (libvirt's own test driver). */
    if (e && (e->code == VIR_ERR_INVALID_ARG || e->code == VIR_ERR_NO_SUPPORT) && virDomainUndefine(dom) == 0)
        return true;
    return conn_error(err, "Guest '%s' could not be undefined", name);
}
