/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "provider/service_row.h"

#include "provider/common.h"

static const struct {
    const char *cls, *name, *element;
} ROWS[SERVICES] = {
    [SERVICE_MANAGEMENT] = {"Msvm_VirtualSystemManagementService", "vmms", "Hyper-V Virtual System Management Service"},
    [SERVICE_SNAPSHOT] = {"Msvm_VirtualSystemSnapshotService", "vssnapsvc", "Hyper-V Virtual System Snapshot Service"},
};

struct cim_path *
service_row_path(struct repl_service *s, enum service which)
{
    struct cim_path *p = cim_path_new(NAMESPACE, ROWS[which].cls);
    cim_path_set(p, "CreationClassName", ROWS[which].cls);
    cim_path_set(p, "Name", ROWS[which].name);
    cim_path_set(p, "SystemCreationClassName", "Msvm_ComputerSystem");
    cim_path_set(p, "SystemName", repl_host(s));
    return p;
}

struct cim_instance *
service_row_instance(struct repl_service *s, enum service which)
{
    struct cim_instance *i = new_instance(ROWS[which].cls);
    cim_set_string(i, "ElementName", ROWS[which].element);
    cim_set_string(i, "SystemName", repl_host(s));
    return i;
}

/* ---- return codes ---- */

guint32
service_small_code(const GError *why)
{
    switch (err_info_of(why)->cim) {
    case 32769: return 32769;
    case 32770: return 1;
    case 32772: return 3;
    case 32773: return 4;
    case 32774:
    case 32775: return 5;
    case 32776: return 6;
    }
    return 2;
}

guint32
service_smaller_code(const GError *why)
{
    const guint32 code = service_small_code(why);
    return code == 6 ? 4 : code;
}

/* ---- arguments ---- */

bool
service_setting_of(struct repl_service *s, const struct cim_path *path, const char *name, struct service_setting *out, GError **err)
{
    struct uuid id;
    g_autoptr(GError) why = NULL;
    const char *text = cim_path_get(path, "InstanceID");
    if (!text || g_ascii_strcasecmp(path->cls, "Msvm_VirtualSystemSettingData") != 0 || !settings_id_parse(text, &id))
        return err_set(err, ERR_INVALID_PARAMETER, "Parameter '%s' names '%s', which are no settings of a virtual machine.", name,
                       text ? text : path->cls);
    out->is_point = repl_point_find(s, &id, &out->point);
    out->vm = out->is_point ? out->point.vm : id;
    if (out->is_point)
        return true;
    vm_facts_auto f = repl_guest(s, &id, &why);
    if (f)
        return true;
    if (err_is(why, ERR_NO_SUCH_INSTANCE))
        return err_set(err, ERR_INVALID_PARAMETER, "Parameter '%s' names '%s', which is neither a virtual machine nor a recovery point.",
                       name, text);
    g_propagate_error(err, g_steal_pointer(&why));
    return false;
}

bool
service_setting_arg(const struct cim_call *call, const char *name, struct service_setting *out, GError **err)
{
    const struct cim_value *v = cim_args_get(call->in, name);
    if (!v)
        return err_set(err, ERR_INVALID_PARAMETER, "Parameter '%s' is missing.", name);
    return service_setting_of(service_of(call->user), v->ref, name, out, err);
}
