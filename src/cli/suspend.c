/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cli/guest.h"
#include "cli/method.h"

/* suspend: RequestReplicationStateChange 7; Ex for an extended relationship. */

VERB(verb_suspend)
{
    static const struct usage usage = {"VM [--extended]", "Pauses replication.", NULL};
    gboolean extended = FALSE;
    const GOptionEntry options[] = {{"extended", 0, 0, G_OPTION_ARG_NONE, &extended, "of a replica: towards the third host", NULL}, {0}};
    g_auto(GStrv) args = NULL;
    if (!cli_parse(c, &usage, CLI_CONNECTS | CLI_JSON | CLI_WAITS, options, argc, argv, &args, err))
        return c->helped;
    if (!cli_count(args, 1, 1, &usage, argv[0], err))
        return false;
    cim_instance_auto guest = guest_find(c, args[0], err);
    g_autofree char *done = guest ? g_strdup_printf("'%s' is suspended; changes are tracked.", cim_get_string(guest, "ElementName")) : NULL;
    return guest && method_replication(c, guest, extended, 7, "Suspending", done, err);
}
