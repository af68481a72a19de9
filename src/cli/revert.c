/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cli/method.h"

VERB(verb_revert)
{
    static const struct usage usage = {
        "VM", "Undoes a failover.",
        "What the guest wrote since is thrown away; the recovery points are still there.\nThe guest must be off."};
    return method_verb(c, &usage, argc, argv, "RevertFailover", "Reverting",
                       "is a replica again. What was stopped on its primary host goes on with vmreplica resume there.", err);
}
