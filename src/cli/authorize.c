/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cli/guest.h"
#include "cli/method.h"
#include "cli/show.h"

#include "cim/cimxml.h"

#include <string.h>

/* authorize: Msvm_ReplicationAuthorizationSettingData. */

/* Made by the daemon. */
#define DEFAULT_LOCATION "/var/lib/vmreplica/replicas"

static bool
list(struct cli *c, GError **err)
{
    g_autoptr(GPtrArray) all =
        cli_connect(c, err) ? wsman_client_enumerate(c->client, "Msvm_ReplicationAuthorizationSettingData", err) : NULL;
    if (!all)
        return false;
    json_t *out = json_array();
    struct table *t = table_new("PRIMARY", "TRUST GROUP", "LOCATION", NULL);
    for (guint i = 0; i < all->len; i++) {
        const struct cim_instance *e = g_ptr_array_index(all, i);
        const char *host = cim_get_string(e, "AllowedPrimaryHostSystem"), *group = cim_get_string(e, "TrustGroup"),
                   *at = cim_get_string(e, "ReplicaStorageLocation");
        table_add(t, host);
        table_add(t, group);
        table_add(t, at);
        json_array_append_new(out, json_pack("{s:s?, s:s?, s:s?}", "host", host, "trust_group", group, "location", at));
    }
    if (c->json)
        show_print_json(json_incref(out));
    else if (all->len)
        table_print(t, stdout);
    else
        puts("No host may send replicas here. See vmreplica authorize --help.");
    table_free(t);
    json_decref(out);
    return true;
}

/* What is NULL is left as it is. */
static bool
change(struct cli *c, const char *method, const char *host, const char *group, const char *location, const char *done, GError **err)
{
    cim_instance_auto e = cim_instance_new(cim_class_find(NULL, "Msvm_ReplicationAuthorizationSettingData"));
    cim_set_string(e, "AllowedPrimaryHostSystem", host);
    if (group)
        cim_set_string(e, "TrustGroup", group);
    if (location)
        cim_set_string(e, "ReplicaStorageLocation", location);
    g_autofree char *text = cim_xml_text(e);
    cim_path_auto service = guest_service();
    struct cim_args *args = cim_args_new();
    cim_args_set(args, "AuthorizationEntry", cim_string(text));
    return method_call(c, service, method, args, "Entry", done, err);
}

static bool
add(struct cli *c, const char *host, const char *group, const char *location, GError **err)
{
    if (!location)
        location = DEFAULT_LOCATION;
    g_autofree char *done = g_strdup_printf("'%s' may send replicas to '%s'.", host, location);
    return change(c, "AddAuthorizationEntry", host, group ? group : "DEFAULT", location, done, err);
}

static bool
modify(struct cli *c, const char *host, const char *group, const char *location, GError **err)
{
    if (!group && !location)
        return err_set(err, ERR_USAGE, "Nothing is to be changed for '%s'; give --location or --group.", host);
    g_autofree char *done = g_strdup_printf("The entry of '%s' was changed; replicas that are here already stay where they are.", host);
    return change(c, "ModifyAuthorizationEntry", host, group, location, done, err);
}

static bool
drop(struct cli *c, const char *host, GError **err)
{
    g_autofree char *done = g_strdup_printf("'%s' may no longer send replicas here.", host);
    cim_path_auto service = guest_service();
    struct cim_args *args = cim_args_new();
    cim_args_set(args, "AllowedPrimaryHostSystem", cim_string(host));
    return method_call(c, service, "RemoveAuthorizationEntry", args, "Entry", done, err);
}

VERB(verb_authorize)
{
    static const struct usage usage = {"[list] | add|modify HOST [OPTION...] | remove HOST",
                                       "Says which primary hosts may send replicas to this one.",
                                       "HOST is a name as in the host's certificate, *.domain, or * for any host."};
    g_autofree char *group = NULL, *location = NULL;
    g_auto(GStrv) args = NULL;
    const GOptionEntry options[] = {
        {"location", 'l', 0, G_OPTION_ARG_FILENAME, &location, "folder for its replicas", "DIR"},
        {"group", 'g', 0, G_OPTION_ARG_STRING, &group, "trust group (DEFAULT)", "NAME"},
        {0},
    };
    if (!cli_parse(c, &usage, CLI_CONNECTS | CLI_JSON | CLI_WAITS, options, argc, argv, &args, err))
        return c->helped;
    guint n = g_strv_length(args);
    if (n == 0 || (n == 1 && strcmp(args[0], "list") == 0))
        return list(c, err);
    if (n == 2 && strcmp(args[0], "add") == 0)
        return add(c, args[1], group, location, err);
    if (n == 2 && strcmp(args[0], "modify") == 0)
        return modify(c, args[1], group, location, err);
    if (n == 2 && strcmp(args[0], "remove") == 0)
        return drop(c, args[1], err);
    return err_set(err, ERR_USAGE, "Usage: vmreplica authorize %s", usage.synopsis);
}
