/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cli/cli.h"

#include "net/pki.h"

#include <string.h>

/* pki: net/pki.h. */

static bool
init(const char *dir, const char *name, gint days, GError **err)
{
    if (!pki_init(dir, name, days ? (guint)days : PKI_CA_DAYS, err))
        return false;
    printf("The CA is in '%s'. Its key stays there; every host gets a copy of its certificate.\n", dir);
    return true;
}

static bool
issue(const char *dir, char **names, gint days, GError **err)
{
    g_autofree char *cert = NULL, *key = NULL;
    struct pki_request r = {.names = (const char *const *)names, .usages = PKI_BOTH, .days = (guint)days};
    if (!pki_issue(dir, &r, &cert, &key, err))
        return false;
    printf("Certificate: %s\nKey:         %s\n", cert, key);
    return true;
}

static bool
show(char **files, GError **err)
{
    for (; *files; files++) {
        g_autoptr(GString) out = g_string_new(NULL);
        if (!pki_show(*files, out, err))
            return false;
        fputs(out->str, stdout);
    }
    return true;
}

VERB(verb_pki)
{
    static const struct usage usage = {
        "init DIR | issue DIR NAME... | show FILE...", "A small certificate authority: enough to connect hosts that have no other.",
        "issue makes a certificate and a key for a host; its first NAME names the files,\n"
        "all of them stand in the certificate. Needs no daemon."};
    g_autofree char *name = NULL;
    gint days = 0;
    g_auto(GStrv) args = NULL;
    const GOptionEntry options[] = {
        {"days", 0, 0, G_OPTION_ARG_INT, &days, "valid for so many days", "N"},
        {"name", 0, 0, G_OPTION_ARG_STRING, &name, "name of the CA (init)", "NAME"},
        {0},
    };
    if (!cli_parse(c, &usage, CLI_LOCAL, options, argc, argv, &args, err))
        return c->helped;
    if (!cli_count(args, 2, G_MAXINT, &usage, argv[0], err))
        return false;
    if (days < 0)
        return err_set(err, ERR_USAGE, "--days must not be negative.");
    if (strcmp(args[0], "init") == 0)
        return cli_count(args, 2, 2, &usage, argv[0], err) && init(args[1], name, days, err);
    if (strcmp(args[0], "issue") == 0)
        return cli_count(args, 3, G_MAXINT, &usage, argv[0], err) && issue(args[1], args + 2, days, err);
    if (strcmp(args[0], "show") == 0)
        return show(args + 1, err);
    return err_set(err, ERR_USAGE, "'%s' is nothing that pki does. Usage: vmreplica pki %s", args[0], usage.synopsis);
}
