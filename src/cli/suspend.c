/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cli/method.h"

/* suspend: RequestReplicationStateChange 7; Ex for an extended relationship. */

VERB(verb_suspend)
{
    static const struct usage usage = {"VM [--extended]", "Pauses replication.", NULL};
    return method_replication_verb(c, &usage, argc, argv, 7, "Suspending", "is suspended; changes are tracked.", err);
}
