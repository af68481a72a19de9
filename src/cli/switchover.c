/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cli/guest.h"
#include "cli/method.h"
#include "cli/twohosts.h"

/* switchover: a planned failover from this host to the other, or back to the start (contract sections 3.2, 4.4). */

struct wishes {
    guint64 timeout_s;
    gboolean force;
};

static struct side *
at_primary(struct twohosts *t)
{
    return &t->here;
}

static struct side *
at_replica(struct twohosts *t)
{
    return &t->there;
}

static bool
moved(const struct twohosts *t)
{
    return side_mode(&t->there) == MODE_PRIMARY;
}

static bool
is_synced(const struct twohosts *t)
{
    return side_state(&t->here) == STATE_SYNCED || moved(t);
}

static bool
is_off(const struct twohosts *t)
{
    return !side_runs(&t->here) || is_synced(t);
}

static bool
is_recovered(const struct twohosts *t)
{
    return side_state(&t->there) == STATE_RECOVERED || moved(t);
}

static bool
runs_there(const struct twohosts *t)
{
    return side_runs(&t->there);
}

static bool
shut_down(struct twohosts *t, void *user, GError **err)
{
    const struct wishes *w = user;
    if (w->force)
        return side_change(&t->here, "RequestStateChange", POWER_OFF, "Power off", err) && side_wait_off(&t->here, 60, err);
    g_autoptr(GError) why = NULL;
    if (side_change(&t->here, "RequestStateChange", POWER_SHUT_DOWN, "Shut down", &why) &&
        side_wait_off(&t->here, (guint)w->timeout_s, &why))
        return true;
    return err_set(err, why->domain == ERR ? (enum err_code)why->code : ERR_FAILED,
                   "%s Nothing else was changed. Shut it down from inside, or call with --force (power off).", why->message);
}

static bool
send_last(struct twohosts *t, void *user, GError **err)
{
    (void)user;
    return side_change(&t->here, "RequestReplicationStateChange", STATE_SYNCED, "Last changes", err);
}

static bool
bring_up(struct twohosts *t, void *user, GError **err)
{
    (void)user;
    return side_call(&t->there, "InitiateFailover", NULL, "Failover", err);
}

static bool
turn_round(struct twohosts *t, void *user, GError **err)
{
    (void)user;
    return side_call(&t->there, "ReverseReplicationRelationship", NULL, "Reversing", err);
}

static bool
start_there(struct twohosts *t, void *user, GError **err)
{
    (void)user;
    return side_change(&t->there, "RequestStateChange", POWER_ON, "Start", err);
}

/* --- undo ---------------------------------------------------------------------------------------------------------------------------- */

static bool
is_reverted(const struct twohosts *t)
{
    return side_state(&t->there) != STATE_RECOVERED;
}

static bool
is_unlocked(const struct twohosts *t)
{
    return side_state(&t->here) != STATE_SYNCED;
}

static bool
runs_here(const struct twohosts *t)
{
    return side_runs(&t->here);
}

static bool
revert(struct twohosts *t, void *user, GError **err)
{
    (void)user;
    return side_call(&t->there, "RevertFailover", NULL, "Reverting", err);
}

static bool
unlock(struct twohosts *t, void *user, GError **err)
{
    (void)user;
    return side_change(&t->here, "RequestReplicationStateChange", STATE_REPLICATING, "Unlocking", err);
}

static bool
start_here(struct twohosts *t, void *user, GError **err)
{
    (void)user;
    return side_change(&t->here, "RequestStateChange", POWER_ON, "Start", err);
}

/* --- the verb ------------------------------------------------------------------------------------------------------------------------ */

static bool
sides_fine(const struct twohosts *t, GError **err)
{
    const guint state = side_state(&t->here);
    const char *vm = twohosts_guest(t);
    if (side_mode(&t->here) != MODE_PRIMARY)
        return err_set(err, ERR_INVALID_STATE,
                       "'%s' is not the primary of '%s'; call switchover on '%s'. If one was cut off at its last step: "
                       "vmreplica power %s on --host %s",
                       t->here.name, vm, t->there.name, vm, t->remote.host);
    if (state != STATE_REPLICATING && state != STATE_SYNCED)
        return err_set(err, ERR_INVALID_STATE, "'%s' does not replicate without trouble on '%s' (state %u). See vmreplica status %s.", vm,
                       t->here.name, state, vm);
    if (side_mode(&t->there) != MODE_REPLICA)
        return err_set(err, ERR_INVALID_STATE, "'%s' holds no replica of '%s'. Name the right host with --peer.", t->there.name, vm);
    return true;
}

static guint64
replica_port(struct cli *c, GError **err)
{
    g_autoptr(GPtrArray) all = wsman_client_enumerate(c->client, "Msvm_ReplicationServiceSettingData", err);
    return all && all->len ? cim_get_uint(all->pdata[0], "HttpsPort") : 0;
}

/* Before anything is touched: can the roles be reversed afterwards? */
static bool
way_back_fine(struct twohosts *t, GError **err)
{
    cim_path_auto service = guest_service();
    const guint64 port = replica_port(t->here.cli, err);
    struct cim_args *args = cim_args_new();
    if (!port) {
        cim_args_free(args);
        return false;
    }
    cim_args_set(args, "RecoveryConnectionPoint", cim_string(t->here.name));
    cim_args_set(args, "RecoveryServerPortNumber", cim_uint(CIM_UINT16, port));
    cim_args_set(args, "AuthenticationType", cim_uint(CIM_UINT16, 2));
    g_autofree char *theirs = guest_host_thumbprint(&t->remote);
    if (theirs)
        cim_args_set(args, "CertificateThumbPrint", cim_string(theirs));
    const gboolean json = t->remote.json;
    t->remote.json = false;
    const bool fine = method_call(&t->remote, service, "TestReplicationConnection", args, "The way back", NULL, err);
    t->remote.json = json;
    if (!fine)
        g_prefix_error(err, "'%s' could not send to '%s' afterwards; there: vmreplica server --enable, vmreplica authorize add %s. ",
                       t->there.name, t->here.name, t->there.name);
    return fine;
}

static bool
go(struct twohosts *t, struct wishes *w, GError **err)
{
    static const struct step steps[] = {{"Shut down", at_primary, is_off, shut_down},
                                        {"Send the last changes and lock", at_primary, is_synced, send_last},
                                        {"Bring up", at_replica, is_recovered, bring_up},
                                        {"Reverse the roles", at_replica, moved, turn_round},
                                        {"Start", at_replica, runs_there, start_there}};
    return sides_fine(t, err) && way_back_fine(t, err) && twohosts_run(t, steps, G_N_ELEMENTS(steps), w, err);
}

static bool
go_back(struct twohosts *t, GError **err)
{
    static const struct step steps[] = {{"Revert the failover", at_replica, is_reverted, revert},
                                        {"Unlock", at_primary, is_unlocked, unlock},
                                        {"Start", at_primary, runs_here, start_here}};
    if (moved(t) || side_mode(&t->here) != MODE_PRIMARY)
        return err_set(err, ERR_INVALID_STATE, "The roles are reversed already, so nothing can be undone. Switch over again, from '%s'.",
                       t->there.name);
    if (side_state(&t->there) == STATE_RECOVERED && side_runs(&t->there))
        return err_set(err, ERR_INVALID_STATE,
                       "'%s' runs on '%s' already, and what it has written there would be lost. Power it off first.",
                       twohosts_guest(t), t->there.name);
    return twohosts_run(t, steps, G_N_ELEMENTS(steps), NULL, err);
}

VERB(verb_switchover)
{
    static const struct usage usage = {
        "VM [--force | --undo]", "Moves a guest to the host of its replica; nothing is lost.",
        "Called on the primary host: shuts the guest down, sends its last changes,\n"
        "brings it up on the other host, reverses the roles and starts it there. A step\n"
        "that failed leaves everything as it is: call again to go on, or with --undo to\n"
        "go back. The credentials below are for the other host, and with --host for both."};
    g_autofree char *peer = NULL, *timeout = NULL;
    struct wishes w = {.timeout_s = 300};
    gboolean undo = FALSE;
    g_auto(GStrv) args = NULL;
    const GOptionEntry options[] = {
        {"peer", 0, 0, G_OPTION_ARG_STRING, &peer, "API of the other host, if elsewhere", "NAME[:PORT]"},
        {"timeout", 't', 0, G_OPTION_ARG_STRING, &timeout, "for the guest to shut down (5m)", "TIME"},
        {"force", 'f', 0, G_OPTION_ARG_NONE, &w.force, "power off instead of shutting down", NULL},
        {"undo", 0, 0, G_OPTION_ARG_NONE, &undo, "go back, before the roles are reversed", NULL},
        {0},
    };
    if (!cli_parse(c, &usage, CLI_CONNECTS | CLI_JSON, options, argc, argv, &args, err))
        return c->helped;
    if (!cli_count(args, 1, 1, &usage, argv[0], err) || (timeout && !cli_duration(timeout, &w.timeout_s, err)))
        return false;
    twohosts_auto t = {0};
    if (!twohosts_open(&t, c, args[0], peer, err))
        return false;
    return undo ? go_back(&t, err) : go(&t, &w, err);
}
