/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/err.h"
#include "fake.h"

#include <string.h>

#define GUEST "Msvm_ComputerSystem.Name='6BA7B810-9DAD-11D1-80B4-000000000001'"
#define SETTING                                                                                                                            \
    "<INSTANCE CLASSNAME=\"Msvm_ReplicationSettingData\"><PROPERTY NAME=\"RecoveryHistory\"><VALUE>4</VALUE></PROPERTY></INSTANCE>"
#define NETWORK "<INSTANCE CLASSNAME=\"Msvm_FailoverNetworkAdapterSettingData\"/>"

/* Arguments as a codec gives them: text, "@path" for a reference, "-" for null. */
struct argument {
    const char *name, *text;
};

static struct cim_args *
arguments(const struct argument *list, guint count)
{
    struct cim_args *args = cim_args_new();
    for (guint i = 0; i < count && list[i].name; i++) {
        const char *text = list[i].text;
        struct cim_value v = *text == '@' ? cim_ref(cim_path_parse(text + 1, NULL)) : cim_string(strcmp(text, "-") == 0 ? NULL : text);
        cim_args_set(args, list[i].name, v);
    }
    return args;
}

/* The order of contract 0.3: access, missing, undecodable; -1: the method is reached. */
static void
test_checks(void)
{
    static const struct {
        const char *method;
        const struct cim_caller *caller;
        struct argument in[4];
        int refused;
    } rows[] = {
        {"InitiateFailover", &fake_admin, {{"ComputerSystem", "@" GUEST}}, -1},
        {"initiatefailover", &fake_admin, {{"computersystem", "@" GUEST}, {"SnapshotSettingData", "-"}}, -1},
        {"InitiateFailover", &fake_admin, {{"ComputerSystem", GUEST}}, -1}, /* a reference as text */
        {"InitiateFailover",
         &fake_admin,
         {{"ComputerSystem", "@" GUEST}, {"SnapshotSettingData", "@Msvm_VirtualSystemSettingData.InstanceID='x'"}},
         -1},
        {"InitiateFailover", &fake_viewer, {{"ComputerSystem", "nonsense"}}, 32769},
        {"SetFailoverNetworkAdapterSettings", &fake_viewer, {{NULL, NULL}}, 32769},
        {"InitiateFailover", &fake_admin, {{NULL, NULL}}, 32773},
        {"InitiateFailover", &fake_admin, {{"ComputerSystem", "-"}}, 32773},
        {"InitiateFailover", &fake_admin, {{"SnapshotSettingData", "nonsense"}}, 32773}, /* missing is asked before undecodable */
        {"InitiateFailover", &fake_admin, {{"ComputerSystem", "nonsense"}}, 32776},
        {"InitiateFailover", &fake_admin, {{"ComputerSystem", ""}}, 32776},
        {"InitiateFailover", &fake_admin, {{"ComputerSystem", "@Msvm_ConcreteJob.InstanceID='x'"}}, 32776},
        {"InitiateFailover", &fake_admin, {{"ComputerSystem", "@Msvm_Nothing.InstanceID='x'"}}, 32776},
        {"InitiateFailover", &fake_admin, {{"ComputerSystem", "@" GUEST}, {"SnapshotSettingData", "@" GUEST}}, 32776},
        {"StartReplication",
         &fake_admin,
         {{"ComputerSystem", "@" GUEST}, {"InitialReplicationType", "1"}, {"StartTime", "20261123170000.000000+000"}},
         -1},
        {"StartReplication", &fake_admin, {{"ComputerSystem", "@" GUEST}}, 32773},
        {"StartReplication", &fake_admin, {{"ComputerSystem", "@" GUEST}, {"InitialReplicationType", "one"}}, 32776},
        {"StartReplication", &fake_admin, {{"ComputerSystem", "@" GUEST}, {"InitialReplicationType", "1.5"}}, 32776},
        {"StartReplication", &fake_admin, {{"ComputerSystem", "@" GUEST}, {"InitialReplicationType", "70000"}}, 32776},
        {"StartReplication",
         &fake_admin,
         {{"ComputerSystem", "@" GUEST}, {"InitialReplicationType", "1"}, {"StartTime", "tomorrow"}},
         32776},
        {"CreateReplicationRelationship", &fake_admin, {{"ComputerSystem", "@" GUEST}, {"ReplicationSettingData", SETTING}}, -1},
        {"CreateReplicationRelationship", &fake_admin, {{"ComputerSystem", "@" GUEST}, {"ReplicationSettingData", ""}}, 32773},
        {"CreateReplicationRelationship", &fake_admin, {{"ComputerSystem", "@" GUEST}, {"ReplicationSettingData", "text"}}, 32776},
        {"CreateReplicationRelationship", &fake_admin, {{"ComputerSystem", "@" GUEST}, {"ReplicationSettingData", NETWORK}}, 32776},
        {"SetFailoverNetworkAdapterSettings",
         &fake_admin,
         {{"ComputerSystem", "@" GUEST}, {"NetworkSettings", NETWORK}},
         -1}, /* one element is an array */
        {"SetFailoverNetworkAdapterSettings", &fake_admin, {{"ComputerSystem", "@" GUEST}, {"NetworkSettings", SETTING}}, 32776},
    };
    cim_path_auto service = cim_path_parse("Msvm_ReplicationService.CreationClassName='Msvm_ReplicationService'", NULL);
    for (guint i = 0; i < G_N_ELEMENTS(rows); i++) {
        struct fake *f = fake_new(2);
        g_autoptr(GError) err = NULL;
        g_autofree char *why = NULL;
        struct cim_args *in = arguments(rows[i].in, 4), *out = cim_args_new();
        guint32 result = 99;
        g_test_message("%u: %s", i, rows[i].method);
        g_assert_true(cim_invoke(f->broker, rows[i].caller, service, rows[i].method, in, out, &result, &why, &err));
        g_assert_no_error(err);
        g_assert_cmpuint(result, ==, rows[i].refused < 0 ? 0 : (guint32)rows[i].refused);
        g_assert_cmpuint(f->invoked, ==, rows[i].refused < 0);
        g_assert_true((why != NULL) == (rows[i].refused >= 0));
        cim_args_free(in);
        cim_args_free(out);
        fake_free(f);
    }
}

/* What a codec could not decode is refused in its turn: after access and what is missing, and it is not missing itself. */
static void
test_bad(void)
{
    static const struct {
        const struct cim_caller *caller;
        const char *bad;
        guint32 refused;
    } rows[] = {
        {&fake_viewer, "ComputerSystem", 32769}, {&fake_admin, "SnapshotSettingData", 32773}, {&fake_admin, "ComputerSystem", 32776}};
    cim_path_auto service = cim_path_parse("Msvm_ReplicationService", NULL);
    for (guint i = 0; i < G_N_ELEMENTS(rows); i++) {
        struct fake *f = fake_new(2);
        struct cim_args *in = cim_args_new(), *out = cim_args_new();
        g_autofree char *why = NULL;
        guint32 result;
        cim_args_set_bad(in, rows[i].bad, g_error_new(ERR, ERR_INVALID_TYPE, "It is a number."));
        cim_args_set_bad(in, rows[i].bad, g_error_new(ERR, ERR_INVALID_TYPE, "It is an object."));
        g_assert_true(cim_invoke(f->broker, rows[i].caller, service, "InitiateFailover", in, out, &result, &why, NULL));
        g_assert_cmpuint(result, ==, rows[i].refused);
        if (result == 32776)
            g_assert_cmpstr(why, ==, "Method 'InitiateFailover': It is an object.");
        cim_args_set(in, "ComputerSystem", cim_ref(fake_guest_path(1)));
        cim_args_set(in, "SnapshotSettingData", cim_string(NULL));
        g_assert_true(cim_args_bad(in, 0) == NULL);
        g_assert_true(cim_invoke(f->broker, &fake_admin, service, "InitiateFailover", in, out, &result, NULL, NULL));
        g_assert_cmpuint(result, ==, 0);
        cim_args_free(in);
        cim_args_free(out);
        fake_free(f);
    }
}

static void
test_answers(void)
{
    struct fake *f = fake_new(2);
    struct cim_args *in = arguments(&(struct argument){"ComputerSystem", "@" GUEST}, 1), *out = cim_args_new();
    cim_path_auto service = cim_path_parse("CIM_Service.Name='REPLICASVC'", NULL); /* by a base class */
    guint32 result;
    char *why = NULL;
    f->answer = 4096;
    g_assert_true(cim_invoke(f->broker, &fake_admin, service, "InitiateFailover", in, out, &result, &why, NULL));
    g_assert_true(result == 4096 && !why);
    g_assert_cmpstr(cim_path_get(cim_args_get(out, "job")->ref, "InstanceID"), ==, FAKE_HOST); /* the method sees all keys */
    f->answer = 0;
    f->refusal = ERR_INVALID_STATE;
    g_assert_true(cim_invoke(f->broker, &fake_admin, service, "InitiateFailover", in, out, &result, &why, NULL));
    g_assert_cmpuint(result, ==, 32775);
    g_assert_cmpstr(why, ==, "The fake refuses.");
    g_clear_pointer(&why, g_free);
    f->answer = 4097; /* a code of its own */
    g_assert_true(cim_invoke(f->broker, &fake_admin, service, "InitiateFailover", in, out, &result, &why, NULL));
    g_assert_cmpuint(result, ==, 4097);
    g_free(why);
    cim_args_free(in);
    cim_args_free(out);
    fake_free(f);
}

/* What is no matter of the method: a fault. */
static void
test_faults(void)
{
    static const struct {
        const char *path, *method;
        const struct cim_caller *caller;
        struct argument in;
        enum err_code error;
    } rows[] = {
        {"Msvm_ReplicationService", "Nothing", &fake_admin, {NULL, NULL}, ERR_NO_SUCH_METHOD},
        {"Msvm_ReplicationService", "RevertFailover", &fake_admin, {NULL, NULL}, ERR_NO_SUCH_METHOD}, /* in the schema only */
        {"Msvm_ReplicationService", "InitiateFailover", &fake_admin, {"Nothing", "x"}, ERR_INVALID_PARAMETER},
        {"Msvm_ReplicationService", "InitiateFailover", &fake_admin, {"Job", "x"}, ERR_INVALID_PARAMETER}, /* out only */
        {"Msvm_ReplicationService.Name='other'", "InitiateFailover", &fake_admin, {NULL, NULL}, ERR_NO_SUCH_INSTANCE},
        {"Msvm_ComputerSystem", "RequestStateChange", &fake_admin, {NULL, NULL}, ERR_INVALID_PARAMETER}, /* which one? */
        {"Msvm_Nothing", "InitiateFailover", &fake_admin, {NULL, NULL}, ERR_NO_SUCH_CLASS},
        {"Msvm_ReplicationService", "InitiateFailover", &fake_nobody, {NULL, NULL}, ERR_ACCESS_DENIED},
    };
    struct fake *f = fake_new(2);
    for (guint i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autoptr(GError) err = NULL;
        cim_path_auto path = cim_path_parse(rows[i].path, NULL);
        struct cim_args *in = arguments(&rows[i].in, 1), *out = cim_args_new();
        guint32 result;
        g_test_message("%s %s", rows[i].path, rows[i].method);
        g_assert_false(cim_invoke(f->broker, rows[i].caller, path, rows[i].method, in, out, &result, NULL, &err));
        g_assert_error(err, ERR, (int)rows[i].error);
        cim_args_free(in);
        cim_args_free(out);
    }
    g_assert_cmpuint(f->invoked, ==, 0);
    fake_free(f);
}

static void
test_arguments(void)
{
    struct cim_args *a = cim_args_new();
    cim_args_set(a, "One", cim_string("x"));
    cim_args_set(a, "Two", cim_null(CIM_STRING, false));
    cim_args_set(a, "ONE", cim_string("y"));
    g_assert_cmpuint(cim_args_count(a), ==, 2);
    g_assert_cmpstr(cim_args_string(a, "one"), ==, "y");
    g_assert_null(cim_args_get(a, "Two"));
    g_assert_null(cim_args_string(a, "Three"));
    g_assert_cmpstr(cim_args_name(a, 1), ==, "Two");
    g_assert_true(cim_args_at(a, 1)->null);
    cim_args_free(a);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/cim/invoke/checks", test_checks);
    g_test_add_func("/cim/invoke/bad", test_bad);
    g_test_add_func("/cim/invoke/answers", test_answers);
    g_test_add_func("/cim/invoke/faults", test_faults);
    g_test_add_func("/cim/invoke/arguments", test_arguments);
    return g_test_run();
}
