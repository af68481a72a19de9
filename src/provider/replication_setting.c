/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "provider/replication_setting.h"

#include "provider/all.h"
#include "provider/common.h"

#include <string.h>

/* Msvm_ReplicationSettingData (contract 1.3): one per relationship, also of guests that are not replicated, because clients read it,
 * edit it and hand it to CreateReplicationRelationship. */

#define DAY_US (24 * (gint64)3600 * G_USEC_PER_SEC)

static void
fill_disks(struct cim_instance *i, const struct repl_relation *r)
{
    g_autoptr(GPtrArray) ids = g_ptr_array_new_with_free_func(g_free);
    for (char **d = r->settings.disks; d && *d; d++) {
        char guid[UUID_TEXT];
        g_ptr_array_add(ids, g_strdup_printf("Microsoft:%s\\%s", uuid_format(&r->vm, guid), *d));
    }
    g_ptr_array_add(ids, NULL);
    if (r->settings.disks)
        cim_set_strings(i, "IncludedDisks", (char *const *)ids->pdata);
}

static void
fill_peers(struct cim_instance *i, const struct repl_settings *s)
{
    cim_set_string(i, "RecoveryConnectionPoint", s->recovery_host);
    cim_set_string(i, "RecoveryHostSystem", s->recovery_host_system);
    cim_set_string(i, "PrimaryConnectionPoint", s->primary_connection_point);
    cim_set_string(i, "PrimaryHostSystem", s->primary_host_system);
    cim_set_uint(i, "RecoveryServerPortNumber", s->recovery_port);
    cim_set_uint(i, "AuthenticationType", s->authentication);
    cim_set_string(i, "CertificateThumbPrint", s->thumbprint);
    cim_set_string(i, "RootCertificateThumbPrint", s->root_thumbprint);
}

static struct cim_instance *
instance_of(const struct repl_relation *r)
{
    char guid[UUID_TEXT];
    const struct repl_settings *s = &r->settings;
    struct cim_instance *i = new_instance("Msvm_ReplicationSettingData");
    g_autofree char *id = relation_id(&r->vm, r->index);
    cim_set_string(i, "InstanceID", id);
    cim_set_string(i, "ElementName", r->name);
    cim_set_string(i, "VirtualSystemIdentifier", uuid_format(&r->vm, guid));
    cim_set_string(i, "VirtualSystemType", "Microsoft:Hyper-V:Replica");
    fill_peers(i, s);
    cim_set_bool(i, "CompressionEnabled", s->compression);
    cim_set_bool(i, "BypassProxyServer", s->bypass_proxy);
    cim_set_bool(i, "ReplicateHostKvpItems", s->replicate_kvp);
    cim_set_uint(i, "ApplicationConsistentSnapshotInterval", s->app_interval_h);
    cim_set_uint(i, "RecoveryHistory", s->history);
    cim_set_uint(i, "ReplicationInterval", s->interval_s);
    cim_set_bool(i, "AutoResynchronizeEnabled", s->auto_resync);
    cim_set_interval(i, "AutoResynchronizeIntervalStart", s->resync_start_us);
    cim_set_interval(i, "AutoResynchronizeIntervalEnd", s->resync_end_us);
    cim_set_bool(i, "EnableWriteOrderPreservationAcrossDisks", true);
    cim_set_string(i, "AdditionalSettings", s->additional);
    fill_disks(i, r);
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

const struct cim_provider replication_setting = {"Msvm_ReplicationSettingData", enumerate, get, NULL};

static void
take_string(const struct cim_instance *i, const char *property, char **to)
{
    if (!cim_given(i, property))
        return;
    g_free(*to);
    *to = g_strdup(cim_get_string(i, property));
}

static void
take_uint(const struct cim_instance *i, const char *property, guint *to)
{
    if (cim_given(i, property))
        *to = (guint)cim_get_uint(i, property);
}

static void
take_bool(const struct cim_instance *i, const char *property, bool *to)
{
    if (cim_given(i, property))
        *to = cim_get_bool(i, property);
}

static bool
take_time_of_day(const struct cim_instance *i, const char *property, gint64 *to, GError **err)
{
    const struct cim_value *v = cim_get(i, property);
    if (!cim_given(i, property))
        return true;
    if (!v->time.interval || v->time.us < 0 || v->time.us >= DAY_US)
        return err_set(err, ERR_INVALID_PARAMETER, "'%s' must be a time of day, given as an interval below 24 hours.", property);
    *to = v->time.us;
    return true;
}

/* "vda", Microsoft:<GUID>\vda, or a whole object path with that InstanceID. */
static char *
disk_target(const char *text, const struct uuid *vm)
{
    cim_path_auto path = strstr(text, "InstanceID") ? cim_path_parse(text, NULL) : NULL;
    const char *id = path ? cim_path_get(path, "InstanceID") : text;
    const char *slash = id ? strrchr(id, '\\') : NULL;
    if (!id)
        return NULL;
    if (!slash)
        return g_strdup(id);
    g_autofree char *head = g_strndup(id, (gsize)(slash - id));
    struct uuid of;
    return settings_id_parse(head, &of) && uuid_equal(&of, vm) ? g_strdup(slash + 1) : NULL;
}

static bool
take_disks(const struct cim_instance *i, const struct uuid *vm, struct repl_settings *s, GError **err)
{
    const struct cim_value *v = cim_get(i, "IncludedDisks");
    if (!cim_given(i, "IncludedDisks"))
        return true;
    g_autoptr(GPtrArray) targets = g_ptr_array_new_with_free_func(g_free);
    for (guint n = 0; n < v->items->len; n++) {
        const struct cim_value *item = g_ptr_array_index(v->items, n);
        char *target = item->null ? NULL : disk_target(item->text, vm);
        if (!target)
            return err_set(err, ERR_INVALID_PARAMETER, "'%s' in IncludedDisks is no disk of this virtual machine.",
                           item->null ? "(null)" : item->text);
        g_ptr_array_add(targets, target);
    }
    if (targets->len == 0)
        return err_set(err, ERR_INVALID_PARAMETER, "IncludedDisks must name at least one disk.");
    g_ptr_array_add(targets, NULL);
    g_strfreev(s->disks);
    s->disks = g_strdupv((char **)targets->pdata);
    return true;
}

static bool
check_id(const struct cim_instance *i, const struct uuid *vm, GError **err)
{
    struct uuid of;
    guint index;
    const char *id = cim_get_string(i, "InstanceID");
    if (!cim_given(i, "InstanceID") || !*id)
        return true;
    return (relation_id_parse(id, &of, &index) && uuid_equal(&of, vm)) ||
           err_set(err, ERR_INVALID_PARAMETER, "InstanceID '%s' is not that of the virtual machine's replication settings.", id);
}

static bool
check_provider(const struct cim_instance *i, GError **err)
{
    const char *name = cim_get_string(i, "ReplicationProvider");
    return !cim_given(i, "ReplicationProvider") || !*name || strcasestr(name, "22391CDC-272C-4DDF-BA88-9BEFB1A0975C") ||
           err_set(err, ERR_INVALID_PARAMETER, "There is no replication provider '%s' on this host.", name);
}

bool
replication_setting_read(const struct cim_instance *i, const struct uuid *vm, struct repl_settings *s, GError **err)
{
    if (!check_id(i, vm, err) || !check_provider(i, err) || !take_disks(i, vm, s, err))
        return false;
    take_string(i, "RecoveryConnectionPoint", &s->recovery_host);
    take_uint(i, "RecoveryServerPortNumber", &s->recovery_port);
    take_uint(i, "AuthenticationType", &s->authentication);
    take_string(i, "CertificateThumbPrint", &s->thumbprint);
    take_bool(i, "CompressionEnabled", &s->compression);
    take_bool(i, "BypassProxyServer", &s->bypass_proxy);
    take_bool(i, "ReplicateHostKvpItems", &s->replicate_kvp);
    take_bool(i, "AutoResynchronizeEnabled", &s->auto_resync);
    take_uint(i, "ReplicationInterval", &s->interval_s);
    take_uint(i, "RecoveryHistory", &s->history);
    take_uint(i, "ApplicationConsistentSnapshotInterval", &s->app_interval_h);
    take_string(i, "AdditionalSettings", &s->additional);
    return take_time_of_day(i, "AutoResynchronizeIntervalStart", &s->resync_start_us, err) &&
           take_time_of_day(i, "AutoResynchronizeIntervalEnd", &s->resync_end_us, err);
}
