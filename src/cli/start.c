/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cli/guest.h"
#include "cli/method.h"

/* start: StartReplication over the network (type 1). */

VERB(verb_start)
{
    static const struct usage usage = {"VM [--at TIME]", "Copies the guest to its replica host, then goes on in cycles.",
                                       "The guest runs on meanwhile. Waits until the first copy is complete."};
    g_autofree char *at = NULL;
    gint64 when = 0;
    g_auto(GStrv) args = NULL;
    const GOptionEntry options[] = {{"at", 0, 0, G_OPTION_ARG_STRING, &at, "begin then, at most 7 days ahead", "TIME"}, {0}};
    if (!cli_parse(c, &usage, CLI_CONNECTS | CLI_JSON | CLI_WAITS, options, argc, argv, &args, err))
        return c->helped;
    if (!cli_count(args, 1, 1, &usage, argv[0], err) || (at && !cli_time(at, &when, err)))
        return false;
    cim_instance_auto guest = guest_find(c, args[0], err);
    if (!guest)
        return false;
    struct cim_args *in = cim_args_new();
    cim_args_set(in, "InitialReplicationType", cim_uint(CIM_UINT16, 1));
    if (when)
        cim_args_set(in, "StartTime", cim_time(when));
    g_autofree char *done = g_strdup_printf("'%s' is protected.", cim_get_string(guest, "ElementName"));
    return method_on_guest(c, guest, "StartReplication", in, "First copy", done, err);
}
