/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "ask.h"

#include <string.h>

/* Methods that begin a job, in a situation that permits it: 4096, a Job, and how that ends; a guest's whole life with replication, through
 * the broker as a client calls.  Methods that are done at once: 0. */

#define SVC "@replicasvc"
#define OPEN(cls) "<INSTANCE CLASSNAME=\"" cls "\">"
#define TEXT(name, value) "<PROPERTY NAME=\"" name "\" TYPE=\"string\"><VALUE>" value "</VALUE></PROPERTY>"
#define NUMBER(name, value) "<PROPERTY NAME=\"" name "\" TYPE=\"uint16\"><VALUE>" value "</VALUE></PROPERTY>"
#define CLOSE "</INSTANCE>"
#define SETTINGS(rest) "|ReplicationSettingData=" OPEN("Msvm_ReplicationSettingData") rest CLOSE
#define TO_B \
    TEXT("RecoveryConnectionPoint", "b.localhost") NUMBER("RecoveryServerPortNumber", "@port") NUMBER("AuthenticationType", "2") \
        TEXT("CertificateThumbPrint", "@thumb") TEXT("AdditionalSettings", "{\"interval_ms\": 30000}") NUMBER("RecoveryHistory", "4")
#define RELATION(id) OPEN("Msvm_ReplicationRelationship") TEXT("InstanceID", "Microsoft:" id "\\HVR\\0") CLOSE
#define CONNECTION(port) "RecoveryConnectionPoint=b.localhost|RecoveryServerPortNumber=" port "|AuthenticationType=2" \
                         "|CertificateThumbPrint=@thumb"

enum { OK = 0, JOB = 4096, WRONG = 32773, IN_USE = 32774, STATE = 32775, TYPE = 32776 };

static struct cim_broker *
broker_of(struct ask *f, const struct host *h)
{
    return h == &f->w.a ? f->a : f->b;
}

/* The id of the job that it begins; g_free. */
static char *
begins(struct ask *f, struct host *h, const char *path, const char *method, const char *in)
{
    struct cim_args *out = NULL;
    const guint32 code = ask_call(f, broker_of(f, h), CIM_ADMINISTRATOR, path, method, in, &out);
    const struct cim_value *job = cim_args_get(out, "Job");
    if (code != JOB || !job)
        g_error("%s(%s) answered %u instead of beginning a job", method, in, code);
    char *id = g_strdup(cim_path_get(job->ref, "InstanceID"));
    cim_args_free(out);
    return id;
}

static void
succeeds(struct ask *f, struct host *h, const char *path, const char *method, const char *in)
{
    g_autofree char *job = begins(f, h, path, method, in);
    world_done(h, job);
}

static void
answers(struct ask *f, struct host *h, const char *path, const char *method, const char *in, guint32 code)
{
    const struct row row = {path, method, in, code};
    ask_rows(f, broker_of(f, h), &row, 1);
}

static void
take_newest_point(struct ask *f)
{
    g_autoptr(GArray) points = repl_points(f->w.b.service, &f->vm, NULL);
    g_assert_cmpuint(points->len, >, 0);
    f->point = g_array_index(points, struct repl_point, points->len - 1).id;
}

static void
take_test_guest(struct ask *f)
{
    g_autoptr(GArray) tests = repl_tests(f->w.b.service);
    g_assert_cmpuint(tests->len, ==, 1);
    f->test = g_array_index(tests, struct repl_test, 0).test;
}

/* ---- the primary ---- */

static void
test_primary(void)
{
    struct ask f;
    struct host *a = &f.w.a;
    ask_open(&f, false);
    ask_situation("not replicated");
    succeeds(&f, a, SVC, "CreateReplicationRelationship", "ComputerSystem=@vm" SETTINGS(TO_B));
    ask_situation("ready");
    answers(&f, a, SVC, "CreateReplicationRelationship", "ComputerSystem=@vm" SETTINGS(TO_B), STATE);
    succeeds(&f, a, SVC, "StartReplication", "ComputerSystem=@vm|InitialReplicationType=1");
    ask_situation("replicating");
    succeeds(&f, a, SVC, "CompareReplica", "ComputerSystem=@vm");
    succeeds(&f, a, SVC, "CompareReplica", "ComputerSystem=@vm|Repair=true");
    succeeds(&f, a, SVC, "ModifyReplicationSettings", "ComputerSystem=@vm" SETTINGS(NUMBER("RecoveryHistory", "2")));
    succeeds(&f, a, "@vm", "RequestReplicationStateChange", "RequestedState=7");
    ask_situation("suspended");
    succeeds(&f, a, SVC, "Resynchronize", "ComputerSystem=@vm");
    ask_situation("replicating");
    succeeds(&f, a, SVC, "RemoveReplicationRelationship", "ComputerSystem=@vm");
    ask_situation("no longer replicated");
    answers(&f, a, SVC, "RemoveReplicationRelationship", "ComputerSystem=@vm", STATE);
    ask_situation(NULL);
    ask_close(&f);
}

/* ---- the replica ---- */

static void
test_replica(void)
{
    struct ask f;
    struct host *b = &f.w.b;
    ask_open(&f, true);
    ask_situation("a replica");
    succeeds(&f, b, SVC, "TestReplicaSystem", "ComputerSystem=@vm|SnapshotSettingData=@point");
    ask_situation("with a test guest");
    answers(&f, b, SVC, "TestReplicaSystem", "ComputerSystem=@vm", STATE); /* one at a time */
    answers(&f, b, SVC, "RemoveReplicationRelationship", "ComputerSystem=@vm", STATE);
    take_test_guest(&f);
    succeeds(&f, b, "@vmms", "DestroySystem", "AffectedSystem=@test");
    ask_situation("a replica");
    succeeds(&f, b, SVC, "InitiateFailover", "ComputerSystem=@vm|SnapshotSettingData=@point");
    ask_situation("failed over");
    succeeds(&f, b, SVC, "RevertFailover", "ComputerSystem=@vm");
    ask_situation("a replica again");
    take_newest_point(&f);
    succeeds(&f, b, SVC, "InitiateFailover", "ComputerSystem=@vm");
    ask_situation("failed over");
    succeeds(&f, b, SVC, "CommitFailover", "ComputerSystem=@vm");
    ask_situation("committed");
    answers(&f, b, SVC, "RevertFailover", "ComputerSystem=@vm", STATE);
    succeeds(&f, b, SVC, "RemoveReplicationRelationshipEx", "ComputerSystem=@vm|ReplicationRelationship=" RELATION("@VM"));
    ask_situation(NULL);
    ask_close(&f);
}

/* ---- settings of a relationship ---- */

static void
test_modify(void)
{
    static const char m[] = "ModifyReplicationSettings";
    struct ask f;
    struct host *a = &f.w.a;
    ask_open(&f, true);
    ask_role(&f, f.a, SVC, m, "", CIM_ADMINISTRATOR);
    const struct row rows[] = {
        {SVC, m, "", WRONG},
        {SVC, m, "ComputerSystem=@vm", WRONG},
        {SVC, m, "ComputerSystem=@nobody" SETTINGS(""), WRONG},
        {SVC, m, "ComputerSystem=@pset" SETTINGS(""), TYPE},
        {SVC, m, "ComputerSystem=@vm|ReplicationSettingData=x", TYPE},
        {SVC, m, "ComputerSystem=@vm|ReplicationSettingData=" RELATION("@VM"), TYPE},
        {SVC, m, "ComputerSystem=@plain" SETTINGS(NUMBER("RecoveryHistory", "2")), STATE},
        {SVC, m, "ComputerSystem=@plain" SETTINGS(TO_B), STATE},
        {SVC, m, "ComputerSystem=@vm" SETTINGS(NUMBER("RecoveryHistory", "25")), WRONG},
        {SVC, m, "ComputerSystem=@vm" SETTINGS(NUMBER("ReplicationInterval", "31")), WRONG},
        {SVC, m, "ComputerSystem=@vm" SETTINGS(TEXT("AdditionalSettings", "{\"unknown\": 1}")), WRONG},
        {SVC, m, "ComputerSystem=@vm" SETTINGS(NUMBER("AuthenticationType", "3")), WRONG},
    };
    ask_rows(&f, f.a, rows, G_N_ELEMENTS(rows));
    ask_situation("the replica's side");
    answers(&f, &f.w.b, SVC, m, "ComputerSystem=@vm" SETTINGS(NUMBER("RecoveryHistory", "2")), STATE);
    ask_situation(NULL);
    succeeds(&f, a, SVC, m, "ComputerSystem=@vm" SETTINGS(TEXT("AdditionalSettings", "{\"interval_ms\": 60000}")));
    ask_close(&f);
}

/* ---- the host ---- */

static void
test_connection(void)
{
    static const char m[] = "TestReplicationConnection";
    struct ask f;
    ask_open(&f, false);
    struct host *a = &f.w.a;
    ask_situation("b answers and authorises this host");
    succeeds(&f, a, SVC, m, CONNECTION("@port"));
    ask_situation("nobody answers: the job fails");
    world_cut(&f.w, true);
    g_autofree char *job = begins(&f, a, SVC, m, CONNECTION("@port"));
    world_fails(a, job, "network");
    ask_situation(NULL);
    ask_close(&f);
}

static void
test_settings(void)
{
    struct ask f;
    ask_open(&f, false);
    const struct row row = {SVC, "GetSystemCertificates", "", OK};
    ask_rows(&f, f.a, &row, 1);
    succeeds(&f, &f.w.a, SVC, "ModifyServiceSettings",
             "SettingData=" OPEN("Msvm_ReplicationServiceSettingData") "<PROPERTY NAME=\"MonitoringInterval\" TYPE=\"uint32\"><VALUE>7200"
             "</VALUE></PROPERTY>" CLOSE);
    ask_close(&f);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/provider/begin/primary", test_primary);
    g_test_add_func("/provider/begin/replica", test_replica);
    g_test_add_func("/provider/begin/modify", test_modify);
    g_test_add_func("/provider/begin/connection", test_connection);
    g_test_add_func("/provider/begin/settings", test_settings);
    return g_test_run();
}
