/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "provider/all.h"
#include "provider/common.h"

/* Msvm_ReplicationRelationship (contract 1.5) and Msvm_SystemReplicationRelationship, which ties it to its guest.  Every guest has
 * relationship 0, replicated or not (contract 0.2). */

static struct cim_instance *
instance_of(const struct repl_relation *r)
{
    struct cim_instance *i = new_instance("Msvm_ReplicationRelationship");
    g_autofree char *id = relation_id(&r->vm, r->index);
    cim_set_string(i, "InstanceID", id);
    cim_set_string(i, "ElementName", r->name);
    cim_set_uint(i, "ReplicationState", r->state);
    cim_set_uint(i, "ReplicationHealth", r->health);
    cim_set_uint(i, "FailedOverReplicationType", r->failed_over_type);
    cim_set_uint(i, "LastReplicationType", r->last_type);
    cim_set_time(i, "LastReplicationTime", r->last_us);
    cim_set_time(i, "LastApplicationConsistentReplicationTime", r->last_app_us);
    cim_set_time(i, "LastApplyTime", r->last_apply_us);
    return i;
}

static bool
enumerate(void *user, const struct cim_path *source, cim_emit emit, void *sink, GError **err)
{
    g_autoptr(GPtrArray) all = all_relations(service_of(user), err);
    for (guint n = 0; all && n < all->len; n++)
        if (!emit(sink, instance_of(g_ptr_array_index(all, n))))
            break;
    return all != NULL;
}

static struct cim_instance *
get(void *user, const struct cim_path *path, GError **err)
{
    struct repl_relation r;
    if (!relation_of(service_of(user), cim_path_get(path, "InstanceID"), &r, err))
        return NULL;
    struct cim_instance *i = instance_of(&r);
    repl_relation_clear(&r);
    return i;
}

const struct cim_provider relationship = {"Msvm_ReplicationRelationship", enumerate, get, NULL};

static bool
enumerate_links(void *user, const struct cim_path *source, cim_emit emit, void *sink, GError **err)
{
    g_autoptr(GPtrArray) all = relations_near(service_of(user), source, err);
    for (guint n = 0; all && n < all->len; n++) {
        const struct repl_relation *r = g_ptr_array_index(all, n);
        g_autofree char *id = relation_id(&r->vm, r->index);
        struct cim_instance *i = new_instance("Msvm_SystemReplicationRelationship");
        cim_set_ref(i, "Antecedent", guest_path(&r->vm));
        cim_set_ref(i, "Dependent", with_id("Msvm_ReplicationRelationship", id));
        if (!emit(sink, i))
            break;
    }
    return all != NULL;
}

const struct cim_provider system_relationship = {"Msvm_SystemReplicationRelationship", enumerate_links, NULL, NULL};
