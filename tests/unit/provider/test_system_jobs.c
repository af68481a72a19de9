/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "ask.h"

#include "base/err.h"
#include "provider/all.h"

#include <string.h>

/* Msvm_ConcreteJob: what it says at each stage of its life, its errors in chains, and the code of each request (contract 0.4). */

struct gate {
    gint open;
};

static bool
wait_for_gate(struct job *j, void *user, GError **err)
{
    struct gate *g = user;
    job_progress(j, 40, "Waiting at the gate");
    while (!g_atomic_int_get(&g->open)) /* also when it was cancelled: that takes effect behind the gate */
        g_usleep(1000);
    return !job_cancelled(j, err);
}

static bool
succeed(struct job *j, void *user, GError **err)
{
    return true;
}

static bool
succeed_with_care(struct job *j, void *user, GError **err)
{
    job_warn(j, "Network card '%s' has no switch here.", "52:54:00:00:00:01");
    return true;
}

static bool
fail_deeply(struct job *j, void *user, GError **err)
{
    err_set(err, ERR_NO_SPACE, "File system '/r' is full.");
    err_wrap(err, ERR_IO, "Disk 'vda' of guest 'plain' cannot be written.");
    return err_wrap(err, ERR_NOT_AVAILABLE, "Guest 'plain' cannot be failed over.");
}

static void
start(struct ask *f, job_work work, void *user, gint64 start_us, bool cancellable)
{
    g_autoptr(GError) err = NULL;
    const struct job_request q = {.type = 97, .name = "Initiate Failover", .vm = f->plain, .owner = "alice", .start_us = start_us,
                                  .cancellable = cancellable, .work = work, .user = user};
    g_assert_true(job_start(repl_jobs(f->w.a.service), &q, f->job, &err));
    g_assert_no_error(err);
}

static void
finish(struct ask *f)
{
    struct job_info i = world_wait(&f->w.a, f->job);
    job_info_clear(&i);
}

static bool
at_gate(struct ask *f)
{
    struct job_info i;
    g_assert_true(job_get(repl_jobs(f->w.a.service), f->job, &i));
    const bool yes = i.percent == 40;
    job_info_clear(&i);
    return yes;
}

static void
until_running(struct ask *f)
{
    UNTIL(at_gate(f));
}

static guint32
request(struct ask *f, const char *in)
{
    return ask_call(f, f->a, CIM_OPERATOR, "@job", "RequestStateChange", in, NULL);
}

/* Of a job that has ended nothing can be asked any more. */
static void
check_over(struct ask *f)
{
    ask_situation("it has ended");
    g_assert_cmpuint(request(f, "RequestedState=4"), ==, 4097);
    g_assert_cmpuint(request(f, "RequestedState=5"), ==, 4097);
    g_assert_cmpuint(request(f, "RequestedState=3"), ==, 1);
    ask_situation(NULL);
}

static void
check_no_error(struct ask *f)
{
    struct cim_args *out;
    g_assert_cmpuint(ask_call(f, f->a, CIM_VIEWER, "@job", "GetError", "", &out), ==, 0);
    g_assert_null(cim_args_string(out, "Error"));
    cim_args_free(out);
    g_assert_cmpuint(ask_call(f, f->a, CIM_VIEWER, "@job", "GetErrorEx", "", &out), ==, 0);
    g_assert_null(cim_args_get(out, "Errors"));
    cim_args_free(out);
}

static void
test_running(void)
{
    struct ask f;
    struct gate gate = {0};
    ask_open(&f, false);
    start(&f, wait_for_gate, &gate, 0, false);
    until_running(&f);
    cim_instance_auto i = ask_get(&f, f.a, "@job"), *busy = ask_get(&f, f.a, "@plain");
    g_assert_cmpuint(cim_get_uint(i, "JobState"), ==, 4);
    g_assert_cmpuint(cim_get_uint(i, "PercentComplete"), ==, 40);
    g_assert_cmpstr(cim_get_string(i, "JobStatus"), ==, "Waiting at the gate");
    g_assert_cmpstr(cim_get_string(i, "Owner"), ==, "alice");
    g_assert_cmpuint(cim_get_uint(i, "JobType"), ==, 97);
    g_assert_false(cim_get_bool(i, "Cancellable"));
    g_assert_cmpuint(cim_get_uint(i, "LocalOrUtcTime"), ==, 2);
    g_assert_cmpint(cim_get(i, "TimeBeforeRemoval")->time.us, ==, 5 * G_TIME_SPAN_MINUTE);
    g_assert_false(ask_null(i, "StartTime") || ask_null(i, "TimeSubmitted") || ask_null(i, "TimeOfLastStateChange"));
    static const char *const nulls[] = {"ScheduledStartTime", "UntilTime", "Notify", "Priority", "RunMonth", "ErrorDescription"};
    for (guint n = 0; n < G_N_ELEMENTS(nulls); n++)
        g_assert_true(ask_null(i, nulls[n]));
    g_assert_cmpuint(((struct cim_value *)cim_get(busy, "OperationalStatus")->items->pdata[0])->u, ==, 11);
    ask_situation("it runs and cannot be cancelled");
    g_assert_cmpuint(request(&f, "RequestedState=4"), ==, 4097);
    ask_situation(NULL);
    check_no_error(&f);
    g_atomic_int_set(&gate.open, 1);
    finish(&f);
    ask_close(&f);
}

static void
test_requests(void)
{
    struct ask f;
    struct gate gate = {0};
    ask_open(&f, false);
    start(&f, wait_for_gate, &gate, 0, true);
    until_running(&f);
    static const struct row rows[] = {
        {"@job", "RequestStateChange", "", 5}, {"@job", "RequestStateChange", "RequestedState=x", 5},
        {"@job", "RequestStateChange", "RequestedState=4|TimeoutPeriod=x", 5}, {"@job", "RequestStateChange", "RequestedState=1", 5},
        {"@job", "RequestStateChange", "RequestedState=7", 5}, {"@job", "RequestStateChange", "RequestedState=2", 1},
        {"@job", "RequestStateChange", "RequestedState=3", 1}, {"@job", "RequestStateChange", "RequestedState=6", 1},
        {"@job", "RequestStateChange", "RequestedState=4|TimeoutPeriod=00000000000100.000000:000", 4098},
        {"@job", "KillJob", "", 1}, {"@job", "KillJob", "DeleteOnKill=true", 1}, {"@job", "GetError", "", 0}, {"@job", "GetErrorEx", "", 0},
        {"@job", "RequestStateChange", "RequestedState=4|TimeoutPeriod=00000000000000.000000:000", 4096},
    };
    g_assert_cmpuint(ask_call(&f, f.a, CIM_VIEWER, "@job", "RequestStateChange", "RequestedState=4", NULL), ==, 32769);
    ask_situation("it runs and can be cancelled");
    ask_rows(&f, f.a, rows, G_N_ELEMENTS(rows));
    ask_situation(NULL);
    g_atomic_int_set(&gate.open, 1);
    finish(&f);
    cim_instance_auto i = ask_get(&f, f.a, "@job");
    g_assert_cmpuint(cim_get_uint(i, "JobState"), ==, 8);
    g_assert_cmpstr(cim_get_string(i, "JobStatus"), ==, "Cancelled");
    check_over(&f);
    struct cim_args *out;
    g_assert_cmpuint(ask_call(&f, f.a, CIM_VIEWER, "@job", "GetError", "", &out), ==, 0);
    g_assert_nonnull(strstr(cim_args_string(out, "Error"), "cancelled"));
    cim_args_free(out);
    ask_close(&f);
}

static void
test_scheduled(void)
{
    struct ask f;
    ask_open(&f, false);
    start(&f, succeed, NULL, g_get_real_time() + G_TIME_SPAN_HOUR, false);
    cim_instance_auto i = ask_get(&f, f.a, "@job"), *idle = ask_get(&f, f.a, "@plain");
    g_assert_cmpuint(cim_get_uint(i, "JobState"), ==, 2);
    g_assert_true(cim_get_bool(i, "Cancellable"));
    g_assert_false(ask_null(i, "ScheduledStartTime"));
    g_assert_true(ask_null(i, "StartTime"));
    g_assert_cmpuint(((struct cim_value *)cim_get(idle, "OperationalStatus")->items->pdata[0])->u, ==, 2);
    ask_situation("it waits for its start time");
    g_assert_cmpuint(request(&f, "RequestedState=5"), ==, 0); /* over at once */
    check_over(&f);
    ask_close(&f);
}

static void
test_success(void)
{
    struct ask f;
    ask_open(&f, false);
    start(&f, succeed, NULL, 0, true);
    finish(&f);
    cim_instance_auto i = ask_get(&f, f.a, "@job");
    g_assert_cmpuint(cim_get_uint(i, "JobState"), ==, 7);
    g_assert_cmpuint(cim_get_uint(i, "PercentComplete"), ==, 100);
    g_assert_cmpuint(cim_get_uint(i, "ErrorCode"), ==, 0);
    check_no_error(&f);
    check_over(&f);
    start(&f, succeed_with_care, NULL, 0, true);
    finish(&f);
    cim_instance_auto warned = ask_get(&f, f.a, "@job");
    g_assert_cmpuint(cim_get_uint(warned, "JobState"), ==, 32768);
    g_assert_cmpstr(cim_get_string(warned, "JobStatus"), ==, "Network card '52:54:00:00:00:01' has no switch here.");
    check_no_error(&f);
    ask_close(&f);
}

static struct cim_instance *
error_at(const struct cim_value *errors, guint n)
{
    g_autoptr(GError) err = NULL;
    const struct cim_value *text = g_ptr_array_index(errors->items, n);
    struct cim_instance *i = cim_xml_parse(text->text, "Msvm_Error", &err);
    g_assert_no_error(err);
    return i;
}

static void
test_failure(void)
{
    struct ask f;
    struct cim_args *out, *one;
    char guid[UUID_TEXT];
    ask_open(&f, false);
    start(&f, fail_deeply, NULL, 0, true);
    finish(&f);
    cim_instance_auto i = ask_get(&f, f.a, "@job");
    g_assert_cmpuint(cim_get_uint(i, "JobState"), ==, 10);
    g_assert_cmpuint(cim_get_uint(i, "ErrorCode"), ==, 32777);
    g_assert_cmpstr(cim_get_string(i, "ErrorSummaryDescription"), ==, "Guest 'plain' cannot be failed over.");
    g_assert_nonnull(strstr(cim_get_string(i, "ErrorDescription"), uuid_format(&f.plain, guid)));
    g_assert_cmpuint(((struct cim_value *)cim_get(i, "OperationalStatus")->items->pdata[0])->u, ==, 6);
    check_over(&f);
    g_assert_cmpuint(ask_call(&f, f.a, CIM_VIEWER, "@job", "GetErrorEx", "", &out), ==, 0);
    const struct cim_value *errors = cim_args_get(out, "Errors");
    g_assert_cmpuint(errors->items->len, ==, 3);
    cim_instance_auto outer = error_at(errors, 0), *middle = error_at(errors, 1), *inner = error_at(errors, 2);
    g_assert_cmpstr(cim_get_string(outer, "MessageID"), ==, "not-available");
    g_assert_true(g_str_has_prefix(cim_get_string(outer, "Message"), "Guest 'plain' cannot be failed over."));
    g_assert_nonnull(strstr(cim_get_string(outer, "ErrorSource"), guid));
    g_assert_cmpuint(cim_get_uint(outer, "ErrorSourceFormat"), ==, 2);
    g_assert_cmpstr(cim_get_string(outer, "OwningEntity"), ==, "vmreplica");
    g_assert_cmpuint(cim_get_uint(outer, "ErrorType"), ==, 9);
    g_assert_cmpstr(cim_get_string(middle, "Message"), ==, "Disk 'vda' of guest 'plain' cannot be written.");
    g_assert_cmpuint(cim_get_uint(middle, "ProbableCause"), ==, 24);
    g_assert_cmpstr(cim_get_string(inner, "MessageID"), ==, "no-space");
    g_assert_cmpstr(cim_get_string(inner, "ProbableCauseDescription"), ==, err_info(ERR_NO_SPACE)->cause);
    g_assert_cmpstr(((struct cim_value *)cim_get(inner, "RecommendedActions")->items->pdata[0])->text, ==, err_info(ERR_NO_SPACE)->next);
    g_assert_cmpstr(cim_get_string(inner, "CIMStatusCodeDescription"), ==, "CIM_ERR_FAILED");
    g_assert_cmpuint(ask_call(&f, f.a, CIM_VIEWER, "@job", "GetError", "", &one), ==, 0);
    g_assert_cmpstr(cim_args_string(one, "Error"), ==, ((struct cim_value *)errors->items->pdata[0])->text);
    cim_args_free(out);
    cim_args_free(one);
    ask_close(&f);
}

/* A failed job and its chain live on in the database. */
static void
test_kept(void)
{
    struct ask f;
    struct cim_args *out;
    ask_open(&f, false);
    start(&f, fail_deeply, NULL, 0, true);
    finish(&f);
    cim_broker_free(f.a);
    host_down(&f.w.a);
    host_up(&f.w, &f.w.a);
    f.a = cim_broker_new(f.w.a.name, all_providers, f.w.a.service);
    g_assert_cmpuint(ask_call(&f, f.a, CIM_VIEWER, "@job", "GetErrorEx", "", &out), ==, 0);
    g_assert_cmpuint(cim_args_get(out, "Errors")->items->len, ==, 3);
    cim_args_free(out);
    ask_close(&f);
}

/* Whom it affects, and who made it. */
static void
test_links(void)
{
    struct ask f;
    struct cim_args *out;
    char guid[UUID_TEXT];
    ask_open(&f, false);
    start(&f, succeed, NULL, 0, true);
    finish(&f);
    g_autoptr(GPtrArray) affected = ask_query(&f, f.a, "ASSOCIATORS OF {@job} WHERE AssocClass=Msvm_AffectedJobElement");
    g_autoptr(GPtrArray) owner = ask_query(&f, f.a, "ASSOCIATORS OF {@job} WHERE AssocClass=Msvm_OwningJobElement");
    g_autoptr(GPtrArray) back = ask_query(&f, f.a, "ASSOCIATORS OF {@replicasvc} WHERE AssocClass=Msvm_OwningJobElement");
    g_assert_cmpuint(affected->len, ==, 1);
    g_assert_cmpstr(cim_get_string(affected->pdata[0], "Name"), ==, uuid_format(&f.plain, guid));
    g_assert_cmpuint(owner->len, ==, 1);
    g_assert_cmpstr(cim_get_string(owner->pdata[0], "Name"), ==, "replicasvc");
    g_assert_cmpuint(back->len, ==, 1);
    fake_power_set(f.w.a.fake, &f.plain, VM_RUNNING);
    g_assert_cmpuint(ask_call(&f, f.a, CIM_OPERATOR, "@plain", "RequestStateChange", "RequestedState=6", &out), ==, 4096);
    g_strlcpy(f.job, cim_path_get(cim_args_get(out, "Job")->ref, "InstanceID"), UUID_TEXT);
    cim_args_free(out);
    finish(&f);
    cim_instance_auto saved = ask_get(&f, f.a, "@job");
    g_autoptr(GPtrArray) maker = ask_query(&f, f.a, "ASSOCIATORS OF {@job} WHERE AssocClass=Msvm_OwningJobElement");
    g_assert_cmpuint(cim_get_uint(saved, "JobType"), ==, 14);
    g_assert_cmpstr(cim_get_string(saved, "Owner"), ==, "operator");
    g_assert_cmpstr(cim_get_string(maker->pdata[0], "Name"), ==, "vmms");
    ask_close(&f);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/provider/jobs/running", test_running);
    g_test_add_func("/provider/jobs/requests", test_requests);
    g_test_add_func("/provider/jobs/scheduled", test_scheduled);
    g_test_add_func("/provider/jobs/success", test_success);
    g_test_add_func("/provider/jobs/failure", test_failure);
    g_test_add_func("/provider/jobs/kept", test_kept);
    g_test_add_func("/provider/jobs/links", test_links);
    return g_test_run();
}
