/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "ask.h"

#include <string.h>

/* Msvm_ReplicationService and RequestReplicationStateChange: method x situation x code, through the broker as a client calls. */

#define ROWS(f, b, ...) \
    do { \
        static const struct row rows_[] = {__VA_ARGS__}; \
        ask_rows(f, b, rows_, G_N_ELEMENTS(rows_)); \
    } while (0)
#define SVC "@replicasvc"
#define OPEN(cls) "<INSTANCE CLASSNAME=\"" cls "\">"
#define TEXT(name, value) "<PROPERTY NAME=\"" name "\" TYPE=\"string\"><VALUE>" value "</VALUE></PROPERTY>"
#define NUMBER(name, value) "<PROPERTY NAME=\"" name "\" TYPE=\"uint16\"><VALUE>" value "</VALUE></PROPERTY>"
#define NUMBER32(name, value) "<PROPERTY NAME=\"" name "\" TYPE=\"uint32\"><VALUE>" value "</VALUE></PROPERTY>"
#define FLAG(name, value) "<PROPERTY NAME=\"" name "\" TYPE=\"boolean\"><VALUE>" value "</VALUE></PROPERTY>"
#define LIST(name, values) "<PROPERTY.ARRAY NAME=\"" name "\" TYPE=\"string\"><VALUE.ARRAY>" values "</VALUE.ARRAY></PROPERTY.ARRAY>"
#define CLOSE "</INSTANCE>"
#define RELATION(id) OPEN("Msvm_ReplicationRelationship") TEXT("InstanceID", "Microsoft:" id "\\HVR\\0") CLOSE
#define RELATION1(id) OPEN("Msvm_ReplicationRelationship") TEXT("InstanceID", "Microsoft:" id "\\HVR\\1") CLOSE

enum {
    OK = 0, JOB = 4096, FAILED = 32768, DENIED = 32769, UNSUPPORTED = 32770, WRONG = 32773, IN_USE = 32774, STATE = 32775, TYPE = 32776,
    ABSENT = 32779
};

/* ---- what all methods about a guest have in common ---- */

static const struct {
    const char *name, *rest; /* arguments that are right, besides the guest */
    guint32 plain;           /* of a guest that is not replicated */
    enum cim_role role;
} METHODS[] = {
    {"StartReplication", "|InitialReplicationType=1", STATE, CIM_OPERATOR},
    {"ImportInitialReplica", "|InitialReplicationImportLocation=/tmp", ABSENT, CIM_OPERATOR},
    {"RemoveReplicationRelationship", "", STATE, CIM_ADMINISTRATOR},
    {"Resynchronize", "", STATE, CIM_OPERATOR},
    {"CompareReplica", "", STATE, CIM_OPERATOR},
    {"TestReplicaSystem", "", STATE, CIM_OPERATOR},
    {"VerifyReplicaSystem", "", STATE, CIM_OPERATOR},
    {"InitiateFailover", "", STATE, CIM_OPERATOR},
    {"RevertFailover", "", STATE, CIM_OPERATOR},
    {"CommitFailover", "", STATE, CIM_OPERATOR},
    {"ReverseReplicationRelationship", "", STATE, CIM_OPERATOR},
    {"GetReplicationStatistics", "", STATE, CIM_VIEWER},
    {"ResetReplicationStatistics", "", STATE, CIM_OPERATOR},
};

static void
test_common(void)
{
    struct ask f;
    ask_open(&f, false);
    for (guint i = 0; i < G_N_ELEMENTS(METHODS); i++) {
        static const struct {
            const char *guest;
            guint32 code;
        } SITUATIONS[] = {
            {"ComputerSystem=@nobody", WRONG}, {"ComputerSystem=@host", WRONG},
            {"ComputerSystem=@pset", TYPE}, {"", WRONG},
        };
        for (guint j = 0; j < G_N_ELEMENTS(SITUATIONS); j++) {
            g_autofree char *in = g_strconcat(SITUATIONS[j].guest, *SITUATIONS[j].guest ? METHODS[i].rest : "", NULL);
            const struct row row = {SVC, METHODS[i].name, in, SITUATIONS[j].code};
            ask_rows(&f, f.a, &row, 1);
        }
        g_autofree char *in = g_strconcat("ComputerSystem=@plain", METHODS[i].rest, NULL);
        const struct row row = {SVC, METHODS[i].name, in, METHODS[i].plain};
        ask_situation("plain is not replicated");
        ask_rows(&f, f.a, &row, 1);
        ask_situation(NULL);
        ask_role(&f, f.a, SVC, METHODS[i].name, in, METHODS[i].role);
    }
    ask_close(&f);
}

/* ---- states ---- */

/* '.' not called (it would begin), 's' 32775, 'u' 32774, 'a' 32779, 'w' 32773; columns:
 * StartReplication, Resynchronize, TestReplicaSystem, InitiateFailover, RevertFailover, CommitFailover, Reverse, Import,
 * state 4, state 9, CompareReplica */
static const char *const CALLS[][2] = {
    {"StartReplication", "ComputerSystem=@vm|InitialReplicationType=1"}, {"Resynchronize", "ComputerSystem=@vm"},
    {"TestReplicaSystem", "ComputerSystem=@vm"}, {"InitiateFailover", "ComputerSystem=@vm"}, {"RevertFailover", "ComputerSystem=@vm"},
    {"CommitFailover", "ComputerSystem=@vm"}, {"ReverseReplicationRelationship", "ComputerSystem=@vm"},
    {"ImportInitialReplica", "ComputerSystem=@vm|InitialReplicationImportLocation=/tmp"}, {NULL, "RequestedState=4"},
    {NULL, "RequestedState=9"}, {"CompareReplica", "ComputerSystem=@vm"},
};
static const struct {
    bool on_b;
    enum repl_state state;
    const char *codes;
} STATES[] = {
    {false, STATE_READY, ".ssssssasss"},
    {false, STATE_WAITING_INITIAL, "sssssssasss"},
    {false, STATE_REPLICATING, "sssssssass."},
    {false, STATE_PREPARED, "sssssssa.ss"},
    {false, STATE_SUSPENDED, "s.sssssasss"},
    {false, STATE_CRITICAL, "s.sssssasss"},
    {false, STATE_WAITING_RESYNC, "s.sssssasss"},
    {false, STATE_RESYNC, "susssssas.s"},
    {false, STATE_RESYNC_SUSPENDED, "s.sssssas.s"},
    {true, STATE_WAITING_INITIAL, "sssssssasss"},
    {true, STATE_REPLICATING, "ss..sssasss"},
    {true, STATE_SUSPENDED, "ss..sssasss"},
    {true, STATE_CRITICAL, "ss..sssasss"},
    {true, STATE_RECOVERED, "ssss...asss"},
    {true, STATE_COMMITTED, "ssssss.asss"},
    {true, STATE_FAILING_OVER, "sssuuuuasss"},
};

static guint32
code_of(char c)
{
    return c == 's' ? STATE : c == 'u' ? IN_USE : c == 'a' ? ABSENT : WRONG;
}

static void
check_state(struct ask *f, guint n)
{
    struct host *h = STATES[n].on_b ? &f->w.b : &f->w.a;
    g_autofree char *when = g_strdup_printf("%s in state %d (%s)", STATES[n].on_b ? "replica" : "primary", STATES[n].state,
                                            state_name(STATES[n].state));
    ask_state(f, h, STATES[n].state);
    ask_situation(when);
    for (guint i = 0; i < G_N_ELEMENTS(CALLS); i++) {
        const struct row row = {CALLS[i][0] ? SVC : "@vm", CALLS[i][0] ? CALLS[i][0] : "RequestReplicationStateChange", CALLS[i][1],
                                code_of(STATES[n].codes[i])};
        if (STATES[n].codes[i] != '.')
            ask_rows(f, STATES[n].on_b ? f->b : f->a, &row, 1);
    }
    ask_situation(NULL);
    ask_state(f, h, STATE_REPLICATING);
}

static void
test_states(void)
{
    struct ask f;
    ask_open(&f, true);
    for (guint n = 0; n < G_N_ELEMENTS(STATES); n++)
        check_state(&f, n);
    ask_close(&f);
}

/* ---- arguments ---- */

static void
test_points(void)
{
    static const char *const methods[] = {"InitiateFailover", "TestReplicaSystem", "VerifyReplicaSystem"};
    struct ask f;
    ask_open(&f, true);
    for (guint i = 0; i < G_N_ELEMENTS(methods); i++) {
        const struct row rows[] = {
            {SVC, methods[i], "ComputerSystem=@vm|SnapshotSettingData=@plain", TYPE},
            {SVC, methods[i], "ComputerSystem=@vm|SnapshotSettingData=@vset", WRONG},
            {SVC, methods[i], "ComputerSystem=@vm|SnapshotSettingData=@nset", WRONG},
            {SVC, methods[i], "ComputerSystem=@vm|SnapshotSettingData=x", TYPE},
        };
        ask_rows(&f, f.b, rows, G_N_ELEMENTS(rows));
    }
    ask_close(&f);
}

static void
test_create(void)
{
    static const char m[] = "CreateReplicationRelationship";
    struct ask f;
    ask_open(&f, false);
    ask_role(&f, f.a, SVC, m, "", CIM_ADMINISTRATOR);
    ROWS(&f, f.a, {SVC, m, "", WRONG}, {SVC, m, "ComputerSystem=@plain", WRONG},
         {SVC, m, "ComputerSystem=@plain|ReplicationSettingData=x", TYPE},
         {SVC, m, "ComputerSystem=@plain|ReplicationSettingData=" RELATION("@PLAIN"), TYPE},
         {SVC, m, "ComputerSystem=@nobody|ReplicationSettingData=" OPEN("Msvm_ReplicationSettingData") CLOSE, WRONG},
         {SVC, m, "ComputerSystem=@plain|ReplicationSettingData=" OPEN("Msvm_ReplicationSettingData") CLOSE, WRONG},
         {SVC, m,
          "ComputerSystem=@plain|ReplicationSettingData=" OPEN("Msvm_ReplicationSettingData") TEXT("RecoveryConnectionPoint", "b.example")
              NUMBER("RecoveryServerPortNumber", "0") CLOSE,
          WRONG},
         {SVC, m,
          "ComputerSystem=@plain|ReplicationSettingData=" OPEN("Msvm_ReplicationSettingData") TEXT("RecoveryConnectionPoint", "b.example")
              NUMBER("RecoveryServerPortNumber", "8443") NUMBER("AuthenticationType", "3") CLOSE,
          WRONG},
         {SVC, m,
          "ComputerSystem=@plain|ReplicationSettingData=" OPEN("Msvm_ReplicationSettingData") TEXT("RecoveryConnectionPoint", "b.example")
              NUMBER("RecoveryServerPortNumber", "8443") NUMBER("AuthenticationType", "2") NUMBER("ReplicationInterval", "31") CLOSE,
          WRONG},
         {SVC, m,
          "ComputerSystem=@plain|ReplicationSettingData=" OPEN("Msvm_ReplicationSettingData") TEXT("RecoveryConnectionPoint", "b.example")
              NUMBER("RecoveryServerPortNumber", "8443") NUMBER("AuthenticationType", "2") TEXT("AdditionalSettings", "{\"unknown\": 1}")
                  CLOSE,
          WRONG});
    ask_close(&f);
}

static void
test_relationships(void)
{
    struct ask f;
    ask_open(&f, true);
    ROWS(&f, f.a, {SVC, "RemoveReplicationRelationshipEx", "ComputerSystem=@vm", WRONG},
         {SVC, "RemoveReplicationRelationshipEx", "ComputerSystem=@vm|ReplicationRelationship=x", TYPE},
         {SVC, "RemoveReplicationRelationshipEx", "ComputerSystem=@vm|ReplicationRelationship=" RELATION("@PLAIN"), WRONG},
         {SVC, "RemoveReplicationRelationshipEx", "ComputerSystem=@vm|ReplicationRelationship=" RELATION1("@VM"), STATE},
         {SVC, "GetReplicationStatisticsEx", "ComputerSystem=@vm", WRONG},
         {SVC, "GetReplicationStatisticsEx", "ComputerSystem=@vm|ReplicationRelationship=" RELATION("@VM"), OK},
         {SVC, "GetReplicationStatisticsEx", "ComputerSystem=@vm|ReplicationRelationship=" RELATION1("@VM"), STATE},
         {SVC, "GetReplicationStatistics", "ComputerSystem=@vm", OK},
         {SVC, "ResetReplicationStatisticsEx", "ComputerSystem=@vm", WRONG},
         {SVC, "ResetReplicationStatisticsEx", "ComputerSystem=@vm|ReplicationRelationship=" RELATION("@VM"), OK},
         {SVC, "ResetReplicationStatistics", "ComputerSystem=@vm", OK},
         {SVC, "ChangeReplicationModeToPrimary", "", WRONG}, {SVC, "ChangeReplicationModeToPrimary", "ComputerSystem=@vm", WRONG},
         {SVC, "ChangeReplicationModeToPrimary", "ComputerSystem=@vm|ReplicationRelationship=x", TYPE},
         {SVC, "ChangeReplicationModeToPrimary", "ComputerSystem=@vm|ReplicationRelationship=" RELATION("@VM"), WRONG},
         {SVC, "ChangeReplicationModeToPrimary", "ComputerSystem=@vm|ReplicationRelationship=" RELATION1("@VM"), WRONG});
    static const char *const closed[] = {"RemoveReplicationRelationshipEx", "ChangeReplicationModeToPrimary"};
    ask_role(&f, f.a, SVC, closed[0], "", CIM_ADMINISTRATOR);
    ask_role(&f, f.a, SVC, closed[1], "", CIM_OPERATOR);
    ask_role(&f, f.a, SVC, "GetReplicationStatisticsEx", "", CIM_VIEWER);
    ask_role(&f, f.a, SVC, "ResetReplicationStatisticsEx", "", CIM_OPERATOR);
    ask_close(&f);
}

static void
test_start(void)
{
    static const char m[] = "StartReplication";
    struct ask f;
    ask_open(&f, true);
    ROWS(&f, f.a, {SVC, m, "ComputerSystem=@vm", WRONG}, {SVC, m, "ComputerSystem=@vm|InitialReplicationType=x", TYPE},
         {SVC, m, "ComputerSystem=@vm|InitialReplicationType=4", WRONG},
         {SVC, m, "ComputerSystem=@vm|InitialReplicationType=2", WRONG},
         {SVC, m, "ComputerSystem=@vm|InitialReplicationType=2|InitialReplicationExportLocation=tmp", WRONG},
         {SVC, m, "ComputerSystem=@vm|InitialReplicationType=2|InitialReplicationExportLocation=/tmp", STATE},
         {SVC, m, "ComputerSystem=@vm|InitialReplicationType=2|InitialReplicationExportLocation=/nowhere", ABSENT},
         {SVC, m, "ComputerSystem=@vm|InitialReplicationType=1|StartTime=soon", TYPE},
         {SVC, m, "ComputerSystem=@vm|InitialReplicationType=1|StartTime=00000001000000.000000:000", TYPE},
         {SVC, m, "ComputerSystem=@vm|InitialReplicationType=1|StartTime=20010101000000.000000+000", WRONG},
         {SVC, m, "ComputerSystem=@vm|InitialReplicationType=3|StartTime=29990101000000.000000+000", WRONG},
         {SVC, "Resynchronize", "ComputerSystem=@vm|StartTime=20010101000000.000000+000", WRONG},
         {SVC, "Resynchronize", "ComputerSystem=@vm|StartTime=00000001000000.000000:000", TYPE},
         {SVC, "CompareReplica", "ComputerSystem=@vm|Repair=x", TYPE},
         {SVC, "InitiateFailover", "ComputerSystem=@vm|AllowDamaged=x", TYPE},
         {SVC, "TestReplicaSystem", "ComputerSystem=@vm|AllowDamaged=x", TYPE},
         {SVC, "ImportInitialReplica", "ComputerSystem=@vm", WRONG},
         {SVC, "ImportInitialReplica", "ComputerSystem=@vm|InitialReplicationImportLocation=here", WRONG},
         {SVC, "ImportInitialReplica", "ComputerSystem=@vm|InitialReplicationImportLocation=/nowhere", ABSENT},
         {"@vm", "RequestReplicationStateChange", "", WRONG}, {"@vm", "RequestReplicationStateChange", "RequestedState=x", TYPE},
         {"@vm", "RequestReplicationStateChange", "RequestedState=5", WRONG},
         {"@vm", "RequestReplicationStateChange", "RequestedState=2", STATE},
         {"@vm", "RequestReplicationStateChange", "RequestedState=3", OK},
         {"@vm", "RequestReplicationStateChangeEx", "RequestedState=3|ReplicationRelationship=x", TYPE},
         {"@vm", "RequestReplicationStateChangeEx", "RequestedState=3|ReplicationRelationship=" RELATION("@PLAIN"), WRONG},
         {"@vm", "RequestReplicationStateChangeEx", "RequestedState=3|ReplicationRelationship=" RELATION("@VM"), OK});
    ask_close(&f);
}

/* ---- the host ---- */

#define ENTRY(host, rest)                                                                                                                  \
    "AuthorizationEntry=" OPEN("Msvm_ReplicationAuthorizationSettingData") TEXT("AllowedPrimaryHostSystem", host) rest CLOSE

static void
test_entries(void)
{
    struct ask f;
    ask_open(&f, true);
    ROWS(&f, f.a, {SVC, "AddAuthorizationEntry", "", WRONG}, {SVC, "AddAuthorizationEntry", "AuthorizationEntry=x", TYPE},
         {SVC, "AddAuthorizationEntry", ENTRY("-bad", TEXT("TrustGroup", "T") TEXT("ReplicaStorageLocation", "/tmp")), WRONG},
         {SVC, "AddAuthorizationEntry", ENTRY("c.example", TEXT("TrustGroup", "") TEXT("ReplicaStorageLocation", "/tmp")), WRONG},
         {SVC, "AddAuthorizationEntry", ENTRY("c.example", TEXT("TrustGroup", "T") TEXT("ReplicaStorageLocation", "/no/such")), ABSENT},
         {SVC, "AddAuthorizationEntry", ENTRY("c.example", TEXT("TrustGroup", "T") TEXT("ReplicaStorageLocation", "/tmp")), OK},
         {SVC, "AddAuthorizationEntry", ENTRY("C.example", TEXT("TrustGroup", "T") TEXT("ReplicaStorageLocation", "/tmp")), WRONG},
         {SVC, "AddAuthorizationEntry", ENTRY("*", TEXT("TrustGroup", "T") TEXT("ReplicaStorageLocation", "/tmp")), STATE},
         {SVC, "ModifyAuthorizationEntry", ENTRY("d.example", TEXT("TrustGroup", "U")), WRONG},
         {SVC, "ModifyAuthorizationEntry", ENTRY("c.example", TEXT("TrustGroup", "U")), OK},
         {SVC, "RemoveAuthorizationEntry", "", WRONG}, {SVC, "RemoveAuthorizationEntry", "AllowedPrimaryHostSystem=d.example", WRONG},
         {SVC, "RemoveAuthorizationEntry", "AllowedPrimaryHostSystem=c.example", OK});
    ask_situation("on the replica host");
    ROWS(&f, f.b, {SVC, "SetAuthorizationEntry", "", WRONG}, {SVC, "SetAuthorizationEntry", "ComputerSystem=@vm", WRONG},
         {SVC, "SetAuthorizationEntry", "ComputerSystem=@vm|AuthorizationEntry=x", TYPE},
         {SVC, "SetAuthorizationEntry", "ComputerSystem=@vm|" ENTRY("nobody.example", ""), WRONG},
         {SVC, "SetAuthorizationEntry", "ComputerSystem=@vm|" ENTRY("a.localhost", ""), OK});
    ask_situation(NULL);
    static const char *const closed[] = {"AddAuthorizationEntry", "ModifyAuthorizationEntry", "RemoveAuthorizationEntry",
                                         "SetAuthorizationEntry", "ModifyServiceSettings", "SetFailoverNetworkAdapterSettings"};
    for (guint n = 0; n < G_N_ELEMENTS(closed); n++)
        ask_role(&f, f.a, SVC, closed[n], "", CIM_ADMINISTRATOR);
    ask_close(&f);
}

#define SERVICE(rest) "SettingData=" OPEN("Msvm_ReplicationServiceSettingData") rest CLOSE

static void
test_host(void)
{
    struct ask f;
    struct cim_args *out;
    ask_open(&f, true);
    ROWS(&f, f.a, {SVC, "ModifyServiceSettings", "", WRONG}, {SVC, "ModifyServiceSettings", "SettingData=x", TYPE},
         {SVC, "ModifyServiceSettings", SERVICE(NUMBER("AllowedAuthenticationType", "4")), WRONG},
         {SVC, "ModifyServiceSettings", SERVICE(FLAG("RecoveryServerEnabled", "true") NUMBER("AllowedAuthenticationType", "0")), WRONG},
         {SVC, "ModifyServiceSettings", SERVICE(FLAG("RecoveryServerEnabled", "true") NUMBER("AllowedAuthenticationType", "2")
              NUMBER("HttpsPort", "0")), WRONG},
         {SVC, "ModifyServiceSettings", SERVICE(NUMBER32("MonitoringInterval", "59")), WRONG},
         {SVC, "TestReplicationConnection", "", WRONG}, {SVC, "TestReplicationConnection", "RecoveryConnectionPoint=b.example", WRONG},
         {SVC, "TestReplicationConnection", "RecoveryConnectionPoint=b.example|RecoveryServerPortNumber=8443|AuthenticationType=3", WRONG},
         {SVC, "TestReplicationConnection", "RecoveryConnectionPoint=192.0.2.1|RecoveryServerPortNumber=8443|AuthenticationType=2"
              "|CertificateThumbPrint=@thumb", WRONG},
         {SVC, "TestReplicationConnection", "RecoveryConnectionPoint=b.example|RecoveryServerPortNumber=8443|AuthenticationType=2", WRONG},
         {SVC, "TestReplicationConnection", "RecoveryConnectionPoint=b.example|RecoveryServerPortNumber=8443|AuthenticationType=1",
          UNSUPPORTED},
         {SVC, "TestReplicationConnection", "RecoveryConnectionPoint=b.example|RecoveryServerPortNumber=8443|AuthenticationType=2"
              "|CertificateThumbPrint=AB", WRONG},
         {SVC, "TestReplicationConnection", "RecoveryConnectionPoint=b.example|RecoveryServerPortNumber=x|AuthenticationType=2", TYPE},
         {SVC, "RequestStateChange", "RequestedState=2", 1}, {SVC, "StartService", "", 1}, {SVC, "StopService", "", 1});
    g_assert_cmpuint(ask_call(&f, f.a, CIM_VIEWER, SVC, "GetSystemCertificates", "", &out), ==, OK);
    g_assert_cmpuint(cim_args_get(out, "EncodedCertificates")->items->len, ==, 1);
    cim_args_free(out);
    ask_close(&f);
}

static void
test_not_there_yet(void)
{
    static const char failback[] = "InitiateFailback", net[] = "SetFailoverNetworkAdapterSettings";
#define RSD "ReplicationSettingData=" OPEN("Msvm_ReplicationSettingData") CLOSE
#define NET(rest) "ComputerSystem=@vm|NetworkSettings[]=" OPEN("Msvm_FailoverNetworkAdapterSettingData") rest CLOSE
#define FOUR NUMBER("ProtocolIFType", "4096")
#define NO_DHCP FLAG("DHCPEnabled", "false")
#define TEN LIST("IPAddresses", "<VALUE>10.0.0.1</VALUE>")
    struct ask f;
    ask_open(&f, true);
    ROWS(&f, f.b, {SVC, failback, "", WRONG}, {SVC, failback, "ComputerSystem=@vm", WRONG},
         {SVC, failback, "ComputerSystem=@vm|ReplicationSettingData=" RELATION("@VM"), TYPE},
         {SVC, failback, "ComputerSystem=@vm|RecoveryPointIdentifier=x|" RSD, WRONG},
         {SVC, failback, "ComputerSystem=@vm|RecoveryPointIdentifier=@POINT|" RSD, UNSUPPORTED},
         {SVC, failback, "ComputerSystem=@vm|" RSD, UNSUPPORTED},
         {SVC, net, "", WRONG}, {SVC, net, "ComputerSystem=@vm", WRONG}, {SVC, net, "ComputerSystem=@vm|NetworkSettings[]=x", TYPE},
         {SVC, net, NET(""), WRONG}, {SVC, net, NET(FOUR TEN), WRONG},
         {SVC, net, NET(FOUR NO_DHCP TEN), WRONG},
         {SVC, net, NET(FOUR NO_DHCP TEN LIST("Subnets", "<VALUE>255.0.255.0</VALUE>")), WRONG},
         {SVC, net, NET(FOUR FLAG("DHCPEnabled", "true") TEN LIST("Subnets", "<VALUE>255.0.0.0</VALUE>")), WRONG},
         {SVC, net, NET(NUMBER("ProtocolIFType", "7") NO_DHCP TEN LIST("Subnets", "<VALUE>255.0.0.0</VALUE>")), WRONG},
         {SVC, net, NET(FOUR NO_DHCP TEN LIST("Subnets", "<VALUE>255.0.0.0</VALUE>")
              LIST("DefaultGateways", "<VALUE>10.0.0.300</VALUE>")), WRONG},
         {SVC, net, NET(FOUR NO_DHCP TEN LIST("Subnets", "<VALUE>255.0.0.0</VALUE>")), WRONG});
    fake_card_add(f.w.b.fake, &f.vm, "52:54:00:00:00:01");
    ask_situation("a guest with one network card");
    ROWS(&f, f.b, {SVC, net, NET(FOUR NO_DHCP TEN LIST("Subnets", "<VALUE>255.0.0.0</VALUE>")), OK},
         {SVC, net, NET(TEXT("InstanceID", "Microsoft:@VM\\525400000001\\FailoverNetwork") FOUR NO_DHCP TEN
              LIST("Subnets", "<VALUE>255.0.0.0</VALUE>")), OK},
         {SVC, net, NET(TEXT("InstanceID", "Microsoft:@VM\\525400000002\\FailoverNetwork") FOUR NO_DHCP TEN
              LIST("Subnets", "<VALUE>255.0.0.0</VALUE>")), WRONG},
         {SVC, net, NET(FOUR FLAG("DHCPEnabled", "true") LIST("IPAddresses", "")), OK},
         {SVC, net, NET(NUMBER("ProtocolIFType", "0") NO_DHCP LIST("IPAddresses", "")), OK});
    ask_situation(NULL);
    ask_role(&f, f.b, SVC, failback, "", CIM_OPERATOR);
    ask_close(&f);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/provider/replication/common", test_common);
    g_test_add_func("/provider/replication/states", test_states);
    g_test_add_func("/provider/replication/points", test_points);
    g_test_add_func("/provider/replication/create", test_create);
    g_test_add_func("/provider/replication/relationships", test_relationships);
    g_test_add_func("/provider/replication/start", test_start);
    g_test_add_func("/provider/replication/entries", test_entries);
    g_test_add_func("/provider/replication/host", test_host);
    g_test_add_func("/provider/replication/not-there-yet", test_not_there_yet);
    return g_test_run();
}
