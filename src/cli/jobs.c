/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cli/method.h"
#include "cli/show.h"

/* jobs: Msvm_ConcreteJob. */

enum { TERMINATE = 4 };

static struct cim_path *
path_of(const char *id)
{
    struct cim_path *p = cim_path_new(NULL, "Msvm_ConcreteJob");
    cim_path_set(p, "InstanceID", id);
    return p;
}

/* The API's sentence names a path; here it was a job that was asked for. */
static bool
say_gone(const char *id, GError **err)
{
    if (!err || !err_is(*err, ERR_NO_SUCH_INSTANCE))
        return false;
    g_clear_error(err);
    return err_set(err, ERR_NO_SUCH_INSTANCE, "There is no job '%s' (any more). See vmreplica jobs.", id);
}

static void
job_row(struct table *t, const struct cim_instance *j)
{
    guint state = (guint)cim_get_uint(j, "JobState");
    g_autofree char *begun = show_time(show_get_time(j, "TimeSubmitted")), *took = show_span(show_get_time(j, "ElapsedTime"));
    const char *error = cim_get_string(j, "ErrorDescription");
    table_add(t, cim_get_string(j, "InstanceID"));
    table_add(t, cim_get_string(j, "Name"));
    table_add_colour(t, show_job_state(state),
                     state == 7                  ? TABLE_GOOD
                     : state == 32768            ? TABLE_WARNING
                     : state >= 8 && state <= 10 ? TABLE_BAD
                                                 : TABLE_PLAIN);
    table_add_format(t, "%u %%", (guint)cim_get_uint(j, "PercentComplete"));
    table_add(t, begun);
    table_add(t, took);
    table_add(t, error ? error : cim_get_string(j, "JobStatus"));
}

static bool
list(struct cli *c, GError **err)
{
    g_autoptr(GPtrArray) all = wsman_client_enumerate(c->client, "Msvm_ConcreteJob", err);
    if (!all)
        return false;
    json_t *out = json_array();
    struct table *t = table_new("JOB", "WHAT", "STATE", ">DONE", "SUBMITTED", ">TOOK", "STATUS", NULL);
    for (guint i = 0; i < all->len; i++) {
        job_row(t, g_ptr_array_index(all, i));
        json_array_append_new(out, show_json(g_ptr_array_index(all, i)));
    }
    if (c->json)
        show_print_json(json_incref(out));
    else if (all->len)
        table_print(t, stdout);
    else
        puts("No jobs. Finished ones are forgotten after five minutes.");
    json_decref(out);
    table_free(t);
    return true;
}

static bool
one(struct cli *c, const char *id, gboolean wait, GError **err)
{
    cim_path_auto path = path_of(id);
    if (wait && !method_wait(c, path, "Job", err))
        return say_gone(id, err);
    cim_instance_auto job = wsman_client_get(c->client, path, err);
    if (!job)
        return say_gone(id, err);
    if (c->json)
        show_print_json(show_json(job));
    else
        show_print_instance(job);
    return true;
}

static bool
cancel(struct cli *c, const char *id, GError **err)
{
    cim_path_auto path = path_of(id);
    struct cim_args *args = cim_args_new();
    cim_args_set(args, "RequestedState", cim_uint(CIM_UINT16, TERMINATE));
    return method_call(c, path, "RequestStateChange", args, "Job", "The job was asked to end.", err) || say_gone(id, err);
}

VERB(verb_jobs)
{
    static const struct usage usage = {"[ID [--wait | --cancel]]", "Lists long-running work, or shows one job.",
                                       "Jobs are kept for five minutes after their end."};
    gboolean wait = FALSE, stop = FALSE;
    g_auto(GStrv) args = NULL;
    const GOptionEntry options[] = {
        {"wait", 'w', 0, G_OPTION_ARG_NONE, &wait, "wait until it ends", NULL},
        {"cancel", 0, 0, G_OPTION_ARG_NONE, &stop, "end it", NULL},
        {0},
    };
    if (!cli_parse(c, &usage, CLI_CONNECTS | CLI_JSON, options, argc, argv, &args, err))
        return c->helped;
    if (!cli_count(args, 0, 1, &usage, argv[0], err) || !cli_connect(c, err))
        return false;
    if (!args[0])
        return wait || stop ? err_set(err, ERR_USAGE, "--wait and --cancel need the ID of a job.") : list(c, err);
    return stop ? cancel(c, args[0], err) : one(c, args[0], wait, err);
}
