/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cli/guest.h"
#include "cli/method.h"

/* resynchronise: Resynchronize; --cancel RequestReplicationStateChange 9. */

enum { REPLICATING = 3, SUSPENDED = 7, CANCEL = 9 };

/* The contract permits it from pauses and errors only. */
static bool
pause_first(struct cli *c, const struct cim_instance *guest, GError **err)
{
    const gboolean json = c->json, no_wait = c->no_wait;
    if (cim_get_uint(guest, "ReplicationState") != REPLICATING)
        return true;
    c->json = c->no_wait = false; /* one object only, and what follows needs its end */
    const bool fine = method_state(c, guest, "RequestReplicationStateChange", SUSPENDED, "Suspending", NULL, err);
    c->json = json;
    c->no_wait = no_wait;
    return fine;
}

static bool
begin(struct cli *c, const struct cim_instance *guest, gint64 when, GError **err)
{
    struct cim_args *in = cim_args_new();
    const char *name = cim_get_string(guest, "ElementName");
    g_autofree char *done = g_strdup_printf("'%s' and its replica are equal again.", name);
    if (when)
        cim_args_set(in, "StartTime", cim_time(when));
    if (!when && !pause_first(c, guest, err)) {
        cim_args_free(in);
        return false;
    }
    c->no_wait = c->no_wait || when; /* nobody wants to wait until then */
    return method_on_guest(c, guest, "Resynchronize", in, "Resynchronising", done, err);
}

VERB(verb_resynchronise)
{
    static const struct usage usage = {
        "VM [--at TIME | --cancel]", "Compares a guest with its replica and sends what differs.",
        "Called on the primary host; recovery points stay. Whatever was believed about\n"
        "the replica does not count: only hashes and differences travel."};
    g_autofree char *at = NULL;
    gboolean cancel = FALSE;
    gint64 when = 0;
    g_auto(GStrv) args = NULL;
    const GOptionEntry options[] = {{"at", 0, 0, G_OPTION_ARG_STRING, &at, "begin then, at most 7 days ahead", "TIME"},
                                    {"cancel", 0, 0, G_OPTION_ARG_NONE, &cancel, "end one that is under way", NULL},
                                    {0}};
    if (!cli_parse(c, &usage, CLI_CONNECTS | CLI_JSON | CLI_WAITS, options, argc, argv, &args, err))
        return c->helped;
    if (at && cancel)
        return err_set(err, ERR_USAGE, "--at and --cancel exclude each other; a planned one is cancelled with vmreplica jobs ID --cancel.");
    if (!cli_count(args, 1, 1, &usage, argv[0], err) || (at && !cli_time(at, &when, err)))
        return false;
    cim_instance_auto guest = guest_find(c, args[0], err);
    if (!guest || !cancel)
        return guest && begin(c, guest, when, err);
    g_autofree char *done = g_strdup_printf("The resynchronisation of '%s' was cancelled; nothing is sent until it begins anew.",
                                            cim_get_string(guest, "ElementName"));
    return method_state(c, guest, "RequestReplicationStateChange", CANCEL, "Cancelling", done, err);
}
