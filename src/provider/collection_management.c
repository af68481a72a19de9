/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "provider/all.h"
#include "provider/collection.h"

/* Msvm_CollectionManagementService: making groups.  All at once, so no jobs. */

static bool
enumerate(void *user, const struct cim_path *source, cim_emit emit, void *sink, GError **err)
{
    emit(sink, collection_service_instance(service_of(user), "Msvm_CollectionManagementService", "collmgmtsvc",
                                           "Hyper-V Collection Management Service"));
    return true;
}

static guint32
define(struct cim_call *call, GError **err)
{
    struct group g = { 0 };
    const char *id = cim_args_string(call->in, "Id"), *name = cim_args_string(call->in, "Name");
    if (!name || (id && *id && !uuid_parse(id, &g.id)))
        return err_set(err, ERR_INVALID_PARAMETER, "'%s' is no GUID, or the name is missing.", id ? id : "(none)"), 0;
    struct group there = { 0 };
    if (!uuid_is_nil(&g.id) && repl_group_get(service_of(call->user), &g.id, &there, NULL)) {
        group_clear(&there);
        return err_set(err, ERR_EXISTS, "There is a group '%s' already.", id), 0;
    }
    g.name = g_strdup(name);
    if (repl_group_put(service_of(call->user), &g, err))
        cim_args_set(call->out, "DefinedCollection", cim_ref(collection_path(&g.id)));
    group_clear(&g);
    return 0;
}

static guint32
destroy(struct cim_call *call, GError **err)
{
    struct uuid id;
    if (arg_collection(call, &id, err))
        repl_group_remove(service_of(call->user), &id, err);
    return 0;
}

static guint32
rename_it(struct cim_call *call, GError **err)
{
    struct uuid id;
    struct group g = { 0 };
    const char *name = cim_args_string(call->in, "NewName");
    if (!arg_collection(call, &id, err) || !repl_group_get(service_of(call->user), &id, &g, err))
        return 0;
    g_free(g.name);
    g.name = g_strdup(name);
    repl_group_put(service_of(call->user), &g, err);
    group_clear(&g);
    return 0;
}

static guint32
change(struct cim_call *call, bool add, GError **err)
{
    struct uuid id, vm;
    if (arg_guest(call, "Member", &vm, err) && arg_collection(call, &id, err))
        repl_group_change(service_of(call->user), &id, &vm, add, err);
    return 0;
}

static guint32
add_member(struct cim_call *call, GError **err)
{
    return change(call, true, err);
}

static guint32
remove_member(struct cim_call *call, GError **err)
{
    return change(call, false, err);
}

static const struct cim_method_row methods[] = {
    {"DefineCollection", CIM_ADMINISTRATOR, define},
    {"DestroyCollection", CIM_ADMINISTRATOR, destroy},
    {"RenameCollection", CIM_ADMINISTRATOR, rename_it},
    {"AddMember", CIM_ADMINISTRATOR, add_member},
    {"RemoveMember", CIM_ADMINISTRATOR, remove_member},
    {NULL, CIM_NOBODY, NULL},
};

const struct cim_provider collection_management = {"Msvm_CollectionManagementService", enumerate, NULL, methods};
