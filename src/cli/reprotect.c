/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cli/twohosts.h"

/* reprotect: after a disaster the old primary becomes the replica of the host that took over; only differences travel. */

static struct side *
at_new(struct twohosts *t)
{
    return &t->here;
}

static struct side *
at_old(struct twohosts *t)
{
    return &t->there;
}

static bool
is_reversed(const struct twohosts *t)
{
    return side_mode(&t->here) == MODE_PRIMARY;
}

static bool
is_replica(const struct twohosts *t)
{
    return side_mode(&t->there) == MODE_REPLICA || is_reversed(t);
}

static bool
is_protected(const struct twohosts *t)
{
    return is_reversed(t) && side_state(&t->here) != STATE_READY;
}

static bool
demote(struct twohosts *t, void *user, GError **err)
{
    (void)user;
    if (side_runs(&t->there))
        return err_set(err, ERR_INVALID_STATE,
                       "The guest runs on this host, too. What it has written here since the failover will be lost: decide, and "
                       "power it off.");
    return side_change(&t->there, "RequestReplicationStateChange", MODE_REPLICA, "Making a replica", err);
}

static bool
reverse(struct twohosts *t, void *user, GError **err)
{
    (void)user;
    return side_call(&t->here, "ReverseReplicationRelationship", NULL, "Reversing", err);
}

static bool
send(struct twohosts *t, void *user, GError **err)
{
    (void)user;
    struct cim_args *args = cim_args_new();
    cim_args_set(args, "InitialReplicationType", cim_uint(CIM_UINT16, 1));
    return side_call(&t->here, "StartReplication", args, "Sending differences", err);
}

static bool
failed_over(const struct side *s)
{
    return side_mode(s) == MODE_REPLICA && (side_state(s) == STATE_RECOVERED || side_state(s) == STATE_COMMITTED);
}

static bool
sides_fine(const struct twohosts *t, GError **err)
{
    if (failed_over(&t->here) || (is_reversed(t) && !failed_over(&t->there)))
        return true;
    return err_set(err, ERR_INVALID_STATE, "'%s' was not failed over to '%s'. Call reprotect where it runs now; see vmreplica status %s.",
                   twohosts_guest(t), t->here.name, twohosts_guest(t));
}

VERB(verb_reprotect)
{
    static const struct usage usage = {
        "VM", "After a disaster: protects a guest on the host that it came from.",
        "Called on the host to which the guest was failed over, once the old host is\n"
        "back: makes the old copy there a replica, reverses the roles, and sends what\n"
        "differs. What the guest wrote on the old host after the failover is lost. If\n"
        "a step fails, call again to go on. The credentials below are for the other\n"
        "host, and with --host for both."};
    static const struct step steps[] = {{"Make the old copy a replica", at_old, is_replica, demote},
                                        {"Reverse the roles", at_new, is_reversed, reverse},
                                        {"Send the differences", at_new, is_protected, send}};
    g_autofree char *peer = NULL;
    g_auto(GStrv) args = NULL;
    const GOptionEntry options[] = {
        {"peer", 0, 0, G_OPTION_ARG_STRING, &peer, "API of the other host, if elsewhere", "NAME[:PORT]"},
        {0},
    };
    if (!cli_parse(c, &usage, CLI_CONNECTS | CLI_JSON, options, argc, argv, &args, err))
        return c->helped;
    if (!cli_count(args, 1, 1, &usage, argv[0], err))
        return false;
    twohosts_auto t = {0};
    return twohosts_open(&t, c, args[0], peer, err) && sides_fine(&t, err) &&
           twohosts_run(&t, steps, G_N_ELEMENTS(steps), NULL, err);
}
