/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cli/guest.h"
#include "cli/method.h"

/* promote: ChangeReplicationModeToPrimary. */

VERB(verb_promote)
{
    static const struct usage usage = {"VM", "A committed replica goes on as the primary of its extended replica.",
                                       "When the first host is lost: failover, commit and promote on the second one."};
    g_auto(GStrv) args = NULL;
    if (!cli_parse(c, &usage, CLI_CONNECTS | CLI_JSON | CLI_WAITS, NULL, argc, argv, &args, err))
        return c->helped;
    if (!cli_count(args, 1, 1, &usage, argv[0], err))
        return false;
    cim_instance_auto guest = guest_find(c, args[0], err);
    g_autofree char *relation = guest ? guest_extended(c, guest, err) : NULL;
    if (!relation)
        return false;
    struct cim_args *in = cim_args_new();
    cim_args_set(in, "ReplicationRelationship", cim_string(relation));
    g_autofree char *done = g_strdup_printf("'%s' is replicated from this host now.", cim_get_string(guest, "ElementName"));
    return method_on_guest(c, guest, "ChangeReplicationModeToPrimary", in, "Promoting", done, err);
}
