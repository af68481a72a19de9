/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cli/guest.h"
#include "cli/method.h"

#include "cim/cimxml.h"

#include <jansson.h>

/* enable: CreateReplicationRelationship with the guest's own Msvm_ReplicationSettingData, edited. */

enum { PORT = 8443, HISTORY = 24, CERTIFICATE = 2, REPLICA = 2, EXTENDED_SECONDS = 300 };

struct wishes {
    char *to, *interval, *keep_every, *retention, *disks, *engine, *bandwidth, *app_every, *leave_out;
    char *compression;
    gint port, interval_ms, history, app_hours;
    gboolean no_compression;
    char **set;
};

static bool
is_replica(const struct cim_instance *guest)
{
    return cim_get_uint(guest, "ReplicationMode") == REPLICA;
}

/* A replica has the settings of both its relationships: towards the primary, and towards a third host. */
static const struct cim_instance *
settings_among(const GPtrArray *all, bool extended)
{
    for (guint i = 0; i < all->len; i++) {
        const char *id = cim_get_string(g_ptr_array_index(all, i), "InstanceID");
        if (id && g_str_has_suffix(id, extended ? "\\HVR\\1" : "\\HVR\\0"))
            return g_ptr_array_index(all, i);
    }
    return g_ptr_array_index(all, 0);
}

static struct cim_instance *
template_of(struct cli *c, const struct cim_instance *guest, GError **err)
{
    cim_path_auto path = cim_instance_path(guest);
    g_autoptr(GPtrArray) all = wsman_client_associators(c->client, path, "Msvm_ReplicationSettingData", err);
    if (all && all->len == 0)
        err_set(err, ERR_NOT_AVAILABLE, "The guest '%s' has no replication settings.", cim_get_string(guest, "ElementName"));
    return all && all->len ? cim_instance_copy(settings_among(all, is_replica(guest))) : NULL;
}

/* 30, 300 and 900 s are the contract's own intervals; every other one travels in AdditionalSettings. */
static bool
interval_of(const struct wishes *w, guint *seconds, guint *ms, GError **err)
{
    guint64 wanted = 0;
    *seconds = 30;
    *ms = (guint)w->interval_ms;
    if (w->interval && !cli_duration(w->interval, &wanted, err))
        return false;
    if (w->interval && !wanted)
        return err_set(err, ERR_USAGE, "An interval has at least one second, not '%s'; --interval-ms goes down to 250.", w->interval);
    if (w->interval && w->interval_ms)
        return err_set(err, ERR_USAGE, "--interval and --interval-ms contradict one another.");
    if (wanted == 30 || wanted == 300 || wanted == 900)
        *seconds = (guint)wanted;
    else if (wanted > 3600)
        return err_set(err, ERR_USAGE, "An interval has at most one hour, not %s.", w->interval);
    else if (w->interval)
        *ms = (guint)wanted * 1000;
    return true;
}

/* "KEY=VALUE" of AdditionalSettings; a whole number is one. */
static bool
add_setting(json_t *all, const char *pair, GError **err)
{
    char *end = NULL;
    const char *value = strchr(pair, '=');
    if (!value || value == pair)
        return err_set(err, ERR_USAGE, "'%s' is no setting; --set KEY=VALUE is expected.", pair);
    g_autofree char *key = g_strndup(pair, (gsize)(value++ - pair));
    const gint64 number = g_ascii_strtoll(value, &end, 10);
    json_object_set_new(all, key, *value && !*end ? json_integer(number) : json_string(value));
    return true;
}

static bool
additional(const struct wishes *w, guint ms, char **text, GError **err)
{
    guint64 keep = 0, app = 0;
    if ((w->keep_every && !cli_duration(w->keep_every, &keep, err)) || (w->app_every && !cli_duration(w->app_every, &app, err)))
        return false;
    json_t *all = json_object();
    if (ms)
        json_object_set_new(all, "interval_ms", json_integer(ms));
    if (w->keep_every)
        json_object_set_new(all, "keep_every_cycle_s", json_integer((json_int_t)keep));
    if (w->app_every)
        json_object_set_new(all, "application_interval_s", json_integer((json_int_t)app));
    if (w->retention)
        json_object_set_new(all, "retention", json_string(w->retention));
    if (w->bandwidth)
        json_object_set_new(all, "bandwidth", json_string(w->bandwidth));
    if (w->leave_out)
        json_object_set_new(all, "leave_out", json_string(w->leave_out));
    if (w->compression)
        json_object_set_new(all, "compression", json_string(w->compression));
    if (w->engine)
        json_object_set_new(all, "engine", json_string(w->engine));
    for (char **pair = w->set; pair && *pair; pair++)
        if (!add_setting(all, *pair, err)) {
            json_decref(all);
            return false;
        }
    char *dump = json_object_size(all) ? json_dumps(all, JSON_COMPACT) : NULL;
    *text = g_strdup(dump);
    free(dump);
    json_decref(all);
    return true;
}

static void
set_disks(struct cim_instance *s, const char *list)
{
    g_auto(GStrv) disks = g_strsplit(list, ",", -1);
    cim_set_strings(s, "IncludedDisks", disks);
}

static bool
edit(struct cli *c, struct cim_instance *s, const struct wishes *w, bool extended, GError **err)
{
    guint seconds, ms;
    g_autofree char *more = NULL;
    if (!interval_of(w, &seconds, &ms, err) || !additional(w, ms, &more, err))
        return false;
    if (extended && !w->interval)
        seconds = EXTENDED_SECONDS; /* its shortest interval */
    const char *known = cim_get_string(s, "CertificateThumbPrint");
    g_autofree char *thumbprint = known && *known ? g_strdup(known) : guest_host_thumbprint(c);
    cim_set_string(s, "RecoveryConnectionPoint", w->to);
    cim_set_uint(s, "RecoveryServerPortNumber", (guint64)w->port);
    cim_set_uint(s, "AuthenticationType", CERTIFICATE);
    if (thumbprint)
        cim_set_string(s, "CertificateThumbPrint", thumbprint);
    cim_set_uint(s, "ReplicationInterval", seconds);
    cim_set_uint(s, "RecoveryHistory", (guint64)w->history);
    cim_set_uint(s, "ApplicationConsistentSnapshotInterval", (guint64)w->app_hours);
    cim_set_bool(s, "CompressionEnabled", !w->no_compression);
    cim_set_string(s, "AdditionalSettings", more);
    if (w->disks)
        set_disks(s, w->disks);
    return true;
}

static bool
enable(struct cli *c, const char *name, const struct wishes *w, GError **err)
{
    cim_instance_auto guest = guest_find(c, name, err);
    cim_instance_auto s = guest ? template_of(c, guest, err) : NULL;
    if (!s || !edit(c, s, w, is_replica(guest), err))
        return false;
    g_autofree char *text = cim_xml_text(s);
    g_autofree char *done = g_strdup_printf("'%s' is connected with '%s'. Begin with: vmreplica start %s", name, w->to, name);
    struct cim_args *args = cim_args_new();
    cim_args_set(args, "ReplicationSettingData", cim_string(text));
    return method_on_guest(c, guest, "CreateReplicationRelationship", args, "Connecting", done, err);
}

static bool
in_range(const char *option, gint value, gint min, gint max, GError **err)
{
    return (value >= min && value <= max) || err_set(err, ERR_USAGE, "--%s is %d and must be %d to %d.", option, value, min, max);
}

VERB(verb_enable)
{
    static const struct usage usage = {
        "VM --to HOST [OPTION...]", "Protects a guest: makes its relationship with the host that shall hold the\nreplica.",
        "Nothing is copied yet; that begins with vmreplica start. HOST is the name in\n"
        "that host's certificate. Called on a replica, the chain is extended to HOST."};
    struct wishes w = {.port = PORT, .history = HISTORY};
    g_auto(GStrv) args = NULL;
    const GOptionEntry options[] = {
        {"to", 0, 0, G_OPTION_ARG_STRING, &w.to, "host for the replica", "HOST"},
        {"port", 0, 0, G_OPTION_ARG_INT, &w.port, "its replication port (8443)", "N"},
        {"interval", 'i', 0, G_OPTION_ARG_STRING, &w.interval, "one cycle every 30s, 5m, ...", "TIME"},
        {"interval-ms", 0, 0, G_OPTION_ARG_INT, &w.interval_ms, "the same, finer", "N"},
        {"history", 0, 0, G_OPTION_ARG_INT, &w.history, "hourly points kept, 0 to 24 (24)", "N"},
        {"keep-every", 0, 0, G_OPTION_ARG_STRING, &w.keep_every, "keep every cycle for so long", "TIME"},
        {"retention", 0, 0, G_OPTION_ARG_STRING, &w.retention, "more points, see vmreplica(1)", "RULES"},
        {"app-consistent", 0, 0, G_OPTION_ARG_INT, &w.app_hours, "quiesce every N hours", "N"},
        {"app-every", 0, 0, G_OPTION_ARG_STRING, &w.app_every, "the same, finer: 10m", "TIME"},
        {"disks", 0, 0, G_OPTION_ARG_STRING, &w.disks, "only these: vda,vdb", "LIST"},
        {"engine", 0, 0, G_OPTION_ARG_STRING, &w.engine, "how changes are captured: push, pull", "NAME"},
        {"leave-out", 0, 0, G_OPTION_ARG_STRING, &w.leave_out, "do not send what is in there: swap", "WHAT"},
        {"bandwidth", 0, 0, G_OPTION_ARG_STRING, &w.bandwidth, "at most so much per second: 20MiB", "RATE"},
        {"set", 0, 0, G_OPTION_ARG_STRING_ARRAY, &w.set, "another setting, see vmreplica(1)", "KEY=VALUE"},
        {"compression", 0, 0, G_OPTION_ARG_STRING, &w.compression, "auto, none, lz4, zstd:-1 ... zstd:3", "HOW"},
        {"no-compression", 0, 0, G_OPTION_ARG_NONE, &w.no_compression, "send raw data", NULL},
        {0},
    };
    bool fine = cli_parse(c, &usage, CLI_CONNECTS | CLI_JSON | CLI_WAITS, options, argc, argv, &args, err);
    if (fine && !cli_count(args, 1, 1, &usage, argv[0], err))
        fine = false;
    else if (fine && !w.to)
        fine = err_set(err, ERR_USAGE, "--to is missing: the host that shall hold the replica.");
    else if (fine && w.compression && w.no_compression)
        fine = err_set(err, ERR_USAGE, "--compression and --no-compression contradict one another.");
    else if (fine)
        fine = in_range("port", w.port, 1, 65535, err) && in_range("history", w.history, 0, 24, err) &&
               in_range("app-consistent", w.app_hours, 0, 12, err) && in_range("interval-ms", w.interval_ms, 0, 3600000, err) &&
               enable(c, args[0], &w, err);
    else
        fine = c->helped;
    g_free(w.to);
    g_free(w.interval);
    g_free(w.keep_every);
    g_free(w.retention);
    g_free(w.disks);
    g_free(w.engine);
    g_free(w.bandwidth);
    g_free(w.leave_out);
    g_strfreev(w.set);
    g_free(w.app_every);
    g_free(w.compression);
    return fine;
}
