/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cli/guest.h"
#include "cli/method.h"

#include "cim/cimxml.h"

#include <jansson.h>
#include <string.h>

/* modify: ModifyReplicationSettings with the relationship's own Msvm_ReplicationSettingData; what no option names stays. */

struct wishes {
    char *app_every, *keep_every, *retention, *bandwidth;
    gint history, app_hours;
    char **set, **unset;
};

enum { UNTOLD = -1, HISTORY_MAX = 24, APP_HOURS_MAX = 12 };

static struct cim_instance *
settings_of(struct cli *c, const struct cim_instance *guest, GError **err)
{
    cim_path_auto path = cim_instance_path(guest);
    g_autoptr(GPtrArray) all = wsman_client_associators(c->client, path, "Msvm_ReplicationSettingData", err);
    for (guint i = 0; all && i < all->len; i++) {
        const char *id = cim_get_string(g_ptr_array_index(all, i), "InstanceID");
        if (id && g_str_has_suffix(id, "\\HVR\\0"))
            return cim_instance_copy(g_ptr_array_index(all, i));
    }
    if (all && all->len == 1)
        return cim_instance_copy(g_ptr_array_index(all, 0));
    if (all)
        err_set(err, ERR_NOT_AVAILABLE, "The guest '%s' has no replication settings.", cim_get_string(guest, "ElementName"));
    return NULL;
}

/* ---- AdditionalSettings ---- */

/* "off" takes the key away. */
static bool
put_time(json_t *all, const char *key, const char *text, GError **err)
{
    guint64 seconds = 0;
    if (!text)
        return true;
    if (strcmp(text, "off") == 0)
        json_object_del(all, key);
    else if (cli_duration(text, &seconds, err))
        json_object_set_new(all, key, json_integer((json_int_t)seconds));
    else
        return false;
    return true;
}

static void
put_text(json_t *all, const char *key, const char *text)
{
    if (text && strcmp(text, "off") == 0)
        json_object_del(all, key);
    else if (text)
        json_object_set_new(all, key, json_string(text));
}

/* "KEY=VALUE"; a whole number is one. */
static bool
put_pair(json_t *all, const char *pair, GError **err)
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
put_all(json_t *all, const struct wishes *w, GError **err)
{
    if (!put_time(all, "application_interval_s", w->app_every, err) || !put_time(all, "keep_every_cycle_s", w->keep_every, err))
        return false;
    put_text(all, "retention", w->retention);
    put_text(all, "bandwidth", w->bandwidth);
    if (w->bandwidth)
        json_object_del(all, "bandwidth_bytes_per_s"); /* the same as a number: not both */
    for (char **key = w->unset; key && *key; key++)
        json_object_del(all, *key);
    for (char **pair = w->set; pair && *pair; pair++)
        if (!put_pair(all, *pair, err))
            return false;
    return true;
}

static bool
edit(struct cim_instance *s, const struct wishes *w, GError **err)
{
    const char *now = cim_get_string(s, "AdditionalSettings");
    json_t *all = now && *now ? json_loads(now, 0, NULL) : NULL;
    if (!json_is_object(all)) {
        json_decref(all);
        all = json_object();
    }
    const bool fine = put_all(all, w, err);
    char *dump = json_dumps(all, JSON_COMPACT);
    if (fine)
        cim_set_string(s, "AdditionalSettings", json_object_size(all) ? dump : "");
    free(dump);
    json_decref(all);
    if (w->history != UNTOLD)
        cim_set_uint(s, "RecoveryHistory", (guint64)w->history);
    if (w->app_hours != UNTOLD)
        cim_set_uint(s, "ApplicationConsistentSnapshotInterval", (guint64)w->app_hours);
    return fine;
}

/* ---- the verb ---- */

static bool
modify(struct cli *c, const char *name, const struct wishes *w, GError **err)
{
    cim_instance_auto guest = guest_find(c, name, err);
    cim_instance_auto s = guest ? settings_of(c, guest, err) : NULL;
    if (!s || !edit(s, w, err))
        return false;
    g_autofree char *text = cim_xml_text(s);
    g_autofree char *done = g_strdup_printf("The settings of '%s' are changed.", name);
    struct cim_args *args = cim_args_new();
    cim_args_set(args, "ReplicationSettingData", cim_string(text));
    return method_on_guest(c, guest, "ModifyReplicationSettings", args, "Changing", done, err);
}

static bool
in_range(const char *option, gint value, gint most, GError **err)
{
    return (value >= UNTOLD && value <= most) || err_set(err, ERR_USAGE, "--%s is %d and must be 0 to %d.", option, value, most);
}

VERB(verb_modify)
{
    static const struct usage usage = {"VM [OPTION...]", "Changes settings of a guest's replication; what no option names stays.",
                                       "TIME, RULES and RATE may be \"off\"."};
    struct wishes w = {.history = UNTOLD, .app_hours = UNTOLD};
    g_auto(GStrv) args = NULL;
    const GOptionEntry options[] = {
        {"history", 0, 0, G_OPTION_ARG_INT, &w.history, "hourly points kept, 0 to 24", "N"},
        {"keep-every", 0, 0, G_OPTION_ARG_STRING, &w.keep_every, "keep every cycle for so long", "TIME"},
        {"retention", 0, 0, G_OPTION_ARG_STRING, &w.retention, "more points, see vmreplica(1)", "RULES"},
        {"app-consistent", 0, 0, G_OPTION_ARG_INT, &w.app_hours, "quiesce every N hours, 0: never", "N"},
        {"app-every", 0, 0, G_OPTION_ARG_STRING, &w.app_every, "the same, finer: 10m", "TIME"},
        {"bandwidth", 0, 0, G_OPTION_ARG_STRING, &w.bandwidth, "at most so much per second: 20MiB", "RATE"},
        {"set", 0, 0, G_OPTION_ARG_STRING_ARRAY, &w.set, "any other of AdditionalSettings", "KEY=VALUE"},
        {"unset", 0, 0, G_OPTION_ARG_STRING_ARRAY, &w.unset, "take one away", "KEY"},
        {0},
    };
    bool fine = cli_parse(c, &usage, CLI_CONNECTS | CLI_JSON | CLI_WAITS, options, argc, argv, &args, err);
    fine = fine ? cli_count(args, 1, 1, &usage, argv[0], err) && in_range("history", w.history, HISTORY_MAX, err) &&
                      in_range("app-consistent", w.app_hours, APP_HOURS_MAX, err) && modify(c, args[0], &w, err)
                : c->helped;
    g_free(w.app_every);
    g_free(w.keep_every);
    g_free(w.retention);
    g_free(w.bandwidth);
    g_strfreev(w.set);
    g_strfreev(w.unset);
    return fine;
}
