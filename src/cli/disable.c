/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cli/guest.h"
#include "cli/method.h"

/* disable: RemoveReplicationRelationship; Ex for an extended relationship. */

static bool
remove_extended(struct cli *c, const struct cim_instance *guest, const char *done, GError **err)
{
    g_autofree char *relation = guest_extended(c, guest, err);
    if (!relation)
        return false;
    struct cim_args *in = cim_args_new();
    cim_args_set(in, "ReplicationRelationship", cim_string(relation));
    return method_on_guest(c, guest, "RemoveReplicationRelationshipEx", in, "Removing", done, err);
}

VERB(verb_disable)
{
    static const struct usage usage = {"VM [--extended]", "Ends the relationship, on this host only.",
                                       "Call it on the other host, too. The disks of a replica stay."};
    gboolean extended = FALSE;
    const GOptionEntry options[] = {{"extended", 0, 0, G_OPTION_ARG_NONE, &extended, "of a replica: towards the third host", NULL}, {0}};
    g_auto(GStrv) args = NULL;
    if (!cli_parse(c, &usage, CLI_CONNECTS | CLI_JSON | CLI_WAITS, options, argc, argv, &args, err))
        return c->helped;
    if (!cli_count(args, 1, 1, &usage, argv[0], err))
        return false;
    cim_instance_auto guest = guest_find(c, args[0], err);
    if (!guest)
        return false;
    g_autofree char *done = g_strdup_printf("'%s' is no longer replicated by this host.", cim_get_string(guest, "ElementName"));
    return extended ? remove_extended(c, guest, done, err)
                    : method_on_guest(c, guest, "RemoveReplicationRelationship", NULL, "Removing", done, err);
}
