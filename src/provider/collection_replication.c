/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "provider/all.h"
#include "provider/collection.h"
#include "provider/statistics.h"
#include "repl/health.h"

/* Msvm_CollectionReplicationService (contract 1.C): the methods of Msvm_ReplicationService with all members of a group, one job each. */

static bool
enumerate(void *user, const struct cim_path *source, cim_emit emit, void *sink, GError **err)
{
    static const guint ok[] = {2};
    struct cim_instance *i = collection_service_instance(service_of(user), "Msvm_CollectionReplicationService", "collreplicasvc",
                                                         "vmreplica " VMR_VERSION);
    cim_set_uints(i, "OperationalStatus", ok, 1);
    cim_set_strings(i, "StatusDescriptions", (char *[]){(char[]){"OK"}, NULL});
    emit(sink, i);
    return true;
}

static guint32
call_members(struct cim_call *call, const struct group_call *what, GError **err)
{
    struct uuid id;
    char job[UUID_TEXT] = "";
    if (arg_collection(call, &id, err))
        repl_group_call(service_of(call->user), &id, what, caller_name(call), job, err);
    return done(call, job);
}

#define SIMPLE(function, method) \
    static guint32 function(struct cim_call *call, GError **err) { return call_members(call, &(struct group_call){method}, err); }

SIMPLE(cancel_initial, GROUP_CANCEL_INITIAL)
SIMPLE(cancel_resynchronize, GROUP_CANCEL_RESYNC)
SIMPLE(commit_failover, GROUP_COMMIT)
SIMPLE(initiate_planned_failover, GROUP_PREPARE)
SIMPLE(remove_relationship, GROUP_REMOVE)
SIMPLE(resume_replication, GROUP_RESUME)
SIMPLE(revert_failover, GROUP_REVERT)
SIMPLE(revert_planned_failover, GROUP_PREPARE_CANCEL)
SIMPLE(suspend_replication, GROUP_SUSPEND)

static guint32
revert_test(struct cim_call *call, GError **err)
{
    struct uuid id;
    char job[UUID_TEXT] = "";
    if (arg_collection_or_tests(call, &id, err))
        repl_group_call(service_of(call->user), &id, &(struct group_call){GROUP_TEST_REMOVE}, caller_name(call), job, err);
    return done(call, job);
}

/* No shared disks, and a reversal that needs no preparation of its own (contract 2.6). */
static guint32
not_here(struct cim_call *call, GError **err)
{
    struct uuid id;
    if (arg_collection(call, &id, err))
        err_set(err, ERR_NOT_SUPPORTED,
                "Groups on this host have no shared disks, and reversing needs no preparation; there is nothing to do.");
    return 0;
}

/* ---- settings ---- */

static void
take_text(const struct cim_instance *i, const char *property, char **to)
{
    if (!cim_given(i, property))
        return;
    g_free(*to);
    *to = g_strdup(cim_get_string(i, property));
}

static void
take_number(const struct cim_instance *i, const char *property, guint *to)
{
    if (cim_given(i, property))
        *to = (guint)cim_get_uint(i, property);
}

static void
take_flag(const struct cim_instance *i, const char *property, bool *to)
{
    if (cim_given(i, property))
        *to = cim_get_bool(i, property);
}

static void
read_settings(const struct cim_instance *i, struct repl_settings *s)
{
    take_text(i, "RecoveryConnectionPoint", &s->recovery_host);
    take_number(i, "RecoveryServerPortNumber", &s->recovery_port);
    take_number(i, "AuthenticationType", &s->authentication);
    take_text(i, "CertificateThumbPrint", &s->thumbprint);
    take_flag(i, "CompressionEnabled", &s->compression);
    take_flag(i, "BypassProxyServer", &s->bypass_proxy);
    take_flag(i, "ReplicateHostKvpItems", &s->replicate_kvp);
    take_flag(i, "AutoResynchronizeEnabled", &s->auto_resync);
    take_number(i, "ReplicationInterval", &s->interval_s);
    take_number(i, "RecoveryHistory", &s->history);
    take_number(i, "ApplicationConsistentSnapshotInterval", &s->app_interval_h);
}

/* What is not given is as the first member has it. */
static void
begin_with_present(struct repl_service *s, const struct uuid *id, struct repl_settings *out)
{
    struct group g = { 0 };
    struct uuid vm;
    struct repl_relation r;
    if (!repl_group_get(s, id, &g, NULL))
        return;
    if (g.members && *g.members && uuid_parse(*g.members, &vm) && repl_relation_get(s, &vm, 0, &r, NULL)) {
        if (r.state != STATE_DISABLED) {
            repl_settings_clear(out);
            repl_settings_copy(out, &r.settings);
        }
        repl_relation_clear(&r);
    }
    group_clear(&g);
}

static guint32
with_settings(struct cim_call *call, enum group_method method, bool required, GError **err)
{
    struct uuid id;
    cim_instance_auto i = NULL;
    struct repl_settings settings;
    if (!arg_embedded(call, "CollectionReplicationSettingData", "Msvm_CollectionReplicationSettingData", &i, err) ||
        !arg_collection(call, &id, err))
        return 0;
    if (!i && required)
        return err_set(err, ERR_INVALID_PARAMETER, "Parameter 'CollectionReplicationSettingData' is missing or empty."), 0;
    if (i && cim_given(i, "IncludedDisks"))
        return err_set(err, ERR_NOT_SUPPORTED,
                       "Disks are chosen per guest: create its relationship by itself, then add it to the group."), 0;
    repl_settings_init(&settings);
    if (method != GROUP_CREATE)
        begin_with_present(service_of(call->user), &id, &settings);
    if (i)
        read_settings(i, &settings);
    const guint32 code = call_members(call, &(struct group_call){method, .settings = i ? &settings : NULL}, err);
    repl_settings_clear(&settings);
    return code;
}

static guint32
create_relationship(struct cim_call *call, GError **err)
{
    return with_settings(call, GROUP_CREATE, true, err);
}

static guint32
modify_settings(struct cim_call *call, GError **err)
{
    return with_settings(call, GROUP_MODIFY, true, err);
}

static guint32
reverse_relationship(struct cim_call *call, GError **err)
{
    return with_settings(call, GROUP_REVERSE, false, err);
}

/* ---- start, resynchronise ---- */

static bool
start_time(struct cim_call *call, gint64 *us, GError **err)
{
    const struct cim_value *start = cim_args_get(call->in, "StartTime");
    *us = start ? start->time.us : 0;
    return !start || !start->time.interval || err_set(err, ERR_INVALID_TYPE, "StartTime must be an absolute time in UTC.");
}

static guint32
start_replication(struct cim_call *call, GError **err)
{
    struct group_call what = { GROUP_START };
    what.type = arg_uint(call, "InitialReplicationType", 0);
    what.location = cim_args_string(call->in, "InitialReplicationExportLocation");
    if (!start_time(call, &what.start_us, err))
        return 0;
    if (what.type < 1 || what.type > 3)
        return err_set(err, ERR_INVALID_PARAMETER, "Parameter 'InitialReplicationType' must be 1, 2 or 3."), 0;
    return call_members(call, &what, err);
}

static guint32
resynchronize(struct cim_call *call, GError **err)
{
    struct group_call what = { GROUP_RESYNC };
    return start_time(call, &what.start_us, err) ? call_members(call, &what, err) : 0;
}

/* ---- failover, test ---- */

static guint32
with_point(struct cim_call *call, enum group_method method, GError **err)
{
    struct uuid point, id;
    struct group_call what = { method };
    const struct cim_value *v = cim_args_get(call->in, "CollectionRecoveryPoint");
    if (!arg_collection(call, &id, err))
        return 0;
    if (v) {
        const char *text = cim_path_get(v->ref, "InstanceID");
        if (!text || !settings_id_parse(text, &point))
            return err_set(err, ERR_INVALID_PARAMETER, "'%s' is no recovery point of a group.", text ? text : "(none)"), 0;
        what.point = &point;
    }
    return call_members(call, &what, err);
}

static guint32
initiate_failover(struct cim_call *call, GError **err)
{
    return with_point(call, GROUP_FAILOVER, err);
}

static guint32
test_collection(struct cim_call *call, GError **err)
{
    return with_point(call, GROUP_TEST, err);
}

/* ---- statistics ---- */

struct sum {
    struct repl_statistics st;
    GPtrArray *issues;
};

static void
add_statistics(struct sum *to, const struct repl_statistics *st)
{
    struct repl_statistics *a = &to->st;
    a->start_us = a->start_us ? MIN(a->start_us, st->start_us) : st->start_us;
    a->end_us = MAX(a->end_us, st->end_us);
    a->last_test_us = MAX(a->last_test_us, st->last_test_us);
    a->success += st->success;
    a->misses += st->misses;
    a->failures += st->failures;
    a->network_failures += st->network_failures;
    a->app_failures += st->app_failures;
    a->size += st->size;
    a->max_size = MAX(a->max_size, st->max_size);
    a->pending += st->pending;
    a->max_latency_us = MAX(a->max_latency_us, st->max_latency_us);
    a->health = MAX(a->health, st->health);
}

static char *
sum_text(const struct group *g, const struct repl_statistics *st)
{
    cim_instance_auto i = collection_instance_new("Msvm_CollectionReplicationStatistics");
    g_autofree char *id = settings_id(&g->id);
    cim_set_string(i, "InstanceID", id);
    cim_set_string(i, "ElementName", g->name);
    cim_set_time(i, "StartStatisticTime", st->start_us);
    cim_set_time(i, "EndStatisticTime", st->end_us);
    cim_set_time(i, "LastTestFailoverTime", st->last_test_us);
    cim_set_uint(i, "ReplicationWALSuccessCount", st->success);
    cim_set_uint(i, "ReplicationWALMissCount", st->misses);
    cim_set_uint(i, "ReplicationFailureCount", st->failures);
    cim_set_uint(i, "NetworkFailureCount", st->network_failures);
    cim_set_uint(i, "ApplicationConsistentSnapshotFailureCount", st->app_failures);
    cim_set_uint(i, "ReplicationSize", st->size);
    cim_set_uint(i, "MaxReplicationSize", st->max_size);
    cim_set_uint(i, "PendingReplicationSize", st->pending);
    cim_set_uint(i, "MaxReplicationLatency", (guint64)st->max_latency_us / G_USEC_PER_SEC);
    cim_set_uint(i, "ReplicationHealth", st->health);
    return cim_xml_text(i);
}

static bool
sum_members(struct repl_service *s, const struct group *g, bool reset, struct sum *to, GError **err)
{
    for (char **m = g->members; m && *m; m++) {
        struct uuid vm;
        struct repl_statistics st;
        g_autoptr(GPtrArray) issues = NULL;
        if (!uuid_parse(*m, &vm))
            continue;
        if (reset ? !repl_statistics_reset(s, &vm, 0, err) : !repl_statistics(s, &vm, 0, &st, &issues, err))
            return false;
        if (!reset)
            add_statistics(to, &st);
        if (issues)
            g_ptr_array_extend_and_steal(to->issues, g_steal_pointer(&issues));
    }
    return true;
}

static guint32
statistics(struct cim_call *call, bool reset, GError **err)
{
    struct uuid id;
    struct group g = { 0 };
    struct sum sum = { .issues = g_ptr_array_new_with_free_func((GDestroyNotify)repl_issue_free) };
    if (arg_collection(call, &id, err) && repl_group_get(service_of(call->user), &id, &g, err) &&
        sum_members(service_of(call->user), &g, reset, &sum, err) && !reset) {
        g_autofree char *text = sum_text(&g, &sum.st);
        cim_args_set(call->out, "ReplicationStatistics", cim_string(text));
        cim_args_set(call->out, "ReplicationHealthIssues", issues_text(sum.issues));
    }
    group_clear(&g);
    g_ptr_array_unref(sum.issues);
    return 0;
}

static guint32
get_statistics(struct cim_call *call, GError **err)
{
    return statistics(call, false, err);
}

static guint32
reset_statistics(struct cim_call *call, GError **err)
{
    return statistics(call, true, err);
}

/* As for Msvm_ReplicationService (contract 2.1). */
static guint32
service_state(struct cim_call *call, GError **err)
{
    return 1;
}

static const struct cim_method_row methods[] = {
    {"CancelInitialReplication", CIM_OPERATOR, cancel_initial},
    {"CancelResynchronize", CIM_OPERATOR, cancel_resynchronize},
    {"CancelUpdateDiskSet", CIM_OPERATOR, not_here},
    {"CommitFailover", CIM_OPERATOR, commit_failover},
    {"CreateReplicationRelationship", CIM_ADMINISTRATOR, create_relationship},
    {"GetReplicationStatistics", CIM_VIEWER, get_statistics},
    {"InitiateFailover", CIM_OPERATOR, initiate_failover},
    {"InitiatePlannedFailover", CIM_OPERATOR, initiate_planned_failover},
    {"ModifyReplicationSettings", CIM_ADMINISTRATOR, modify_settings},
    {"PrepareForReverseReplication", CIM_OPERATOR, not_here},
    {"RemoveReplicationRelationship", CIM_ADMINISTRATOR, remove_relationship},
    {"RequestStateChange", CIM_VIEWER, service_state},
    {"ResetReplicationStatistics", CIM_OPERATOR, reset_statistics},
    {"ResumeReplication", CIM_OPERATOR, resume_replication},
    {"Resynchronize", CIM_OPERATOR, resynchronize},
    {"ReverseReplicationRelationship", CIM_OPERATOR, reverse_relationship},
    {"RevertFailover", CIM_OPERATOR, revert_failover},
    {"RevertPlannedFailover", CIM_OPERATOR, revert_planned_failover},
    {"RevertTestReplicaCollection", CIM_OPERATOR, revert_test},
    {"StartReplication", CIM_OPERATOR, start_replication},
    {"StartService", CIM_VIEWER, service_state},
    {"StopService", CIM_VIEWER, service_state},
    {"SuspendReplication", CIM_OPERATOR, suspend_replication},
    {"TestReplicaCollection", CIM_OPERATOR, test_collection},
    {NULL, CIM_NOBODY, NULL},
};

const struct cim_provider collection_replication = {"Msvm_CollectionReplicationService", enumerate, NULL, methods};
