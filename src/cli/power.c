/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cli/guest.h"
#include "cli/method.h"

#include <string.h>

/* power: RequestStateChange of Msvm_ComputerSystem. */

static const struct action {
    const char *name;
    guint state;
    const char *done;
} actions[] = {
    {"on", 2, "was started."}, {"off", 3, "is off."}, {"shutdown", 4, "was asked to shut down."}, {"save", 6, "is saved."},
    {"pause", 9, "is paused."}, {"reboot", 10, "was rebooted."}, {"reset", 11, "was reset."},
};

VERB(verb_power)
{
    static const struct usage usage = {
        "VM on|off|shutdown|save|pause|reboot|reset", "Starts and stops a guest.",
        "A replica that was not failed over, and a primary prepared for failover, cannot\n"
        "be started. off is the power cord, shutdown the button."};
    g_auto(GStrv) args = NULL;
    if (!cli_parse(c, &usage, CLI_CONNECTS | CLI_JSON | CLI_WAITS, NULL, argc, argv, &args, err))
        return c->helped;
    if (!cli_count(args, 2, 2, &usage, argv[0], err))
        return false;
    for (gsize i = 0; i < G_N_ELEMENTS(actions); i++) {
        if (strcmp(args[1], actions[i].name) != 0)
            continue;
        cim_instance_auto guest = guest_find(c, args[0], err);
        g_autofree char *done = guest ? g_strdup_printf("'%s' %s", cim_get_string(guest, "ElementName"), actions[i].done) : NULL;
        return guest && method_state(c, guest, "RequestStateChange", actions[i].state, "Power", done, err);
    }
    return err_set(err, ERR_USAGE, "'%s' is nothing that power does. Usage: vmreplica power %s", args[1], usage.synopsis);
}
