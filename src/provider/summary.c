/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "provider/summary.h"

#include "provider/common.h"
#include "provider/computer_system.h"
#include "provider/virtual_system_setting.h"

enum { HEARTBEAT_OK = 2, HEARTBEAT_NO_CONTACT = 12, KIB_PER_MIB = 1024 };

/* What one summary is made from. */
struct subject {
    struct repl_service *service;
    const struct vm_facts *f;
    const struct repl_relation *relation; /* NULL: not known */
    bool runs;
};

typedef void (*fill)(struct cim_instance *i, const struct subject *s);

static void
fill_name(struct cim_instance *i, const struct subject *s)
{
    char guid[UUID_TEXT];
    cim_set_string(i, "Name", uuid_format(&s->f->uuid, guid));
}

static void
fill_element_name(struct cim_instance *i, const struct subject *s)
{
    cim_set_string(i, "ElementName", s->f->name);
}

static void
fill_notes(struct cim_instance *i, const struct subject *s)
{
    cim_set_string(i, "Notes", s->f->machine.notes);
}

static void
fill_processors(struct cim_instance *i, const struct subject *s)
{
    cim_set_uint(i, "NumberOfProcessors", s->f->vcpus);
}

static void
fill_switches(struct cim_instance *i, const struct subject *s)
{
    g_autoptr(GPtrArray) names = g_ptr_array_new();
    for (guint n = 0; n < s->f->nics->len; n++) {
        const struct vm_nic *nic = g_ptr_array_index(s->f->nics, n);
        if (nic->network)
            g_ptr_array_add(names, nic->network);
    }
    g_ptr_array_add(names, NULL);
    cim_set_strings(i, "VirtualSwitchNames", (char **)names->pdata);
}

static void
fill_state(struct cim_instance *i, const struct subject *s)
{
    cim_set_uint(i, "EnabledState", computer_system_state(s->f->power));
}

static void
fill_load(struct cim_instance *i, const struct subject *s)
{
    if (!s->runs)
        cim_set_uint(i, "ProcessorLoad", 0);
    else if (s->f->load_percent >= 0)
        cim_set_uint(i, "ProcessorLoad", (guint)s->f->load_percent);
}

static void
fill_memory(struct cim_instance *i, const struct subject *s)
{
    cim_set_uint(i, "MemoryUsage", s->f->memory_now_kib / KIB_PER_MIB);
}

static void
fill_heartbeat(struct cim_instance *i, const struct subject *s)
{
    if (s->f->power == VM_RUNNING)
        cim_set_uint(i, "Heartbeat", s->f->machine.agent == VM_AGENT_CONNECTED ? HEARTBEAT_OK : HEARTBEAT_NO_CONTACT);
}

static void
fill_uptime(struct cim_instance *i, const struct subject *s)
{
    if (!s->runs || s->f->started_us)
        cim_set_uint(i, "UpTime", vm_uptime_ms(s->f));
}

static void
fill_system(struct cim_instance *i, const struct subject *s)
{
    struct vm_agent_info info;
    if (s->f->power != VM_RUNNING || s->f->machine.agent != VM_AGENT_CONNECTED || !repl_agent(s->service, &s->f->uuid, &info, NULL))
        return;
    cim_set_string(i, "GuestOperatingSystem", info.os_name);
    vm_agent_info_clear(&info);
}

static void
fill_snapshots(struct cim_instance *i, const struct subject *s)
{
    struct cim_value all = cim_array(CIM_REFERENCE);
    g_autoptr(GArray) points = repl_points(s->service, &s->f->uuid, NULL);
    for (guint n = 0; points && n < points->len; n++) {
        g_autofree char *id = settings_id(&g_array_index(points, struct repl_point, n).id);
        cim_array_add(&all, cim_ref(with_id("Msvm_VirtualSystemSettingData", id)));
    }
    cim_set(i, "Snapshots", all);
}

static void
fill_tasks(struct cim_instance *i, const struct subject *s)
{
    struct cim_value all = cim_array(CIM_REFERENCE);
    g_autoptr(GPtrArray) jobs = job_active(repl_jobs(s->service), &s->f->uuid);
    for (guint n = 0; n < jobs->len; n++)
        cim_array_add(&all, cim_ref(job_path(((const struct job_info *)g_ptr_array_index(jobs, n))->id)));
    cim_set(i, "AsynchronousTasks", all);
}

static void
fill_status(struct cim_instance *i, const struct subject *s)
{
    computer_system_status(i, s->service, &s->f->uuid);
}

static void
fill_mode(struct cim_instance *i, const struct subject *s)
{
    cim_set_uint(i, "ReplicationMode", computer_system_mode(s->service, &s->f->uuid, s->relation));
}

static void
fill_replication_state(struct cim_instance *i, const struct subject *s)
{
    if (s->relation)
        cim_set_uint(i, "ReplicationState", s->relation->state);
}

static void
fill_replication_health(struct cim_instance *i, const struct subject *s)
{
    g_autoptr(GArray) tests = repl_tests(s->service);
    if (s->relation)
        cim_set_uint(i, "ReplicationHealth", s->relation->health);
    for (guint n = 0; n < tests->len; n++) {
        const struct repl_test *t = &g_array_index(tests, struct repl_test, n);
        if (uuid_equal(&t->replica, &s->f->uuid))
            cim_set_ref(i, "TestReplicaSystem", guest_path(&t->test));
    }
}

/* Index 0 is \\HVR\\0; index 1 is \\HVR\\1 where that is enabled. */
static void
fill_both(struct cim_instance *i, const struct subject *s, const char *property, bool health)
{
    struct repl_relation extended;
    guint values[2] = {0}, count = 0;
    if (s->relation)
        values[count++] = health ? s->relation->health : s->relation->state;
    if (count && repl_relation_get(s->service, &s->f->uuid, 1, &extended, NULL)) {
        if (extended.state != STATE_DISABLED)
            values[count++] = health ? extended.health : extended.state;
        repl_relation_clear(&extended);
    }
    if (count)
        cim_set_uints(i, property, values, count);
}

static void
fill_states(struct cim_instance *i, const struct subject *s)
{
    fill_both(i, s, "ReplicationStateEx", false);
}

static void
fill_healths(struct cim_instance *i, const struct subject *s)
{
    fill_both(i, s, "ReplicationHealthEx", true);
}

/* NULL: a number of the contract for which KVM has no value (thumbnails, GPU, version, load history, memory pressure, application health,
 * integration services, providers of replication other than this one). */
static const struct {
    guint number;
    fill fill;
} ROWS[] = {
    {0, fill_name},     {1, fill_element_name},    {2, NULL},         {3, fill_notes},
    {4, fill_processors}, {5, NULL},               {6, NULL},         {7, NULL},
    {8, NULL},          {9, fill_switches},        {10, NULL},        {11, NULL},
    {100, fill_state},  {101, fill_load},          {102, NULL},       {103, fill_memory},
    {104, fill_heartbeat}, {105, fill_uptime},     {106, fill_system}, {107, fill_snapshots},
    {108, fill_tasks},  {109, fill_status},        {110, fill_status}, {111, fill_status},
    {112, NULL},        {113, NULL},               {114, fill_mode},  {115, fill_replication_state},
    {116, fill_replication_health}, {117, NULL},   {118, fill_states}, {119, fill_healths},
    {120, NULL},        {121, NULL},               {122, NULL},       {123, NULL},
    {132, NULL},
};

static int
row_of(guint number)
{
    for (guint n = 0; n < G_N_ELEMENTS(ROWS); n++)
        if (ROWS[n].number == number)
            return (int)n;
    return -1;
}

bool
summary_knows(guint number)
{
    return row_of(number) >= 0;
}

/* The key is always there, and which host and which kind of machine it is costs nothing and has no number. */
static struct cim_instance *
begin(struct repl_service *s, const struct uuid *id)
{
    struct cim_instance *i = new_instance("Msvm_SummaryInformation");
    g_autofree char *text = settings_id(id);
    cim_set_string(i, "InstanceID", text);
    cim_set_string(i, "HostComputerSystemName", repl_host(s));
    return i;
}

struct cim_instance *
summary_of_guest(struct repl_service *s, const struct vm_facts *f, const guint *wanted, guint count)
{
    struct repl_relation r;
    const bool known = repl_relation_get(s, &f->uuid, 0, &r, NULL);
    const bool runs = f->power != VM_OFF && f->power != VM_SAVED;
    const struct subject subject = {s, f, known ? &r : NULL, runs};
    struct cim_instance *i = begin(s, &f->uuid);
    cim_set_string(i, "VirtualSystemSubType", virtual_system_subtype(f));
    for (guint n = 0; n < count; n++)
        if (ROWS[row_of(wanted[n])].fill)
            ROWS[row_of(wanted[n])].fill(i, &subject);
    if (known)
        repl_relation_clear(&r);
    return i;
}

/* Of a recovery point: what it is called and when it was. */
struct cim_instance *
summary_of_point(struct repl_service *s, const struct repl_point *p, const guint *wanted, guint count)
{
    enum { NAME = 0, ELEMENT_NAME = 1, CREATION_TIME = 2 };
    struct repl_relation r;
    char guid[UUID_TEXT];
    struct cim_instance *i = begin(s, &p->id);
    const bool known = repl_relation_get(s, &p->vm, 0, &r, NULL);
    for (guint n = 0; n < count; n++) {
        if (wanted[n] == NAME)
            cim_set_string(i, "Name", uuid_format(&p->id, guid));
        if (wanted[n] == ELEMENT_NAME && known)
            cim_set_string(i, "ElementName", r.name);
        if (wanted[n] == CREATION_TIME)
            cim_set_time(i, "CreationTime", p->capture_us);
    }
    if (known)
        repl_relation_clear(&r);
    return i;
}
