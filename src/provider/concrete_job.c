/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "provider/all.h"
#include "provider/common.h"
#include "provider/statistics.h"

#include "base/clock.h"

/* Msvm_ConcreteJob (contract 0.4, 1.19), whom it affects (1.21) and who made it (1.22). */

/* RequestStateChange of a job has return codes of its own (contract 0.3). */
enum { JOB_NOT_SUPPORTED = 1, JOB_INVALID_TRANSITION = 4097, JOB_NO_TIMEOUT = 4098 };

static void
fill_times(struct cim_instance *i, const struct job_info *j)
{
    gint64 end = j->ended_us ? j->ended_us : clock_wall_us();
    cim_set_time(i, "TimeSubmitted", j->submitted_us);
    cim_set_time(i, "InstallDate", j->submitted_us);
    cim_set_time(i, "ScheduledStartTime", j->scheduled_us);
    cim_set_time(i, "StartTime", j->started_us);
    cim_set_interval(i, "ElapsedTime", j->started_us ? MAX(end - j->started_us, 0) : 0);
    cim_set_time(i, "TimeOfLastStateChange", j->changed_us);
}

static struct cim_instance *
instance_of(const struct job_info *j)
{
    struct cim_instance *i = new_instance("Msvm_ConcreteJob");
    guint status[] = {j->state == JOB_EXCEPTION ? 6 : 2};
    cim_set_string(i, "InstanceID", j->id);
    cim_set_string(i, "Caption", j->name);
    cim_set_string(i, "Description", j->name);
    cim_set_string(i, "ElementName", j->name);
    cim_set_string(i, "Name", j->name);
    cim_set_uint(i, "JobType", j->type);
    cim_set_uint(i, "JobState", j->state);
    cim_set_uint(i, "PercentComplete", j->percent);
    cim_set_string(i, "JobStatus", j->warning ? j->warning : j->state == JOB_COMPLETED ? "Completed" : j->status);
    cim_set_string(i, "Owner", j->owner);
    cim_set_uints(i, "OperationalStatus", status, 1);
    cim_set_uint(i, "HealthState", 5);
    cim_set_uint(i, "JobRunTimes", 1);
    cim_set_bool(i, "DeleteOnCompletion", true);
    cim_set_bool(i, "Cancellable", j->cancellable);
    cim_set_uint(i, "ErrorCode", j->error_code);
    cim_set_string(i, "ErrorDescription", j->error_text);
    cim_set_string(i, "ErrorSummaryDescription", j->error_summary);
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
get_error(struct cim_call *call, GError **err)
{
    struct job_info j;
    if (!self(call, &j, err))
        return 0;
    if (j.error_text) {
        g_autofree char *text = error_text(&j);
        cim_args_set(call->out, "Error", cim_string(text));
    }
    job_info_clear(&j);
    return 0;
}

static guint32
get_error_ex(struct cim_call *call, GError **err)
{
    struct job_info j;
    if (!self(call, &j, err))
        return 0;
    if (j.error_text) {
        g_autofree char *text = error_text(&j);
        struct cim_value all = cim_array(CIM_STRING);
        cim_array_add(&all, cim_string(text));
        cim_args_set(call->out, "Errors", all);
    }
    job_info_clear(&j);
    return 0;
}

static guint32
request_state_change(struct cim_call *call, GError **err)
{
    const struct cim_value *timeout = cim_args_get(call->in, "TimeoutPeriod");
    guint wanted = arg_uint(call, "RequestedState", 0);
    if (timeout && timeout->time.us)
        return JOB_NO_TIMEOUT;
    if (wanted != 4 && wanted != 5)
        return JOB_NOT_SUPPORTED;
    if (job_cancel(repl_jobs(service_of(call->user)), cim_path_get(call->path, "InstanceID"), err))
        return 0;
    return err_is(*err, ERR_INVALID_STATE) ? JOB_INVALID_TRANSITION : 0;
}

static const struct cim_method_row methods[] = {
    {"GetError", CIM_VIEWER, get_error},
    {"GetErrorEx", CIM_VIEWER, get_error_ex},
    {"RequestStateChange", CIM_OPERATOR, request_state_change},
    {NULL, CIM_NOBODY, NULL},
};

const struct cim_provider concrete_job = {"Msvm_ConcreteJob", enumerate, get, methods};

static struct cim_instance *
make_affected(struct repl_service *s, const struct job_info *j)
{
    struct cim_instance *i = new_instance("Msvm_AffectedJobElement");
    cim_set_ref(i, "AffectedElement", uuid_is_nil(&j->vm) ? host_path(s) : guest_path(&j->vm));
    cim_set_ref(i, "AffectingElement", job_path(j->id));
    return i;
}

static bool
enumerate_affected(void *user, const struct cim_path *source, cim_emit emit, void *sink, GError **err)
{
    emit_all(user, emit, sink, make_affected);
    return true;
}

const struct cim_provider affected_job_element = {"Msvm_AffectedJobElement", enumerate_affected, NULL, NULL};

static struct cim_instance *
make_owning(struct repl_service *s, const struct job_info *j)
{
    struct cim_instance *i = new_instance("Msvm_OwningJobElement");
    cim_set_ref(i, "OwningElement", service_path(s));
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
