/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cli/guest.h"
#include "cli/method.h"

#include <string.h>

/* failover: InitiateFailover, and with --start RequestStateChange 2. */

enum { START = 2 };

static bool
fail_over(struct cli *c, const struct cim_instance *guest, const char *point, gboolean damaged, gboolean start, GError **err)
{
    const char *name = cim_get_string(guest, "ElementName");
    struct cim_args *args = cim_args_new();
    if (point && !guest_point_argument(c, guest, point, args, err)) {
        cim_args_free(args);
        return false;
    }
    if (damaged)
        cim_args_set(args, "AllowDamaged", cim_bool(true));
    g_autofree char *next = g_strdup_printf("'%s' was brought up from %s. Start it with: vmreplica power %s on", name,
                                            point ? "the point" : "the latest state", name);
    g_autofree char *started =
        g_strdup_printf("'%s' runs here. Then: vmreplica commit %s, or power off and vmreplica revert %s", name, name, name);
    bool json = c->json;
    c->json = json && !start; /* one object only */
    bool fine = method_on_guest(c, guest, "InitiateFailover", args, "Failover", start ? NULL : next, err);
    c->json = json;
    return fine && (!start || method_state(c, guest, "RequestStateChange", START, "Start", started, err));
}

VERB(verb_failover)
{
    static const struct usage usage = {
        "VM [--point POINT] [--damaged] [--start]", "Brings a replica up, from a recovery point or from the latest state.",
        "Called on the host that holds the replica. No data is copied. POINT is an id,\n"
        "latest, or a time: the newest point at or before it. The guest stays off\n"
        "unless --start is given.\n"
        "A point that is known to be damaged is refused unless --damaged is given.\n"
        "Afterwards: vmreplica revert (another point) or vmreplica commit (final)."};
    g_autofree char *point = NULL;
    gboolean start = FALSE, damaged = FALSE;
    g_auto(GStrv) args = NULL;
    const GOptionEntry options[] = {
        {"point", 'p', 0, G_OPTION_ARG_STRING, &point, "recovery point; see vmreplica points", "POINT"},
        {"damaged", 0, 0, G_OPTION_ARG_NONE, &damaged, "even if it is damaged", NULL},
        {"start", 's', 0, G_OPTION_ARG_NONE, &start, "start the guest, too", NULL},
        {0},
    };
    if (!cli_parse(c, &usage, CLI_CONNECTS | CLI_JSON | CLI_WAITS, options, argc, argv, &args, err))
        return c->helped;
    if (!cli_count(args, 1, 1, &usage, argv[0], err))
        return false;
    if (start && c->no_wait)
        return err_set(err, ERR_USAGE, "--start has to wait for the failover; leave --no-wait out.");
    if (g_strcmp0(point, "latest") == 0)
        g_clear_pointer(&point, g_free);
    cim_instance_auto guest = guest_find(c, args[0], err);
    return guest && fail_over(c, guest, point, damaged, start, err);
}
