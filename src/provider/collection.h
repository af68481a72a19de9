/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "provider/common.h"
#include "repl/together.h"

/* Groups as collections (contract 1.C), in a namespace of their own.
 *
 *   group    Msvm_VirtualSystemCollection             CollectionID = GUID of the group
 *   point    Msvm_CollectionRecoveryPoint             InstanceID = Microsoft:<GUID of the instant>, CollectionID
 *   settings Msvm_CollectionReplicationSettingData    InstanceID = Microsoft:<GUID of the group>; PrimaryReplicationEntityIDs names the
 *                                                     group and then its members
 *
 * The test guests of a group are a collection of their own as long as there are any (ReplicationMode 3), to which
 * Msvm_ReplicaCollectionDependency leads; methods but RevertTestReplicaCollection refuse it with ERR_INVALID_STATE.  Guests have no shared
 * disks: those classes have no instances. */

#define COLLECTION_NAMESPACE "root/HyperVCluster/v2"

struct cim_instance *collection_instance_new(const char *cls);
struct cim_path *collection_path(const struct uuid *group);
/* Required reference to a group of this host: missing and unknown are ERR_INVALID_PARAMETER. */
bool arg_collection(const struct cim_call *call, struct uuid *group, GError **err);
/* The same; the collection of its test guests stands for the group. */
bool arg_collection_or_tests(const struct cim_call *call, struct uuid *group, GError **err);
/* A service of the cluster's namespace with the usual keys. */
struct cim_instance *collection_service_instance(struct repl_service *s, const char *cls, const char *name, const char *element);
