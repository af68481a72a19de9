/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cli/method.h"

VERB(verb_commit)
{
    static const struct usage usage = {"VM", "Makes a failover final.",
                                       "The guest may run meanwhile. All recovery points are deleted; there is no way\nback."};
    return method_verb(c, &usage, argc, argv, "CommitFailover", "Committing", "runs on its own disks; its recovery points are gone.", err);
}
