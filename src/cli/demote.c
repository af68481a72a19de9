/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cli/guest.h"
#include "cli/method.h"

/* demote: RequestReplicationStateChange 2. */

enum { REPLICA = 2 };

VERB(verb_demote)
{
    static const struct usage usage = {
        "VM", "Turns a guest that is off into a replica.",
        "Called on the old primary host after an unplanned failover. The guest's own\n"
        "disks become the start of the replica. Then, on the new primary host: reverse,\n"
        "start."};
    g_auto(GStrv) args = NULL;
    if (!cli_parse(c, &usage, CLI_CONNECTS | CLI_JSON | CLI_WAITS, NULL, argc, argv, &args, err))
        return c->helped;
    if (!cli_count(args, 1, 1, &usage, argv[0], err))
        return false;
    cim_instance_auto guest = guest_find(c, args[0], err);
    g_autofree char *done = guest ? g_strdup_printf("'%s' is a replica that waits for its primary. There: vmreplica reverse %s",
                                                    cim_get_string(guest, "ElementName"), args[0])
                                  : NULL;
    return guest && method_state(c, guest, "RequestReplicationStateChange", REPLICA, "Making a replica", done, err);
}
