/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cli/guest.h"
#include "cli/method.h"

/* resume: RequestReplicationStateChange 3. */

VERB(verb_resume)
{
    static const struct usage usage = {"VM", "Goes on with replication.", NULL};
    g_auto(GStrv) args = NULL;
    if (!cli_parse(c, &usage, CLI_CONNECTS | CLI_JSON | CLI_WAITS, NULL, argc, argv, &args, err))
        return c->helped;
    if (!cli_count(args, 1, 1, &usage, argv[0], err))
        return false;
    cim_instance_auto guest = guest_find(c, args[0], err);
    g_autofree char *done = guest ? g_strdup_printf("'%s' replicates again.", cim_get_string(guest, "ElementName")) : NULL;
    return guest && method_state(c, guest, "RequestReplicationStateChange", 3, "Resuming", done, err);
}
