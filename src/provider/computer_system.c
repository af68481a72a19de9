/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "provider/all.h"
#include "provider/common.h"
#include "provider/computer_system.h"

/* Msvm_ComputerSystem: the host and its guests (contract 1.12).  Its replication properties mirror relationship 0. */

enum { STATUS_OK = 2, STATUS_IN_SERVICE = 11, HEALTHY = 5 };

guint
computer_system_state(enum vm_power power)
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

static bool
is_test(struct repl_service *s, const struct uuid *vm)
{
    g_autoptr(GArray) tests = repl_tests(s);
    for (guint n = 0; n < tests->len; n++)
        if (uuid_equal(&g_array_index(tests, struct repl_test, n).test, vm))
            return true;
    return false;
}

enum repl_mode
computer_system_mode(struct repl_service *s, const struct uuid *vm, const struct repl_relation *r)
{
    const enum repl_mode mode = r ? r->mode : MODE_NONE;
    return mode == MODE_NONE && is_test(s, vm) ? MODE_TEST : mode;
}

void
computer_system_status(struct cim_instance *i, struct repl_service *s, const struct uuid *vm)
{
    g_autoptr(GPtrArray) jobs = job_active(repl_jobs(s), vm);
    const struct job_info *first = jobs->len ? g_ptr_array_index(jobs, 0) : NULL;
    const guint status[] = {first ? STATUS_IN_SERVICE : STATUS_OK};
    g_autofree char *text = g_strdup(first ? first->name : "Operating normally");
    cim_set_uints(i, "OperationalStatus", status, 1);
    cim_set_strings(i, "StatusDescriptions", (char *[]){text, NULL});
    cim_set_uint(i, "HealthState", HEALTHY);
}

static void
fill_common(struct cim_instance *i, const char *caption, const char *description, const char *name, const char *display)
{
    static const guint none[] = {0};
    cim_set_string(i, "Caption", caption);
    cim_set_string(i, "Description", description);
    cim_set_string(i, "CreationClassName", "Msvm_ComputerSystem");
    cim_set_string(i, "Name", name);
    cim_set_string(i, "ElementName", display);
    cim_set_uints(i, "Dedicated", none, 1);
    cim_set_string(i, "Status", "OK");
}

/* No guest has the nil UUID, jobs of the host have. */
static struct cim_instance *
host_instance(struct repl_service *s)
{
    struct cim_instance *i = new_instance("Msvm_ComputerSystem");
    fill_common(i, "Hosting Computer System", "Microsoft Hosting Computer System", repl_host(s), repl_host(s));
    computer_system_status(i, s, &UUID_NIL);
    cim_set_uint(i, "EnabledState", computer_system_state(VM_RUNNING));
    cim_set_uint(i, "ReplicationState", STATE_DISABLED);
    cim_set_uint(i, "ReplicationHealth", 0);
    cim_set_uint(i, "ReplicationMode", MODE_NONE);
    return i;
}

static void
fill_replication(struct cim_instance *i, const struct repl_relation *r)
{
    cim_set_uint(i, "ReplicationState", r->state);
    cim_set_uint(i, "ReplicationHealth", r->health);
    cim_set_uint(i, "FailedOverReplicationType", r->failed_over_type);
    cim_set_uint(i, "LastReplicationType", r->last_type);
    cim_set_time(i, "LastReplicationTime", r->last_us);
    cim_set_time(i, "LastApplicationConsistentReplicationTime", r->last_app_us);
}

static void
fill_requests(struct cim_instance *i, struct repl_service *s, const struct vm_facts *f)
{
    guint requests[REPL_REQUESTS];
    const guint count = repl_power_requests(s, f, requests);
    cim_set_uints(i, "AvailableRequestedStates", requests, count);
}

static struct cim_instance *
guest_instance(struct repl_service *s, const struct vm_facts *f)
{
    char guid[UUID_TEXT];
    struct repl_relation r;
    const bool running = f->power != VM_OFF && f->power != VM_SAVED;
    const bool known = repl_relation_get(s, &f->uuid, 0, &r, NULL);
    struct cim_instance *i = new_instance("Msvm_ComputerSystem");
    fill_common(i, "Virtual Machine", "Microsoft Virtual Computer System", uuid_format(&f->uuid, guid), f->name);
    computer_system_status(i, s, &f->uuid);
    fill_requests(i, s, f);
    cim_set_uint(i, "EnabledState", computer_system_state(f->power));
    if (!running || f->started_us)
        cim_set_uint(i, "OnTimeInMilliseconds", vm_uptime_ms(f));
    if (f->pid)
        cim_set_uint(i, "ProcessID", f->pid);
    cim_set_time(i, "TimeOfLastStateChange", f->changed_us);
    cim_set_time(i, "TimeOfLastConfigurationChange", f->config_us);
    cim_set_uint(i, "NumberOfNumaNodes", MAX(f->machine.numa_nodes, 1));
    cim_set_uint(i, "ReplicationMode", computer_system_mode(s, &f->uuid, known ? &r : NULL));
    if (known) {
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

/* DMTF's power states, which are another list of numbers (CIM_PowerManagementService). */
static guint32
set_power_state(struct cim_call *call, GError **err)
{
    static const struct {
        guint power, request; /* request 0: known, not supported */
    } STATES[] = {{1, 2}, {2, 0}, {3, 0}, {4, 0}, {5, 11}, {6, 3}, {7, 6}, {8, 4}};
    struct uuid vm;
    char job[UUID_TEXT] = "";
    const guint wanted = arg_uint(call, "PowerState", 0);
    const struct cim_value *when = cim_args_get(call->in, "Time");
    if (!self(call, &vm, err))
        return 0;
    if (wanted < 1 || wanted > G_N_ELEMENTS(STATES))
        return err_set(err, ERR_INVALID_PARAMETER, "Parameter 'PowerState' must be 1 to 8, not %u.", wanted), 0;
    if (when && (when->time.us || !when->time.interval))
        return err_set(err, ERR_NOT_SUPPORTED, "A change of power at a later time is not supported."), 0;
    const guint request = STATES[wanted - 1].request;
    if (!request)
        return err_set(err, ERR_NOT_SUPPORTED, "Power state %u is not supported; 1, 5, 6, 7 and 8 are.", wanted), 0;
    return repl_power(service_of(call->user), &vm, request, caller_name(call), job, err) ? done(call, job) : 0;
}

static guint32
inject_non_maskable_interrupt(struct cim_call *call, GError **err)
{
    struct uuid vm;
    if (self(call, &vm, err))
        repl_inject_nmi(service_of(call->user), &vm, err);
    return 0;
}

static const struct cim_method_row methods[] = {
    {"RequestStateChange", CIM_OPERATOR, request_state_change, NULL},
    {"SetPowerState", CIM_OPERATOR, set_power_state, NULL},
    {"InjectNonMaskableInterrupt", CIM_OPERATOR, inject_non_maskable_interrupt, NULL},
    {"RequestReplicationStateChange", CIM_OPERATOR, request_replication_state_change, NULL},
    {"RequestReplicationStateChangeEx", CIM_OPERATOR, request_replication_state_change_ex, NULL},
    {NULL, CIM_NOBODY, NULL, NULL},
};

const struct cim_provider computer_system = {"Msvm_ComputerSystem", enumerate, get, methods};
