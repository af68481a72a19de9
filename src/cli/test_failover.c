/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cli/guest.h"
#include "cli/method.h"
#include "cli/verify.h"

/* test-failover: TestReplicaSystem; --start RequestStateChange 2 of the test guest; --stop RequestStateChange 3 and DestroySystem. */

enum { START = 2, OFF = 3, STATE_OFF = 3 };

/* The test guest of that replica, or NULL with an error. */
static struct cim_instance *
test_guest(struct cli *c, const struct cim_instance *guest, GError **err)
{
    cim_path_auto path = cim_instance_path(guest);
    g_autofree char *text = cim_path_text(path);
    g_autofree char *wql = g_strdup_printf(
        "ASSOCIATORS OF {%s} WHERE AssocClass = Msvm_ReplicaSystemDependency ResultClass = Msvm_ComputerSystem", text);
    g_autoptr(GPtrArray) found = wsman_client_query(c->client, wql, err);
    if (found && found->len)
        return cim_instance_copy(g_ptr_array_index(found, 0));
    if (found)
        err_set(err, ERR_INVALID_STATE, "'%s' has no test guest.", cim_get_string(guest, "ElementName"));
    return NULL;
}

static bool
start_test(struct cli *c, const struct cim_instance *guest, GError **err)
{
    cim_instance_auto test = test_guest(c, guest, err);
    g_autofree char *done = test ? g_strdup_printf("'%s' runs. When you have seen enough: vmreplica test-failover %s --stop",
                                                   cim_get_string(test, "ElementName"), cim_get_string(guest, "ElementName"))
                                 : NULL;
    return test && method_state(c, test, "RequestStateChange", START, "Start", done, err);
}

static bool
begin(struct cli *c, const struct cim_instance *guest, const char *point, bool damaged, bool start, GError **err)
{
    struct cim_args *args = cim_args_new();
    if (point && !guest_point_argument(c, guest, point, args, err)) {
        cim_args_free(args);
        return false;
    }
    if (damaged)
        cim_args_set(args, "AllowDamaged", cim_bool(true));
    g_autofree char *done = g_strdup_printf("'%s - Test' is there, off, its network cards as the settings say.",
                                            cim_get_string(guest, "ElementName"));
    bool json = c->json;
    c->json = json && !start; /* one object only */
    bool fine = method_on_guest(c, guest, "TestReplicaSystem", args, "Test failover", start ? NULL : done, err);
    c->json = json;
    return fine && (!start || start_test(c, guest, err));
}

static bool
turn_off(struct cli *c, const struct cim_instance *test, GError **err)
{
    bool json = c->json;
    if (cim_get_uint(test, "EnabledState") == STATE_OFF)
        return true;
    c->json = false;
    bool fine = method_state(c, test, "RequestStateChange", OFF, "Turning off", NULL, err);
    c->json = json;
    return fine;
}

static bool
stop(struct cli *c, const struct cim_instance *guest, GError **err)
{
    cim_instance_auto test = test_guest(c, guest, err);
    if (!test || !turn_off(c, test, err))
        return false;
    g_autofree char *done = g_strdup_printf("'%s' is gone.", cim_get_string(test, "ElementName"));
    cim_path_auto service = cim_path_new(NULL, "Msvm_VirtualSystemManagementService");
    struct cim_args *args = cim_args_new();
    cim_path_set(service, "CreationClassName", "Msvm_VirtualSystemManagementService");
    cim_args_set(args, "AffectedSystem", cim_ref(cim_instance_path(test)));
    return method_call(c, service, "DestroySystem", args, "Removing the test guest", done, err);
}

struct wishes {
    char *point;
    gboolean start, end, verify, all, damaged;
};

static bool
check(const struct cli *c, const struct wishes *w, GError **err)
{
    if (w->end && (w->point || w->start || w->verify || w->all || w->damaged))
        return err_set(err, ERR_USAGE, "--stop stands alone.");
    if (w->all && (w->point || w->start || w->verify))
        return err_set(err, ERR_USAGE, "--verify-all stands alone.");
    if (w->verify && w->start)
        return err_set(err, ERR_USAGE, "--verify starts the copy by itself; leave --start out.");
    if ((w->verify || w->all) && w->damaged)
        return err_set(err, ERR_USAGE, "A point that is known to be damaged need not be checked; leave --damaged out.");
    if (w->start && c->no_wait)
        return err_set(err, ERR_USAGE, "--start has to wait for the copy; leave --no-wait out.");
    return !((w->verify || w->all) && c->no_wait) || err_set(err, ERR_USAGE, "A report needs the end of the check; leave --no-wait out.");
}

static bool
carry_out(struct cli *c, const char *name, const struct wishes *w, GError **err)
{
    const char *point = g_strcmp0(w->point, "latest") == 0 ? NULL : w->point;
    if (w->all)
        return verify_all(c, err);
    if (w->verify)
        return verify_one(c, name, point, err);
    cim_instance_auto guest = guest_find(c, name, err);
    return guest && (w->end ? stop(c, guest, err) : begin(c, guest, point, w->damaged, w->start, err));
}

VERB(verb_test_failover)
{
    static const struct usage usage = {
        "VM [OPTION...] | --verify-all", "Brings up a copy of a replica beside it, for a drill.",
        "Called on the host that holds the replica; replication goes on. The copy is\n"
        "named \"VM - Test\" and has network cards of its own: disconnected, or on the\n"
        "network of the setting test_network. --stop turns it off and removes it.\n"
        "--verify starts it, waits until its guest agent answers (or the text of the\n"
        "setting verify_text comes on its serial console), takes a screenshot and\n"
        "removes it; --verify-all does so with every replica of this host in turn. The\n"
        "exit status is 0 when all have come up."};
    struct wishes w = {0};
    g_auto(GStrv) args = NULL;
    const GOptionEntry options[] = {
        {"point", 'p', 0, G_OPTION_ARG_STRING, &w.point, "recovery point; see vmreplica points", "POINT"},
        {"damaged", 0, 0, G_OPTION_ARG_NONE, &w.damaged, "even if the point is damaged", NULL},
        {"start", 's', 0, G_OPTION_ARG_NONE, &w.start, "start the copy, too", NULL},
        {"stop", 0, 0, G_OPTION_ARG_NONE, &w.end, "turn the copy off and remove it", NULL},
        {"verify", 0, 0, G_OPTION_ARG_NONE, &w.verify, "see whether it comes up, remove it", NULL},
        {"verify-all", 0, 0, G_OPTION_ARG_NONE, &w.all, "the same for every replica", NULL},
        {0},
    };
    bool fine = cli_parse(c, &usage, CLI_CONNECTS | CLI_JSON | CLI_WAITS, options, argc, argv, &args, err);
    const guint names = w.all ? 0 : 1;
    fine = fine ? cli_count(args, names, names, &usage, argv[0], err) && check(c, &w, err) && carry_out(c, names ? args[0] : NULL, &w, err)
                : c->helped;
    g_free(w.point);
    return fine;
}
