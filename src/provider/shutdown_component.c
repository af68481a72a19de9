/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "provider/all.h"
#include "provider/common.h"

#include "base/log.h"

#include <string.h>

/* Msvm_ShutdownComponent: the button of a running guest.  InitiateShutdown asks the guest's agent and, where none answers, presses the
 * ACPI button; it does not wait.  Force makes no difference: the agent's shutdown asks nobody in the guest anyway.  Contract 1.12 (power),
 * and the way libvirt's own client asks: by SystemName. */

static struct cim_instance *
instance_of(const struct vm_facts *f)
{
    static const guint ok[] = {2};
    char guid[UUID_TEXT];
    struct cim_instance *i = new_instance("Msvm_ShutdownComponent");
    g_autofree char *id = settings_id(&f->uuid), *device = g_strconcat(id, "\\Shutdown", NULL);
    cim_set_string(i, "Caption", "Shutdown");
    cim_set_string(i, "Description", "Microsoft Shutdown Component");
    cim_set_string(i, "ElementName", "Shutdown");
    cim_set_string(i, "CreationClassName", "Msvm_ShutdownComponent");
    cim_set_string(i, "DeviceID", device);
    cim_set_string(i, "SystemCreationClassName", "Msvm_ComputerSystem");
    cim_set_string(i, "SystemName", uuid_format(&f->uuid, guid));
    cim_set_string(i, "Name", "Shutdown");
    cim_set_uint(i, "EnabledState", 2);
    cim_set_uint(i, "HealthState", 5);
    cim_set_uints(i, "OperationalStatus", ok, 1);
    cim_set_string(i, "Status", "OK");
    return i;
}

static bool
enumerate(void *user, const struct cim_path *source, cim_emit emit, void *sink, GError **err)
{
    g_autoptr(GPtrArray) guests = repl_guests(service_of(user), err);
    for (guint n = 0; guests && n < guests->len; n++) {
        const struct vm_facts *f = g_ptr_array_index(guests, n);
        if (f->power == VM_RUNNING && !emit(sink, instance_of(f)))
            break;
    }
    return guests != NULL;
}

static guint32
initiate_shutdown(struct cim_call *call, GError **err)
{
    struct uuid vm;
    char job[UUID_TEXT];
    enum { SHUT_DOWN = 4 };
    const char *system = cim_path_get(call->path, "SystemName"), *reason = cim_args_string(call->in, "Reason");
    if (!cim_args_get(call->in, "Force"))
        return err_set(err, ERR_INVALID_PARAMETER, "Parameter 'Force' is missing."), 0;
    if (!system || !uuid_parse(system, &vm))
        return err_set(err, ERR_INVALID_PARAMETER, "'%s' is no virtual machine.", system ? system : "(none)"), 0;
    log_info("Guest '%s' is asked to shut down by '%s': %s", system, caller_name(call), reason && *reason ? reason : "no reason given");
    repl_power(service_of(call->user), &vm, SHUT_DOWN, caller_name(call), job, err);
    return 0;
}

static const struct cim_method_row methods[] = {
    {"InitiateShutdown", CIM_OPERATOR, initiate_shutdown, NULL},
    {NULL, CIM_NOBODY, NULL, NULL},
};

const struct cim_provider shutdown_component = {"Msvm_ShutdownComponent", enumerate, NULL, methods};
