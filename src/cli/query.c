/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cli/cli.h"
#include "cli/show.h"

/* query and its relative get: whatever the API holds, for experts. */

static bool
print_all(struct cli *c, GPtrArray *found)
{
    json_t *out = json_array();
    for (guint i = 0; i < found->len; i++) {
        if (c->json)
            json_array_append_new(out, show_json(g_ptr_array_index(found, i)));
        else
            show_print_instance(g_ptr_array_index(found, i));
        if (!c->json && i + 1 < found->len)
            putchar('\n');
    }
    if (c->json)
        show_print_json(json_incref(out));
    json_decref(out);
    return true;
}

VERB(verb_query)
{
    static const struct usage usage = {
        "WQL", "Sends a WQL query and prints what it finds.",
        "SELECT * FROM Msvm_ConcreteJob WHERE JobState = 4\nASSOCIATORS OF {path} WHERE ResultClass = class"};
    g_auto(GStrv) args = NULL;
    if (!cli_parse(c, &usage, CLI_CONNECTS | CLI_JSON, NULL, argc, argv, &args, err))
        return c->helped;
    if (!cli_count(args, 1, 1, &usage, argv[0], err) || !cli_connect(c, err))
        return false;
    g_autoptr(GPtrArray) found = wsman_client_query(c->client, args[0], err);
    return found && print_all(c, found);
}
