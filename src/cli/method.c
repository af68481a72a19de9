/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cli/method.h"

#include "cli/guest.h"
#include "cli/progress.h"
#include "cli/show.h"

#include <string.h>

enum { RETURN_OK = 0, RETURN_JOB = 4096 };

bool
method_wait(struct cli *c, const struct cim_path *job, const char *title, GError **err)
{
    struct progress p = PROGRESS(title);
    g_autofree char *warning = NULL;
    bool fine = wsman_client_wait(c->client, job, progress_show, &p, &warning, err);
    progress_end(&p);
    if (warning)
        fprintf(stderr, "vmreplica: warning: %s\n", warning);
    return fine;
}

static bool
refuse(guint32 result, const char *reason, const char *method, GError **err)
{
    if (reason)
        return err_set(err, wsman_client_code(result), "%s", reason);
    return err_set(err, wsman_client_code(result), "%s was refused with ReturnValue %u (%s).", method, result,
                   err_info(wsman_client_code(result))->id);
}

static void
report(struct cli *c, guint32 result, const char *job, bool waited, const char *done)
{
    if (c->json)
        show_print_json(json_pack("{s:i, s:s?, s:b}", "return_value", (int)result, "job", job, "done", waited || result == RETURN_OK));
    else if (job && !waited)
        printf("Job %s goes on; see vmreplica jobs %s.\n", job, job);
    else if (done)
        puts(done);
}

static bool
finish(struct cli *c, guint32 result, const struct cim_args *out, const char *title, const char *done, GError **err)
{
    const struct cim_value *v = result == RETURN_JOB ? cim_args_get(out, "Job") : NULL;
    const struct cim_path *job = v && v->type == CIM_REFERENCE ? v->ref : NULL;
    bool waits = job && !c->no_wait;
    if (waits && !method_wait(c, job, title, err))
        return false;
    report(c, result, job ? cim_path_get(job, "InstanceID") : NULL, waits, done);
    return true;
}

bool
method_call(struct cli *c, const struct cim_path *path, const char *method, struct cim_args *args, const char *title, const char *done,
            GError **err)
{
    struct cim_args *out = cim_args_new();
    g_autofree char *reason = NULL;
    guint32 result = RETURN_OK;
    bool fine = cli_connect(c, err) && wsman_client_invoke(c->client, path, method, args, out, &result, &reason, err);
    if (fine && result != RETURN_OK && result != RETURN_JOB)
        fine = refuse(result, reason, method, err);
    else if (fine)
        fine = finish(c, result, out, title, done, err);
    cim_args_free(out);
    cim_args_free(args);
    return fine;
}

bool
method_on_guest(struct cli *c, const struct cim_instance *guest, const char *method, struct cim_args *args, const char *title,
                const char *done, GError **err)
{
    cim_path_auto service = guest_service();
    struct cim_args *all = args ? args : cim_args_new();
    cim_args_set(all, "ComputerSystem", cim_ref(cim_instance_path(guest)));
    return method_call(c, service, method, all, title, done, err);
}

bool
method_verb(struct cli *c, const struct usage *usage, int argc, char **argv, const char *method, const char *title, const char *done,
            GError **err)
{
    g_auto(GStrv) args = NULL;
    if (!cli_parse(c, usage, CLI_CONNECTS | CLI_JSON | CLI_WAITS, NULL, argc, argv, &args, err))
        return c->helped;
    if (!cli_count(args, 1, 1, usage, argv[0], err))
        return false;
    cim_instance_auto guest = guest_find(c, args[0], err);
    g_autofree char *text = guest ? g_strdup_printf("'%s' %s", cim_get_string(guest, "ElementName"), done) : NULL;
    return guest && method_on_guest(c, guest, method, NULL, title, text, err);
}

bool
method_state(struct cli *c, const struct cim_instance *guest, const char *method, guint state, const char *title, const char *done,
             GError **err)
{
    cim_path_auto path = cim_instance_path(guest);
    struct cim_args *args = cim_args_new();
    cim_args_set(args, "RequestedState", cim_uint(CIM_UINT16, state));
    return method_call(c, path, method, args, title, done, err);
}

static bool
replication(struct cli *c, const struct cim_instance *guest, bool extended, guint state, const char *title, const char *done,
            GError **err)
{
    if (!extended)
        return method_state(c, guest, "RequestReplicationStateChange", state, title, done, err);
    g_autofree char *relation = guest_extended(c, guest, err);
    if (!relation)
        return false;
    cim_path_auto path = cim_instance_path(guest);
    struct cim_args *args = cim_args_new();
    cim_args_set(args, "RequestedState", cim_uint(CIM_UINT16, state));
    cim_args_set(args, "ReplicationRelationship", cim_string(relation));
    return method_call(c, path, "RequestReplicationStateChangeEx", args, title, done, err);
}

bool
method_replication_verb(struct cli *c, const struct usage *usage, int argc, char **argv, guint state, const char *title, const char *done,
                        GError **err)
{
    gboolean extended = FALSE;
    const GOptionEntry options[] = {{"extended", 0, 0, G_OPTION_ARG_NONE, &extended, "of a replica: towards the third host", NULL}, {0}};
    g_auto(GStrv) args = NULL;
    if (!cli_parse(c, usage, CLI_CONNECTS | CLI_JSON | CLI_WAITS, options, argc, argv, &args, err))
        return c->helped;
    if (!cli_count(args, 1, 1, usage, argv[0], err))
        return false;
    cim_instance_auto guest = guest_find(c, args[0], err);
    g_autofree char *text = guest ? g_strdup_printf("'%s' %s", cim_get_string(guest, "ElementName"), done) : NULL;
    return guest && replication(c, guest, extended, state, title, text, err);
}
