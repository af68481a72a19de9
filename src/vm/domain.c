/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "vm/domain.h"

#include "base/err.h"
#include "vm/domxml.h"
#include "vm/handle.h"

#include <string.h>

/* Runs one libvirt call on the guest; `doing` completes "Guest 'x' could not be ...". */
static bool
power_call(struct vm_conn *c, const struct uuid *vm, int (*call)(virDomainPtr), const char *doing, GError **err)
{
    g_autoptr(virDomain) dom = conn_domain(c, vm, err);
    if (!dom)
        return false;
    const char *name = virDomainGetName(dom);
    const bool ok = call(dom) == 0 || conn_error(err, "Guest '%s' could not be %s", name, doing);
    inventory_note(conn_inventory(c), vm);
    return ok;
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
ask_to_reboot(virDomainPtr dom)
{
    if (virDomainReboot(dom, VIR_DOMAIN_REBOOT_GUEST_AGENT) == 0)
        return 0;
    return virDomainReboot(dom, 0);
}

bool
vm_reboot(struct vm_conn *c, const struct uuid *vm, GError **err)
{
    return power_call(c, vm, ask_to_reboot, "asked to restart", err);
}

static int
inject_nmi(virDomainPtr dom)
{
    return virDomainInjectNMI(dom, 0);
}

bool
vm_inject_nmi(struct vm_conn *c, const struct uuid *vm, GError **err)
{
    return power_call(c, vm, inject_nmi, "sent an interrupt", err);
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

bool
domain_is_stalled(virDomainPtr dom)
{
    int state = 0, reason = 0;
    return virDomainGetState(dom, &state, &reason, 0) == 0 && state == VIR_DOMAIN_PAUSED && reason == VIR_DOMAIN_PAUSED_IOERROR;
}

bool
domain_active(virDomainPtr dom, bool *active, GError **err)
{
    const char *name = virDomainGetName(dom);
    const int answer = virDomainIsActive(dom);
    *active = answer == 1;
    return answer >= 0 || conn_error(err, "It cannot be found out whether guest '%s' runs", name);
}

bool
vm_resume_stalled(struct vm_conn *c, const struct uuid *vm, bool *stalled, GError **err)
{
    g_autoptr(virDomain) dom = conn_domain(c, vm, err);
    if (!dom)
        return false;
    *stalled = domain_is_stalled(dom);
    return !*stalled || vm_resume(c, vm, err);
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
vm_rename(struct vm_conn *c, const struct uuid *vm, const char *name, GError **err)
{
    g_autoptr(virDomain) dom = conn_domain(c, vm, err);
    if (!dom)
        return false;
    const char *old = virDomainGetName(dom);
    if (virDomainRename(dom, name, 0) < 0)
        return conn_error(err, "Guest '%s' could not be renamed to '%s'", old, name);
    inventory_note(conn_inventory(c), vm);
    return true;
}

bool
vm_set_notes(struct vm_conn *c, const struct uuid *vm, const char *text, GError **err)
{
    g_autoptr(virDomain) dom = conn_domain(c, vm, err);
    if (!dom)
        return false;
    const char *name = virDomainGetName(dom);
    const bool live = virDomainIsActive(dom) == 1, kept = virDomainIsPersistent(dom) == 1;
    const unsigned int flags = (live ? VIR_DOMAIN_AFFECT_LIVE : 0) | (kept ? VIR_DOMAIN_AFFECT_CONFIG : 0);
    if (virDomainSetMetadata(dom, VIR_DOMAIN_METADATA_DESCRIPTION, text, NULL, NULL, flags) < 0)
        return conn_error(err, "The notes of guest '%s' could not be written", name);
    inventory_note(conn_inventory(c), vm);
    return true;
}

bool
vm_set_autostart(struct vm_conn *c, const struct uuid *vm, bool yes, GError **err)
{
    g_autoptr(virDomain) dom = conn_domain(c, vm, err);
    if (!dom)
        return false;
    const char *name = virDomainGetName(dom);
    if (virDomainSetAutostart(dom, yes) < 0)
        return conn_error(err, "The start action of guest '%s' could not be changed", name);
    inventory_note(conn_inventory(c), vm);
    return true;
}

static int
discard_save(virDomainPtr dom)
{
    return virDomainHasManagedSaveImage(dom, 0) == 1 ? virDomainManagedSaveRemove(dom, 0) : 0;
}

bool
vm_discard_save(struct vm_conn *c, const struct uuid *vm, GError **err)
{
    return power_call(c, vm, discard_save, "turned off (its saved state discarded)", err);
}

/* libvirt refuses another name for a UUID that it knows. */
static bool
follow_name(struct vm_conn *c, const char *xml, GError **err)
{
    struct uuid vm;
    g_autofree char *name = NULL;
    if (!domxml_identity(xml, &vm, &name, NULL))
        return true; /* libvirt will say what it lacks */
    g_autoptr(virDomain) known = conn_domain(c, &vm, NULL);
    return !known || !strcmp(virDomainGetName(known), name) || vm_rename(c, &vm, name, err);
}

bool
vm_define(struct vm_conn *c, const char *xml, GError **err)
{
    virt_conn_auto conn = conn_ref(c, err);
    if (!conn)
        return false;
    if (!follow_name(c, xml, err))
        return false;
    g_autoptr(virDomain) dom = virDomainDefineXML(conn, xml);
    if (!dom)
        return conn_error(err, "The guest could not be defined");
    struct uuid vm;
    virDomainGetUUID(dom, vm.bytes);
    inventory_note(conn_inventory(c), &vm);
    return true;
}

static bool
undefine(virDomainPtr dom, GError **err)
{
    const unsigned int flags = VIR_DOMAIN_UNDEFINE_MANAGED_SAVE | VIR_DOMAIN_UNDEFINE_SNAPSHOTS_METADATA |
                               VIR_DOMAIN_UNDEFINE_CHECKPOINTS_METADATA | VIR_DOMAIN_UNDEFINE_NVRAM;
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

bool
vm_undefine(struct vm_conn *c, const struct uuid *vm, GError **err)
{
    g_autoptr(GError) missing = NULL;
    g_autoptr(virDomain) dom = conn_domain(c, vm, &missing);
    if (!dom && err_is(missing, ERR_NO_SUCH_INSTANCE))
        return true;
    if (!dom) {
        g_propagate_error(err, g_steal_pointer(&missing));
        return false;
    }
    const bool ok = undefine(dom, err);
    inventory_note(conn_inventory(c), vm);
    return ok;
}
