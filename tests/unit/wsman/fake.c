/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fake.h"

#include "base/clean.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/uuid.h"
#include "cim/cimxml.h"

#include <string.h>

#define NS "root/virtualization/v2"

struct vm {
    const char *guid, *name;
    guint mode, state, health, enabled, pid;
};
static const struct vm vms[] = {
    {WEB, "web", 2, 3, 1, 2, 4711},
    {DB, "db", 1, 3, 2, 2, 4712},
    {NEW, "new", 0, 0, 0, 3, 0},
};
static const char *const points[] = {POINT_1, POINT_2, POINT_3};

struct job {
    char *id, *name, *error;
    guint looks, code;
};

struct fake {
    GMutex lock;
    struct cim_broker *broker;
    GString *calls;
    GPtrArray *jobs, *entries; /* struct job; struct cim_instance */
    struct cim_instance *service_settings;
    char *store_dir;
    gint64 delay_us;
    guint listings; /* of a guest's points */
};

static struct cim_instance *
make(const char *cls)
{
    return cim_instance_new(cim_class_find(NS, cls));
}

static struct cim_path *
id_path(const char *cls, const char *format, const char *id)
{
    g_autofree char *text = g_strdup_printf("%s%s%s", format ? "Microsoft:" : "", id, format ? format : "");
    struct cim_path *p = cim_path_new(NS, cls);
    cim_path_set(p, "InstanceID", text);
    return p;
}

static struct cim_path *
system_path(const char *name)
{
    struct cim_path *p = cim_path_new(NS, "Msvm_ComputerSystem");
    cim_path_set(p, "CreationClassName", "Msvm_ComputerSystem");
    cim_path_set(p, "Name", name);
    return p;
}

static struct cim_path *
service_path(void)
{
    struct cim_path *p = cim_path_new(NS, "Msvm_ReplicationService");
    cim_path_set(p, "CreationClassName", "Msvm_ReplicationService");
    cim_path_set(p, "Name", "replicasvc");
    cim_path_set(p, "SystemCreationClassName", "Msvm_ComputerSystem");
    cim_path_set(p, "SystemName", FAKE_HOST);
    return p;
}

static bool
link_up(cim_emit emit, void *sink, const char *cls, const char *a, struct cim_path *pa, const char *b, struct cim_path *pb)
{
    struct cim_instance *i = make(cls);
    cim_set_ref(i, a, pa);
    cim_set_ref(i, b, pb);
    return emit(sink, i);
}

static void
set_id(struct cim_instance *i, const char *id, const char *tail)
{
    g_autofree char *text = g_strdup_printf("Microsoft:%s%s", id, tail);
    cim_set_string(i, "InstanceID", text);
}

/* --- instances ---------------------------------------------------------------------------------------------------------------------- */

static bool
systems(void *user, const struct cim_path *source, cim_emit emit, void *sink, GError **err)
{
    struct cim_instance *host = make("Msvm_ComputerSystem");
    cim_set_string(host, "Name", FAKE_HOST);
    cim_set_string(host, "ElementName", FAKE_HOST);
    cim_set_string(host, "Caption", "Hosting Computer System");
    emit(sink, host);
    for (guint n = 0; n < G_N_ELEMENTS(vms); n++) {
        const guint status[] = {2, 11};
        struct cim_instance *i = make("Msvm_ComputerSystem");
        cim_set_string(i, "Name", vms[n].guid);
        cim_set_string(i, "ElementName", vms[n].name);
        cim_set_uint(i, "EnabledState", vms[n].enabled);
        cim_set_uint(i, "ReplicationMode", vms[n].mode);
        cim_set_uint(i, "ReplicationState", vms[n].state);
        cim_set_uint(i, "ReplicationHealth", vms[n].health);
        cim_set_uints(i, "OperationalStatus", status, 2);
        cim_set_time(i, "InstallDate", FAKE_EPOCH_US);
        cim_set_uint(i, "OnTimeInMilliseconds", 5000);
        if (vms[n].pid)
            cim_set_uint(i, "ProcessID", vms[n].pid);
        emit(sink, i);
    }
    return true;
}

static bool
services(void *user, const struct cim_path *source, cim_emit emit, void *sink, GError **err)
{
    struct cim_instance *i = make("Msvm_ReplicationService");
    clock_shift_for_test(0, ((struct fake *)user)->delay_us);
    cim_set_string(i, "SystemName", FAKE_HOST);
    emit(sink, i);
    return true;
}

static bool
management(void *user, const struct cim_path *source, cim_emit emit, void *sink, GError **err)
{
    emit(sink, make("Msvm_VirtualSystemManagementService"));
    return true;
}

static bool
relationships(void *user, const struct cim_path *source, cim_emit emit, void *sink, GError **err)
{
    for (guint n = 0; n < G_N_ELEMENTS(vms); n++) {
        struct cim_instance *i = make("Msvm_ReplicationRelationship");
        set_id(i, vms[n].guid, "\\HVR\\0");
        cim_set_string(i, "ElementName", vms[n].name);
        cim_set_uint(i, "ReplicationState", vms[n].state);
        cim_set_uint(i, "ReplicationHealth", vms[n].health);
        cim_set_time(i, "LastReplicationTime", vms[n].state ? FAKE_EPOCH_US + 120 * G_USEC_PER_SEC : 0);
        emit(sink, i);
    }
    return true;
}

static bool
relation_links(void *user, const struct cim_path *source, cim_emit emit, void *sink, GError **err)
{
    for (guint n = 0; n < G_N_ELEMENTS(vms); n++)
        link_up(emit, sink, "Msvm_SystemReplicationRelationship", "Antecedent", system_path(vms[n].guid), "Dependent",
                id_path("Msvm_ReplicationRelationship", "\\HVR\\0", vms[n].guid));
    return true;
}

static bool
replication_settings(void *user, const struct cim_path *source, cim_emit emit, void *sink, GError **err)
{
    for (guint n = 0; n < G_N_ELEMENTS(vms); n++) {
        char *disks[] = {g_strdup_printf("Microsoft:%s\\vda", vms[n].guid), NULL};
        struct cim_instance *i = make("Msvm_ReplicationSettingData");
        set_id(i, vms[n].guid, "\\HVR\\0");
        cim_set_string(i, "VirtualSystemIdentifier", vms[n].guid);
        cim_set_string(i, "RecoveryConnectionPoint", vms[n].mode ? "hostb.example" : NULL);
        cim_set_string(i, "PrimaryConnectionPoint", vms[n].mode ? "hosta.example" : NULL);
        cim_set_bool(i, "CompressionEnabled", true);
        cim_set_string(i, "AdditionalSettings", vms[n].mode == 1 ? "{\"interval_ms\": 2000}" : NULL);
        cim_set_string(i, "CertificateThumbPrint", "0123456789ABCDEF0123456789ABCDEF01234567");
        cim_set_strings(i, "IncludedDisks", disks);
        cim_set_interval(i, "AutoResynchronizeIntervalStart", (gint64)66600 * G_USEC_PER_SEC);
        g_free(disks[0]);
        emit(sink, i);
    }
    return true;
}

/* Two hours of the primary: the one that runs, and the one of a day and a half ago. */
static bool
churn(void *user, const struct cim_path *source, cim_emit emit, void *sink, GError **err)
{
    static const char *const disks[] = {"vda", "", "vda", ""};
    static const guint numbers[] = {10 << 20, 0, 40 << 20, 0};
    const gint64 now = g_get_real_time() / G_TIME_SPAN_HOUR * G_TIME_SPAN_HOUR;
    struct cim_value hour = cim_array(CIM_DATETIME), disk = cim_array(CIM_STRING), cycles = cim_array(CIM_UINT32);
    struct cim_value changed = cim_array(CIM_UINT64), wire = cim_array(CIM_UINT64), copied = cim_array(CIM_UINT64);
    for (guint n = 0; n < G_N_ELEMENTS(disks); n++) {
        cim_array_add(&hour, cim_time(n < 2 ? now - 36 * G_TIME_SPAN_HOUR : now));
        cim_array_add(&disk, cim_string(disks[n]));
        cim_array_add(&cycles, cim_uint(CIM_UINT32, 120));
        cim_array_add(&changed, cim_uint(CIM_UINT64, numbers[n]));
        cim_array_add(&wire, cim_uint(CIM_UINT64, *disks[n] ? numbers[n] / 2 : 3600));
        cim_array_add(&copied, cim_uint(CIM_UINT64, 0));
    }
    struct cim_instance *i = make("Vmr_ReplicationChurn");
    set_id(i, DB, "\\HVR\\0");
    cim_set(i, "Hour", hour);
    cim_set(i, "Disk", disk);
    cim_set(i, "Cycles", cycles);
    cim_set(i, "ChangedBytes", changed);
    cim_set(i, "WireBytes", wire);
    cim_set(i, "CopiedBytes", copied);
    emit(sink, i);
    return true;
}

static bool
service_settings(void *user, const struct cim_path *source, cim_emit emit, void *sink, GError **err)
{
    struct fake *f = user;
    HOLD(&f->lock);
    emit(sink, cim_instance_copy(f->service_settings));
    return true;
}

static bool
entries(void *user, const struct cim_path *source, cim_emit emit, void *sink, GError **err)
{
    struct fake *f = user;
    HOLD(&f->lock);
    for (guint n = 0; n < f->entries->len; n++)
        emit(sink, cim_instance_copy(g_ptr_array_index(f->entries, n)));
    return true;
}

static bool
setting_links(void *user, const struct cim_path *source, cim_emit emit, void *sink, GError **err)
{
    struct fake *f = user;
    HOLD(&f->lock);
    link_up(emit, sink, "Msvm_ElementSettingData", "ManagedElement", service_path(), "SettingData", cim_instance_path(f->service_settings));
    for (guint n = 0; n < f->entries->len; n++)
        link_up(emit, sink, "Msvm_ElementSettingData", "ManagedElement", service_path(), "SettingData",
                cim_instance_path(g_ptr_array_index(f->entries, n)));
    for (guint n = 0; n < G_N_ELEMENTS(vms); n++)
        link_up(emit, sink, "Msvm_ElementSettingData", "ManagedElement", system_path(vms[n].guid), "SettingData",
                id_path("Msvm_ReplicationSettingData", "\\HVR\\0", vms[n].guid));
    return true;
}

static bool
settings(void *user, const struct cim_path *source, cim_emit emit, void *sink, GError **err)
{
    struct fake *f = user;
    for (guint n = 0; n < G_N_ELEMENTS(vms); n++) {
        struct cim_instance *i = make("Msvm_VirtualSystemSettingData");
        set_id(i, vms[n].guid, "");
        cim_set_string(i, "ElementName", vms[n].name);
        cim_set_string(i, "VirtualSystemIdentifier", vms[n].guid);
        cim_set_string(i, "VirtualSystemType", "Microsoft:Hyper-V:System:Realized");
        emit(sink, i);
    }
    for (guint n = 0; n < G_N_ELEMENTS(points); n++) {
        struct cim_instance *i = make("Msvm_VirtualSystemSettingData");
        char *notes[] = {g_strdup_printf("bytes=%u", 1000 * (n + 1)), NULL};
        set_id(i, points[n], "");
        cim_set_string(i, "ElementName", "web - Standard Replica - (2026-11-18 - 11:06:40) <&>");
        cim_set_string(i, "VirtualSystemIdentifier", WEB);
        cim_set_string(i, "VirtualSystemType",
                       n == 1 ? "Microsoft:Hyper-V:Snapshot:Replica:ApplicationConsistent" : "Microsoft:Hyper-V:Snapshot:Replica:Standard");
        cim_set_time(i, "CreationTime", FAKE_EPOCH_US + n * 60 * G_USEC_PER_SEC);
        cim_set_string(i, "SnapshotDataRoot", f->store_dir);
        cim_set_strings(i, "Notes", notes);
        g_free(notes[0]);
        emit(sink, i);
    }
    return true;
}

static bool
snapshot_links(void *user, const struct cim_path *source, cim_emit emit, void *sink, GError **err)
{
    struct fake *f = user;
    HOLD(&f->lock);
    f->listings++;
    for (guint n = 0; n < G_N_ELEMENTS(points); n++)
        link_up(emit, sink, "Msvm_SnapshotOfVirtualSystem", "Antecedent", system_path(WEB), "Dependent",
                id_path("Msvm_VirtualSystemSettingData", "", points[n]));
    return true;
}

/* --- jobs: half done when looked at first, final when looked at again --------------------------------------------------------------- */

static struct cim_instance *
job_instance(const struct job *j)
{
    const guint status[] = {2};
    bool final = j->looks > 1;
    struct cim_instance *i = make("Msvm_ConcreteJob");
    cim_set_string(i, "InstanceID", j->id);
    cim_set_string(i, "Name", j->name);
    cim_set_uints(i, "OperationalStatus", status, 1);
    cim_set_uint(i, "JobState", !final ? 4 : j->error ? 10 : 7);
    cim_set_uint(i, "PercentComplete", final ? 100 : 50);
    cim_set_string(i, "JobStatus", final ? "done" : "working");
    cim_set_time(i, "TimeSubmitted", FAKE_EPOCH_US);
    cim_set_interval(i, "ElapsedTime", 1500000);
    cim_set_uint(i, "ErrorCode", final ? j->code : 0);
    cim_set_string(i, "ErrorDescription", final ? j->error : NULL);
    return i;
}

static bool
jobs(void *user, const struct cim_path *source, cim_emit emit, void *sink, GError **err)
{
    struct fake *f = user;
    HOLD(&f->lock);
    for (guint n = 0; n < f->jobs->len; n++) {
        struct job *j = g_ptr_array_index(f->jobs, n);
        j->looks++;
        emit(sink, job_instance(j));
    }
    return true;
}

static void
job_free(gpointer p)
{
    struct job *j = p;
    g_free(j->id);
    g_free(j->name);
    g_free(j->error);
    g_free(j);
}

static void
post_job(struct fake *f, struct cim_call *call, const char *name, const char *error)
{
    char text[UUID_TEXT];
    struct uuid id = uuid_random();
    struct job *j = g_new0(struct job, 1);
    j->id = g_strdup(uuid_format(&id, text));
    j->name = g_strdup(name);
    j->error = g_strdup(error);
    j->code = error ? 32775 : 0;
    cim_args_set(call->out, "Job", cim_ref(id_path("Msvm_ConcreteJob", NULL, j->id)));
    HOLD(&f->lock);
    g_ptr_array_add(f->jobs, j);
}

/* --- methods ------------------------------------------------------------------------------------------------------------------------ */

static void
describe(GString *out, const struct cim_value *v)
{
    if (v->null)
        g_string_append(out, "null");
    for (guint i = 0; !v->null && v->array && i < v->items->len; i++) {
        g_string_append(out, i ? "," : "");
        describe(out, g_ptr_array_index(v->items, i));
    }
    if (v->null || v->array)
        return;
    g_autofree char *text = cim_value_text(v);
    g_string_append(out, text);
}

static void
note(struct cim_call *call, const char *method, guint32 result)
{
    struct fake *f = call->user;
    HOLD(&f->lock);
    g_string_append_printf(f->calls, "%s(", method);
    for (guint i = 0; i < cim_args_count(call->in); i++) {
        g_string_append_printf(f->calls, "%s%s=", i ? ", " : "", cim_args_name(call->in, i));
        describe(f->calls, cim_args_at(call->in, i));
    }
    g_string_append_printf(f->calls, ") -> %u\n", result);
}

static const char *
target(struct cim_call *call)
{
    const struct cim_value *v = cim_args_get(call->in, "ComputerSystem");
    const char *name = v ? cim_path_get(v->ref, "Name") : cim_path_get(call->path, "Name");
    return name ? name : "";
}

static guint32
post(struct cim_call *call, const char *method, GError **err)
{
    bool db = g_ascii_strcasecmp(target(call), DB) == 0;
    if (db && g_str_has_prefix(method, "Initiate")) {
        note(call, method, 32775);
        err_set(err, ERR_INVALID_STATE, "'db' is no replica on this host. Call this on the other one.");
        return 0;
    }
    post_job(call->user, call, method,
             db && g_str_equal(method, "CommitFailover")        ? "'db' has not failed over."
             : db && g_str_equal(method, "VerifyReplicaSystem") ? "The guest agent did not answer within 300 s."
                                                                : NULL);
    note(call, method, 4096);
    return 4096;
}

#define POSTS(name) \
    static guint32 name(struct cim_call *call, GError **err) { return post(call, #name, err); }
POSTS(InitiateFailover)
POSTS(RevertFailover)
POSTS(VerifyReplicaSystem)
POSTS(Resynchronize)
POSTS(CommitFailover)
POSTS(CreateReplicationRelationship)
POSTS(ModifyReplicationSettings)
POSTS(StartReplication)
POSTS(ImportInitialReplica)
POSTS(RemoveReplicationRelationship)
POSTS(RemoveReplicationRelationshipEx)
POSTS(RequestStateChange)
POSTS(RequestReplicationStateChange)
POSTS(RequestReplicationStateChangeEx)

static guint32
ModifyServiceSettings(struct cim_call *call, GError **err)
{
    struct fake *f = call->user;
    const char *text = cim_args_string(call->in, "SettingData");
    struct cim_instance *i = text ? cim_xml_parse(text, "Msvm_ReplicationServiceSettingData", err) : NULL;
    if (!i)
        return 0;
    HOLD(&f->lock);
    cim_instance_free(f->service_settings);
    f->service_settings = i;
    return 0;
}

static guint32
AddAuthorizationEntry(struct cim_call *call, GError **err)
{
    struct fake *f = call->user;
    const char *text = cim_args_string(call->in, "AuthorizationEntry");
    struct cim_instance *i = text ? cim_xml_parse(text, "Msvm_ReplicationAuthorizationSettingData", err) : NULL;
    if (!i)
        return 0;
    set_id(i, cim_get_string(i, "AllowedPrimaryHostSystem"), "");
    HOLD(&f->lock);
    g_ptr_array_add(f->entries, i);
    return 0;
}

static guint32
ModifyAuthorizationEntry(struct cim_call *call, GError **err)
{
    struct fake *f = call->user;
    const char *text = cim_args_string(call->in, "AuthorizationEntry");
    cim_instance_auto wanted = text ? cim_xml_parse(text, "Msvm_ReplicationAuthorizationSettingData", err) : NULL;
    HOLD(&f->lock);
    for (guint n = 0; wanted && n < f->entries->len; n++) {
        struct cim_instance *entry = g_ptr_array_index(f->entries, n);
        if (cim_get_string(wanted, "TrustGroup"))
            cim_set_string(entry, "TrustGroup", cim_get_string(wanted, "TrustGroup"));
        if (cim_get_string(wanted, "ReplicaStorageLocation"))
            cim_set_string(entry, "ReplicaStorageLocation", cim_get_string(wanted, "ReplicaStorageLocation"));
    }
    return 0;
}

static guint32
RemoveAuthorizationEntry(struct cim_call *call, GError **err)
{
    struct fake *f = call->user;
    const char *host = cim_args_string(call->in, "AllowedPrimaryHostSystem");
    HOLD(&f->lock);
    for (guint n = 0; host && n < f->entries->len; n++) {
        if (g_strcmp0(cim_get_string(g_ptr_array_index(f->entries, n), "AllowedPrimaryHostSystem"), host) != 0)
            continue;
        g_ptr_array_remove_index(f->entries, n);
        return 0;
    }
    err_set(err, ERR_INVALID_PARAMETER, "There is no entry for '%s'.", host ? host : "");
    return 0;
}

static char *
issue_text(const char *message)
{
    cim_instance_auto i = make("Msvm_Error");
    cim_set_uint(i, "PerceivedSeverity", 3);
    cim_set_string(i, "Message", message);
    cim_set_string(i, "MessageID", "fake");
    cim_set_strings(i, "RecommendedActions", (char *[]){(char[]){"Look at it."}, NULL});
    return cim_xml_text(i);
}

/* The time of a boot check is the number of calls before it, so that each is a new one. */
static guint32
GetReplicationStatistics(struct cim_call *call, GError **err)
{
    struct fake *f = call->user;
    cim_instance_auto i = make("Msvm_ReplicationStatistics");
    set_id(i, target(call), "\\0");
    {
        HOLD(&f->lock);
        g_autofree char *text = g_strdup_printf("disk_bytes=1 check=passed check_time=%" G_GSIZE_FORMAT " check_ms=2500 check_point=%s "
                                                "check_picture=ppm", f->calls->len, POINT_2);
        cim_set_string(i, "Description", text);
    }
    char *statistics[] = {cim_xml_text(i), NULL};
    cim_args_set(call->out, "ReplicationStatistics", cim_strings(statistics));
    g_free(statistics[0]);
    return 0;
}

static guint32
GetReplicationStatisticsEx(struct cim_call *call, GError **err)
{
    cim_instance_auto i = make("Msvm_ReplicationStatistics");
    set_id(i, target(call), "\\0");
    cim_set_uint(i, "ReplicationSize", 123456);
    cim_set_uint(i, "ReplicationSuccessCount", 7);
    cim_set_uint(i, "PendingReplicationSize", 4096);
    if (g_ascii_strcasecmp(target(call), DB) == 0)
        cim_set_string(i, "Description", "disk_bytes=1048576 free_bytes=2097152 given_up=3 growth_per_day=1048576 days_left=2 "
                                         "compression=lz4 pack_bytes_per_s=524288000 link_bytes_per_s=104857600");
    char *statistics[] = {cim_xml_text(i), NULL};
    char *issues[] = {issue_text("The link is slow."), issue_text("A disk is not protected."), NULL};
    cim_args_set(call->out, "ReplicationStatistics", cim_strings(statistics));
    if (g_ascii_strcasecmp(target(call), DB) == 0)
        cim_args_set(call->out, "ReplicationHealthIssues", cim_strings(issues));
    g_free(statistics[0]);
    g_free(issues[0]);
    g_free(issues[1]);
    note(call, "GetReplicationStatisticsEx", 0);
    return 0;
}

static guint32
ResetReplicationStatistics(struct cim_call *call, GError **err)
{
    (void)err;
    note(call, "ResetReplicationStatistics", 0);
    return 0;
}

#define ROW(name) {#name, CIM_ADMINISTRATOR, name}
static const struct cim_method_row service_methods[] = {
    ROW(InitiateFailover), ROW(RevertFailover), ROW(CommitFailover), ROW(CreateReplicationRelationship), ROW(ModifyReplicationSettings),
    ROW(StartReplication), ROW(ImportInitialReplica),
    ROW(RemoveReplicationRelationship), ROW(RemoveReplicationRelationshipEx), ROW(ModifyServiceSettings), ROW(AddAuthorizationEntry),
    ROW(ModifyAuthorizationEntry), ROW(ResetReplicationStatistics),
    ROW(RemoveAuthorizationEntry), {"GetReplicationStatisticsEx", CIM_VIEWER, GetReplicationStatisticsEx},
    {"GetReplicationStatistics", CIM_VIEWER, GetReplicationStatistics}, ROW(VerifyReplicaSystem), ROW(Resynchronize), {0},
};
static guint32
ModifySystemSettings(struct cim_call *call, GError **err)
{
    note(call, "ModifySystemSettings", 0);
    return 0;
}

static const struct cim_method_row management_methods[] = {ROW(ModifySystemSettings), {0}};
static const struct cim_method_row system_methods[] = {
    ROW(RequestStateChange), ROW(RequestReplicationStateChange), ROW(RequestReplicationStateChangeEx), {0},
};

static const struct cim_provider provider_rows[] = {
    {"Msvm_ComputerSystem", systems, NULL, system_methods},
    {"Msvm_ReplicationService", services, NULL, service_methods},
    {"Msvm_VirtualSystemManagementService", management, NULL, management_methods},
    {"Msvm_ReplicationRelationship", relationships, NULL, NULL},
    {"Msvm_SystemReplicationRelationship", relation_links, NULL, NULL},
    {"Msvm_ReplicationSettingData", replication_settings, NULL, NULL},
    {"Vmr_ReplicationChurn", churn, NULL, NULL},
    {"Msvm_ReplicationServiceSettingData", service_settings, NULL, NULL},
    {"Msvm_ReplicationAuthorizationSettingData", entries, NULL, NULL},
    {"Msvm_ElementSettingData", setting_links, NULL, NULL},
    {"Msvm_VirtualSystemSettingData", settings, NULL, NULL},
    {"Msvm_SnapshotOfVirtualSystem", snapshot_links, NULL, NULL},
    {"Msvm_ConcreteJob", jobs, NULL, NULL},
};

static void
free_instance(gpointer i)
{
    cim_instance_free(i);
}

struct fake *
fake_new(void)
{
    struct fake *f = g_new0(struct fake, 1);
    const struct cim_provider *list[G_N_ELEMENTS(provider_rows) + 1] = {0};
    for (guint i = 0; i < G_N_ELEMENTS(provider_rows); i++)
        list[i] = &provider_rows[i];
    g_mutex_init(&f->lock);
    f->calls = g_string_new(NULL);
    f->jobs = g_ptr_array_new_with_free_func(job_free);
    f->entries = g_ptr_array_new_with_free_func(free_instance);
    f->service_settings = make("Msvm_ReplicationServiceSettingData");
    cim_set_string(f->service_settings, "InstanceID", "Microsoft:" FAKE_HOST);
    cim_set_uint(f->service_settings, "HttpsPort", 8443);
    cim_set_string(f->service_settings, "CertificateThumbPrint", "0123456789ABCDEF0123456789ABCDEF01234567");
    f->broker = cim_broker_new(FAKE_HOST, list, f);
    return f;
}

void
fake_free(struct fake *f)
{
    cim_broker_free(f->broker);
    cim_instance_free(f->service_settings);
    g_ptr_array_unref(f->jobs);
    g_ptr_array_unref(f->entries);
    g_string_free(f->calls, TRUE);
    g_free(f->store_dir);
    g_mutex_clear(&f->lock);
    g_free(f);
}

struct cim_broker *
fake_broker(struct fake *f)
{
    return f->broker;
}

void
fake_store_dir(struct fake *f, const char *dir)
{
    g_free(f->store_dir);
    f->store_dir = g_strdup(dir);
}

void
fake_slow(struct fake *f, gint64 us)
{
    f->delay_us = us;
}

char *
fake_calls(struct fake *f)
{
    HOLD(&f->lock);
    char *text = g_strdup(f->calls->str);
    g_string_truncate(f->calls, 0);
    return text;
}

guint
fake_listings(struct fake *f)
{
    HOLD(&f->lock);
    const guint listings = f->listings;
    f->listings = 0;
    return listings;
}
