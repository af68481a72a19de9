/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "provider/all.h"
#include "provider/service_row.h"
#include "provider/switch.h"

/* What this host hosts: Msvm_HostedDependency (host, guests and switches), Msvm_HostedService (host, services), Msvm_ServiceAffectsElement
 * (service, what it manages), Msvm_ReplicationProvider (contract 1.8, 1.28-1.30). */

static bool
link_two(const char *cls, const char *first, struct cim_path *a, const char *second, struct cim_path *b, cim_emit emit, void *sink)
{
    struct cim_instance *i = new_instance(cls);
    cim_set_ref(i, first, a);
    cim_set_ref(i, second, b);
    return emit(sink, i);
}

static void
free_facts(gpointer f)
{
    vm_facts_free(f);
}

/* The guest that `source` is; all of them where it is none. */
static GPtrArray *
guests_near(struct repl_service *s, const struct cim_path *source, GError **err)
{
    struct uuid id;
    struct vm_facts *f = source && device_guid(source, &id) ? repl_guest(s, &id, NULL) : NULL;
    if (!f)
        return repl_guests(s, err);
    GPtrArray *one = g_ptr_array_new_with_free_func(free_facts);
    g_ptr_array_add(one, f);
    return one;
}

static bool
enumerate_dependents(void *user, const struct cim_path *source, cim_emit emit, void *sink, GError **err)
{
    static const char cls[] = "Msvm_HostedDependency";
    struct repl_service *s = service_of(user);
    g_autoptr(GPtrArray) guests = guests_near(s, source, err), switches = guests ? switch_list(s, err) : NULL;
    for (guint n = 0; guests && n < guests->len; n++) {
        const struct vm_facts *f = g_ptr_array_index(guests, n);
        if (!link_two(cls, "Antecedent", host_path(s), "Dependent", guest_path(&f->uuid), emit, sink))
            return true;
    }
    for (guint n = 0; switches && n < switches->len; n++) {
        const struct switch_row *row = g_ptr_array_index(switches, n);
        if (!link_two(cls, "Antecedent", host_path(s), "Dependent", switch_path(&row->id), emit, sink))
            return true;
    }
    return guests && switches;
}

const struct cim_provider hosted_dependency = {"Msvm_HostedDependency", enumerate_dependents, NULL, NULL};

static struct cim_path *
switch_service_path(struct repl_service *s)
{
    static const char cls[] = "Msvm_VirtualEthernetSwitchManagementService";
    struct cim_path *p = cim_path_new(NAMESPACE, cls);
    cim_path_set(p, "CreationClassName", cls);
    cim_path_set(p, "Name", "nvspwmi");
    cim_path_set(p, "SystemCreationClassName", "Msvm_ComputerSystem");
    cim_path_set(p, "SystemName", repl_host(s));
    return p;
}

/* Services that manage guests. */
static struct cim_path *
guest_service(struct repl_service *s, guint n)
{
    return n < SERVICES ? service_row_path(s, (enum service)n) : service_path(s);
}

static bool
enumerate_services(void *user, const struct cim_path *source, cim_emit emit, void *sink, GError **err)
{
    static const char cls[] = "Msvm_HostedService";
    struct repl_service *s = service_of(user);
    for (guint n = 0; n <= SERVICES; n++)
        if (!link_two(cls, "Antecedent", host_path(s), "Dependent", guest_service(s, n), emit, sink))
            return true;
    link_two(cls, "Antecedent", host_path(s), "Dependent", switch_service_path(s), emit, sink);
    return true;
}

const struct cim_provider hosted_service = {"Msvm_HostedService", enumerate_services, NULL, NULL};

static bool
link_manager(struct cim_path *element, struct cim_path *service, cim_emit emit, void *sink)
{
    static const guint manages[] = {5};
    struct cim_instance *i = new_instance("Msvm_ServiceAffectsElement");
    cim_set_ref(i, "AffectedElement", element);
    cim_set_ref(i, "AffectingElement", service);
    cim_set_uints(i, "ElementEffects", manages, 1);
    return emit(sink, i);
}

static bool
link_managers(struct repl_service *s, const struct uuid *vm, cim_emit emit, void *sink)
{
    for (guint n = 0; n <= SERVICES; n++)
        if (!link_manager(guest_path(vm), guest_service(s, n), emit, sink))
            return false;
    return true;
}

static bool
enumerate_affected(void *user, const struct cim_path *source, cim_emit emit, void *sink, GError **err)
{
    struct repl_service *s = service_of(user);
    g_autoptr(GPtrArray) guests = guests_near(s, source, err), switches = guests ? switch_list(s, err) : NULL;
    for (guint n = 0; guests && n < guests->len; n++) {
        const struct vm_facts *f = g_ptr_array_index(guests, n);
        if (!link_managers(s, &f->uuid, emit, sink))
            return true;
    }
    for (guint n = 0; switches && n < switches->len; n++) {
        const struct switch_row *row = g_ptr_array_index(switches, n);
        if (!link_manager(switch_path(&row->id), switch_service_path(s), emit, sink))
            return true;
    }
    return guests && switches;
}

const struct cim_provider service_affects = {"Msvm_ServiceAffectsElement", enumerate_affected, NULL, NULL};

static bool
enumerate_provider(void *user, const struct cim_path *source, cim_emit emit, void *sink, GError **err)
{
    struct cim_instance *i = new_instance("Msvm_ReplicationProvider");
    g_autofree char *id =
        g_strdup_printf("Microsoft:%s\\ReplicationProvider\\%s", repl_host(service_of(user)), cim_get_string(i, "Name"));
    cim_set_string(i, "InstanceID", id);
    emit(sink, i);
    return true;
}

const struct cim_provider replication_provider = {"Msvm_ReplicationProvider", enumerate_provider, NULL, NULL};
