/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "provider/all.h"
#include "provider/common.h"
#include "provider/service_row.h"

/* Msvm_VirtualSystemSnapshotService (contract 1.17, 2.8).  Its snapshots are the recovery points of replicas, which come from replication
 * and go by retention, CommitFailover and a lower RecoveryHistory: they are neither made, applied nor destroyed here.  Snapshots of other
 * guests are libvirt's own matter. */

static bool
enumerate(void *user, const struct cim_path *source, cim_emit emit, void *sink, GError **err)
{
    emit(sink, service_row_instance(service_of(user), SERVICE_SNAPSHOT));
    return true;
}

/* A replica's snapshots are its points; those of other guests are not our matter. */
static guint32
refuse_guest(struct cim_call *call, const struct uuid *vm, GError **err)
{
    struct repl_relation r;
    if (!repl_relation_get(service_of(call->user), vm, 0, &r, err))
        return 0;
    const bool replica = (r.mode == MODE_REPLICA || r.mode == MODE_EXTENDED) && r.state != STATE_DISABLED && r.state != STATE_RECOVERED &&
                         r.state != STATE_COMMITTED;
    if (replica)
        err_set(err, ERR_INVALID_STATE, "Guest '%s' is a replica; its recovery points come from its primary.", r.name);
    else
        err_set(err, ERR_NOT_SUPPORTED, "A snapshot of guest '%s' cannot be made over this API; use libvirt's own tools.", r.name);
    repl_relation_clear(&r);
    return 0;
}

static guint32
create_snapshot(struct cim_call *call, GError **err)
{
    enum { FULL = 2, DISK = 3 };
    struct uuid vm;
    const guint type = arg_uint(call, "SnapshotType", FULL);
    if (!arg_guest(call, "AffectedSystem", &vm, err))
        return 0;
    if (type != FULL && type != DISK)
        return err_set(err, ERR_INVALID_PARAMETER, "Parameter 'SnapshotType' must be 2 or 3, not %u.", type), 0;
    return refuse_guest(call, &vm, err);
}

/* What is named must be a recovery point, and it is of no use here: `why` says what is. */
static guint32
refuse_point(struct cim_call *call, const char *parameter, const char *why, GError **err)
{
    struct service_setting s;
    if (!service_setting_arg(call, parameter, &s, err))
        return 0;
    return err_set(err, s.is_point ? ERR_INVALID_STATE : ERR_INVALID_PARAMETER, "%s",
                   s.is_point ? why : "These are the active settings of a virtual machine, which are no snapshot."), 0;
}

static guint32
apply_snapshot(struct cim_call *call, GError **err)
{
    return refuse_point(call, "Snapshot", "A recovery point of a replica cannot be applied; use InitiateFailover with it.", err);
}

static const char KEEPS[] = "A recovery point of a replica cannot be destroyed; lower RecoveryHistory or commit the failover.";

static guint32
destroy_snapshot(struct cim_call *call, GError **err)
{
    return refuse_point(call, "AffectedSnapshot", KEEPS, err);
}

static guint32
destroy_snapshot_tree(struct cim_call *call, GError **err)
{
    return refuse_point(call, "SnapshotSettingData", KEEPS, err);
}

static guint32
clear_snapshot_state(struct cim_call *call, GError **err)
{
    return refuse_point(call, "SnapshotSettingData", "A recovery point has no saved memory that could be cleared.", err);
}

static const struct cim_method_row methods[] = {
    {"CreateSnapshot", CIM_OPERATOR, create_snapshot, service_small_code},
    {"ApplySnapshot", CIM_OPERATOR, apply_snapshot, service_small_code},
    {"DestroySnapshot", CIM_OPERATOR, destroy_snapshot, service_small_code},
    {"DestroySnapshotTree", CIM_OPERATOR, destroy_snapshot_tree, NULL},
    {"ClearSnapshotState", CIM_OPERATOR, clear_snapshot_state, NULL},
    {NULL, CIM_NOBODY, NULL, NULL},
};

const struct cim_provider virtual_system_snapshot = {"Msvm_VirtualSystemSnapshotService", enumerate, NULL, methods};
