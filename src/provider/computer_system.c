/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "provider/all.h"
#include "provider/common.h"

#include <string.h>

/* Msvm_ComputerSystem: the host and its guests (contract 1.12).  Its replication properties mirror relationship 0. */

static guint
enabled_state(enum vm_power power)
{
    switch (power) {
    case VM_RUNNING:
        return 2;
    case VM_OFF:
        return 3;
    case VM_STOPPING:
        return 4;
    case VM_SAVED:
        return 6;
    case VM_PAUSED:
        return 9;
    case VM_STARTING:
        return 10;
    }
    return 0;
}

static void
fill_common(struct cim_instance *i, const char *caption, const char *description, const char *name, const char *display)
{
    static const guint ok[] = {2}, none[] = {0};
    cim_set_string(i, "Caption", caption);
    cim_set_string(i, "Description", description);
    cim_set_string(i, "CreationClassName", "Msvm_ComputerSystem");
    cim_set_string(i, "Name", name);
    cim_set_string(i, "ElementName", display);
    cim_set_uints(i, "OperationalStatus", ok, 1);
    cim_set_uints(i, "Dedicated", none, 1);
    cim_set_string(i, "Status", "OK");
    cim_set_uint(i, "HealthState", 5);
}

static struct cim_instance *
host_instance(struct repl_service *s)
{
    struct cim_instance *i = new_instance("Msvm_ComputerSystem");
    fill_common(i, "Hosting Computer System", "Microsoft Hosting Computer System", repl_host(s), repl_host(s));
    cim_set_uint(i, "EnabledState", 2);
    cim_set_uint(i, "ReplicationState", 0);
    cim_set_uint(i, "ReplicationHealth", 0);
    cim_set_uint(i, "ReplicationMode", 0);
    return i;
}

static void
fill_replication(struct cim_instance *i, const struct repl_relation *r)
{
    cim_set_uint(i, "ReplicationState", r->state);
    cim_set_uint(i, "ReplicationHealth", r->health);
    cim_set_uint(i, "ReplicationMode", r->mode);
    cim_set_uint(i, "FailedOverReplicationType", r->failed_over_type);
    cim_set_uint(i, "LastReplicationType", r->last_type);
    cim_set_time(i, "LastReplicationTime", r->last_us);
    cim_set_time(i, "LastApplicationConsistentReplicationTime", r->last_app_us);
}

static struct cim_instance *
guest_instance(struct repl_service *s, const struct vm_facts *f)
{
    char guid[UUID_TEXT];
    struct repl_relation r;
    struct cim_instance *i = new_instance("Msvm_ComputerSystem");
    fill_common(i, "Virtual Machine", "Microsoft Virtual Computer System", uuid_format(&f->uuid, guid), f->name);
    cim_set_uint(i, "EnabledState", enabled_state(f->power));
    cim_set_uint(i, "OnTimeInMilliseconds", f->uptime_ms);
    if (f->pid)
        cim_set_uint(i, "ProcessID", f->pid);
    cim_set_time(i, "TimeOfLastStateChange", f->started_us);
    cim_set_uint(i, "NumberOfNumaNodes", 1);
    if (repl_relation_get(s, &f->uuid, 0, &r, NULL)) {
        fill_replication(i, &r);
        repl_relation_clear(&r);
    }
    return i;
}

static bool
enumerate(void *user, const struct cim_path *source, cim_emit emit, void *sink, GError **err)
{
    struct repl_service *s = service_of(user);
    if (!emit(sink, host_instance(s)))
        return true;
    g_autoptr(GPtrArray) guests = repl_guests(s, err);
    for (guint n = 0; guests && n < guests->len; n++)
        if (!emit(sink, guest_instance(s, g_ptr_array_index(guests, n))))
            break;
    return guests != NULL;
}

static struct cim_instance *
get(void *user, const struct cim_path *path, GError **err)
{
    struct repl_service *s = service_of(user);
    struct uuid vm;
    const char *name = cim_path_get(path, "Name");
    if (name && g_ascii_strcasecmp(name, repl_host(s)) == 0)
        return host_instance(s);
    vm_facts_auto f = guest_of_path(path, &vm) ? repl_guest(s, &vm, err) : NULL;
    return f ? guest_instance(s, f) : NULL;
}

/* A method of the class called on the host instead of a guest. */
static bool
self(const struct cim_call *call, struct uuid *vm, GError **err)
{
    return guest_of_path(call->path, vm) || err_set(err, ERR_INVALID_PARAMETER, "This works on virtual machines, not on the host.");
}

static guint32
request_state_change(struct cim_call *call, GError **err)
{
    struct uuid vm;
    char job[UUID_TEXT] = "";
    if (!cim_args_get(call->in, "RequestedState"))
        return err_set(err, ERR_INVALID_PARAMETER, "Parameter 'RequestedState' is missing."), 0;
    if (!self(call, &vm, err) || !repl_power(service_of(call->user), &vm, arg_uint(call, "RequestedState", 0), caller_name(call), job, err))
        return 0;
    return done(call, job);
}

static guint32
change_replication(struct cim_call *call, bool ex, GError **err)
{
    struct uuid vm;
    guint index = 0;
    char job[UUID_TEXT] = "";
    if (!cim_args_get(call->in, "RequestedState"))
        return err_set(err, ERR_INVALID_PARAMETER, "Parameter 'RequestedState' is missing."), 0;
    if (!self(call, &vm, err) || (ex && !arg_relation(call, &vm, false, &index, err)))
        return 0;
    if (!repl_state_change(service_of(call->user), &vm, index, arg_uint(call, "RequestedState", 0), caller_name(call), job, err))
        return 0;
    return done(call, job);
}

static guint32
request_replication_state_change(struct cim_call *call, GError **err)
{
    return change_replication(call, false, err);
}

static guint32
request_replication_state_change_ex(struct cim_call *call, GError **err)
{
    return change_replication(call, true, err);
}

static const struct cim_method_row methods[] = {
    {"RequestStateChange", CIM_OPERATOR, request_state_change},
    {"RequestReplicationStateChange", CIM_OPERATOR, request_replication_state_change},
    {"RequestReplicationStateChangeEx", CIM_OPERATOR, request_replication_state_change_ex},
    {NULL, CIM_NOBODY, NULL},
};

const struct cim_provider computer_system = {"Msvm_ComputerSystem", enumerate, get, methods};
