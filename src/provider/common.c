/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "provider/common.h"

#include "provider/device.h"

#include <string.h>

struct cim_instance *
new_instance(const char *cls)
{
    return cim_instance_new(cim_class_find(NAMESPACE, cls));
}

char *
relation_id(const struct uuid *vm, guint index)
{
    char text[UUID_TEXT];
    return g_strdup_printf("Microsoft:%s\\HVR\\%u", uuid_format(vm, text), index);
}

char *
settings_id(const struct uuid *u)
{
    char text[UUID_TEXT];
    return g_strdup_printf("Microsoft:%s", uuid_format(u, text));
}

static bool
take_guid(const char **at, struct uuid *u)
{
    static const char prefix[] = "Microsoft:";
    if (g_ascii_strncasecmp(*at, prefix, sizeof prefix - 1) != 0 || strlen(*at) < sizeof prefix - 1 + UUID_TEXT - 1)
        return false;
    g_autofree char *guid = g_strndup(*at + sizeof prefix - 1, UUID_TEXT - 1);
    *at += sizeof prefix - 1 + UUID_TEXT - 1;
    return uuid_parse(guid, u);
}

bool
settings_id_parse(const char *id, struct uuid *u)
{
    return take_guid(&id, u) && *id == '\0';
}

bool
relation_id_parse(const char *id, struct uuid *vm, guint *index)
{
    if (!take_guid(&id, vm) || g_ascii_strncasecmp(id, "\\HVR\\", 5) != 0 || (id[5] != '0' && id[5] != '1') || id[6])
        return false;
    *index = (guint)(id[5] - '0');
    return true;
}

struct cim_path *
guest_path(const struct uuid *vm)
{
    char text[UUID_TEXT];
    struct cim_path *p = cim_path_new(NAMESPACE, "Msvm_ComputerSystem");
    cim_path_set(p, "CreationClassName", "Msvm_ComputerSystem");
    cim_path_set(p, "Name", uuid_format(vm, text));
    return p;
}

struct cim_path *
host_path(struct repl_service *s)
{
    struct cim_path *p = cim_path_new(NAMESPACE, "Msvm_ComputerSystem");
    cim_path_set(p, "CreationClassName", "Msvm_ComputerSystem");
    cim_path_set(p, "Name", repl_host(s));
    return p;
}

struct cim_path *
service_path(struct repl_service *s)
{
    struct cim_path *p = cim_path_new(NAMESPACE, "Msvm_ReplicationService");
    cim_path_set(p, "CreationClassName", "Msvm_ReplicationService");
    cim_path_set(p, "Name", "replicasvc");
    cim_path_set(p, "SystemCreationClassName", "Msvm_ComputerSystem");
    cim_path_set(p, "SystemName", repl_host(s));
    return p;
}

struct cim_path *
with_id(const char *cls, const char *instance_id)
{
    struct cim_path *p = cim_path_new(NAMESPACE, cls);
    cim_path_set(p, "InstanceID", instance_id);
    return p;
}

struct cim_path *
job_path(const char *id)
{
    return with_id("Msvm_ConcreteJob", id);
}

bool
guest_of_path(const struct cim_path *path, struct uuid *vm)
{
    const char *name = cim_path_get(path, "Name");
    return name && g_ascii_strcasecmp(path->cls, "Msvm_ComputerSystem") == 0 && uuid_parse(name, vm);
}

bool
arg_guest(const struct cim_call *call, const char *name, struct uuid *vm, GError **err)
{
    const struct cim_value *v = cim_args_get(call->in, name);
    if (!v)
        return err_set(err, ERR_INVALID_PARAMETER, "Parameter '%s' is missing. Name a virtual machine.", name);
    g_autofree char *text = cim_path_text(v->ref);
    if (!guest_of_path(v->ref, vm))
        return err_set(err, ERR_INVALID_PARAMETER, "Parameter '%s' does not name a virtual machine: '%s'.", name, text);
    struct repl_relation facts;
    g_autoptr(GError) why = NULL;
    if (!repl_relation_get(service_of(call->user), vm, 0, &facts, &why)) {
        if (err_is(why, ERR_NO_SUCH_INSTANCE))
            return err_set(err, ERR_INVALID_PARAMETER, "There is no virtual machine '%s' on this host.", cim_path_get(v->ref, "Name"));
        g_propagate_error(err, g_steal_pointer(&why));
        return false;
    }
    repl_relation_clear(&facts);
    return true;
}

bool
arg_embedded(const struct cim_call *call, const char *name, const char *cls, struct cim_instance **out, GError **err)
{
    const char *text = cim_args_string(call->in, name);
    *out = text && *text ? cim_xml_parse(text, cls, err) : NULL;
    if (*out || !text || !*text)
        return true;
    g_prefix_error(err, "Parameter '%s': ", name);
    return false;
}

bool
arg_relation(const struct cim_call *call, const struct uuid *vm, bool required, guint *index, GError **err)
{
    cim_instance_auto i = NULL;
    struct uuid of;
    *index = 0;
    if (!arg_embedded(call, "ReplicationRelationship", "Msvm_ReplicationRelationship", &i, err))
        return false;
    if (!i)
        return !required || err_set(err, ERR_INVALID_PARAMETER, "Parameter 'ReplicationRelationship' is missing.");
    const char *id = cim_get_string(i, "InstanceID");
    if (!id || !relation_id_parse(id, &of, index) || !uuid_equal(&of, vm))
        return err_set(err, ERR_INVALID_PARAMETER, "'%s' is no replication relationship of this virtual machine.", id ? id : "(none)");
    return true;
}

bool
arg_true(const struct cim_call *call, const char *name)
{
    const struct cim_value *v = cim_args_get(call->in, name);
    return v && !v->null && v->boolean;
}

guint
arg_uint(const struct cim_call *call, const char *name, guint fallback)
{
    const struct cim_value *v = cim_args_get(call->in, name);
    return v ? (guint)v->u : fallback;
}

guint32
done(struct cim_call *call, const char *job)
{
    if (!*job)
        return 0;
    cim_args_set(call->out, "Job", cim_ref(job_path(job)));
    return 4096;
}

const char *
caller_name(const struct cim_call *call)
{
    return call->caller->user ? call->caller->user : "(nobody)";
}

void
free_relation(gpointer p)
{
    repl_relation_clear(p);
    g_free(p);
}

GPtrArray *
all_relations(struct repl_service *s, GError **err)
{
    return repl_relation_list(s, err);
}

GPtrArray *
relations_near(struct repl_service *s, const struct cim_path *source, GError **err)
{
    struct uuid vm;
    struct repl_point point;
    if (!source || !device_guid(source, &vm))
        return all_relations(s, err);
    if (repl_point_find(s, &vm, &point))
        vm = point.vm;
    g_autoptr(GPtrArray) near = g_ptr_array_new_with_free_func(free_relation);
    for (guint index = 0; index < 2; index++) {
        struct repl_relation r;
        if (repl_relation_get(s, &vm, index, &r, NULL))
            g_ptr_array_add(near, g_memdup2(&r, sizeof r));
    }
    return near->len ? g_steal_pointer(&near) : all_relations(s, err);
}

bool
relation_of(struct repl_service *s, const char *id, struct repl_relation *out, GError **err)
{
    struct uuid vm;
    guint index;
    if (!id || !relation_id_parse(id, &vm, &index))
        return err_set(err, ERR_NO_SUCH_INSTANCE, "There is no relationship '%s'.", id ? id : "(none)");
    return repl_relation_get(s, &vm, index, out, err);
}

bool
same_value(const struct cim_value *a, const struct cim_value *b)
{
    int order;
    if (a->null || b->null)
        return a->null && b->null;
    if (!a->array)
        return cim_value_compare(a, b, &order) && order == 0;
    if (a->items->len != b->items->len)
        return false;
    for (guint n = 0; n < a->items->len; n++)
        if (!same_value(g_ptr_array_index(a->items, n), g_ptr_array_index(b->items, n)))
            return false;
    return true;
}
