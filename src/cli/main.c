/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/xml.h"
#include "cli/cli.h"

#include <locale.h>
#include <signal.h>
#include <string.h>

const struct verb verbs[] = {
    {"server", "receive replicas on this host: show or change", verb_server},
    {"authorize", "which hosts may send replicas here", verb_authorize},
    {"enable", "protect a guest: create its relationship", verb_enable},
    {"modify", "change settings of a guest's replication", verb_modify},
    {"start", "first copy, then cycles", verb_start},
    {"import", "first copy out of a folder", verb_import},
    {"status", "guests, states, health, RPO", verb_status},
    {"churn", "how much a guest writes, by disk and hour", verb_churn},
    {"points", "recovery points of a replica", verb_points},
    {"compare", "whether a replica has what its guest has", verb_compare},
    {"address", "addresses after a failover: show or set", verb_address},
    {"test-network", "networks of test guests' cards: show or set", verb_test_network},
    {"failover", "bring a replica up from a recovery point", verb_failover},
    {"test-failover", "a copy of a replica beside it, for a drill", verb_test_failover},
    {"revert", "undo a failover, keep the points", verb_revert},
    {"commit", "make a failover final, drop the points", verb_commit},
    {"prepare", "get ready for a planned failover", verb_prepare},
    {"reverse", "a failed-over replica becomes the primary", verb_reverse},
    {"demote", "an old primary becomes a replica", verb_demote},
    {"switchover", "the planned failover, both hosts in one call", verb_switchover},
    {"reprotect", "after a disaster: the old host becomes the replica", verb_reprotect},
    {"resynchronise", "compare with the replica, send what differs", verb_resynchronise},
    {"promote", "a replica becomes its third host's primary", verb_promote},
    {"group", "guests that belong together", verb_group},
    {"plan", "start a group's guests in order", verb_plan},
    {"suspend", "pause replication", verb_suspend},
    {"resume", "go on with replication", verb_resume},
    {"disable", "end the relationship on this host", verb_disable},
    {"power", "start and stop guests", verb_power},
    {"watch", "what happens, as it happens", verb_watch},
    {"jobs", "long-running work: list, wait, cancel", verb_jobs},
    {"log", "dump or check a change log file", verb_log},
    {"point", "check, export, compare, mount a point", verb_point},
    {"pki", "a small CA: init, issue, show", verb_pki},
    {"user", "users of the management API", verb_user},
    {"get", "instances of a CIM class", verb_get},
    {"query", "any WQL query", verb_query},
    {0},
};

static void
print_verbs(FILE *to)
{
    fputs(
        "Usage: vmreplica VERB [OPTION...] [ARGUMENT...]\n\nReplicates running KVM guests to another host and brings them back there.\n\n",
        to);
    for (const struct verb *v = verbs; v->name; v++)
        fprintf(to, "  %-13s %s\n", v->name, v->summary);
    fputs("\nvmreplica VERB --help explains a verb; vmreplica --version the version.\n", to);
}

static const struct verb *
find_verb(const char *name)
{
    for (const struct verb *v = verbs; v->name; v++)
        if (strcmp(v->name, name) == 0)
            return v;
    return NULL;
}

static int
run_verb(const struct verb *v, int argc, char **argv)
{
    struct cli c = {0};
    g_autoptr(GError) err = NULL;
    bool fine = v->run(&c, argc, argv, &err);
    const bool knows_ca = !c.host || c.ca;
    cli_clear(&c);
    if (fine && fflush(stdout) != 0)
        fine = err_errno(&err, "Writing to standard output");
    if (fine)
        return 0;
    fprintf(stderr, "vmreplica: %s%s\n", err->message,
            err_is(err, ERR_PEER_REFUSED) && !knows_ca ? " A CA that is not known here is named with --ca FILE." : "");
    return err_info_of(err)->exit;
}

int
main(int argc, char **argv)
{
    setlocale(LC_ALL, "");
    signal(SIGPIPE, SIG_IGN); /* a write that fails is reported like any other error */
    xml_init();
    const char *name = argc > 1 ? argv[1] : "";
    if (argc == 1 || strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0 || strcmp(name, "help") == 0) {
        print_verbs(argc == 1 ? stderr : stdout);
        return argc == 1 ? err_info(ERR_USAGE)->exit : 0;
    }
    if (strcmp(name, "--version") == 0) {
        puts("vmreplica " VMR_VERSION);
        return 0;
    }
    const struct verb *v = find_verb(name);
    if (v)
        return run_verb(v, argc - 1, argv + 1);
    fprintf(stderr, "vmreplica: There is no verb '%s'. See vmreplica --help.\n", name);
    return err_info(ERR_USAGE)->exit;
}
