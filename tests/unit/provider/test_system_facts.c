/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "ask.h"

#include <string.h>

/* What instances say: guests, settings, recovery points, services, summaries.  Real values where there is one, null where there is none. */

static void
test_guest(void)
{
    struct ask f;
    ask_open(&f, false);
    cim_instance_auto off = NULL, *on = ask_get(&f, f.a, "@plain"), *host = ask_get(&f, f.a, "@host");
    g_assert_cmpstr(cim_get_string(on, "Caption"), ==, "Virtual Machine");
    g_assert_cmpstr(cim_get_string(on, "ElementName"), ==, "plain");
    g_assert_cmpuint(cim_get_uint(on, "EnabledState"), ==, 2);
    g_assert_cmpuint(cim_get_uint(on, "HealthState"), ==, 5);
    g_assert_cmpuint(cim_get_uint(on, "ProcessID"), ==, 4711);
    g_assert_cmpuint(cim_get_uint(on, "OnTimeInMilliseconds"), >=, 4000);
    g_assert_cmpuint(cim_get_uint(on, "RequestedState"), ==, 12);
    g_assert_false(ask_null(on, "TimeOfLastStateChange"));
    g_assert_cmpuint(cim_get_uint(on, "ReplicationMode"), ==, 0);
    g_assert_cmpuint(cim_get_uint(on, "ReplicationState"), ==, 0);
    static const char *const nulls[] = {"InstanceID", "InstallDate", "LastReplicationTime", "LastSuccessfulBackupTime", "OtherEnabledState",
                                        "PrimaryOwnerName", "Roles", "TimeOfLastConfigurationChange", "CommunicationStatus"};
    for (guint n = 0; n < G_N_ELEMENTS(nulls); n++)
        g_assert_true(ask_null(on, nulls[n]));
    fake_power_set(f.w.a.fake, &f.plain, VM_OFF);
    off = ask_get(&f, f.a, "@plain");
    g_assert_cmpuint(cim_get_uint(off, "EnabledState"), ==, 3);
    g_assert_true(ask_null(off, "ProcessID"));
    g_assert_false(ask_null(off, "OnTimeInMilliseconds"));
    g_assert_cmpuint(cim_get_uint(off, "OnTimeInMilliseconds"), ==, 0);
    g_assert_cmpstr(cim_get_string(host, "Caption"), ==, "Hosting Computer System");
    g_assert_true(ask_null(host, "OnTimeInMilliseconds"));
    g_assert_true(ask_null(host, "ProcessID"));
    ask_close(&f);
}

/* Properties of relationship 0 on both sides (contract 1.C, notes). */
static void
test_replication_mirrored(void)
{
    struct ask f;
    ask_open(&f, true);
    cim_instance_auto primary = ask_get(&f, f.a, "@vm"), *replica = ask_get(&f, f.b, "@vm");
    g_assert_cmpuint(cim_get_uint(primary, "ReplicationMode"), ==, MODE_PRIMARY);
    g_assert_cmpuint(cim_get_uint(replica, "ReplicationMode"), ==, MODE_REPLICA);
    g_assert_cmpuint(cim_get_uint(primary, "ReplicationState"), ==, STATE_REPLICATING);
    g_assert_cmpuint(cim_get_uint(replica, "ReplicationState"), ==, STATE_REPLICATING);
    g_assert_false(ask_null(replica, "LastReplicationTime"));
    g_assert_true(ask_null(replica, "LastApplicationConsistentReplicationTime"));
    g_assert_cmpuint(cim_get_uint(replica, "FailedOverReplicationType"), ==, 0);
    g_autoptr(GPtrArray) guests = ask_query(&f, f.a, "SELECT * FROM Msvm_ComputerSystem WHERE Caption = 'Virtual Machine'");
    g_assert_cmpuint(guests->len, ==, 2);
    ask_close(&f);
}

static void
test_settings(void)
{
    struct ask f;
    ask_open(&f, false);
    cim_instance_auto i = ask_get(&f, f.a, "@pset");
    char guid[UUID_TEXT];
    g_assert_cmpstr(cim_get_string(i, "VirtualSystemType"), ==, "Microsoft:Hyper-V:System:Realized");
    g_assert_cmpstr(cim_get_string(i, "BIOSGUID"), ==, uuid_format(&f.plain, guid));
    g_assert_cmpstr(cim_get_string(i, "VirtualSystemIdentifier"), ==, guid);
    g_assert_cmpstr(cim_get_string(i, "VirtualSystemSubType"), ==, "Microsoft:Hyper-V:SubType:1");
    g_assert_cmpuint(cim_get_uint(i, "AutomaticStartupAction"), ==, 2);
    g_assert_false(cim_get_bool(i, "IsSaved"));
    static const char *const nulls[] = {"Notes", "BIOSSerialNumber", "ConfigurationFile", "SecureBootEnabled", "CreationTime", "Parent",
                                        "Version", "SnapshotDataRoot"};
    for (guint n = 0; n < G_N_ELEMENTS(nulls); n++)
        g_assert_true(ask_null(i, nulls[n]));
    fake_power_set(f.w.a.fake, &f.plain, VM_SAVED);
    cim_instance_auto saved = ask_get(&f, f.a, "@pset");
    g_assert_true(cim_get_bool(saved, "IsSaved"));
    g_autoptr(GPtrArray) of = ask_query(&f, f.a, "ASSOCIATORS OF {@plain} WHERE AssocClass=Msvm_SettingsDefineState");
    g_assert_cmpuint(of->len, ==, 1);
    g_assert_cmpstr(cim_get_string(of->pdata[0], "InstanceID"), ==, cim_get_string(i, "InstanceID"));
    ask_close(&f);
}

static guint
associated(struct ask *f, const char *wql)
{
    g_autoptr(GPtrArray) found = ask_query(f, f->b, wql);
    return found->len;
}

static void
test_points(void)
{
    struct ask f;
    char job[UUID_TEXT], guid[UUID_TEXT];
    ask_open(&f, true);
    g_autoptr(GArray) points = repl_points(f.w.b.service, &f.vm, NULL);
    cim_instance_auto i = ask_get(&f, f.b, "@point");
    g_assert_cmpstr(cim_get_string(i, "VirtualSystemType"), ==, "Microsoft:Hyper-V:Snapshot:Replica:Standard");
    g_assert_cmpstr(cim_get_string(i, "VirtualSystemIdentifier"), ==, uuid_format(&f.vm, guid));
    g_assert_true(g_str_has_prefix(cim_get_string(i, "ElementName"), "guest - Standard Replica - ("));
    g_assert_false(ask_null(i, "CreationTime"));
    g_assert_cmpuint(associated(&f, "ASSOCIATORS OF {@vm} WHERE AssocClass=Msvm_SnapshotOfVirtualSystem"), ==, points->len);
    g_assert_cmpuint(associated(&f, "ASSOCIATORS OF {@vm} WHERE AssocClass=Msvm_MostCurrentSnapshotInBranch"), ==, 1);
    g_assert_cmpuint(associated(&f, "ASSOCIATORS OF {@point} WHERE AssocClass=Msvm_SnapshotOfVirtualSystem"), ==, 1);
    g_assert_cmpuint(associated(&f, "ASSOCIATORS OF {@vm} WHERE AssocClass=Msvm_LastAppliedSnapshot"), ==, 0);
    g_assert_true(repl_failover(f.w.b.service, &f.vm, &f.point, false, "t", job, NULL));
    world_done(&f.w.b, job);
    g_assert_cmpuint(associated(&f, "ASSOCIATORS OF {@vm} WHERE AssocClass=Msvm_LastAppliedSnapshot"), ==, 1);
    g_assert_cmpuint(associated(&f, "REFERENCES OF {@point} WHERE ResultClass=Msvm_LastAppliedSnapshot"), ==, 1);
    cim_instance_auto over = ask_get(&f, f.b, "@vm");
    g_assert_cmpuint(cim_get_uint(over, "FailedOverReplicationType"), ==, 1);
    g_assert_cmpuint(cim_get_uint(over, "ReplicationState"), ==, STATE_RECOVERED);
    ask_close(&f);
}

static void
test_services(void)
{
    static const char *const names[] = {"@vmms", "@vssnapsvc", "@replicasvc"};
    static const char *const keys[] = {"vmms", "vssnapsvc", "replicasvc"};
    struct ask f;
    ask_open(&f, false);
    for (guint n = 0; n < G_N_ELEMENTS(names); n++) {
        g_autofree char *guests = g_strdup_printf("ASSOCIATORS OF {%s} WHERE AssocClass=Msvm_ServiceAffectsElement", names[n]);
        g_autofree char *hosts = g_strdup_printf("ASSOCIATORS OF {%s} WHERE AssocClass=Msvm_HostedService", names[n]);
        cim_instance_auto i = ask_get(&f, f.a, names[n]);
        g_autoptr(GPtrArray) managed = ask_query(&f, f.a, guests), host = ask_query(&f, f.a, hosts);
        g_assert_cmpstr(cim_get_string(i, "Name"), ==, keys[n]);
        g_assert_cmpstr(cim_get_string(i, "SystemName"), ==, f.w.a.name);
        g_assert_true(cim_get_bool(i, "Started"));
        g_assert_cmpuint(managed->len, ==, 2);
        g_assert_cmpuint(host->len, ==, 1);
        g_assert_cmpstr(cim_get_string(host->pdata[0], "Name"), ==, f.w.a.name);
    }
    ask_close(&f);
}

/* ---- GetSummaryInformation ---- */

static GPtrArray *
summaries(struct ask *f, struct cim_broker *b, const char *in)
{
    struct cim_args *out;
    GPtrArray *all = g_ptr_array_new_with_free_func((GDestroyNotify)cim_instance_free);
    g_assert_cmpuint(ask_call(f, b, CIM_VIEWER, "@vmms", "GetSummaryInformation", in, &out), ==, 0);
    const struct cim_value *v = cim_args_get(out, "SummaryInformation");
    for (guint n = 0; n < v->items->len; n++) {
        g_autoptr(GError) err = NULL;
        const struct cim_value *text = g_ptr_array_index(v->items, n);
        g_ptr_array_add(all, cim_xml_parse(text->text, "Msvm_SummaryInformation", &err));
        g_assert_no_error(err);
    }
    cim_args_free(out);
    return all;
}

static const char ALL[] = "SettingData[]=@pset|RequestedInformation[]=0;1;2;3;4;5;6;7;8;9;10;11;100;101;102;103;104;105;106;107;108;109;"
                          "110;111;112;113;114;115;116;117;118;119;120;121;122;123;132";

static void
test_summary(void)
{
    struct ask f;
    char guid[UUID_TEXT];
    ask_open(&f, false);
    g_autoptr(GPtrArray) one = summaries(&f, f.a, ALL);
    g_assert_cmpuint(one->len, ==, 1);
    const struct cim_instance *i = one->pdata[0];
    g_assert_cmpstr(cim_get_string(i, "Name"), ==, uuid_format(&f.plain, guid));
    g_assert_cmpstr(cim_get_string(i, "ElementName"), ==, "plain");
    g_assert_cmpuint(cim_get_uint(i, "NumberOfProcessors"), ==, 1);
    g_assert_cmpuint(cim_get_uint(i, "EnabledState"), ==, 2);
    g_assert_cmpuint(cim_get_uint(i, "MemoryUsage"), ==, 32);
    g_assert_cmpuint(cim_get_uint(i, "UpTime"), >=, 4000);
    g_assert_cmpuint(cim_get_uint(i, "Heartbeat"), ==, 2);
    g_assert_cmpstr(cim_get_string(i, "GuestOperatingSystem"), ==, "Fake OS 1");
    g_assert_cmpuint(cim_get_uint(i, "HealthState"), ==, 5);
    g_assert_cmpuint(cim_get(i, "ReplicationStateEx")->items->len, ==, 1);
    static const char *const nulls[] = {"AllocatedGPU", "CreationTime", "ThumbnailImage", "ProcessorLoadHistory", "MemoryAvailable",
                                        "ApplicationHealth", "SwapFilesInUse", "TestReplicaSystem", "IntegrationServicesVersionState"};
    for (guint n = 0; n < G_N_ELEMENTS(nulls); n++)
        g_assert_true(ask_null(i, nulls[n]));
    fake_fail(f.w.a.fake, FAKE_AGENT, ERR_NOT_AVAILABLE, 1);
    g_autoptr(GPtrArray) silent = summaries(&f, f.a, ALL);
    g_assert_true(ask_null(silent->pdata[0], "GuestOperatingSystem"));
    fake_power_set(f.w.a.fake, &f.plain, VM_OFF);
    g_autoptr(GPtrArray) off = summaries(&f, f.a, ALL);
    g_assert_cmpuint(cim_get_uint(off->pdata[0], "EnabledState"), ==, 3);
    g_assert_true(ask_null(off->pdata[0], "Heartbeat"));
    g_assert_cmpuint(cim_get_uint(off->pdata[0], "UpTime"), ==, 0);
    g_assert_cmpuint(cim_get_uint(off->pdata[0], "ProcessorLoad"), ==, 0);
    ask_close(&f);
}

/* Only what is asked for; all guests when none is named; recovery points; refusals. */
static void
test_summary_choice(void)
{
    static const char m[] = "GetSummaryInformation";
    static const struct row refused[] = {
        {"@vmms", m, "", 32773}, {"@vmms", m, "RequestedInformation[]=", 32773}, {"@vmms", m, "RequestedInformation[]=12", 32773},
        {"@vmms", m, "RequestedInformation[]=x", 32776}, {"@vmms", m, "SettingData[]=@plain|RequestedInformation[]=1", 32776},
        {"@vmms", m, "SettingData[]=@nset|RequestedInformation[]=1", 32773},
        {"@vmms", m, "SettingData[]=@pset;@nset|RequestedInformation[]=1", 32773}, {"@vmms", m, "SettingData[]=@pset", 32773},
    };
    struct ask f;
    ask_open(&f, true);
    g_autoptr(GPtrArray) all = summaries(&f, f.a, "RequestedInformation[]=1");
    g_assert_cmpuint(all->len, ==, 2);
    g_assert_true(ask_null(all->pdata[0], "EnabledState"));
    g_assert_true(ask_null(all->pdata[0], "Name"));
    g_autoptr(GPtrArray) replica = summaries(&f, f.b, "SettingData[]=@vset|RequestedInformation[]=107;114;115;116;118");
    g_assert_cmpuint(cim_get_uint(replica->pdata[0], "ReplicationMode"), ==, MODE_REPLICA);
    g_assert_cmpuint(cim_get_uint(replica->pdata[0], "ReplicationState"), ==, STATE_REPLICATING);
    g_assert_cmpuint(cim_get(replica->pdata[0], "Snapshots")->items->len, >, 0);
    g_autoptr(GPtrArray) point = summaries(&f, f.b, "SettingData[]=@point|RequestedInformation[]=0;1;2;100");
    g_assert_false(ask_null(point->pdata[0], "CreationTime"));
    g_assert_true(ask_null(point->pdata[0], "EnabledState"));
    ask_rows(&f, f.a, refused, G_N_ELEMENTS(refused));
    ask_role(&f, f.a, "@vmms", m, "RequestedInformation[]=1", CIM_VIEWER);
    ask_close(&f);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/provider/facts/guest", test_guest);
    g_test_add_func("/provider/facts/replication", test_replication_mirrored);
    g_test_add_func("/provider/facts/settings", test_settings);
    g_test_add_func("/provider/facts/points", test_points);
    g_test_add_func("/provider/facts/services", test_services);
    g_test_add_func("/provider/facts/summary", test_summary);
    g_test_add_func("/provider/facts/summary-choice", test_summary_choice);
    return g_test_run();
}
