/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cli/cli.h"

#include "log/verify.h"

#include <string.h>

/* log: change log files, without a daemon. */

VERB(verb_log)
{
    static const struct usage usage = {"dump|check FILE...", "Shows what a change log holds, or verifies every byte of it.",
                                       "check decompresses every frame and compares every checksum. Needs no daemon."};
    g_auto(GStrv) args = NULL;
    if (!cli_parse(c, &usage, CLI_LOCAL, NULL, argc, argv, &args, err))
        return c->helped;
    if (!cli_count(args, 2, G_MAXINT, &usage, argv[0], err))
        return false;
    bool dump = strcmp(args[0], "dump") == 0;
    if (!dump && strcmp(args[0], "check") != 0)
        return err_set(err, ERR_USAGE, "'%s' is nothing that log does. Usage: vmreplica log %s", args[0], usage.synopsis);
    for (char **file = args + 1; *file; file++) {
        g_autoptr(GString) out = g_string_new(NULL);
        if (!(dump ? log_dump_file(*file, out, err) : log_check_file(*file, err)))
            return false;
        if (dump)
            fputs(out->str, stdout);
        else
            printf("%s: whole\n", *file);
    }
    return true;
}
