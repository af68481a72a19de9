/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cli/guest.h"
#include "cli/method.h"
#include "cli/show.h"

#include "cim/cimxml.h"

/* server: Msvm_ReplicationServiceSettingData, read and changed as a whole (ModifyServiceSettings). */

static struct cim_instance *
settings_of(struct cli *c, GError **err)
{
    g_autoptr(GPtrArray) all = cli_connect(c, err) ? wsman_client_enumerate(c->client, "Msvm_ReplicationServiceSettingData", err) : NULL;
    if (all && all->len == 0)
        err_set(err, ERR_NOT_AVAILABLE, "The host has no replication settings. Look into the log of vmreplicad.");
    return all && all->len ? cim_instance_copy(g_ptr_array_index(all, 0)) : NULL;
}

static bool
show(struct cli *c, const struct cim_instance *s)
{
    if (c->json) {
        show_print_json(json_pack("{s:b, s:i, s:i, s:s?}", "enabled", cim_get_bool(s, "RecoveryServerEnabled"), "port",
                                  (int)cim_get_uint(s, "HttpsPort"), "monitoring_interval_s", (int)cim_get_uint(s, "MonitoringInterval"),
                                  "thumbprint", cim_get_string(s, "CertificateThumbPrint")));
        return true;
    }
    const char *thumbprint = cim_get_string(s, "CertificateThumbPrint");
    printf("Receiving replicas: %s\nPort:               %u\nCertificate:        %s\n",
           cim_get_bool(s, "RecoveryServerEnabled") ? "yes" : "no", (guint)cim_get_uint(s, "HttpsPort"), thumbprint ? thumbprint : "-");
    return true;
}

/* Certificates are the only way in (authentication type 2). */
static void
set_enabled(struct cli *c, struct cim_instance *s)
{
    const char *known = cim_get_string(s, "CertificateThumbPrint");
    g_autofree char *own = known && *known ? NULL : guest_host_thumbprint(c);
    cim_set_bool(s, "RecoveryServerEnabled", true);
    cim_set_uint(s, "AllowedAuthenticationType", 2);
    if (own)
        cim_set_string(s, "CertificateThumbPrint", own);
}

static bool
change(struct cli *c, struct cim_instance *s, gboolean enable, gboolean disable, gint port, GError **err)
{
    if (enable)
        set_enabled(c, s);
    if (disable)
        cim_set_bool(s, "RecoveryServerEnabled", false);
    if (port > 0)
        cim_set_uint(s, "HttpsPort", (guint64)port);
    g_autofree char *text = cim_xml_text(s);
    cim_path_auto service = guest_service();
    struct cim_args *args = cim_args_new();
    cim_args_set(args, "SettingData", cim_string(text));
    const char *done = enable    ? "This host receives replicas now."
                       : disable ? "This host no longer receives replicas."
                                 : "The port was changed.";
    return method_call(c, service, "ModifyServiceSettings", args, "Settings", done, err);
}

VERB(verb_server)
{
    static const struct usage usage = {"[--enable | --disable] [--port N]", "Shows or changes whether this host receives replicas.",
                                       "Who may send is said with vmreplica authorize."};
    gboolean enable = FALSE, disable = FALSE;
    gint port = -1;
    g_auto(GStrv) args = NULL;
    const GOptionEntry options[] = {
        {"enable", 0, 0, G_OPTION_ARG_NONE, &enable, "receive replicas", NULL},
        {"disable", 0, 0, G_OPTION_ARG_NONE, &disable, "refuse them; what is here stays", NULL},
        {"port", 0, 0, G_OPTION_ARG_INT, &port, "listen on this port (8443)", "N"},
        {0},
    };
    if (!cli_parse(c, &usage, CLI_CONNECTS | CLI_JSON | CLI_WAITS, options, argc, argv, &args, err))
        return c->helped;
    if (!cli_count(args, 0, 0, &usage, argv[0], err))
        return false;
    if (enable && disable)
        return err_set(err, ERR_USAGE, "--enable and --disable contradict one another.");
    if (port != -1 && (port < 1 || port > 65535))
        return err_set(err, ERR_USAGE, "--port is %d and must be 1 to 65535.", port);
    cim_instance_auto s = settings_of(c, err);
    if (!s)
        return false;
    return enable || disable || port > 0 ? change(c, s, enable, disable, port, err) : show(c, s);
}
