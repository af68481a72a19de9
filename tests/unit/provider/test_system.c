/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "ask.h"

#include <string.h>

/* Msvm_ComputerSystem, Msvm_ShutdownComponent and the two services for virtual machines: method x situation x code, through the broker as a
 * client calls.  The replication methods have their table elsewhere. */

#define ROWS(f, b, ...) \
    do { \
        static const struct row rows_[] = {__VA_ARGS__}; \
        ask_rows(f, b, rows_, G_N_ELEMENTS(rows_)); \
    } while (0)

enum {
    OK = 0, JOB = 4096, FAILED = 32768, DENIED = 32769, UNSUPPORTED = 32770, TIMEOUT = 32772, WRONG = 32773, IN_USE = 32774, STATE = 32775,
    TYPE = 32776, AWAY = 32777, MEMORY = 32778
};

/* ---- power ---- */

static const guint REQUESTS[] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 32773};

/* 'p' 32773, 'n' 32770, 's' 32775, '0' done, 'j' a job; columns as in REQUESTS.  `to`: the power that each leads to. */
static const struct {
    enum vm_power from;
    const char *codes, *to;
} POWER[] = {
    {VM_OFF, "pp0sspsnnssspp", "..R..........."},
    {VM_RUNNING, "pps00pjnn000pp", "...OO.S..PRR.."},
    {VM_PAUSED, "pp00spjnnss0pp", "..RO..S....R.."},
    {VM_SAVED, "pp00spsnnssspp", "..RO.........."},
    {VM_STARTING, "pps0spsnnssspp", "...O.........."},
    {VM_STOPPING, "pps0spsnnssspp", "...O.........."},
};

static const char *const POWER_NAMES[] = {
    [VM_OFF] = "off", [VM_RUNNING] = "running", [VM_PAUSED] = "paused",
    [VM_SAVED] = "saved", [VM_STARTING] = "starting", [VM_STOPPING] = "shutting down",
};

static guint32
code_of(char c)
{
    return c == 'p' ? WRONG : c == 'n' ? UNSUPPORTED : c == 's' ? STATE : c == 'u' ? IN_USE : c == 'j' ? JOB : OK;
}

static enum vm_power
power_of(char c)
{
    return c == 'R' ? VM_RUNNING : c == 'O' ? VM_OFF : c == 'S' ? VM_SAVED : VM_PAUSED;
}

static void
job_of(struct cim_args *out, char job[UUID_TEXT])
{
    const struct cim_value *v = cim_args_get(out, "Job");
    g_assert_nonnull(v);
    g_strlcpy(job, cim_path_get(v->ref, "InstanceID"), UUID_TEXT);
}

static void
check_power(struct ask *f, enum vm_power from, guint request, char code, char to)
{
    struct cim_args *out;
    char job[UUID_TEXT];
    g_autofree char *in = g_strdup_printf("RequestedState=%u", request);
    fake_power_set(f->w.a.fake, &f->plain, from);
    ask_situation(POWER_NAMES[from]);
    const guint32 is = ask_call(f, f->a, CIM_OPERATOR, "@plain", "RequestStateChange", in, &out);
    ask_situation(NULL);
    if (is != code_of(code))
        g_error("request %u from power %d: %u", request, from, is);
    if (is == JOB) {
        job_of(out, job);
        world_done(&f->w.a, job);
    }
    cim_args_free(out);
    g_assert_cmpint(fake_power(f->w.a.fake, &f->plain), ==, to == '.' ? from : power_of(to));
}

static void
test_power(void)
{
    struct ask f;
    ask_open(&f, false);
    for (guint p = 0; p < G_N_ELEMENTS(POWER); p++)
        for (guint r = 0; r < G_N_ELEMENTS(REQUESTS); r++)
            check_power(&f, POWER[p].from, REQUESTS[r], POWER[p].codes[r], POWER[p].to[r]);
    ask_close(&f);
}

/* AvailableRequestedStates says exactly what is not refused. */
static void
test_available(void)
{
    struct ask f;
    ask_open(&f, false);
    for (guint p = 0; p < G_N_ELEMENTS(POWER); p++) {
        fake_power_set(f.w.a.fake, &f.plain, POWER[p].from);
        cim_instance_auto i = ask_get(&f, f.a, "@plain");
        const struct cim_value *v = cim_get(i, "AvailableRequestedStates");
        guint found = 0;
        for (guint r = 0; r < G_N_ELEMENTS(REQUESTS); r++) {
            bool listed = false;
            for (guint n = 0; n < v->items->len; n++)
                listed = listed || ((struct cim_value *)g_ptr_array_index(v->items, n))->u == REQUESTS[r];
            g_assert_true(listed == (code_of(POWER[p].codes[r]) == OK || code_of(POWER[p].codes[r]) == JOB));
            found += listed;
        }
        g_assert_cmpuint(found, ==, v->items->len);
    }
    ask_close(&f);
}

/* A replica does not start before its failover, a primary not when it is prepared for one (contract 2.8). */
static void
test_fence(void)
{
    static const struct {
        bool on_b;
        enum repl_state state;
        enum vm_power power;
        const char *codes; /* of 2 3 6 9 10 11 */
    } rows[] = {
        {true, STATE_REPLICATING, VM_OFF, "ssssss"},     {true, STATE_WAITING_INITIAL, VM_OFF, "ssssss"},
        {true, STATE_CRITICAL, VM_OFF, "ssssss"},        {true, STATE_SUSPENDED, VM_OFF, "ssssss"},
        {true, STATE_FAILING_OVER, VM_OFF, "ssssss"},    {true, STATE_REPLICATING, VM_RUNNING, "s0ssss"},
        {true, STATE_RECOVERED, VM_OFF, "0sssss"},       {true, STATE_COMMITTED, VM_OFF, "0sssss"},
        {true, STATE_RECOVERED, VM_RUNNING, "s0j000"},   {false, STATE_PREPARED, VM_OFF, "ssssss"},
        {false, STATE_REPLICATING, VM_OFF, "0sssss"},    {false, STATE_REPLICATING, VM_RUNNING, "s0j000"},
        {false, STATE_CRITICAL, VM_PAUSED, "00jss0"},
    };
    static const guint requests[] = {2, 3, 6, 9, 10, 11};
    struct ask f;
    ask_open(&f, true);
    for (guint n = 0; n < G_N_ELEMENTS(rows); n++) {
        struct host *h = rows[n].on_b ? &f.w.b : &f.w.a;
        for (guint r = 0; r < G_N_ELEMENTS(requests); r++) {
            struct cim_args *out;
            char job[UUID_TEXT];
            g_autofree char *in = g_strdup_printf("RequestedState=%u", requests[r]);
            ask_state(&f, h, rows[n].state);
            fake_power_set(h->fake, &f.vm, rows[n].power);
            g_autofree char *when = g_strdup_printf("%s in state %d (%s), %s", rows[n].on_b ? "replica" : "primary", rows[n].state,
                                                    state_name(rows[n].state), POWER_NAMES[rows[n].power]);
            ask_situation(when);
            const guint32 is = ask_call(&f, rows[n].on_b ? f.b : f.a, CIM_OPERATOR, "@vm", "RequestStateChange", in, &out);
            ask_situation(NULL);
            if (is != code_of(rows[n].codes[r]))
                g_error("row %u, request %u: %u", n, requests[r], is);
            if (is == JOB) {
                job_of(out, job);
                world_done(h, job);
            }
            cim_args_free(out);
        }
        ask_state(&f, h, STATE_REPLICATING);
    }
    ask_close(&f);
}

static void
test_power_arguments(void)
{
    struct ask f;
    ask_open(&f, false);
    ask_situation("running");
    ROWS(&f, f.a,
         {"@plain", "RequestStateChange", "", WRONG},
         {"@plain", "RequestStateChange", "RequestedState=x", TYPE},
         {"@plain", "RequestStateChange", "RequestedState=-1", TYPE},
         {"@plain", "RequestStateChange", "RequestedState=70000", TYPE},
         {"@plain", "RequestStateChange", "RequestedState=2.5", TYPE},
         {"@plain", "RequestStateChange", "RequestedState=99", WRONG},
         {"@plain", "RequestStateChange", "RequestedState=7", UNSUPPORTED},
         {"@plain", "RequestStateChange", "RequestedState=3|TimeoutPeriod=soon", TYPE},
         {"@host", "RequestStateChange", "RequestedState=3", WRONG},
         {"@plain", "SetPowerState", "", WRONG},
         {"@plain", "SetPowerState", "PowerState=x", TYPE},
         {"@plain", "SetPowerState", "PowerState=0", WRONG},
         {"@plain", "SetPowerState", "PowerState=9", WRONG},
         {"@plain", "SetPowerState", "PowerState=2", UNSUPPORTED},
         {"@plain", "SetPowerState", "PowerState=3", UNSUPPORTED},
         {"@plain", "SetPowerState", "PowerState=4", UNSUPPORTED},
         {"@plain", "SetPowerState", "PowerState=6|Time=20300101000000.000000+000", UNSUPPORTED},
         {"@plain", "SetPowerState", "PowerState=1", STATE},
         {"@host", "SetPowerState", "PowerState=6", WRONG},
         {"@host", "InjectNonMaskableInterrupt", "", WRONG},
         {"@plain", "InjectNonMaskableInterrupt", "", OK},
         {"@plain", "SetPowerState", "PowerState=5", OK},
         {"@plain", "SetPowerState", "PowerState=8", OK});
    ask_situation("off");
    ROWS(&f, f.a,
         {"@plain", "SetPowerState", "PowerState=5", STATE},
         {"@plain", "SetPowerState", "PowerState=6|Time=00000000000000.000000:000", STATE},
         {"@plain", "SetPowerState", "PowerState=7", STATE},
         {"@plain", "SetPowerState", "PowerState=8", STATE},
         {"@plain", "InjectNonMaskableInterrupt", "", STATE},
         {"@plain", "SetPowerState", "PowerState=1", OK});
    ask_situation("running");
    ROWS(&f, f.a,
         {"@plain", "SetPowerState", "PowerState=6|Time=00000000000000.000000:000", OK});
    ask_situation("off");
    ROWS(&f, f.a,
         {"@plain", "RequestStateChange", "RequestedState=2|TimeoutPeriod=00000000000100.000000:000", OK});
    ask_situation(NULL);
    g_assert_cmpuint(fake_interrupts(f.w.a.fake), ==, 1);
    ask_role(&f, f.a, "@plain", "RequestStateChange", "RequestedState=9", CIM_OPERATOR);
    ask_role(&f, f.a, "@plain", "SetPowerState", "PowerState=1", CIM_OPERATOR);
    ask_role(&f, f.a, "@plain", "InjectNonMaskableInterrupt", "", CIM_OPERATOR);
    ask_close(&f);
}

/* What libvirt says comes out as the code of its kind. */
static void
test_hypervisor_fails(void)
{
    static const struct {
        enum err_code code;
        guint32 cim;
    } kinds[] = {{ERR_FAILED, FAILED}, {ERR_ACCESS_DENIED, DENIED}, {ERR_NOT_SUPPORTED, UNSUPPORTED}, {ERR_TIMEOUT, TIMEOUT},
                 {ERR_IN_USE, IN_USE}, {ERR_NOT_AVAILABLE, AWAY}, {ERR_NO_MEMORY, MEMORY}};
    struct ask f;
    ask_open(&f, false);
    for (guint n = 0; n < G_N_ELEMENTS(kinds); n++) {
        const struct row rows[] = {
            {"@plain", "RequestStateChange", "RequestedState=4", kinds[n].cim},
            {"@plain", "SetPowerState", "PowerState=8", kinds[n].cim},
            {"Msvm_ShutdownComponent.SystemName=\"@PLAIN\"", "InitiateShutdown", "Force=false|Reason=test", kinds[n].cim},
        };
        const struct row interrupt = {"@plain", "InjectNonMaskableInterrupt", "", kinds[n].cim};
        g_autofree char *when = g_strdup_printf("the hypervisor fails with '%s'", err_info(kinds[n].code)->id);
        ask_situation(when);
        fake_fail(f.w.a.fake, FAKE_SHUTDOWN, kinds[n].code, G_N_ELEMENTS(rows));
        ask_rows(&f, f.a, rows, G_N_ELEMENTS(rows));
        fake_fail(f.w.a.fake, FAKE_POWER, kinds[n].code, 1);
        ask_rows(&f, f.a, &interrupt, 1);
        ask_situation(NULL);
    }
    ask_close(&f);
}

/* ---- the shutdown component ---- */

static void
test_shutdown(void)
{
    static const char wql[] = "SELECT * FROM Msvm_ShutdownComponent WHERE SystemName = '@PLAIN' ";
    static const char path[] = "Msvm_ShutdownComponent.SystemName=\"@PLAIN\"";
    static const enum vm_power without[] = {VM_OFF, VM_PAUSED, VM_SAVED, VM_STARTING, VM_STOPPING};
    struct ask f;
    ask_open(&f, false);
    for (guint n = 0; n < G_N_ELEMENTS(without); n++) {
        fake_power_set(f.w.a.fake, &f.plain, without[n]);
        g_autoptr(GPtrArray) none = ask_query(&f, f.a, wql);
        g_assert_cmpuint(none->len, ==, 0);
    }
    fake_power_set(f.w.a.fake, &f.plain, VM_RUNNING);
    g_autoptr(GPtrArray) found = ask_query(&f, f.a, wql);
    g_assert_cmpuint(found->len, ==, 1);
    g_assert_cmpstr(cim_get_string(found->pdata[0], "SystemCreationClassName"), ==, "Msvm_ComputerSystem");
    ask_role(&f, f.a, path, "InitiateShutdown", "", CIM_OPERATOR);
    ROWS(&f, f.a,
         {path, "InitiateShutdown", "", WRONG},
         {path, "InitiateShutdown", "Reason=why", WRONG},
         {path, "InitiateShutdown", "Force=perhaps", TYPE},
         {path, "InitiateShutdown", "Force=False|Reason=Planned shutdown via libvirt", OK});
    g_assert_cmpint(fake_power(f.w.a.fake, &f.plain), ==, VM_OFF);
    fake_power_set(f.w.a.fake, &f.plain, VM_RUNNING);
    ROWS(&f, f.a, {path, "InitiateShutdown", "Force=true", OK});
    ask_close(&f);
}

/* ---- Msvm_VirtualSystemManagementService ---- */

#define SETTING(id, properties) \
    "SystemSettings=<INSTANCE CLASSNAME=\"Msvm_VirtualSystemSettingData\"><PROPERTY NAME=\"InstanceID\" TYPE=\"string\">" \
    "<VALUE>Microsoft:" id "</VALUE></PROPERTY>" properties "</INSTANCE>"
#define PROPERTY(name, type, value) "<PROPERTY NAME=\"" name "\" TYPE=\"" type "\"><VALUE>" value "</VALUE></PROPERTY>"
#define LINES(name, ...) "<PROPERTY.ARRAY NAME=\"" name "\" TYPE=\"string\"><VALUE.ARRAY>" __VA_ARGS__ "</VALUE.ARRAY></PROPERTY.ARRAY>"

/* DMTF's small codes: 1 not supported, 4 invalid parameter, 5 invalid state, 6 invalid type. */
static void
test_modify(void)
{
    static const char m[] = "ModifySystemSettings";
    struct ask f;
    ask_open(&f, true);
    fake_power_set(f.w.a.fake, &f.plain, VM_RUNNING);
    ask_situation("PLAIN runs, VM is replicated from here");
    ROWS(&f, f.a,
         {"@vmms", m, "", 4},
         {"@vmms", m, "SystemSettings=", 4},
         {"@vmms", m, "SystemSettings=hello", 6},
         {"@vmms", m, "SystemSettings=<INSTANCE CLASSNAME=\"Msvm_ComputerSystem\"/>", 6},
         {"@vmms", m, "SystemSettings=<INSTANCE CLASSNAME=\"Msvm_VirtualSystemSettingData\"/>", 4},
         {"@vmms", m, SETTING("@NOBODY", ""), 4},
         {"@vmms", m, SETTING("nonsense", ""), 4},
         {"@vmms", m, SETTING("@PLAIN", ""), OK},
         {"@vmms", m, SETTING("@PLAIN", PROPERTY("ElementName", "string", "plain")), OK},
         {"@vmms", m, SETTING("@PLAIN", PROPERTY("ElementName", "string", "other")), 5},
         {"@vmms", m, SETTING("@PLAIN", PROPERTY("ElementName", "string", "a/b")), 4},
         {"@vmms", m, SETTING("@PLAIN", PROPERTY("ElementName", "string", "")), 4},
         {"@vmms", m, SETTING("@PLAIN", PROPERTY("BIOSNumLock", "boolean", "true")), 1},
         {"@vmms", m, SETTING("@PLAIN", PROPERTY("AutomaticStartupAction", "uint16", "3")), 1},
         {"@vmms", m, SETTING("@PLAIN", PROPERTY("AutomaticStartupAction", "uint16", "4")), OK},
         {"@vmms", m, SETTING("@PLAIN", LINES("Notes", "<VALUE>one</VALUE><VALUE>two</VALUE>")), OK},
         {"@vmms", m, SETTING("@VM", LINES("Notes", "<VALUE>of the primary</VALUE>")), OK});
    g_autofree char *xml = fake_definition(f.w.a.fake, &f.plain);
    g_assert_nonnull(strstr(xml, "<description>one\ntwo</description>"));
    g_assert_nonnull(strstr(xml, "<autostart/>"));
    cim_instance_auto now = ask_get(&f, f.a, "@pset");
    g_assert_cmpuint(cim_get_uint(now, "AutomaticStartupAction"), ==, 4);
    g_assert_cmpuint(cim_get(now, "Notes")->items->len, ==, 2);
    fake_power_set(f.w.a.fake, &f.plain, VM_OFF);
    ask_situation("PLAIN is off");
    ROWS(&f, f.a, {"@vmms", m, SETTING("@PLAIN", PROPERTY("ElementName", "string", "other")), OK});
    cim_instance_auto renamed = ask_get(&f, f.a, "@plain");
    g_assert_cmpstr(cim_get_string(renamed, "ElementName"), ==, "other");
    ask_situation("VM is a replica here");
    ROWS(&f, f.b,
         {"@vmms", m, SETTING("@VM", PROPERTY("ElementName", "string", "other")), 5},
         {"@vmms", m, SETTING("@VM", LINES("Notes", "<VALUE>x</VALUE>")), 5},
         {"@vmms", m, SETTING("@POINT", PROPERTY("ElementName", "string", "other")), 5},
         {"@vmms", m, SETTING("@POINT", ""), OK},
         {"@vmms", m, SETTING("@POINT", LINES("Notes", "<VALUE>kept</VALUE>")), 4},
         {"@vmms", m, SETTING("@POINT", LINES("Notes", "<VALUE>protected=soon</VALUE>")), 4},
         {"@vmms", m, SETTING("@POINT", LINES("Notes", "<VALUE>protected=2020-01-01T00:00:00Z</VALUE>")), 4},
         {"@vmms", m, SETTING("@POINT", LINES("Notes", "<VALUE>pinned=yes</VALUE>")), OK},
         {"@vmms", m, SETTING("@POINT", LINES("Notes", "<VALUE>protected=2099-01-01T00:00:00Z</VALUE>")), OK},
         {"@vmms", m, SETTING("@POINT", LINES("Notes", "<VALUE>protected=2098-01-01T00:00:00Z</VALUE>")), 5},
         {"@vmms", m, SETTING("@POINT", LINES("Notes", "<VALUE>pinned=no</VALUE>")), OK},
         {"@replicasvc", "RemoveReplicationRelationship", "ComputerSystem=@vm", 32775});
    cim_instance_auto point = ask_get(&f, f.b, "@point");
    g_assert_cmpstr(((struct cim_value *)cim_get(point, "Notes")->items->pdata[1])->text, ==, "pinned=no");
    g_assert_cmpstr(((struct cim_value *)cim_get(point, "Notes")->items->pdata[2])->text, ==, "protected=2099-01-01T00:00:00.000Z");
    ask_situation(NULL);
    ask_role(&f, f.a, "@vmms", m, SETTING("@PLAIN", ""), CIM_ADMINISTRATOR);
    ask_close(&f);
}

/* Clients that read everything, change one thing and send all of it back. */
static void
test_modify_whole(void)
{
    struct ask f;
    ask_open(&f, false);
    cim_instance_auto now = ask_get(&f, f.a, "@pset");
    g_autofree char *same = cim_xml_text(now);
    cim_set_strings(now, "Notes", (char *[]){(char[]){"changed"}, NULL});
    g_autofree char *text = cim_xml_text(now);
    g_autofree char *in = g_strconcat("SystemSettings=", text, NULL), *unchanged = g_strconcat("SystemSettings=", same, NULL);
    g_assert_cmpuint(ask_call(&f, f.a, CIM_ADMINISTRATOR, "@vmms", "ModifySystemSettings", unchanged, NULL), ==, OK);
    g_assert_cmpuint(ask_call(&f, f.a, CIM_ADMINISTRATOR, "@vmms", "ModifySystemSettings", in, NULL), ==, OK);
    cim_instance_auto then = ask_get(&f, f.a, "@pset");
    g_assert_cmpstr(((struct cim_value *)cim_get(then, "Notes")->items->pdata[0])->text, ==, "changed");
    ask_close(&f);
}

static void
test_not_offered(void)
{
    static const char define[] = "SystemSettings=<INSTANCE CLASSNAME=\"Msvm_VirtualSystemSettingData\"/>";
    struct ask f;
    ask_open(&f, false);
    ROWS(&f, f.a,
         {"@vmms", "DefineSystem", "", 4}, {"@vmms", "DefineSystem", "SystemSettings=x", 4}, {"@vmms", "DefineSystem", define, 1},
         {"@vmms", "AddResourceSettings", "", 4}, {"@vmms", "AddResourceSettings", "AffectedConfiguration=@nset|ResourceSettings[]=x", 4},
         {"@vmms", "AddResourceSettings", "AffectedConfiguration=@pset", 4},
         {"@vmms", "AddResourceSettings", "AffectedConfiguration=@plain|ResourceSettings[]=x", 4},
         {"@vmms", "AddResourceSettings", "AffectedConfiguration=@pset|ResourceSettings[]=x", 1},
         {"@vmms", "RemoveResourceSettings", "", 4}, {"@vmms", "RemoveResourceSettings", "ResourceSettings[]=@plain", 4},
         {"@vmms", "RemoveResourceSettings", "ResourceSettings[]=Msvm_MemorySettingData.InstanceID=\"x\"", 1},
         {"@vmms", "AddKvpItems", "", WRONG}, {"@vmms", "AddKvpItems", "TargetSystem=@plain", WRONG},
         {"@vmms", "AddKvpItems", "TargetSystem=@nobody|DataItems[]=x", WRONG},
         {"@vmms", "AddKvpItems", "TargetSystem=@pset|DataItems[]=x", TYPE},
         {"@vmms", "AddKvpItems", "TargetSystem=@plain|DataItems[]=x", UNSUPPORTED},
         {"@vmms", "ModifyKvpItems", "TargetSystem=@plain|DataItems[]=x", UNSUPPORTED},
         {"@vmms", "RemoveKvpItems", "TargetSystem=@plain|DataItems[]=x", UNSUPPORTED},
         {"@vmms", "SetGuestNetworkAdapterConfiguration", "", WRONG},
         {"@vmms", "SetGuestNetworkAdapterConfiguration", "ComputerSystem=@host|NetworkConfiguration[]=x", WRONG},
         {"@vmms", "SetGuestNetworkAdapterConfiguration", "ComputerSystem=@plain|NetworkConfiguration[]=x", UNSUPPORTED});
    static const char *const closed[] = {"DefineSystem", "AddResourceSettings", "RemoveResourceSettings",
                                         "AddKvpItems", "ModifyKvpItems", "RemoveKvpItems", "SetGuestNetworkAdapterConfiguration"};
    for (guint n = 0; n < G_N_ELEMENTS(closed); n++)
        ask_role(&f, f.a, "@vmms", closed[n], "", CIM_ADMINISTRATOR);
    ask_close(&f);
}

/* ---- ModifyResourceSettings: the network of a card in test guests ---- */

#define CARD "ResourceSettings[]=<INSTANCE CLASSNAME=\"Msvm_EthernetPortAllocationSettingData\">"
#define CARD_OF(owner, more) CARD PROPERTY("InstanceID", "string", "Microsoft:" owner "\\525400000001\\Connection") more "</INSTANCE>"
#define NETWORK(name) PROPERTY("TestReplicaSwitchName", "string", name)
#define CARD_PATH "Msvm_EthernetPortAllocationSettingData.InstanceID=\"Microsoft:@VM\\\\525400000001\\\\Connection\""

static void
check_network(struct ask *f, const char *wanted)
{
    cim_instance_auto i = ask_get(f, f->b, CARD_PATH);
    g_assert_cmpstr(cim_get_string(i, "TestReplicaSwitchName"), ==, wanted);
}

static void
test_modify_resource(void)
{
    static const char m[] = "ModifyResourceSettings";
    struct ask f;
    struct cim_args *out;
    ask_open(&f, true);
    fake_card_add(f.w.b.fake, &f.vm, "52:54:00:00:00:01");
    ask_situation("a guest with one network card");
    ROWS(&f, f.b,
         {"@vmms", m, "", 4}, {"@vmms", m, "ResourceSettings[]=", 4}, {"@vmms", m, "ResourceSettings[]=x", 6},
         {"@vmms", m, "ResourceSettings[]=<INSTANCE CLASSNAME=\"Msvm_ComputerSystem\"/>", 6},
         {"@vmms", m, "ResourceSettings[]=<INSTANCE CLASSNAME=\"Msvm_MemorySettingData\"/>", 1},
         {"@vmms", m, CARD "</INSTANCE>", 4}, {"@vmms", m, CARD_OF("@NOBODY", NETWORK("lab")), 4},
         {"@vmms", m, CARD_OF("@POINT", NETWORK("lab")), 4},
         {"@vmms", m, CARD_OF("@VM", PROPERTY("TestReplicaPoolID", "string", "pool")), 1},
         {"@vmms", m, CARD_OF("@VM", NETWORK("a/b")), 4}, {"@vmms", m, CARD_OF("@VM", ""), OK});
    check_network(&f, NULL);
    g_assert_cmpuint(ask_call(&f, f.b, CIM_ADMINISTRATOR, "@vmms", m, CARD_OF("@VM", NETWORK("lab")), &out), ==, OK);
    g_assert_cmpuint(cim_args_get(out, "ResultingResourceSettings")->items->len, ==, 1);
    cim_args_free(out);
    check_network(&f, "lab");
    /* All that was read, with one change: what other clients send. */
    cim_instance_auto whole = ask_get(&f, f.b, CARD_PATH);
    cim_set_string(whole, "TestReplicaSwitchName", "dmz");
    g_autofree char *text = cim_xml_text(whole);
    g_auto(GStrv) parts = g_strsplit(text, "&quot;", -1); /* ask_call divides at semicolons */
    g_autofree char *plain = g_strjoinv("\"", parts), *all = g_strconcat("ResourceSettings[]=", plain, NULL);
    ask_situation("all that was read, with another TestReplicaSwitchName");
    g_assert_cmpuint(ask_call(&f, f.b, CIM_ADMINISTRATOR, "@vmms", m, all, NULL), ==, OK);
    check_network(&f, "dmz");
    ask_situation("a guest with one network card");
    ROWS(&f, f.b, {"@vmms", m, CARD_OF("@VM", NETWORK("")), OK});
    check_network(&f, NULL);
    ask_situation(NULL);
    ask_role(&f, f.b, "@vmms", m, "", CIM_ADMINISTRATOR);
    ask_close(&f);
}

static void
test_format_error(void)
{
    struct ask f;
    struct cim_args *out;
    ask_open(&f, false);
    ROWS(&f, f.a,
         {"@vmms", "FormatError", "", WRONG}, {"@vmms", "FormatError", "Errors[]=", WRONG}, {"@vmms", "FormatError", "Errors[]=x", TYPE});
    static const char in[] = "Errors[]=<INSTANCE CLASSNAME=\"Msvm_Error\">" PROPERTY("Message", "string", "It broke.")
        LINES("RecommendedActions", "<VALUE>Mend it.</VALUE>") "</INSTANCE>"
        ";<INSTANCE CLASSNAME=\"Msvm_Error\">" PROPERTY("Message", "string", "It was old.") "</INSTANCE>";
    g_assert_cmpuint(ask_call(&f, f.a, CIM_VIEWER, "@vmms", "FormatError", in, &out), ==, OK);
    g_assert_cmpstr(cim_args_string(out, "ErrorMessage"), ==, "It broke. Mend it.\nIt was old.");
    cim_args_free(out);
    ask_close(&f);
}

/* ---- test guests: DestroySystem, Msvm_ReplicaSystemDependency ---- */

static void
make_test(struct ask *f)
{
    char job[UUID_TEXT];
    g_assert_true(repl_test_failover(f->w.b.service, &f->vm, NULL, false, "t", job, NULL));
    world_done(&f->w.b, job);
    g_autoptr(GArray) tests = repl_tests(f->w.b.service);
    g_assert_cmpuint(tests->len, ==, 1);
    f->test = g_array_index(tests, struct repl_test, 0).test;
}

static void
test_destroy(void)
{
    static const char m[] = "DestroySystem", wql[] = "SELECT * FROM Msvm_ReplicaSystemDependency";
    struct ask f;
    struct cim_args *out;
    char job[UUID_TEXT];
    ask_open(&f, true);
    fake_power_set(f.w.a.fake, &f.plain, VM_RUNNING);
    ask_situation("plain runs, vm is replicated from here");
    ROWS(&f, f.a,
         {"@vmms", m, "", 4}, {"@vmms", m, "AffectedSystem=nonsense", 4}, {"@vmms", m, "AffectedSystem=@pset", 4},
         {"@vmms", m, "AffectedSystem=@nobody", 4}, {"@vmms", m, "AffectedSystem=@host", 4},
         {"@vmms", m, "AffectedSystem=@plain", 5}, {"@vmms", m, "AffectedSystem=@vm", 5});
    fake_power_set(f.w.a.fake, &f.plain, VM_OFF);
    ask_situation("plain is off");
    ROWS(&f, f.a, {"@vmms", m, "AffectedSystem=@plain", 1});
    ask_situation("vm is a replica here");
    ROWS(&f, f.b, {"@vmms", m, "AffectedSystem=@vm", 5});
    ask_situation(NULL);
    ask_role(&f, f.a, "@vmms", m, "AffectedSystem=@plain", CIM_OPERATOR);
    g_autoptr(GPtrArray) none = ask_query(&f, f.b, wql);
    g_assert_cmpuint(none->len, ==, 0);
    make_test(&f);
    g_autoptr(GPtrArray) one = ask_query(&f, f.b, wql);
    g_assert_cmpuint(one->len, ==, 1);
    g_autoptr(GPtrArray) other = ask_query(&f, f.b, "ASSOCIATORS OF {@vm} WHERE AssocClass=Msvm_ReplicaSystemDependency");
    g_assert_cmpuint(other->len, ==, 1);
    g_assert_cmpuint(cim_get_uint(other->pdata[0], "ReplicationMode"), ==, MODE_TEST);
    g_autoptr(GPtrArray) made = ask_query(&f, f.b, "ASSOCIATORS OF {@test} WHERE AssocClass=Msvm_AffectedJobElement");
    g_assert_cmpuint(made->len, ==, 1);
    g_assert_cmpuint(cim_get_uint(made->pdata[0], "JobType"), ==, 102);
    fake_power_set(f.w.b.fake, &f.test, VM_RUNNING);
    ask_situation("a test guest that runs");
    ROWS(&f, f.b, {"@vmms", m, "AffectedSystem=@test", 5});
    fake_power_set(f.w.b.fake, &f.test, VM_OFF);
    ask_situation("a test guest that is off");
    g_assert_cmpuint(ask_call(&f, f.b, CIM_OPERATOR, "@vmms", m, "AffectedSystem=@test", &out), ==, JOB);
    job_of(out, job);
    cim_args_free(out);
    ask_situation(NULL);
    world_done(&f.w.b, job);
    g_autoptr(GPtrArray) gone = ask_query(&f, f.b, wql);
    g_assert_cmpuint(gone->len, ==, 0);
    ask_close(&f);
}

/* ---- Msvm_VirtualSystemSnapshotService ---- */

static void
test_snapshots(void)
{
    struct ask f;
    ask_open(&f, true);
    ROWS(&f, f.a,
         {"@vssnapsvc", "CreateSnapshot", "", 4}, {"@vssnapsvc", "CreateSnapshot", "AffectedSystem=@pset", 6},
         {"@vssnapsvc", "CreateSnapshot", "AffectedSystem=@nobody", 4}, {"@vssnapsvc", "CreateSnapshot", "AffectedSystem=@host", 4},
         {"@vssnapsvc", "CreateSnapshot", "AffectedSystem=@plain|SnapshotType=9", 4},
         {"@vssnapsvc", "CreateSnapshot", "AffectedSystem=@plain|SnapshotType=x", 6},
         {"@vssnapsvc", "CreateSnapshot", "AffectedSystem=@plain|SnapshotType=3", 1},
         {"@vssnapsvc", "CreateSnapshot", "AffectedSystem=@vm", 1},
         {"@vssnapsvc", "ApplySnapshot", "", 4}, {"@vssnapsvc", "ApplySnapshot", "Snapshot=@nset", 4},
         {"@vssnapsvc", "ApplySnapshot", "Snapshot=@plain", 6}, {"@vssnapsvc", "ApplySnapshot", "Snapshot=@pset", 4});
    ask_situation("vm is a replica here");
    ROWS(&f, f.b,
         {"@vssnapsvc", "CreateSnapshot", "AffectedSystem=@vm", 5}, {"@vssnapsvc", "ApplySnapshot", "Snapshot=@point", 5},
         {"@vssnapsvc", "DestroySnapshot", "", 4}, {"@vssnapsvc", "DestroySnapshot", "AffectedSnapshot=@nset", 4},
         {"@vssnapsvc", "DestroySnapshot", "AffectedSnapshot=@vm", 6}, {"@vssnapsvc", "DestroySnapshot", "AffectedSnapshot=@vset", 4},
         {"@vssnapsvc", "DestroySnapshot", "AffectedSnapshot=@point", 5},
         {"@vssnapsvc", "DestroySnapshotTree", "", WRONG}, {"@vssnapsvc", "DestroySnapshotTree", "SnapshotSettingData=@nset", WRONG},
         {"@vssnapsvc", "DestroySnapshotTree", "SnapshotSettingData=@vm", TYPE},
         {"@vssnapsvc", "DestroySnapshotTree", "SnapshotSettingData=@point", STATE},
         {"@vssnapsvc", "ClearSnapshotState", "", WRONG}, {"@vssnapsvc", "ClearSnapshotState", "SnapshotSettingData=@vset", WRONG},
         {"@vssnapsvc", "ClearSnapshotState", "SnapshotSettingData=@point", STATE});
    ask_state(&f, &f.w.b, STATE_RECOVERED); /* a guest of its own now */
    ask_situation("vm was failed over to here");
    ROWS(&f, f.b, {"@vssnapsvc", "CreateSnapshot", "AffectedSystem=@vm", 1});
    ask_situation(NULL);
    ask_state(&f, &f.w.b, STATE_REPLICATING);
    static const char *const all[] = {"CreateSnapshot", "ApplySnapshot", "DestroySnapshot", "DestroySnapshotTree", "ClearSnapshotState"};
    for (guint n = 0; n < G_N_ELEMENTS(all); n++)
        ask_role(&f, f.b, "@vssnapsvc", all[n], "", CIM_OPERATOR);
    g_autoptr(GArray) points = repl_points(f.w.b.service, &f.vm, NULL);
    g_assert_cmpuint(points->len, >, 0); /* untouched */
    ask_close(&f);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/provider/system/power", test_power);
    g_test_add_func("/provider/system/available", test_available);
    g_test_add_func("/provider/system/fence", test_fence);
    g_test_add_func("/provider/system/power-arguments", test_power_arguments);
    g_test_add_func("/provider/system/hypervisor-fails", test_hypervisor_fails);
    g_test_add_func("/provider/system/shutdown", test_shutdown);
    g_test_add_func("/provider/system/modify", test_modify);
    g_test_add_func("/provider/system/modify-whole", test_modify_whole);
    g_test_add_func("/provider/system/not-offered", test_not_offered);
    g_test_add_func("/provider/system/modify-resource", test_modify_resource);
    g_test_add_func("/provider/system/format-error", test_format_error);
    g_test_add_func("/provider/system/destroy", test_destroy);
    g_test_add_func("/provider/system/snapshots", test_snapshots);
    return g_test_run();
}
