/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cli/method.h"

VERB(verb_disable)
{
    static const struct usage usage = {"VM", "Ends the relationship, on this host only.",
                                       "Call it on the other host, too. The disks of a replica stay."};
    return method_verb(c, &usage, argc, argv, "RemoveReplicationRelationship", "Removing", "is no longer replicated by this host.", err);
}
