/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cli/guest.h"
#include "cli/method.h"

#include "base/clean.h"
#include "base/err.h"

/* start: StartReplication; over the network (type 1), into a folder (2), from a copy that the replica host has (3). */

enum { NETWORK = 1, EXPORT = 2, EXISTING = 3 };

static struct cim_args *
arguments(const char *folder, bool existing, gint64 when)
{
    struct cim_args *in = cim_args_new();
    cim_args_set(in, "InitialReplicationType", cim_uint(CIM_UINT16, folder ? EXPORT : existing ? EXISTING : NETWORK));
    if (folder) {
        g_autofree char *path = g_canonicalize_filename(folder, NULL);
        cim_args_set(in, "InitialReplicationExportLocation", cim_string(path));
    }
    if (when)
        cim_args_set(in, "StartTime", cim_time(when));
    return in;
}

VERB(verb_start)
{
    static const struct usage usage = {"VM [--export DIR | --use-existing] [--at TIME]",
                                       "Copies the guest to its replica host, then goes on in cycles.",
                                       "The guest runs on meanwhile. Waits until the first copy is complete; with\n"
                                       "--export until the folder is, which vmreplica import reads on the other host.\n"
                                       "With --at it does not wait."};
    g_autofree char *at = NULL, *folder = NULL;
    gboolean existing = FALSE;
    gint64 when = 0;
    g_auto(GStrv) args = NULL;
    const GOptionEntry options[] = {{"export", 0, 0, G_OPTION_ARG_FILENAME, &folder, "copy into a folder there", "DIR"},
                                    {"use-existing", 0, 0, G_OPTION_ARG_NONE, &existing, "send what differs from a copy there", NULL},
                                    {"at", 0, 0, G_OPTION_ARG_STRING, &at, "begin then, at most 7 days ahead", "TIME"},
                                    {0}};
    if (!cli_parse(c, &usage, CLI_CONNECTS | CLI_JSON | CLI_WAITS, options, argc, argv, &args, err))
        return c->helped;
    if (folder && (existing || at))
        return err_set(err, ERR_USAGE, "--export goes neither with --use-existing nor with --at.");
    if (!cli_count(args, 1, 1, &usage, argv[0], err) || (at && !cli_time(at, &when, err)))
        return false;
    cim_instance_auto guest = guest_find(c, args[0], err);
    if (!guest)
        return false;
    c->no_wait = c->no_wait || when; /* nobody wants to wait until then */
    const char *name = cim_get_string(guest, "ElementName");
    g_autofree char *done = folder ? g_strdup_printf("'%s' is exported. On the replica host: vmreplica import %s DIR", name, args[0])
                                   : g_strdup_printf("'%s' is protected.", name);
    return method_on_guest(c, guest, "StartReplication", arguments(folder, existing, when), folder ? "Export" : "First copy", done, err);
}
