/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "provider/all.h"
#include "provider/common.h"

/* Vmr_ReplicationChurn: how much a relationship that sends has written, per hour and disk (repl/hourly.h).  A class of ours, not of the
 * contract; one instance per relationship, so that asking for one guest costs one guest. */

static void
fill(struct cim_instance *i, const GArray *rows)
{
    struct cim_value hour = cim_array(CIM_DATETIME), disk = cim_array(CIM_STRING), cycles = cim_array(CIM_UINT32);
    struct cim_value changed = cim_array(CIM_UINT64), wire = cim_array(CIM_UINT64), copied = cim_array(CIM_UINT64);
    for (guint n = 0; n < rows->len; n++) {
        const struct repl_churn *row = &g_array_index(rows, struct repl_churn, n);
        cim_array_add(&hour, cim_time(row->start_us));
        cim_array_add(&disk, cim_string(row->target));
        cim_array_add(&cycles, cim_uint(CIM_UINT32, row->cycles));
        cim_array_add(&changed, cim_uint(CIM_UINT64, row->changed));
        cim_array_add(&wire, cim_uint(CIM_UINT64, row->wire));
        cim_array_add(&copied, cim_uint(CIM_UINT64, row->copied));
    }
    cim_set(i, "Hour", hour);
    cim_set(i, "Disk", disk);
    cim_set(i, "Cycles", cycles);
    cim_set(i, "ChangedBytes", changed);
    cim_set(i, "WireBytes", wire);
    cim_set(i, "CopiedBytes", copied);
}

static struct cim_instance *
instance_of(struct repl_service *s, const struct uuid *vm, guint index, GError **err)
{
    g_autofree char *id = relation_id(vm, index);
    g_autoptr(GArray) rows = repl_churn(s, vm, index, 0, err);
    if (!rows)
        return NULL;
    struct cim_instance *i = new_instance("Vmr_ReplicationChurn");
    cim_set_string(i, "InstanceID", id);
    fill(i, rows);
    return i;
}

static bool
enumerate(void *user, const struct cim_path *source, cim_emit emit, void *sink, GError **err)
{
    g_autoptr(GPtrArray) all = relations_near(service_of(user), source, err);
    for (guint n = 0; all && n < all->len; n++) {
        const struct repl_relation *r = g_ptr_array_index(all, n);
        struct cim_instance *i = r->mode == MODE_NONE ? NULL : instance_of(service_of(user), &r->vm, r->index, NULL);
        if (i && !emit(sink, i))
            break;
    }
    return all != NULL;
}

static struct cim_instance *
get(void *user, const struct cim_path *path, GError **err)
{
    struct uuid vm;
    guint index;
    const char *id = cim_path_get(path, "InstanceID");
    g_autoptr(GError) why = NULL;
    struct cim_instance *i = id && relation_id_parse(id, &vm, &index) ? instance_of(service_of(user), &vm, index, &why) : NULL;
    if (!i)
        err_set(err, ERR_NO_SUCH_INSTANCE, "There is no churn of a relationship '%s'.", id ? id : "(none)");
    return i;
}

const struct cim_provider replication_churn = {"Vmr_ReplicationChurn", enumerate, get, NULL};
