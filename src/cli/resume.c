/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cli/method.h"

/* resume: RequestReplicationStateChange 3; Ex for an extended relationship. */

VERB(verb_resume)
{
    static const struct usage usage = {"VM [--extended]", "Goes on with replication.", NULL};
    return method_replication_verb(c, &usage, argc, argv, 3, "Resuming", "replicates again.", err);
}
