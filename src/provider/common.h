/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "cim/cimxml.h"
#include "cim/dispatch.h"
#include "repl/service.h"

/* What the class files of this folder share: identities (contract section 0.2), references, arguments.
 *
 *   guest         Msvm_ComputerSystem       Name = GUID in upper case; the host's Name is its host name
 *   relationship  Msvm_ReplicationRelationship and Msvm_ReplicationSettingData   InstanceID = Microsoft:<GUID>\HVR\<0|1>
 *   settings      Msvm_VirtualSystemSettingData   InstanceID = Microsoft:<GUID of the guest, or of the recovery point>
 *   disk          Msvm_StorageAllocationSettingData   InstanceID = Microsoft:<GUID>\<target>
 *
 * The broker's user pointer is the struct repl_service.  Any thread. */

#define NAMESPACE "root/virtualization/v2"

static inline struct repl_service *
service_of(void *user)
{
    return user;
}

struct cim_instance *new_instance(const char *cls);
char *relation_id(const struct uuid *vm, guint index);                            /* g_free */
bool relation_id_parse(const char *id, struct uuid *vm, guint *index);
char *settings_id(const struct uuid *u);                                          /* "Microsoft:<GUID>"; g_free */
bool settings_id_parse(const char *id, struct uuid *u);

struct cim_path *guest_path(const struct uuid *vm);
struct cim_path *host_path(struct repl_service *s);
struct cim_path *service_path(struct repl_service *s);
struct cim_path *job_path(const char *id);
struct cim_path *with_id(const char *cls, const char *instance_id);               /* one key, InstanceID */

/* The GUID that `path` names when it is a guest; false: the host, another class, malformed. */
bool guest_of_path(const struct cim_path *path, struct uuid *vm);
/* Required reference to a guest: missing, unknown and the host are ERR_INVALID_PARAMETER. */
bool arg_guest(const struct cim_call *call, const char *name, struct uuid *vm, GError **err);
/* Embedded instance; *out NULL when the argument is absent. */
bool arg_embedded(const struct cim_call *call, const char *name, const char *cls, struct cim_instance **out, GError **err);
/* Embedded Msvm_ReplicationRelationship of that guest; required: absent is ERR_INVALID_PARAMETER, else index 0. */
bool arg_relation(const struct cim_call *call, const struct uuid *vm, bool required, guint *index, GError **err);
guint arg_uint(const struct cim_call *call, const char *name, guint fallback);
bool arg_true(const struct cim_call *call, const char *name); /* absent: false */

/* What is given differs in nothing from what is: scalars, arrays in order, nulls. */
bool same_value(const struct cim_value *a, const struct cim_value *b);

/* ReturnValue of a method that may have posted a job: 4096 with Job set, or 0 for an empty id. */
guint32 done(struct cim_call *call, const char *job);
const char *caller_name(const struct cim_call *call);

/* A row of the guests for enumerate functions: the relationship and, when the guest is here, its facts. */
GPtrArray *all_relations(struct repl_service *s, GError **err);
/* Those that may touch the object `source`: of the guest or recovery point whose GUID it carries, else (also NULL) all. */
GPtrArray *relations_near(struct repl_service *s, const struct cim_path *source, GError **err);
bool relation_of(struct repl_service *s, const char *id, struct repl_relation *out, GError **err);
void free_relation(gpointer p);
