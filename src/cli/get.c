/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cli/cli.h"
#include "cli/show.h"

#include <string.h>

static struct cim_path *
path_of(char **args, GError **err)
{
    struct cim_path *p = cim_path_new(NULL, args[0]);
    for (char **a = args + 1; *a; a++) {
        char *equals = strchr(*a, '=');
        if (!equals) {
            err_set(err, ERR_USAGE, "'%s' is no KEY=VALUE.", *a);
            cim_path_free(p);
            return NULL;
        }
        *equals = '\0';
        cim_path_set(p, *a, equals + 1);
    }
    return p;
}

VERB(verb_get)
{
    static const struct usage usage = {
        "CLASS [KEY=VALUE...]", "Prints one instance of a CIM class.",
        "As many keys as it takes to mean one instance, for example\nvmreplica get Msvm_ConcreteJob InstanceID=..."};
    g_auto(GStrv) args = NULL;
    if (!cli_parse(c, &usage, CLI_CONNECTS | CLI_JSON, NULL, argc, argv, &args, err))
        return c->helped;
    if (!cli_count(args, 1, 16, &usage, argv[0], err) || !cli_connect(c, err))
        return false;
    cim_path_auto path = path_of(args, err);
    cim_instance_auto i = path ? wsman_client_get(c->client, path, err) : NULL;
    if (!i)
        return false;
    if (c->json)
        show_print_json(show_json(i));
    else
        show_print_instance(i);
    return true;
}
