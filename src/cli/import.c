/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cli/guest.h"
#include "cli/method.h"

/* import: ImportInitialReplica. */

VERB(verb_import)
{
    static const struct usage usage = {"VM DIR", "Takes the first copy of a guest out of a folder.",
                                       "Called on the replica host, with the folder that start --export filled, or the\n"
                                       "one that holds it."};
    g_auto(GStrv) args = NULL;
    if (!cli_parse(c, &usage, CLI_CONNECTS | CLI_JSON | CLI_WAITS, NULL, argc, argv, &args, err))
        return c->helped;
    if (!cli_count(args, 2, 2, &usage, argv[0], err))
        return false;
    cim_instance_auto guest = guest_find(c, args[0], err);
    if (!guest)
        return false;
    struct cim_args *in = cim_args_new();
    g_autofree char *path = g_canonicalize_filename(args[1], NULL);
    cim_args_set(in, "InitialReplicationImportLocation", cim_string(path));
    g_autofree char *done = g_strdup_printf("'%s' has its first copy; the primary sends what changed since.",
                                            cim_get_string(guest, "ElementName"));
    return method_on_guest(c, guest, "ImportInitialReplica", in, "Import", done, err);
}
