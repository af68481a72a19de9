/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "provider/all.h"
#include "provider/common.h"
#include "provider/service_setting.h"

/* Msvm_ElementSettingData and Msvm_SettingsDefineState: who is described by which settings (contract 0.2, "Setting lookup"). */

static bool
link_to(const char *cls, struct cim_path *element, struct cim_path *setting, cim_emit emit, void *sink)
{
    struct cim_instance *i = new_instance(cls);
    cim_set_ref(i, "ManagedElement", element);
    cim_set_ref(i, "SettingData", setting);
    return emit(sink, i);
}

static bool
link_entries(struct repl_service *s, cim_emit emit, void *sink)
{
    g_autoptr(GPtrArray) entries = repl_entries(s);
    for (guint n = 0; n < entries->len; n++) {
        g_autofree char *id = entry_id(g_ptr_array_index(entries, n));
        if (!link_to("Msvm_ElementSettingData", service_path(s), with_id("Msvm_ReplicationAuthorizationSettingData", id), emit, sink))
            return false;
    }
    return true;
}

static bool
enumerate_elements(void *user, const struct cim_path *source, cim_emit emit, void *sink, GError **err)
{
    struct repl_service *s = service_of(user);
    g_autoptr(GPtrArray) all = relations_near(s, source, err);
    if (!all)
        return false;
    if (!link_to("Msvm_ElementSettingData", service_path(s), service_setting_path(s), emit, sink) || !link_entries(s, emit, sink))
        return true;
    for (guint n = 0; n < all->len; n++) {
        const struct repl_relation *r = g_ptr_array_index(all, n);
        g_autofree char *id = relation_id(&r->vm, r->index);
        if (!link_to("Msvm_ElementSettingData", guest_path(&r->vm), with_id("Msvm_ReplicationSettingData", id), emit, sink))
            break;
    }
    return true;
}

const struct cim_provider element_setting = {"Msvm_ElementSettingData", enumerate_elements, NULL, NULL};

static bool
enumerate_states(void *user, const struct cim_path *source, cim_emit emit, void *sink, GError **err)
{
    struct repl_service *s = service_of(user);
    g_autoptr(GPtrArray) all = relations_near(s, source, err);
    for (guint n = 0; all && n < all->len; n++) {
        const struct repl_relation *r = g_ptr_array_index(all, n);
        g_autofree char *relation = relation_id(&r->vm, r->index), *setting = settings_id(&r->vm);
        if (r->index == 0 &&
            !link_to("Msvm_SettingsDefineState", guest_path(&r->vm), with_id("Msvm_VirtualSystemSettingData", setting), emit, sink))
            break;
        if (!link_to("Msvm_SettingsDefineState", with_id("Msvm_ReplicationRelationship", relation),
                     with_id("Msvm_ReplicationSettingData", relation), emit, sink))
            break;
    }
    return all != NULL;
}

const struct cim_provider settings_define_state = {"Msvm_SettingsDefineState", enumerate_states, NULL, NULL};
