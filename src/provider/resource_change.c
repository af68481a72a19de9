/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "provider/resource_change.h"

#include "base/err.h"
#include "provider/device.h"

#include <string.h>

static const char CONNECTION[] = "Msvm_EthernetPortAllocationSettingData", NAME[] = "TestReplicaSwitchName";

/* What is asked of the cards of one guest after the other, in the order of the elements. */
struct wishes {
    GArray *guests;   /* struct uuid */
    GPtrArray *lists; /* GPtrArray of struct repl_test_network, by the guests */
    struct cim_value paths;
};

static GPtrArray *
list_of(struct wishes *w, const struct uuid *vm)
{
    for (guint i = 0; i < w->guests->len; i++)
        if (uuid_equal(&g_array_index(w->guests, struct uuid, i), vm))
            return w->lists->pdata[i];
    GPtrArray *list = g_ptr_array_new_with_free_func((GDestroyNotify)repl_test_network_free);
    g_array_append_val(w->guests, *vm);
    g_ptr_array_add(w->lists, list);
    return list;
}

/* "525400AABBCC" as libvirt writes it; g_free. */
static char *
mac_of(const struct cim_instance *now)
{
    const char *hex = cim_get_string(now, "Address");
    GString *mac = g_string_new(NULL);
    for (gsize i = 0; hex && hex[i]; i++)
        g_string_append_printf(mac, "%s%c", i && i % 2 == 0 ? ":" : "", g_ascii_tolower(hex[i]));
    return g_string_free(mac, FALSE);
}

static bool
only_the_network(const struct cim_instance *wanted, const struct cim_instance *now, GError **err)
{
    for (guint n = 0; n < wanted->cls->property_count; n++) {
        const char *name = wanted->cls->properties[n].name;
        const struct cim_value *is = cim_get(now, name);
        const bool fixed = is && cim_given(wanted, name) && strcmp(name, NAME) != 0 && strcmp(name, "InstanceID") != 0;
        if (fixed && !same_value(&wanted->values[n], is))
            return err_set(err, ERR_NOT_SUPPORTED,
                           "Property '%s' of a network connection cannot be changed over this API; "
                           "TestReplicaSwitchName can. Use libvirt's own tools.",
                           name);
    }
    return true;
}

static struct cim_instance *
as_it_is(struct repl_service *s, const struct cim_path *path, struct uuid *vm, GError **err)
{
    g_autoptr(GError) why = NULL;
    struct cim_instance *now = device_get(s, path, list_connection_setting, &why);
    struct repl_point point;
    if (!now)
        return err_set(err, ERR_INVALID_PARAMETER, "'%s' is no network connection of a virtual machine.", cim_path_get(path, "InstanceID")),
               NULL;
    if (!repl_point_find(s, vm, &point))
        return now;
    cim_instance_free(now);
    return err_set(err, ERR_INVALID_STATE, "The hardware of a recovery point cannot be changed."), NULL;
}

static bool
take(struct repl_service *s, struct wishes *w, const struct cim_instance *wanted, GError **err)
{
    struct uuid vm;
    cim_path_auto path = with_id(CONNECTION, cim_get_string(wanted, "InstanceID"));
    if (!device_guid(path, &vm))
        return err_set(err, ERR_INVALID_PARAMETER, "Parameter 'ResourceSettings' has an element without a valid InstanceID.");
    cim_instance_auto now = as_it_is(s, path, &vm, err);
    if (!now || !only_the_network(wanted, now, err))
        return false;
    if (cim_given(wanted, NAME)) {
        const char *network = cim_get_string(wanted, NAME);
        const struct repl_test_network card = {mac_of(now), *network ? g_strdup(network) : NULL};
        g_ptr_array_add(list_of(w, &vm), g_memdup2(&card, sizeof card));
    }
    cim_array_add(&w->paths, cim_ref(g_steal_pointer(&path)));
    return true;
}

static bool
read_one(struct repl_service *s, struct wishes *w, const struct cim_value *v, GError **err)
{
    if (v->null)
        return err_set(err, ERR_INVALID_PARAMETER, "Parameter 'ResourceSettings' has an empty element.");
    cim_instance_auto i = cim_xml_parse(v->text, "CIM_ResourceAllocationSettingData", err);
    if (!i)
        return false;
    return strcmp(i->cls->name, CONNECTION) == 0 ? take(s, w, i, err)
                                                 : err_set(err, ERR_NOT_SUPPORTED,
                                                           "Changing virtual hardware is not supported over this API; use libvirt's own "
                                                           "tools.");
}

static bool
carry_out(struct repl_service *s, const struct wishes *w, GError **err)
{
    for (guint i = 0; i < w->guests->len; i++)
        if (!repl_test_networks_set(s, &g_array_index(w->guests, struct uuid, i), w->lists->pdata[i], err))
            return false;
    return true;
}

bool
resource_change(struct cim_call *call, GError **err)
{
    struct repl_service *s = service_of(call->user);
    const GPtrArray *items = cim_args_get(call->in, "ResourceSettings")->items;
    struct wishes w = {g_array_new(FALSE, FALSE, sizeof(struct uuid)), g_ptr_array_new_with_free_func((GDestroyNotify)g_ptr_array_unref),
                       cim_array(CIM_REFERENCE)};
    bool ok = true;
    for (guint n = 0; ok && n < items->len; n++)
        ok = read_one(s, &w, g_ptr_array_index(items, n), err);
    ok = ok && carry_out(s, &w, err);
    if (ok)
        cim_args_set(call->out, "ResultingResourceSettings", w.paths);
    else
        cim_value_clear(&w.paths);
    g_array_unref(w.guests);
    g_ptr_array_unref(w.lists);
    return ok;
}
