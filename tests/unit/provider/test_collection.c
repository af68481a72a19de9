/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "ask.h"

#include <string.h>

/* Msvm_CollectionManagementService and Msvm_CollectionReplicationService: method x situation x code. */

#define ROWS(f, b, ...) \
    do { \
        static const struct row rows_[] = {__VA_ARGS__}; \
        ask_rows(f, b, rows_, G_N_ELEMENTS(rows_)); \
    } while (0)
#define MAKE "@collections"
#define SVC "@collreplicasvc"
#define ON_GROUP "Collection=@group"
#define SETTINGS(property) \
    "CollectionReplicationSettingData=<INSTANCE CLASSNAME=\"Msvm_CollectionReplicationSettingData\">" property "</INSTANCE>"
#define HISTORY "<PROPERTY NAME=\"RecoveryHistory\" TYPE=\"uint16\"><VALUE>3</VALUE></PROPERTY>"
#define DISKS "<PROPERTY.ARRAY NAME=\"IncludedDisks\" TYPE=\"string\"><VALUE.ARRAY><VALUE>vda</VALUE></VALUE.ARRAY></PROPERTY.ARRAY>"

enum { OK = 0, JOB = 4096, UNSUPPORTED = 32770, WRONG = 32773, STATE = 32775, TYPE = 32776, ABSENT = 32779 };

static void
make(struct ask *f)
{
    g_assert_cmpuint(ask_call(f, f->a, CIM_ADMINISTRATOR, MAKE, "DefineCollection", "Name=shop|Id=@GROUP", NULL), ==, OK);
}

static void
test_groups(void)
{
    struct ask f;
    ask_open(&f, false);
    ROWS(&f, f.a, {MAKE, "DefineCollection", "", WRONG}, {MAKE, "DefineCollection", "Name=shop|Id=x", WRONG},
         {MAKE, "DefineCollection", "Name=", WRONG}, {MAKE, "DefineCollection", "Name=shop|Id=@GROUP", OK});
    ask_situation("a group of that name or id is there");
    const guint32 taken = ask_call(&f, f.a, CIM_ADMINISTRATOR, MAKE, "DefineCollection", "Name=shop", NULL);
    g_assert_cmpuint(taken, !=, OK);
    g_assert_cmpuint(ask_call(&f, f.a, CIM_ADMINISTRATOR, MAKE, "DefineCollection", "Name=other|Id=@GROUP", NULL), ==, taken);
    ask_situation(NULL);
    ROWS(&f, f.a, {MAKE, "AddMember", ON_GROUP, WRONG}, {MAKE, "AddMember", "Member=@nobody|" ON_GROUP, WRONG},
         {MAKE, "AddMember", "Member=@plain", WRONG}, {MAKE, "AddMember", "Member=@plain|Collection=@pset", TYPE},
         {MAKE, "AddMember", "Member=@plain|" ON_GROUP, OK}, {MAKE, "RemoveMember", "Member=@vm|" ON_GROUP, ABSENT},
         {MAKE, "RenameCollection", "NewName=|" ON_GROUP, WRONG}, {MAKE, "RenameCollection", "NewName=store|" ON_GROUP, OK});
    ask_situation("it is a member already");
    g_assert_cmpuint(ask_call(&f, f.a, CIM_ADMINISTRATOR, MAKE, "AddMember", "Member=@plain|" ON_GROUP, NULL), ==, taken);
    ask_situation(NULL);
    ROWS(&f, f.a, {MAKE, "RemoveMember", "Member=@plain|" ON_GROUP, OK}, {MAKE, "DestroyCollection", ON_GROUP, OK});
    ask_situation("it is gone");
    ROWS(&f, f.a, {MAKE, "DestroyCollection", ON_GROUP, WRONG}, {MAKE, "AddMember", "Member=@plain|" ON_GROUP, WRONG});
    ask_situation(NULL);
    ask_role(&f, f.a, MAKE, "DefineCollection", "Name=x", CIM_ADMINISTRATOR);
    ask_close(&f);
}

static const struct {
    const char *name, *rest;
    guint32 empty; /* of a group without members */
    enum cim_role role;
} METHODS[] = {
    {"CancelInitialReplication", "", STATE, CIM_OPERATOR}, {"CancelResynchronize", "", STATE, CIM_OPERATOR},
    {"CancelUpdateDiskSet", "", UNSUPPORTED, CIM_OPERATOR}, {"CommitFailover", "", STATE, CIM_OPERATOR},
    {"GetReplicationStatistics", "", OK, CIM_VIEWER}, {"InitiateFailover", "", STATE, CIM_OPERATOR},
    {"InitiatePlannedFailover", "", STATE, CIM_OPERATOR},
    {"PrepareForReverseReplication", "", UNSUPPORTED, CIM_OPERATOR},
    {"RemoveReplicationRelationship", "", STATE, CIM_ADMINISTRATOR},
    {"ResetReplicationStatistics", "", OK, CIM_OPERATOR}, {"ResumeReplication", "", STATE, CIM_OPERATOR},
    {"Resynchronize", "", STATE, CIM_OPERATOR}, {"ReverseReplicationRelationship", "", STATE, CIM_OPERATOR},
    {"RevertFailover", "", STATE, CIM_OPERATOR}, {"RevertPlannedFailover", "", STATE, CIM_OPERATOR},
    {"RevertTestReplicaCollection", "", STATE, CIM_OPERATOR},
    {"StartReplication", "|InitialReplicationType=1", STATE, CIM_OPERATOR}, {"SuspendReplication", "", STATE, CIM_OPERATOR},
    {"TestReplicaCollection", "", STATE, CIM_OPERATOR},
};

static void
test_methods(void)
{
    struct ask f;
    ask_open(&f, false);
    for (guint i = 0; i < G_N_ELEMENTS(METHODS); i++) {
        const struct row rows[] = {{SVC, METHODS[i].name, "Collection=@pset", TYPE}, {SVC, METHODS[i].name, "", WRONG}};
        ask_rows(&f, f.a, rows, 2);
        g_autofree char *in = g_strconcat(ON_GROUP, METHODS[i].rest, NULL);
        const struct row unknown = {SVC, METHODS[i].name, in, WRONG};
        ask_situation("there is no such group");
        ask_rows(&f, f.a, &unknown, 1);
        ask_situation(NULL);
    }
    make(&f);
    ask_situation("it has no members");
    for (guint i = 0; i < G_N_ELEMENTS(METHODS); i++) {
        g_autofree char *in = g_strconcat(ON_GROUP, METHODS[i].rest, NULL);
        const struct row row = {SVC, METHODS[i].name, in, METHODS[i].empty};
        ask_rows(&f, f.a, &row, 1);
        ask_role(&f, f.a, SVC, METHODS[i].name, in, METHODS[i].role);
    }
    ask_situation(NULL);
    ROWS(&f, f.a, {SVC, "StartReplication", ON_GROUP "|InitialReplicationType=7", WRONG},
         {SVC, "InitiateFailover", ON_GROUP "|CollectionRecoveryPoint=@pset", TYPE},
         {SVC, "CreateReplicationRelationship", ON_GROUP, WRONG},
         {SVC, "ModifyReplicationSettings", ON_GROUP, WRONG},
         {SVC, "CreateReplicationRelationship", ON_GROUP "|" SETTINGS(DISKS), UNSUPPORTED}, {SVC, "RequestStateChange", "", 1},
         {SVC, "StartService", "", 1}, {SVC, "StopService", "", 1});
    ask_close(&f);
}

/* Through a whole life: settings, pause, no failover on the primary, removal. */
static void
test_members(void)
{
    struct ask f;
    ask_open(&f, true);
    make(&f);
    g_assert_cmpuint(ask_call(&f, f.a, CIM_ADMINISTRATOR, MAKE, "AddMember", "Member=@vm|" ON_GROUP, NULL), ==, OK);
    ask_situation("vm is its member and replicated");
    ROWS(&f, f.a, {SVC, "GetReplicationStatistics", ON_GROUP, OK}, {SVC, "InitiateFailover", ON_GROUP, STATE},
         {SVC, "ModifyReplicationSettings", ON_GROUP "|" SETTINGS(HISTORY), JOB});
    struct repl_relation r = world_relation(&f.w.a, &f.vm);
    repl_relation_clear(&r);
    for (guint history = 0; history != 3; g_usleep(3000)) {
        r = world_relation(&f.w.a, &f.vm);
        history = r.settings.history;
        repl_relation_clear(&r);
    }
    g_autoptr(GPtrArray) groups = cim_enumerate(f.a, &(struct cim_caller){"x", CIM_VIEWER}, NULL, "Msvm_VirtualSystemCollection", NULL);
    g_assert_cmpuint(groups->len, ==, 1);
    g_assert_cmpuint(cim_get_uint(groups->pdata[0], "ReplicationState"), ==, 3);
    g_assert_cmpuint(cim_get_uint(groups->pdata[0], "ReplicationMode"), ==, 1);
    g_autoptr(GPtrArray) sets =
        cim_enumerate(f.a, &(struct cim_caller){"x", CIM_VIEWER}, NULL, "Msvm_CollectionReplicationSettingData", NULL);
    g_assert_cmpuint(cim_get_uint(sets->pdata[0], "RecoveryHistory"), ==, 3);
    g_assert_cmpuint(cim_get(sets->pdata[0], "PrimaryReplicationEntityIDs")->items->len, ==, 2);
    ask_close(&f);
}

/* ---- test guests as a collection of their own ---- */

static const struct cim_caller viewer = {"x", CIM_VIEWER};

static GPtrArray *
all_of(struct ask *f, const char *cls)
{
    GPtrArray *found = cim_enumerate(f->b, &viewer, NULL, cls, NULL);
    g_assert_nonnull(found);
    return found;
}

static void
begin_test(struct ask *f)
{
    char job[UUID_TEXT];
    g_autoptr(GError) err = NULL;
    g_assert_true(repl_test_failover(f->w.b.service, &f->vm, NULL, false, "test", job, &err));
    g_assert_no_error(err);
    world_done(&f->w.b, job);
}

/* Its members are the test guests. */
static void
check_members(struct ask *f, const struct cim_instance *tests)
{
    char text[UUID_TEXT];
    g_autoptr(GArray) guests = repl_tests(f->w.b.service);
    g_autoptr(GPtrArray) sets = all_of(f, "Msvm_CollectionReplicationSettingData");
    g_assert_cmpuint(sets->len, ==, 2);
    const struct cim_value *ids = cim_get(sets->pdata[1], "PrimaryReplicationEntityIDs");
    const struct cim_value *first = ids->items->pdata[0], *second = ids->items->pdata[1];
    g_assert_cmpuint(ids->items->len, ==, 2);
    g_assert_cmpstr(first->text, ==, cim_get_string(tests, "CollectionID"));
    g_assert_cmpstr(second->text, ==, uuid_format(&g_array_index(guests, struct repl_test, 0).test, text));
}

static void
test_tests(void)
{
    struct ask f;
    ask_open(&f, true);
    g_assert_cmpuint(ask_call(&f, f.b, CIM_ADMINISTRATOR, MAKE, "DefineCollection", "Name=shop|Id=@GROUP", NULL), ==, OK);
    g_assert_cmpuint(ask_call(&f, f.b, CIM_ADMINISTRATOR, MAKE, "AddMember", "Member=@vm|" ON_GROUP, NULL), ==, OK);
    g_autoptr(GPtrArray) before = all_of(&f, "Msvm_VirtualSystemCollection"), no_link = all_of(&f, "Msvm_ReplicaCollectionDependency");
    g_assert_cmpuint(before->len, ==, 1);
    g_assert_cmpuint(no_link->len, ==, 0);
    begin_test(&f);
    g_autoptr(GPtrArray) groups = all_of(&f, "Msvm_VirtualSystemCollection"), links = all_of(&f, "Msvm_ReplicaCollectionDependency");
    g_assert_cmpuint(groups->len, ==, 2);
    const struct cim_instance *tests = groups->pdata[1];
    g_assert_cmpstr(cim_get_string(tests, "ElementName"), ==, "shop - Test");
    g_assert_cmpuint(cim_get_uint(tests, "ReplicationMode"), ==, MODE_TEST);
    g_assert_cmpuint(cim_get_uint(tests, "ReplicationState"), ==, 0);
    g_assert_cmpuint(links->len, ==, 1);
    const struct cim_value *dependent = cim_get(links->pdata[0], "Dependent");
    g_assert_cmpstr(cim_path_get(dependent->ref, "CollectionID"), ==, cim_get_string(tests, "CollectionID"));
    check_members(&f, tests);
    g_autofree char *on_tests = g_strdup_printf("Collection=Msvm_VirtualSystemCollection.CollectionID=\"%s\"",
                                                cim_get_string(tests, "CollectionID"));
    ask_situation("of the collection of test guests");
    g_assert_cmpuint(ask_call(&f, f.b, CIM_ADMINISTRATOR, SVC, "SuspendReplication", on_tests, NULL), ==, STATE);
    g_assert_cmpuint(ask_call(&f, f.b, CIM_ADMINISTRATOR, MAKE, "DestroyCollection", on_tests, NULL), ==, STATE);
    g_assert_cmpuint(ask_call(&f, f.b, CIM_OPERATOR, SVC, "RevertTestReplicaCollection", on_tests, NULL), ==, JOB);
    for (guint left = 2; left != 1; g_usleep(3000)) {
        g_autoptr(GPtrArray) now = all_of(&f, "Msvm_VirtualSystemCollection");
        left = now->len;
    }
    g_assert_cmpuint(ask_call(&f, f.b, CIM_OPERATOR, SVC, "RevertTestReplicaCollection", on_tests, NULL), ==, WRONG);
    ask_situation(NULL);
    g_autoptr(GArray) none = repl_tests(f.w.b.service);
    g_assert_cmpuint(none->len, ==, 0);
    ask_close(&f);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/provider/collection/groups", test_groups);
    g_test_add_func("/provider/collection/methods", test_methods);
    g_test_add_func("/provider/collection/members", test_members);
    g_test_add_func("/provider/collection/tests", test_tests);
    return g_test_run();
}
