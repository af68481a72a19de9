/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "provider/all.h"
#include "provider/common.h"
#include "provider/failover_addresses.h"
#include "provider/replication_setting.h"
#include "provider/service_setting.h"
#include "provider/statistics.h"

#include "base/clock.h"

/* Msvm_ReplicationService (contract 1.1 and section 2).  A method decodes its arguments, asks the heart, and answers; the checks of
 * state and their order live in repl/. */

#define NEED(call, name, err) \
    (cim_args_get((call)->in, name) || err_set(err, ERR_INVALID_PARAMETER, "Parameter '%s' is missing.", name))

static bool
enumerate(void *user, const struct cim_path *source, cim_emit emit, void *sink, GError **err)
{
    struct repl_service *s = service_of(user);
    struct repl_host_settings h = {0};
    bool listening;
    repl_host_settings(s, &h, &listening);
    bool down = h.recovery_enabled && !listening;
    guint status[] = {down ? 6 : 2};
    g_autofree char *expires = repl_certificate_warning(s);
    g_autofree char *describe = g_strdup(down ? "The replication port cannot be opened" : expires ? expires : "OK");
    struct cim_instance *i = new_instance("Msvm_ReplicationService");
    cim_set_string(i, "CreationClassName", "Msvm_ReplicationService");
    cim_set_string(i, "SystemCreationClassName", "Msvm_ComputerSystem");
    cim_set_string(i, "SystemName", repl_host(s));
    cim_set_string(i, "Name", "replicasvc");
    cim_set_string(i, "ElementName", "vmreplica " VMR_VERSION);
    cim_set_uints(i, "OperationalStatus", status, 1);
    cim_set_strings(i, "StatusDescriptions", (char *[]){describe, NULL});
    repl_host_settings_clear(&h);
    emit(sink, i);
    return true;
}

/* --- the host ---------------------------------------------------------------------------------------------------------------------- */

static guint32
modify_service_settings(struct cim_call *call, GError **err)
{
    struct repl_service *s = service_of(call->user);
    cim_instance_auto i = NULL;
    char job[UUID_TEXT] = "";
    if (!NEED(call, "SettingData", err) || !arg_embedded(call, "SettingData", "Msvm_ReplicationServiceSettingData", &i, err) || !i)
        return err_set(err && *err ? NULL : err, ERR_INVALID_PARAMETER, "Parameter 'SettingData' is empty."), 0;
    struct repl_host_settings h = {0};
    repl_host_settings(s, &h, NULL);
    if (service_setting_read(i, &h, err))
        repl_modify_service(s, &h, caller_name(call), job, err);
    repl_host_settings_clear(&h);
    return done(call, job);
}

static bool
read_entry(struct cim_call *call, struct repl_entry *e, struct cim_instance **keep, GError **err)
{
    if (!NEED(call, "AuthorizationEntry", err))
        return false;
    if (!arg_embedded(call, "AuthorizationEntry", "Msvm_ReplicationAuthorizationSettingData", keep, err))
        return false;
    const char *host = *keep ? cim_get_string(*keep, "AllowedPrimaryHostSystem") : NULL;
    if (!host || !*host)
        return err_set(err, ERR_INVALID_PARAMETER, "AllowedPrimaryHostSystem of the authorisation entry is missing.");
    e->host = g_strdup(host);
    e->trust_group = g_strdup(cim_get_string(*keep, "TrustGroup"));
    e->location = g_strdup(cim_get_string(*keep, "ReplicaStorageLocation"));
    return true;
}

static guint32
change_entry(struct cim_call *call, bool (*change)(struct repl_service *, const struct repl_entry *, GError **), GError **err)
{
    cim_instance_auto i = NULL;
    struct repl_entry e = {0};
    if (read_entry(call, &e, &i, err))
        change(service_of(call->user), &e, err);
    g_free(e.host);
    g_free(e.trust_group);
    g_free(e.location);
    return 0;
}

static guint32
add_authorization_entry(struct cim_call *call, GError **err)
{
    return change_entry(call, repl_entry_add, err);
}

static guint32
modify_authorization_entry(struct cim_call *call, GError **err)
{
    return change_entry(call, repl_entry_modify, err);
}

static guint32
remove_authorization_entry(struct cim_call *call, GError **err)
{
    if (NEED(call, "AllowedPrimaryHostSystem", err))
        repl_entry_remove(service_of(call->user), cim_args_string(call->in, "AllowedPrimaryHostSystem"), err);
    return 0;
}

static guint32
test_replication_connection(struct cim_call *call, GError **err)
{
    char job[UUID_TEXT] = "";
    const char *host = cim_args_string(call->in, "RecoveryConnectionPoint");
    if (!host || !*host)
        return err_set(err, ERR_INVALID_PARAMETER, "Parameter 'RecoveryConnectionPoint' is missing."), 0;
    guint port = arg_uint(call, "RecoveryServerPortNumber", 0), type = arg_uint(call, "AuthenticationType", 0);
    if (port == 0 || (type != 1 && type != 2))
        return err_set(err, ERR_INVALID_PARAMETER, "RecoveryServerPortNumber or AuthenticationType is out of range."), 0;
    if (type == 1)
        return err_set(err, ERR_NOT_SUPPORTED, "Replication authenticates with certificates on this host (AuthenticationType 2)."), 0;
    if (!repl_thumbprint_fits(service_of(call->user), cim_args_string(call->in, "CertificateThumbPrint"), err))
        return 0;
    repl_test_connection(service_of(call->user), host, port, caller_name(call), job, err);
    return done(call, job);
}

/* --- relationships ------------------------------------------------------------------------------------------------------------------ */

/* On a replica the settings are those of the extended relationship, if there is one (contract 2.2). */
static bool
current(struct repl_service *s, const struct uuid *vm, struct repl_relation *out)
{
    if (repl_relation_get(s, vm, 1, out, NULL)) {
        if (out->state != STATE_DISABLED)
            return true;
        repl_relation_clear(out);
    }
    return repl_relation_get(s, vm, 0, out, NULL);
}

static guint32
create_or_modify(struct cim_call *call, bool modify, GError **err)
{
    struct repl_service *s = service_of(call->user);
    struct uuid vm;
    cim_instance_auto i = NULL;
    struct repl_settings settings;
    char job[UUID_TEXT] = "";

    if (!NEED(call, "ComputerSystem", err) || !NEED(call, "ReplicationSettingData", err) ||
        !arg_embedded(call, "ReplicationSettingData", "Msvm_ReplicationSettingData", &i, err) ||
        !arg_guest(call, "ComputerSystem", &vm, err))
        return 0;
    repl_settings_init(&settings);
    struct repl_relation r;
    if (modify && current(s, &vm, &r)) {
        repl_settings_clear(&settings);
        repl_settings_copy(&settings, &r.settings);
        repl_relation_clear(&r);
    }
    if (!i)
        err_set(err, ERR_INVALID_PARAMETER, "Parameter 'ReplicationSettingData' is empty.");
    else if (replication_setting_read(i, &vm, &settings, err))
        (modify ? repl_modify : repl_create)(s, &vm, &settings, caller_name(call), job, err);
    repl_settings_clear(&settings);
    return done(call, job);
}

static guint32
create_replication_relationship(struct cim_call *call, GError **err)
{
    return create_or_modify(call, false, err);
}

static guint32
modify_replication_settings(struct cim_call *call, GError **err)
{
    return create_or_modify(call, true, err);
}

static guint32
start_replication(struct cim_call *call, GError **err)
{
    struct uuid vm;
    char job[UUID_TEXT] = "";
    const struct cim_value *start = cim_args_get(call->in, "StartTime");
    if (!NEED(call, "ComputerSystem", err) || !NEED(call, "InitialReplicationType", err) || !arg_guest(call, "ComputerSystem", &vm, err))
        return 0;
    if (start && start->time.interval)
        return err_set(err, ERR_INVALID_TYPE, "StartTime must be an absolute time in UTC."), 0;
    repl_start(service_of(call->user), &vm, arg_uint(call, "InitialReplicationType", 0),
               cim_args_string(call->in, "InitialReplicationExportLocation"), start ? start->time.us : 0, caller_name(call), job, err);
    return done(call, job);
}

static guint32
remove_replication(struct cim_call *call, bool ex, GError **err)
{
    struct uuid vm;
    guint index = 0;
    char job[UUID_TEXT] = "";
    if (!arg_guest(call, "ComputerSystem", &vm, err) || (ex && !arg_relation(call, &vm, true, &index, err)))
        return 0;
    repl_remove(service_of(call->user), &vm, index, caller_name(call), job, err);
    return done(call, job);
}

static guint32
remove_replication_relationship(struct cim_call *call, GError **err)
{
    return remove_replication(call, false, err);
}

static guint32
remove_replication_relationship_ex(struct cim_call *call, GError **err)
{
    return remove_replication(call, true, err);
}

static guint32
statistics(struct cim_call *call, bool ex, bool reset, GError **err)
{
    struct repl_service *s = service_of(call->user);
    struct uuid vm;
    guint index = 0;
    if (!arg_guest(call, "ComputerSystem", &vm, err) || (ex && !arg_relation(call, &vm, true, &index, err)))
        return 0;
    if (reset)
        return repl_statistics_reset(s, &vm, index, err), 0;
    struct repl_statistics st;
    g_autoptr(GPtrArray) issues = NULL;
    if (!repl_statistics(s, &vm, index, &st, &issues, err))
        return 0;
    cim_args_set(call->out, "ReplicationStatistics", statistics_text(&vm, index, &st));
    cim_args_set(call->out, "ReplicationHealthIssues", issues_text(issues));
    return 0;
}

static guint32
get_replication_statistics(struct cim_call *call, GError **err)
{
    return statistics(call, false, false, err);
}

static guint32
get_replication_statistics_ex(struct cim_call *call, GError **err)
{
    return statistics(call, true, false, err);
}

static guint32
reset_replication_statistics(struct cim_call *call, GError **err)
{
    return statistics(call, false, true, err);
}

static guint32
reset_replication_statistics_ex(struct cim_call *call, GError **err)
{
    return statistics(call, true, true, err);
}

/* --- failover ----------------------------------------------------------------------------------------------------------------------- */

/* A recovery point by reference; anything else that has settings is refused (contract 2.6). */
static bool
arg_point(struct cim_call *call, const struct uuid *vm, struct uuid *id, bool *given, GError **err)
{
    const struct cim_value *v = cim_args_get(call->in, "SnapshotSettingData");
    struct repl_point point;
    *given = v != NULL;
    if (!v)
        return true;
    const char *text = cim_path_get(v->ref, "InstanceID");
    if (g_ascii_strcasecmp(v->ref->cls, "Msvm_VirtualSystemSettingData") != 0)
        return err_set(err, ERR_INVALID_TYPE, "SnapshotSettingData must refer to Msvm_VirtualSystemSettingData, not to '%s'.", v->ref->cls);
    if (!text || !settings_id_parse(text, id) || !repl_point_find(service_of(call->user), id, &point))
        return err_set(err, ERR_INVALID_PARAMETER, "There is no recovery point '%s'. List them with Msvm_SnapshotOfVirtualSystem.",
                       text ? text : "(none)");
    return uuid_equal(&point.vm, vm) ||
           err_set(err, ERR_INVALID_PARAMETER, "Recovery point '%s' belongs to another virtual machine.", text);
}

static guint32
initiate_failover(struct cim_call *call, GError **err)
{
    struct uuid vm, point;
    bool given;
    char job[UUID_TEXT] = "";
    if (arg_guest(call, "ComputerSystem", &vm, err) && arg_point(call, &vm, &point, &given, err))
        repl_failover(service_of(call->user), &vm, given ? &point : NULL, arg_true(call, "AllowDamaged"), caller_name(call), job, err);
    return done(call, job);
}

static guint32
revert_failover(struct cim_call *call, GError **err)
{
    struct uuid vm;
    char job[UUID_TEXT] = "";
    if (arg_guest(call, "ComputerSystem", &vm, err))
        repl_revert(service_of(call->user), &vm, caller_name(call), job, err);
    return done(call, job);
}

static guint32
commit_failover(struct cim_call *call, GError **err)
{
    struct uuid vm;
    char job[UUID_TEXT] = "";
    if (arg_guest(call, "ComputerSystem", &vm, err))
        repl_commit(service_of(call->user), &vm, caller_name(call), job, err);
    return done(call, job);
}

/* What is not supplied is as before, towards the old primary host. */
static guint32
reverse_replication_relationship(struct cim_call *call, GError **err)
{
    struct uuid vm;
    struct repl_relation rel;
    char job[UUID_TEXT] = "";
    cim_instance_auto given = NULL;
    if (!arg_guest(call, "ComputerSystem", &vm, err) ||
        !arg_embedded(call, "ReplicationSettingData", "Msvm_ReplicationSettingData", &given, err) ||
        !repl_relation_get(service_of(call->user), &vm, 0, &rel, err))
        return 0;
    if (!given || replication_setting_read(given, &vm, &rel.settings, err))
        repl_reverse(service_of(call->user), &vm, given ? &rel.settings : NULL, caller_name(call), job, err);
    repl_relation_clear(&rel);
    return done(call, job);
}

static guint32
test_replica_system(struct cim_call *call, GError **err)
{
    struct uuid vm, point;
    bool given;
    char job[UUID_TEXT] = "";
    if (arg_guest(call, "ComputerSystem", &vm, err) && arg_point(call, &vm, &point, &given, err))
        repl_test_failover(service_of(call->user), &vm, given ? &point : NULL, arg_true(call, "AllowDamaged"), caller_name(call), job,
                           err);
    return done(call, job);
}

static guint32
verify_replica_system(struct cim_call *call, GError **err)
{
    struct uuid vm, point;
    bool given;
    char job[UUID_TEXT] = "";
    if (arg_guest(call, "ComputerSystem", &vm, err) && arg_point(call, &vm, &point, &given, err))
        repl_verify(service_of(call->user), &vm, given ? &point : NULL, caller_name(call), job, err);
    return done(call, job);
}

/* The service itself cannot be started or stopped over the API: 1 is "Not Supported" in its own code set (contract 2.1). */
static guint32
service_state(struct cim_call *call, GError **err)
{
    return 1;
}

/* --- certificates and entries ------------------------------------------------------------------------------------------------------- */

static guint32
get_system_certificates(struct cim_call *call, GError **err)
{
    g_autofree char *own = repl_certificate(service_of(call->user));
    struct cim_value list = cim_array(CIM_STRING);
    if (own)
        cim_array_add(&list, cim_string(own));
    cim_args_set(call->out, "EncodedCertificates", list);
    return 0;
}

static guint32
set_authorization_entry(struct cim_call *call, GError **err)
{
    struct uuid vm;
    struct repl_entry e = {0};
    cim_instance_auto i = NULL;
    if (NEED(call, "ComputerSystem", err) && read_entry(call, &e, &i, err) && arg_guest(call, "ComputerSystem", &vm, err))
        repl_entry_bind(service_of(call->user), &vm, e.host, err);
    g_free(e.host);
    g_free(e.trust_group);
    g_free(e.location);
    return 0;
}

/* --- resynchronisation, import, extended, failback ------------------------------------------------------------------------------------ */

static guint32
resynchronize(struct cim_call *call, GError **err)
{
    struct uuid vm;
    char job[UUID_TEXT] = "";
    const struct cim_value *start = cim_args_get(call->in, "StartTime");
    if (!NEED(call, "ComputerSystem", err))
        return 0;
    if (start && start->time.interval)
        return err_set(err, ERR_INVALID_TYPE, "StartTime must be an absolute time in UTC."), 0;
    if (arg_guest(call, "ComputerSystem", &vm, err))
        repl_resynchronize(service_of(call->user), &vm, start ? start->time.us : 0, caller_name(call), job, err);
    return done(call, job);
}

static guint32
compare_replica(struct cim_call *call, GError **err)
{
    struct uuid vm;
    char job[UUID_TEXT] = "";
    if (NEED(call, "ComputerSystem", err) && arg_guest(call, "ComputerSystem", &vm, err))
        repl_compare(service_of(call->user), &vm, arg_true(call, "Repair"), caller_name(call), job, err);
    return done(call, job);
}

static guint32
import_initial_replica(struct cim_call *call, GError **err)
{
    struct uuid vm;
    char job[UUID_TEXT] = "";
    if (NEED(call, "ComputerSystem", err) && NEED(call, "InitialReplicationImportLocation", err) &&
        arg_guest(call, "ComputerSystem", &vm, err))
        repl_import(service_of(call->user), &vm, cim_args_string(call->in, "InitialReplicationImportLocation"), caller_name(call), job,
                    err);
    return done(call, job);
}

static guint32
change_mode_to_primary(struct cim_call *call, GError **err)
{
    struct uuid vm;
    guint index;
    char job[UUID_TEXT] = "";
    if (NEED(call, "ComputerSystem", err) && NEED(call, "ReplicationRelationship", err) && arg_guest(call, "ComputerSystem", &vm, err) &&
        arg_relation(call, &vm, true, &index, err))
        repl_promote(service_of(call->user), &vm, index, caller_name(call), job, err);
    return done(call, job);
}

/* Only external providers fail back; ours fails over in the other direction (contract 2.6). */
static guint32
initiate_failback(struct cim_call *call, GError **err)
{
    struct uuid vm, id;
    struct repl_point point;
    cim_instance_auto settings = NULL;
    const char *name = cim_args_string(call->in, "RecoveryPointIdentifier");
    if (!NEED(call, "ComputerSystem", err) || !NEED(call, "ReplicationSettingData", err) ||
        !arg_embedded(call, "ReplicationSettingData", "Msvm_ReplicationSettingData", &settings, err) ||
        !arg_guest(call, "ComputerSystem", &vm, err))
        return 0;
    if (name && (!uuid_parse(name, &id) || !repl_point_find(service_of(call->user), &id, &point) || !uuid_equal(&point.vm, &vm)))
        return err_set(err, ERR_INVALID_PARAMETER, "'%s' is no recovery point of this virtual machine.", name), 0;
    return err_set(err, ERR_NOT_SUPPORTED,
                   "Failback is for external replication providers; here it is a planned failover in the other direction."), 0;
}

static const struct cim_method_row methods[] = {
    {"ModifyServiceSettings", CIM_ADMINISTRATOR, modify_service_settings},
    {"AddAuthorizationEntry", CIM_ADMINISTRATOR, add_authorization_entry},
    {"ModifyAuthorizationEntry", CIM_ADMINISTRATOR, modify_authorization_entry},
    {"RemoveAuthorizationEntry", CIM_ADMINISTRATOR, remove_authorization_entry},
    {"SetAuthorizationEntry", CIM_ADMINISTRATOR, set_authorization_entry},
    {"GetSystemCertificates", CIM_VIEWER, get_system_certificates},
    {"TestReplicationConnection", CIM_OPERATOR, test_replication_connection},
    {"CreateReplicationRelationship", CIM_ADMINISTRATOR, create_replication_relationship},
    {"ModifyReplicationSettings", CIM_ADMINISTRATOR, modify_replication_settings},
    {"StartReplication", CIM_OPERATOR, start_replication},
    {"RemoveReplicationRelationship", CIM_ADMINISTRATOR, remove_replication_relationship},
    {"RemoveReplicationRelationshipEx", CIM_ADMINISTRATOR, remove_replication_relationship_ex},
    {"GetReplicationStatistics", CIM_VIEWER, get_replication_statistics},
    {"GetReplicationStatisticsEx", CIM_VIEWER, get_replication_statistics_ex},
    {"ResetReplicationStatistics", CIM_OPERATOR, reset_replication_statistics},
    {"ResetReplicationStatisticsEx", CIM_OPERATOR, reset_replication_statistics_ex},
    {"InitiateFailover", CIM_OPERATOR, initiate_failover},
    {"RevertFailover", CIM_OPERATOR, revert_failover},
    {"CommitFailover", CIM_OPERATOR, commit_failover},
    {"TestReplicaSystem", CIM_OPERATOR, test_replica_system},
    {"VerifyReplicaSystem", CIM_OPERATOR, verify_replica_system},
    {"ReverseReplicationRelationship", CIM_OPERATOR, reverse_replication_relationship},
    {"Resynchronize", CIM_OPERATOR, resynchronize},
    {"CompareReplica", CIM_OPERATOR, compare_replica},
    {"ImportInitialReplica", CIM_OPERATOR, import_initial_replica},
    {"ChangeReplicationModeToPrimary", CIM_OPERATOR, change_mode_to_primary},
    {"InitiateFailback", CIM_OPERATOR, initiate_failback},
    {"SetFailoverNetworkAdapterSettings", CIM_ADMINISTRATOR, replication_set_failover_addresses},
    {"RequestStateChange", CIM_VIEWER, service_state},
    {"StartService", CIM_VIEWER, service_state},
    {"StopService", CIM_VIEWER, service_state},
    {NULL, CIM_NOBODY, NULL},
};

const struct cim_provider replication_service = {"Msvm_ReplicationService", enumerate, NULL, methods};
