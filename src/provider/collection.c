/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "provider/collection.h"

#include "provider/all.h"

#include "base/clock.h"

#include <string.h>

struct cim_instance *
collection_instance_new(const char *cls)
{
    return cim_instance_new(cim_class_find(COLLECTION_NAMESPACE, cls));
}

struct cim_path *
collection_path(const struct uuid *group)
{
    char text[UUID_TEXT];
    struct cim_path *p = cim_path_new(COLLECTION_NAMESPACE, "Msvm_VirtualSystemCollection");
    cim_path_set(p, "CollectionID", uuid_format(group, text));
    return p;
}

/* *tests: it is that of a group's test guests. */
static bool
read_collection(const struct cim_call *call, struct uuid *group, bool *tests, GError **err)
{
    struct repl_service *s = service_of(call->user);
    const struct cim_value *v = cim_args_get(call->in, "Collection");
    struct group g = { 0 }, of = { 0 };
    if (!v)
        return err_set(err, ERR_INVALID_PARAMETER, "Parameter 'Collection' is missing. Name a group.");
    const char *text = cim_path_get(v->ref, "CollectionID");
    const bool named = text && g_ascii_strcasecmp(v->ref->cls, "Msvm_VirtualSystemCollection") == 0 && uuid_parse(text, group);
    *tests = named && repl_group_of_tests(s, group, &g, NULL);
    const bool known = *tests ? repl_group_tests(s, &g, &of) : named && repl_group_get(s, group, &g, NULL);
    if (*tests)
        *group = g.id;
    group_clear(&g);
    group_clear(&of);
    return known || err_set(err, ERR_INVALID_PARAMETER, "There is no group '%s' on this host.", text ? text : "(none)");
}

bool
arg_collection(const struct cim_call *call, struct uuid *group, GError **err)
{
    bool tests;
    return read_collection(call, group, &tests, err) &&
           (!tests || err_set(err, ERR_INVALID_STATE, "That is a collection of test guests; RevertTestReplicaCollection removes it."));
}

bool
arg_collection_or_tests(const struct cim_call *call, struct uuid *group, GError **err)
{
    bool tests;
    return read_collection(call, group, &tests, err);
}

struct cim_instance *
collection_service_instance(struct repl_service *s, const char *cls, const char *name, const char *element)
{
    struct cim_instance *i = collection_instance_new(cls);
    cim_set_string(i, "CreationClassName", cls);
    cim_set_string(i, "SystemCreationClassName", "Msvm_ComputerSystem");
    cim_set_string(i, "SystemName", repl_host(s));
    cim_set_string(i, "Name", name);
    cim_set_string(i, "ElementName", element);
    return i;
}

/* ---- Msvm_VirtualSystemCollection ---- */

/* Numbers of its ReplicationState, by those of the members. */
enum { PARTIALLY_ENABLED = 14, PARTIALLY_RECOVERED = 16 };
static const guint STATES[] = {
    [STATE_DISABLED] = 0, [STATE_READY] = 1, [STATE_WAITING_INITIAL] = 2, [STATE_REPLICATING] = 3, [STATE_PREPARED] = 11,
    [STATE_RECOVERED] = 5, [STATE_COMMITTED] = 6, [STATE_SUSPENDED] = 7, [STATE_CRITICAL] = 8, [STATE_WAITING_RESYNC] = 9,
    [STATE_RESYNC] = 10, [STATE_RESYNC_SUSPENDED] = 9, [STATE_FAILING_OVER] = 4,
};

struct summary {
    guint members, mode, state, failed_over;
    gint64 applied_us;
    bool seen, mixed, some_disabled, some_recovered, some_critical;
};

static void
add_member(struct summary *sum, const struct repl_relation *r)
{
    const guint state = (guint)r->state < G_N_ELEMENTS(STATES) ? STATES[r->state] : 8;
    sum->mixed |= sum->seen && sum->state != state;
    if (!sum->seen || state > sum->state)
        sum->state = state;
    sum->mode = MAX(sum->mode, (guint)r->mode);
    sum->failed_over = MAX(sum->failed_over, r->failed_over_type == 3 ? 2 : r->failed_over_type ? 1 : 0);
    sum->applied_us = MAX(sum->applied_us, r->last_apply_us);
    sum->some_disabled |= r->state == STATE_DISABLED;
    sum->some_recovered |= r->state == STATE_RECOVERED || r->state == STATE_COMMITTED;
    sum->some_critical |= r->state == STATE_CRITICAL;
    sum->seen = true;
}

static guint
state_of(const struct summary *sum)
{
    if (!sum->mixed)
        return sum->seen ? sum->state : 0;
    return sum->some_critical ? 8 : sum->some_recovered ? PARTIALLY_RECOVERED : sum->some_disabled ? PARTIALLY_ENABLED : sum->state;
}

static struct summary
summary_of(struct repl_service *s, const struct group *g)
{
    struct summary sum = { 0 };
    for (char **m = g->members; m && *m; m++) {
        struct uuid vm;
        struct repl_relation r;
        if (!uuid_parse(*m, &vm) || !repl_relation_get(s, &vm, 0, &r, NULL))
            continue;
        add_member(&sum, &r);
        repl_relation_clear(&r);
    }
    return sum;
}

static struct cim_instance *
instance_of(struct repl_service *s, const struct group *g)
{
    char text[UUID_TEXT];
    const struct summary sum = summary_of(s, g);
    struct cim_instance *i = collection_instance_new("Msvm_VirtualSystemCollection");
    g_autofree char *id = settings_id(&g->id);
    cim_set_string(i, "InstanceID", id);
    cim_set_string(i, "CollectionID", uuid_format(&g->id, text));
    cim_set_string(i, "ElementName", g->name);
    cim_set_uint(i, "ReplicationState", state_of(&sum));
    cim_set_uint(i, "ReplicationMode", sum.mode == MODE_EXTENDED ? MODE_REPLICA : sum.mode);
    cim_set_uint(i, "FailedOverReplicationType", sum.failed_over);
    cim_set_time(i, "LastApplyTime", sum.applied_us);
    return i;
}

/* Every group, and the test guests of those that have some. */
static bool
each_collection(struct repl_service *s, struct cim_instance *(*make)(struct repl_service *s, const struct group *g), cim_emit emit,
                void *sink)
{
    g_autoptr(GPtrArray) all = repl_groups(s);
    for (guint n = 0; n < all->len; n++) {
        struct group tests = { 0 };
        const bool go_on = emit(sink, make(s, all->pdata[n])) &&
                           (!repl_group_tests(s, all->pdata[n], &tests) || emit(sink, make(s, &tests)));
        group_clear(&tests);
        if (!go_on)
            break;
    }
    return true;
}

static bool
enumerate(void *user, const struct cim_path *source, cim_emit emit, void *sink, GError **err)
{
    return each_collection(service_of(user), instance_of, emit, sink);
}

const struct cim_provider collection = {"Msvm_VirtualSystemCollection", enumerate, NULL, NULL};

/* ---- Msvm_CollectionReplicationSettingData ---- */

static void
fill_members(struct cim_instance *i, const struct group *g)
{
    char text[UUID_TEXT];
    g_autoptr(GPtrArray) ids = g_ptr_array_new();
    uuid_format(&g->id, text);
    g_ptr_array_add(ids, text);
    for (char **m = g->members; m && *m; m++)
        g_ptr_array_add(ids, *m);
    g_ptr_array_add(ids, NULL);
    cim_set_strings(i, "PrimaryReplicationEntityIDs", (char *const *)ids->pdata);
}

/* The first member's: methods of a group give all the same. */
static void
fill_settings(struct cim_instance *i, const struct repl_settings *s, guint members)
{
    g_autoptr(GPtrArray) hosts = g_ptr_array_new();
    for (guint n = 0; s->recovery_host && n < members; n++)
        g_ptr_array_add(hosts, s->recovery_host);
    g_ptr_array_add(hosts, NULL);
    cim_set_strings(i, "RecoveryServerHosts", (char *const *)hosts->pdata);
    cim_set_uint(i, "AuthenticationType", s->authentication);
    cim_set_string(i, "CertificateThumbPrint", s->thumbprint);
    cim_set_string(i, "RootCertificateThumbPrint", s->root_thumbprint);
    cim_set_bool(i, "CompressionEnabled", s->compression);
    cim_set_bool(i, "BypassProxyServer", s->bypass_proxy);
    cim_set_string(i, "RecoveryConnectionPoint", s->recovery_host);
    cim_set_string(i, "PrimaryConnectionPoint", s->primary_connection_point);
    cim_set_uint(i, "RecoveryServerPortNumber", s->recovery_port);
    cim_set_bool(i, "ReplicateHostKvpItems", s->replicate_kvp);
    cim_set_uint(i, "ApplicationConsistentSnapshotInterval", s->app_interval_h);
    cim_set_uint(i, "RecoveryHistory", s->history);
    cim_set_bool(i, "AutoResynchronizeEnabled", s->auto_resync);
    cim_set_interval(i, "AutoResynchronizeIntervalStart", s->resync_start_us);
    cim_set_interval(i, "AutoResynchronizeIntervalEnd", s->resync_end_us);
    cim_set_uint(i, "ReplicationInterval", s->interval_s);
}

static struct cim_instance *
setting_of(struct repl_service *s, const struct group *g)
{
    struct uuid vm;
    struct repl_relation r;
    struct cim_instance *i = collection_instance_new("Msvm_CollectionReplicationSettingData");
    g_autofree char *id = settings_id(&g->id);
    cim_set_string(i, "InstanceID", id);
    cim_set_string(i, "ElementName", g->name);
    fill_members(i, g);
    if (g->members && *g->members && uuid_parse(*g->members, &vm) && repl_relation_get(s, &vm, 0, &r, NULL)) {
        fill_settings(i, &r.settings, g_strv_length(g->members));
        repl_relation_clear(&r);
    }
    return i;
}

static bool
enumerate_settings(void *user, const struct cim_path *source, cim_emit emit, void *sink, GError **err)
{
    return each_collection(service_of(user), setting_of, emit, sink);
}

const struct cim_provider collection_setting = {"Msvm_CollectionReplicationSettingData", enumerate_settings, NULL, NULL};

/* ---- Msvm_CollectionRecoveryPoint ---- */

static void
set_ids(struct cim_instance *i, const char *property, const GArray *ids)
{
    g_autoptr(GPtrArray) texts = g_ptr_array_new_with_free_func(g_free);
    for (guint n = 0; n < ids->len; n++) {
        char text[UUID_TEXT];
        g_ptr_array_add(texts, g_strdup(uuid_format(&g_array_index(ids, struct uuid, n), text)));
    }
    g_ptr_array_add(texts, NULL);
    cim_set_strings(i, property, (char *const *)texts->pdata);
}

static struct cim_instance *
point_of(const struct group *g, const struct group_point *p)
{
    char text[UUID_TEXT];
    struct cim_instance *i = collection_instance_new("Msvm_CollectionRecoveryPoint");
    g_autofree char *id = settings_id(&p->id), *when = clock_iso8601(p->capture_us);
    g_autofree char *name = g_strdup_printf("%s - %s", g->name, when);
    cim_set_string(i, "InstanceID", id);
    cim_set_string(i, "CollectionID", uuid_format(&g->id, text));
    cim_set_string(i, "ElementName", name);
    cim_set_time(i, "CreationTime", p->capture_us);
    set_ids(i, "VirtualMachineIds", p->vms);
    set_ids(i, "RecoveryPointIds", p->points);
    cim_set_uint(i, "ConsistencyLevel", p->application ? 1 : 3); /* 3: crash-consistent as a group */
    return i;
}

static bool
each_point(struct repl_service *s, bool (*emit_one)(const struct group *g, const struct group_point *p, cim_emit emit, void *sink),
           cim_emit emit, void *sink)
{
    g_autoptr(GPtrArray) all = repl_groups(s);
    for (guint n = 0; n < all->len; n++) {
        const struct group *g = all->pdata[n];
        g_autoptr(GPtrArray) points = repl_group_points(s, &g->id, NULL);
        for (guint k = 0; points && k < points->len; k++)
            if (!emit_one(g, points->pdata[k], emit, sink))
                return true;
    }
    return true;
}

static bool
emit_point(const struct group *g, const struct group_point *p, cim_emit emit, void *sink)
{
    return emit(sink, point_of(g, p));
}

static bool
enumerate_points(void *user, const struct cim_path *source, cim_emit emit, void *sink, GError **err)
{
    return each_point(service_of(user), emit_point, emit, sink);
}

const struct cim_provider collection_point = {"Msvm_CollectionRecoveryPoint", enumerate_points, NULL, NULL};

static bool
emit_link(const struct group *g, const struct group_point *p, cim_emit emit, void *sink)
{
    cim_instance_auto point = point_of(g, p);
    struct cim_instance *i = collection_instance_new("Msvm_RecoveryPointOfVirtualSystemCollection");
    cim_set_ref(i, "Antecedent", collection_path(&g->id));
    cim_set_ref(i, "Dependent", cim_instance_path(point));
    return emit(sink, i);
}

static bool
enumerate_links(void *user, const struct cim_path *source, cim_emit emit, void *sink, GError **err)
{
    return each_point(service_of(user), emit_link, emit, sink);
}

const struct cim_provider point_of_collection = {"Msvm_RecoveryPointOfVirtualSystemCollection", enumerate_links, NULL, NULL};

/* ---- Msvm_ReplicaCollectionDependency ---- */

static bool
enumerate_tests(void *user, const struct cim_path *source, cim_emit emit, void *sink, GError **err)
{
    g_autoptr(GPtrArray) all = repl_groups(service_of(user));
    for (guint n = 0; n < all->len; n++) {
        const struct group *g = all->pdata[n];
        struct group tests = { 0 };
        if (!repl_group_tests(service_of(user), g, &tests))
            continue;
        struct cim_instance *i = collection_instance_new("Msvm_ReplicaCollectionDependency");
        cim_set_ref(i, "Antecedent", collection_path(&g->id));
        cim_set_ref(i, "Dependent", collection_path(&tests.id));
        group_clear(&tests);
        if (!emit(sink, i))
            break;
    }
    return true;
}

const struct cim_provider replica_collection_dependency = {"Msvm_ReplicaCollectionDependency", enumerate_tests, NULL, NULL};
