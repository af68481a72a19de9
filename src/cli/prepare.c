/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cli/guest.h"
#include "cli/method.h"

/* prepare: RequestReplicationStateChange 4. */

enum { PREPARED = 4 };

VERB(verb_prepare)
{
    static const struct usage usage = {
        "VM", "Prepares a planned failover.",
        "Called on the primary host while the guest is off: its last changes are sent,\n"
        "and it cannot be started here any more. Then, on the replica host: failover,\n"
        "reverse. To call it off: vmreplica resume VM."};
    g_auto(GStrv) args = NULL;
    if (!cli_parse(c, &usage, CLI_CONNECTS | CLI_JSON | CLI_WAITS, NULL, argc, argv, &args, err))
        return c->helped;
    if (!cli_count(args, 1, 1, &usage, argv[0], err))
        return false;
    cim_instance_auto guest = guest_find(c, args[0], err);
    g_autofree char *done =
        guest ? g_strdup_printf("'%s' is ready. On the replica host: vmreplica failover %s, then vmreplica reverse %s",
                                cim_get_string(guest, "ElementName"), args[0], args[0])
              : NULL;
    return guest && method_state(c, guest, "RequestReplicationStateChange", PREPARED, "Preparing", done, err);
}
