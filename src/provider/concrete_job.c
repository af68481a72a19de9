/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "provider/all.h"
#include "provider/common.h"
#include "provider/error.h"
#include "provider/service_row.h"

#include "base/clock.h"

/* Msvm_ConcreteJob (contract 0.4, 1.19), whom it affects (1.21) and who made it (1.22). */

enum { STATUS_OK = 2, STATUS_ERROR = 6, HEALTHY = 5, TIME_IS_UTC = 2 };
enum { JOB_TYPE_TEST = 102, FIRST_OF_REPLICATION = 90, LAST_OF_REPLICATION = 125 };

/* RequestStateChange of a job has return codes of its own (contract 0.3). */
enum {
    JOB_NOT_SUPPORTED = 1, JOB_NOT_IN_TIME = 3, JOB_FAILED = 4, JOB_INVALID_PARAMETER = 5, JOB_IN_USE = 6,
    JOB_STARTED = 4096, JOB_INVALID_TRANSITION = 4097, JOB_NO_TIMEOUT = 4098,
};
enum { REQUEST_START = 2, REQUEST_TERMINATE = 4, REQUEST_KILL = 5, REQUEST_SERVICE = 6 };

static void
fill_times(struct cim_instance *i, const struct job_info *j)
{
    const gint64 end = j->ended_us ? j->ended_us : clock_wall_us();
    cim_set_time(i, "TimeSubmitted", j->submitted_us);
    cim_set_time(i, "InstallDate", j->submitted_us);
    cim_set_time(i, "ScheduledStartTime", j->scheduled_us);
    cim_set_time(i, "StartTime", j->started_us);
    cim_set_interval(i, "ElapsedTime", j->started_us ? MAX(end - j->started_us, 0) : 0);
    cim_set_time(i, "TimeOfLastStateChange", j->changed_us);
    cim_set_uint(i, "LocalOrUtcTime", TIME_IS_UTC);
}

/* For people: what it does, or how it ended. */
static const char *
status_of(const struct job_info *j)
{
    switch (j->state) {
    case JOB_NEW: return j->scheduled_us ? "Waiting for its start time" : "Waiting to be started";
    case JOB_COMPLETED: return "Completed";
    case JOB_WARNINGS: return j->warning;
    case JOB_TERMINATED:
    case JOB_KILLED: return "Cancelled";
    case JOB_EXCEPTION: return j->error_summary;
    case JOB_STARTING:
    case JOB_RUNNING: return j->status ? j->status : "Running";
    }
    return NULL;
}

static void
fill_status(struct cim_instance *i, const struct job_info *j)
{
    const bool bad = j->state == JOB_EXCEPTION;
    const guint status[] = {bad ? STATUS_ERROR : STATUS_OK};
    g_autofree char *text = g_strdup(bad ? "Error" : "OK");
    cim_set_uints(i, "OperationalStatus", status, 1);
    cim_set_strings(i, "StatusDescriptions", (char *[]){text, NULL});
    cim_set_string(i, "Status", text);
    cim_set_uint(i, "HealthState", HEALTHY);
    cim_set_string(i, "JobStatus", status_of(j));
    cim_set_uint(i, "ErrorCode", j->error_code);
    cim_set_string(i, "ErrorDescription", j->error_text);
    cim_set_string(i, "ErrorSummaryDescription", j->error_summary);
}

static struct cim_instance *
instance_of(const struct job_info *j)
{
    struct cim_instance *i = new_instance("Msvm_ConcreteJob");
    cim_set_string(i, "InstanceID", j->id);
    cim_set_string(i, "Caption", j->name);
    cim_set_string(i, "Description", j->name);
    cim_set_string(i, "ElementName", j->name);
    cim_set_string(i, "Name", j->name);
    cim_set_uint(i, "JobType", j->type);
    cim_set_uint(i, "JobState", j->state);
    cim_set_uint(i, "PercentComplete", j->percent);
    cim_set_string(i, "Owner", j->owner);
    cim_set_uint(i, "JobRunTimes", 1);
    cim_set_bool(i, "DeleteOnCompletion", true);
    cim_set_bool(i, "Cancellable", j->cancellable || j->state == JOB_NEW);
    fill_status(i, j);
    fill_times(i, j);
    return i;
}

static void
emit_all(void *user, cim_emit emit, void *sink, struct cim_instance *(*make)(struct repl_service *, const struct job_info *))
{
    struct repl_service *s = service_of(user);
    g_autoptr(GPtrArray) jobs = job_list(repl_jobs(s));
    for (guint n = 0; n < jobs->len; n++) {
        struct cim_instance *i = make(s, g_ptr_array_index(jobs, n));
        if (i && !emit(sink, i))
            break;
    }
}

static struct cim_instance *
make_job(struct repl_service *s, const struct job_info *j)
{
    return instance_of(j);
}

static bool
enumerate(void *user, const struct cim_path *source, cim_emit emit, void *sink, GError **err)
{
    emit_all(user, emit, sink, make_job);
    return true;
}

static struct cim_instance *
get(void *user, const struct cim_path *path, GError **err)
{
    struct job_info j;
    const char *id = cim_path_get(path, "InstanceID");
    if (!id || !job_get(repl_jobs(service_of(user)), id, &j))
        return NULL;
    struct cim_instance *i = instance_of(&j);
    job_info_clear(&j);
    return i;
}

static bool
self(const struct cim_call *call, struct job_info *j, GError **err)
{
    const char *id = cim_path_get(call->path, "InstanceID");
    return job_get(repl_jobs(service_of(call->user)), id, j) || err_set(err, ERR_NO_SUCH_INSTANCE, "Job '%s' has been removed.", id);
}

static guint32
get_error_ex(struct cim_call *call, GError **err)
{
    struct job_info j;
    if (!self(call, &j, err))
        return 0;
    cim_args_set(call->out, "Errors", error_chain(&j));
    job_info_clear(&j);
    return 0;
}

static guint32
get_error(struct cim_call *call, GError **err)
{
    struct job_info j;
    if (!self(call, &j, err))
        return 0;
    struct cim_value chain = error_chain(&j), first = cim_null(CIM_STRING, false);
    if (!chain.null)
        cim_value_copy(&first, g_ptr_array_index(chain.items, 0));
    cim_args_set(call->out, "Error", first);
    cim_value_clear(&chain);
    job_info_clear(&j);
    return 0;
}

/* The 14 codes mean nothing here but for access, which is refused before anything of the job is looked at. */
static guint32
code_of(const GError *why)
{
    const guint32 code = err_info_of(why)->cim;
    if (err_is(why, ERR_INVALID_STATE))
        return JOB_INVALID_TRANSITION;
    switch (code) {
    case 32769: return code;
    case 32770: return JOB_NOT_SUPPORTED;
    case 32772: return JOB_NOT_IN_TIME;
    case 32773:
    case 32776: return JOB_INVALID_PARAMETER;
    case 32774: return JOB_IN_USE;
    }
    return JOB_FAILED;
}

static bool
check_request(const struct cim_call *call, GError **err)
{
    const guint wanted = arg_uint(call, "RequestedState", 0);
    if (!cim_args_get(call->in, "RequestedState"))
        return err_set(err, ERR_INVALID_PARAMETER, "Parameter 'RequestedState' is missing.");
    if (wanted < REQUEST_START || wanted > REQUEST_SERVICE)
        return err_set(err, ERR_INVALID_PARAMETER, "State %u cannot be requested of a job; 4 (terminate) and 5 (kill) can.", wanted);
    return wanted == REQUEST_TERMINATE || wanted == REQUEST_KILL ||
           err_set(err, ERR_NOT_SUPPORTED, "State %u of a job is not supported; 4 (terminate) and 5 (kill) are.", wanted);
}

/* 0: it has ended; 4096: it will. */
static guint32
request_state_change(struct cim_call *call, GError **err)
{
    struct job_registry *jobs = repl_jobs(service_of(call->user));
    const struct cim_value *timeout = cim_args_get(call->in, "TimeoutPeriod");
    struct job_info j;
    if (!check_request(call, err))
        return 0;
    if (timeout && timeout->time.us)
        return err_set(err, ERR_NOT_SUPPORTED, "A timeout for the request is not supported."), JOB_NO_TIMEOUT;
    if (!job_cancel(jobs, cim_path_get(call->path, "InstanceID"), err) || !self(call, &j, NULL))
        return 0;
    const bool over = job_state_final(j.state);
    job_info_clear(&j);
    return over ? 0 : JOB_STARTED;
}

static guint32
kill_job(struct cim_call *call, GError **err)
{
    return err_set(err, ERR_NOT_SUPPORTED, "KillJob is not supported; use RequestStateChange with 4."), 0;
}

static const struct cim_method_row methods[] = {
    {"GetError", CIM_VIEWER, get_error, NULL},
    {"GetErrorEx", CIM_VIEWER, get_error_ex, NULL},
    {"RequestStateChange", CIM_OPERATOR, request_state_change, code_of},
    {"KillJob", CIM_OPERATOR, kill_job, code_of},
    {NULL, CIM_NOBODY, NULL, NULL},
};

const struct cim_provider concrete_job = {"Msvm_ConcreteJob", enumerate, get, methods};

static struct cim_instance *
affected(const struct job_info *j, struct cim_path *element)
{
    struct cim_instance *i = new_instance("Msvm_AffectedJobElement");
    cim_set_ref(i, "AffectedElement", element);
    cim_set_ref(i, "AffectingElement", job_path(j->id));
    return i;
}

/* A test failover affects the guest that it makes, too: so a client finds it (contract 2.5). */
static bool
emit_test(struct repl_service *s, const struct job_info *j, cim_emit emit, void *sink)
{
    g_autoptr(GArray) tests = j->type == JOB_TYPE_TEST ? repl_tests(s) : NULL;
    for (guint n = 0; tests && n < tests->len; n++) {
        const struct repl_test *t = &g_array_index(tests, struct repl_test, n);
        if (uuid_equal(&t->replica, &j->vm) && !emit(sink, affected(j, guest_path(&t->test))))
            return false;
    }
    return true;
}

static bool
enumerate_affected(void *user, const struct cim_path *source, cim_emit emit, void *sink, GError **err)
{
    struct repl_service *s = service_of(user);
    g_autoptr(GPtrArray) jobs = job_list(repl_jobs(s));
    for (guint n = 0; n < jobs->len; n++) {
        const struct job_info *j = g_ptr_array_index(jobs, n);
        if (!emit(sink, affected(j, uuid_is_nil(&j->vm) ? host_path(s) : guest_path(&j->vm))) || !emit_test(s, j, emit, sink))
            break;
    }
    return true;
}

const struct cim_provider affected_job_element = {"Msvm_AffectedJobElement", enumerate_affected, NULL, NULL};

/* Jobs of replication belong to its service, those of a guest's power to the service for virtual machines. */
static struct cim_instance *
make_owning(struct repl_service *s, const struct job_info *j)
{
    const bool replication = j->type >= FIRST_OF_REPLICATION && j->type <= LAST_OF_REPLICATION;
    struct cim_instance *i = new_instance("Msvm_OwningJobElement");
    cim_set_ref(i, "OwningElement", replication ? service_path(s) : service_row_path(s, SERVICE_MANAGEMENT));
    cim_set_ref(i, "OwnedElement", job_path(j->id));
    return i;
}

static bool
enumerate_owning(void *user, const struct cim_path *source, cim_emit emit, void *sink, GError **err)
{
    emit_all(user, emit, sink, make_owning);
    return true;
}

const struct cim_provider owning_job_element = {"Msvm_OwningJobElement", enumerate_owning, NULL, NULL};
