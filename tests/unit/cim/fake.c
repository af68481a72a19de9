/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fake.h"

#include "base/err.h"
#include "base/xml.h"

#include <stdio.h>

const struct cim_caller fake_admin = {"admin", CIM_ADMINISTRATOR}, fake_viewer = {"viewer", CIM_VIEWER}, fake_nobody = {NULL, CIM_NOBODY};

char *
fake_guid(guint n)
{
    return g_strdup_printf("6BA7B810-9DAD-11D1-80B4-%012X", n);
}

struct cim_path *
fake_guest_path(guint n)
{
    g_autofree char *guid = fake_guid(n);
    struct cim_path *p = cim_path_new(FAKE_NS, "Msvm_ComputerSystem");
    cim_path_set(p, "CreationClassName", "Msvm_ComputerSystem");
    cim_path_set(p, "Name", guid);
    return p;
}

/* Once in each call: a watch's thread asks while the test changes it, and an answer that failed must not succeed in the end. */
static bool
available(struct fake *f, GError **err)
{
    return !g_atomic_int_get(&f->broken) || err_set(err, ERR_NOT_AVAILABLE, "The fake host is down.");
}

static struct cim_instance *
system_instance(const char *name, const char *display, guint state)
{
    struct cim_instance *i = cim_instance_new(cim_class_find(NULL, "Msvm_ComputerSystem"));
    cim_set_string(i, "Name", name);
    cim_set_string(i, "ElementName", display);
    cim_set_uint(i, "EnabledState", state);
    return i;
}

static struct cim_instance *
guest(guint n)
{
    g_autofree char *guid = fake_guid(n), *name = g_strdup_printf("guest-%u", n);
    return system_instance(guid, name, n % 2 ? 2 : 3);
}

/* A watch's thread asks while the test changes it. */
static guint
guests_of(struct fake *f)
{
    return (guint)g_atomic_int_get((gint *)&f->guests);
}

static struct cim_instance *
guest_now(struct fake *f, guint n)
{
    struct cim_instance *i = guest(n);
    const guint state = (guint)g_atomic_int_get((gint *)&f->state);
    if (n == 0 && state)
        cim_set_uint(i, "EnabledState", state);
    return i;
}

static bool
systems(void *user, const struct cim_path *source, cim_emit emit, void *sink, GError **err)
{
    struct fake *f = user;
    g_atomic_int_inc((gint *)&f->enumerated);
    const bool answers = available(f, err);
    bool more = answers && emit(sink, system_instance(FAKE_HOST, FAKE_HOST, 2));
    for (guint n = 0; more && n < guests_of(f); n++)
        more = emit(sink, guest_now(f, n));
    return answers;
}

/* Number of the guest that has this GUID, or G_MAXUINT. */
static guint
number_of(struct fake *f, const char *guid)
{
    guint n;
    if (!guid || g_ascii_strncasecmp(guid, "6BA7B810-9DAD-11D1-80B4-", 24) != 0 || sscanf(guid + 24, "%12x", &n) != 1 || n >= guests_of(f))
        return G_MAXUINT;
    return n;
}

static struct cim_instance *
get_system(void *user, const struct cim_path *path, GError **err)
{
    struct fake *f = user;
    const char *name = cim_path_get(path, "Name");
    g_atomic_int_inc((gint *)&f->fetched);
    if (!available(f, err))
        return NULL;
    if (g_ascii_strcasecmp(name, FAKE_HOST) == 0)
        return system_instance(FAKE_HOST, FAKE_HOST, 2);
    if (f->forgetful)
        return NULL;
    guint n = number_of(f, name);
    if (n < guests_of(f))
        return guest(n);
    err_set(err, ERR_NO_SUCH_INSTANCE, "There is no guest '%s'.", name);
    return NULL;
}

static char *
relationship_id(guint n)
{
    g_autofree char *guid = fake_guid(n);
    return g_strdup_printf("Microsoft:%s\\HVR\\0", guid);
}

static bool
relationships(void *user, const struct cim_path *source, cim_emit emit, void *sink, GError **err)
{
    struct fake *f = user;
    bool more = true;
    for (guint n = 0; more && n < guests_of(f); n++) {
        struct cim_instance *i = cim_instance_new(cim_class_find(NULL, "Msvm_ReplicationRelationship"));
        g_autofree char *id = relationship_id(n);
        cim_set_string(i, "InstanceID", id);
        cim_set_uint(i, "ReplicationState", 3);
        more = emit(sink, i);
    }
    return true;
}

static bool
links(void *user, const struct cim_path *source, cim_emit emit, void *sink, GError **err)
{
    struct fake *f = user;
    const bool answers = available(f, err);
    bool more = answers;
    g_atomic_int_inc((gint *)&f->walked);
    for (guint n = 0; more && n < guests_of(f); n++) {
        struct cim_instance *i = cim_instance_new(cim_class_find(NULL, "Msvm_SystemReplicationRelationship"));
        struct cim_path *to = cim_path_new(FAKE_NS, "Msvm_ReplicationRelationship");
        g_autofree char *id = relationship_id(n);
        cim_path_set(to, "InstanceID", id);
        cim_set_ref(i, "Antecedent", fake_guest_path(n));
        cim_set_ref(i, "Dependent", to);
        more = emit(sink, i);
    }
    return answers;
}

/* Every guest depends on the host, so that an association over one class at both ends is there. */
static bool
hosted(void *user, const struct cim_path *source, cim_emit emit, void *sink, GError **err)
{
    struct fake *f = user;
    bool more = true;
    for (guint n = 0; more && n < guests_of(f); n++) {
        struct cim_instance *i = cim_instance_new(cim_class_find(NULL, "Msvm_HostedDependency"));
        struct cim_path *host = cim_path_new(FAKE_NS, "Msvm_ComputerSystem");
        cim_path_set(host, "CreationClassName", "Msvm_ComputerSystem");
        cim_path_set(host, "Name", FAKE_HOST);
        cim_set_ref(i, "Antecedent", host);
        cim_set_ref(i, "Dependent", fake_guest_path(n));
        more = emit(sink, i);
    }
    return true;
}

static bool
service(void *user, const struct cim_path *source, cim_emit emit, void *sink, GError **err)
{
    struct cim_instance *i = cim_instance_new(cim_class_find(NULL, "Msvm_ReplicationService"));
    cim_set_string(i, "SystemName", FAKE_HOST);
    emit(sink, i);
    return true;
}

static guint32
method(struct cim_call *call, GError **err)
{
    struct fake *f = call->user;
    f->invoked++;
    struct cim_path *job = cim_path_new(FAKE_NS, "Msvm_ConcreteJob");
    cim_path_set(job, "InstanceID", cim_path_get(call->path, "SystemName"));
    cim_args_set(call->out, "Job", cim_ref(job));
    if (f->refusal >= 0)
        err_set(err, (enum err_code)f->refusal, "The fake refuses.");
    return f->answer;
}

static const struct cim_method_row methods[] = {
    {"InitiateFailover", CIM_OPERATOR, method},    {"CreateReplicationRelationship", CIM_OPERATOR, method},
    {"StartReplication", CIM_OPERATOR, method},    {"SetFailoverNetworkAdapterSettings", CIM_ADMINISTRATOR, method},
    {"GetSystemCertificates", CIM_VIEWER, method}, {NULL, CIM_NOBODY, NULL},
};

static const struct cim_provider system_row = {"Msvm_ComputerSystem", systems, get_system, NULL};
static const struct cim_provider relationship_row = {"msvm_replicationrelationship", relationships, NULL, NULL};
static const struct cim_provider link_row = {"Msvm_SystemReplicationRelationship", links, NULL, NULL};
static const struct cim_provider hosted_row = {"Msvm_HostedDependency", hosted, NULL, NULL};
static const struct cim_provider service_row = {"Msvm_ReplicationService", service, NULL, methods};

struct fake *
fake_new(guint guests)
{
    static const struct cim_provider *const rows[] = {&system_row, &relationship_row, &link_row, &hosted_row, &service_row, NULL};
    struct fake *f = g_new0(struct fake, 1);
    xml_init();
    f->guests = guests;
    f->refusal = -1;
    f->broker = cim_broker_new(FAKE_HOST, rows, f);
    return f;
}

void
fake_free(struct fake *f)
{
    cim_broker_free(f->broker);
    g_free(f);
}
