/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cli/method.h"

VERB(verb_reverse)
{
    static const struct usage usage = {
        "VM", "Makes a failed-over replica the primary, and the old primary its replica.",
        "Before it, on the old primary host: vmreplica prepare (planned) or vmreplica\n"
        "demote (after a disaster). Recovery points here are given up. The guest may run."};
    return method_verb(c, &usage, argc, argv, "ReverseReplicationRelationship", "Reversing", "is the primary now; see vmreplica status.",
                       err);
}
