/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "daemon/config.h"

#include "base/err.h"
#include "base/rates.h"

#include <stddef.h>
#include <string.h>
#include <unistd.h>

enum kind { KIND_STRING, KIND_PATH, KIND_INTEGER, KIND_BOOLEAN, KIND_RATES };

/* A setting is one row here and one member of struct config. */
struct key {
    const char *group, *name;
    enum kind kind;
    size_t offset;
    const char *fallback;     /* NULL: none, or computed */
    gint64 min, max;          /* integers */
    const char *meaning;
};

#define AT(member) offsetof(struct config, member)
static const struct key keys[] = {
    {"daemon", "host_name", KIND_STRING, AT(host), NULL, 0, 0, "name of this host for peers; default: the kernel's host name"},
    {"daemon", "state_dir", KIND_PATH, AT(state_dir), "/var/lib/vmreplica", 0, 0, "database, outbox, fences, replicas"},
    {"daemon", "runtime_dir", KIND_PATH, AT(runtime_dir), "/run/vmreplica", 0, 0, "sockets"},
    {"daemon", "libvirt_uri", KIND_STRING, AT(libvirt_uri), "qemu:///system", 0, 0, "whose guests are protected"},
    {"daemon", "swtpm_dir", KIND_PATH, AT(swtpm_dir), "/var/lib/libvirt/swtpm", 0, 0, "where libvirt keeps the state of emulated TPMs"},
    {"daemon", "swtpm_user", KIND_STRING, AT(swtpm_user), NULL, 0, 0, "user that swtpm runs as; default: as in /etc/libvirt/qemu.conf"},
    {"daemon", "log_level", KIND_STRING, AT(log_level), "info", 0, 0, "debug, info, warning or error"},
    {"api", "listen", KIND_STRING, AT(listen), "127.0.0.1", 0, 0, "address of plain WS-Management; loopback only"},
    {"api", "port", KIND_INTEGER, AT(port), "5985", 0, 65535, "its port; 0: off"},
    {"api", "tls_listen", KIND_STRING, AT(tls_listen), "::", 0, 0, "address of WS-Management over TLS"},
    {"api", "tls_port", KIND_INTEGER, AT(tls_port), "5986", 0, 65535, "its port; 0: off; needs [tls]"},
    {"api", "keytab", KIND_PATH, AT(keytab), NULL, 0, 0, "keys of HTTP/HOST or WSMAN/HOST for Kerberos; none: no Kerberos"},
    {"api", "pam_service", KIND_STRING, AT(pam_service), NULL, 0, 0, "file in /etc/pam.d for users added with --pam; none: no PAM"},
    {"api", "pam_helper", KIND_PATH, AT(pam_helper), VMR_PAM_HELPER, 0, 0, "program that asks PAM"},
    {"api", "pam_timeout", KIND_INTEGER, AT(pam_timeout), "20", 1, 50, "seconds until PAM must have said yes or no"},
    {"api", "users", KIND_PATH, AT(users), "/etc/vmreplica/users", 0, 0, "password file, see vmreplica user"},
    {"api", "insecure_listen", KIND_BOOLEAN, AT(insecure_listen), "false", 0, 0, "permit plain HTTP beyond loopback"},
    {"tls", "certificate", KIND_PATH, AT(certificate), "/etc/vmreplica/pki/host.pem", 0, 0, "our certificate, PEM"},
    {"tls", "key", KIND_PATH, AT(key), "/etc/vmreplica/pki/host-key.pem", 0, 0, "its key, PEM"},
    {"tls", "ca", KIND_PATH, AT(ca), "/etc/vmreplica/pki/ca.pem", 0, 0, "who signs our peers, PEM"},
    {"replication", "listen", KIND_STRING, AT(replication_listen), "::", 0, 0, "address of the replication port"},
    {"replication", "scratch_dir", KIND_PATH, AT(scratch_dir), "/dev/shm/vmreplica", 0, 0, "tmpfs for one cycle's changes"},
    {"replication", "qemu_user", KIND_STRING, AT(qemu_user), "libvirt-qemu", 0, 0, "user that QEMU runs as"},
    {"replication", "nbdkit", KIND_STRING, AT(nbdkit), "nbdkit", 0, 0, "program that serves recovery points"},
    {"replication", "plugin", KIND_PATH, AT(plugin), VMR_PLUGIN_PATH, 0, 0, "our nbdkit plugin"},
    {"replication", "outbox_max_mib", KIND_INTEGER, AT(outbox_max_mib), "10240", 64, G_MAXINT32,
     "change logs kept while the link is down, per host"},
    {"replication", "scratch_reserve_mib", KIND_INTEGER, AT(scratch_reserve_mib), "256", 0, G_MAXINT32, "left free in scratch_dir"},
    {"replication", "max_cycles", KIND_INTEGER, AT(max_cycles), "64", 1, 1024, "guests captured at the same time"},
    {"replication", "max_transfers", KIND_INTEGER, AT(max_transfers), "3", 1, 1024, "logs sent at the same time"},
    {"replication", "bandwidth", KIND_RATES, AT(bandwidth), "unlimited", 0, 0, "of all that this host sends, by hours of the day"},
    {"replication", "reserve_percent", KIND_INTEGER, AT(reserve_percent), "5", 0, 50,
     "of a replica's file system; with less free, the oldest points are given up; 0: never"},
    {"replication", "merge_mib_per_s", KIND_INTEGER, AT(merge_mib_per_s), "200", 0, G_MAXINT32, "merging of points, per host; 0: no limit"},
    {"replication", "scrub_mib", KIND_INTEGER, AT(scrub_mib), "16", 0, G_MAXINT32,
     "MiB per second of replicas that are verified in the background, per host; 0: never"},
    {"replication", "scrub_days", KIND_INTEGER, AT(scrub_days), "7", 1, 3650, "a whole replica is verified every so many days"},
    {"replication", "freeze_seconds", KIND_INTEGER, AT(freeze_seconds), "10", 2, 60, "a guest that is frozen longer is thawed"},
    {"replication", "thaw_helper", KIND_PATH, AT(thaw_helper), VMR_THAW_HELPER, 0, 0, "program that thaws guests"},
    {"replication", "compression_threads", KIND_INTEGER, AT(compression_threads), "0", 0, 64,
     "that pack change logs, per host; 0: as many as processors, at most 4"},
    {"failover", "network_map", KIND_STRING, AT(network_map), NULL, 0, 0, "networks of primaries and what stands for them here"},
    {"failover", "fill_mib_per_s", KIND_INTEGER, AT(fill_mib_per_s), "32", 0, G_MAXINT32,
     "filling the disks of a guest that failed over and runs, per guest; 0: no limit"},
    {"failover", "refuse_if_primary_running", KIND_BOOLEAN, AT(refuse_if_primary_running), "false", 0, 0, "refuse instead of warn"},
    {"failover", "pause_superseded", KIND_BOOLEAN, AT(pause_superseded), "true", 0, 0, "pause a guest that runs where it failed over, too"},
};

static void *
member(struct config *c, const struct key *k)
{
    return (char *)c + k->offset;
}

static bool
set_text(char **at, const char *text)
{
    g_free(*at);
    *at = g_strdup(text);
    return true;
}

static bool
check_rates(const struct key *k, const char *text, const char *file, GError **err)
{
    struct rates rates;
    g_autoptr(GError) why = NULL;
    return rates_parse(text, &rates, &why) || err_set(err, ERR_USAGE, "%s: '%s' in [%s]: %s", file, k->name, k->group, why->message);
}

static bool
set_value(struct config *c, const struct key *k, const char *text, const char *file, GError **err)
{
    char *end = NULL;
    gint64 number;

    switch (k->kind) {
    case KIND_PATH:
        if (!g_path_is_absolute(text))
            return err_set(err, ERR_USAGE, "%s: '%s' in [%s] must be an absolute path, not '%s'.", file, k->name, k->group, text);
        return set_text(member(c, k), text);
    case KIND_RATES:
        return check_rates(k, text, file, err) && set_text(member(c, k), text);
    case KIND_STRING:
        return set_text(member(c, k), text);
    case KIND_INTEGER:
        number = g_ascii_strtoll(text, &end, 10);
        if (end == text || *end || number < k->min || number > k->max)
            return err_set(err, ERR_USAGE, "%s: '%s' in [%s] must be a number from %" G_GINT64_FORMAT " to %" G_GINT64_FORMAT ", not '%s'.",
                           file, k->name, k->group, k->min, k->max, text);
        *(gint64 *)member(c, k) = number;
        return true;
    case KIND_BOOLEAN:
        if (strcmp(text, "true") != 0 && strcmp(text, "false") != 0)
            return err_set(err, ERR_USAGE, "%s: '%s' in [%s] must be true or false, not '%s'.", file, k->name, k->group, text);
        *(bool *)member(c, k) = text[0] == 't';
        return true;
    }
    g_assert_not_reached();
}

static const struct key *
find_key(const char *group, const char *name)
{
    for (gsize i = 0; i < G_N_ELEMENTS(keys); i++)
        if (strcmp(keys[i].group, group) == 0 && strcmp(keys[i].name, name) == 0)
            return &keys[i];
    return NULL;
}

static bool
merge_group(struct config *c, GKeyFile *ini, const char *group, const char *file, GError **err)
{
    g_auto(GStrv) names = g_key_file_get_keys(ini, group, NULL, NULL);
    for (char **name = names; name && *name; name++) {
        const struct key *k = find_key(group, *name);
        if (!k)
            return err_set(err, ERR_USAGE, "%s: '%s' in [%s] is not a setting of vmreplicad. See vmreplica.conf(5).", file, *name, group);
        g_autofree char *text = g_key_file_get_string(ini, group, *name, NULL);
        if (!set_value(c, k, text ? g_strstrip(text) : "", file, err))
            return false;
    }
    return true;
}

static bool
merge_file(struct config *c, const char *file, GError **err)
{
    g_autoptr(GKeyFile) ini = g_key_file_new();
    g_autoptr(GError) why = NULL;
    if (!g_key_file_load_from_file(ini, file, G_KEY_FILE_NONE, &why))
        return err_set(err, ERR_USAGE, "The configuration file '%s' cannot be read: %s.", file, why->message);
    g_auto(GStrv) groups = g_key_file_get_groups(ini, NULL);
    for (char **group = groups; *group; group++)
        if (!merge_group(c, ini, *group, file, err))
            return false;
    return true;
}

static int
by_name(gconstpointer a, gconstpointer b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static bool
merge_folder(struct config *c, const char *folder, GError **err)
{
    g_autoptr(GDir) dir = g_dir_open(folder, 0, NULL);
    if (!dir)
        return true;
    g_autoptr(GPtrArray) files = g_ptr_array_new_with_free_func(g_free);
    for (const char *name; (name = g_dir_read_name(dir));)
        if (g_str_has_suffix(name, ".conf"))
            g_ptr_array_add(files, g_build_filename(folder, name, NULL));
    g_ptr_array_sort(files, by_name);
    for (guint i = 0; i < files->len; i++)
        if (!merge_file(c, g_ptr_array_index(files, i), err))
            return false;
    return true;
}

static bool
check(const struct config *c, GError **err)
{
    bool loopback = g_str_has_prefix(c->listen, "127.") || strcmp(c->listen, "::1") == 0 || strcmp(c->listen, "localhost") == 0;
    if (c->port && !loopback && !c->insecure_listen)
        return err_set(err, ERR_USAGE,
                       "'listen' in [api] is '%s', but plain HTTP beyond loopback would show passwords to the network. Use tls_listen, "
                       "or set insecure_listen = true.", c->listen);
    return true;
}

struct config *
config_load(const char *path, GError **err)
{
    struct config *c = g_new0(struct config, 1);
    const char *file = path ? path : "/etc/vmreplica/vmreplica.conf";
    g_autofree char *folder = g_path_get_dirname(file);
    g_autofree char *parts = g_build_filename(folder, "conf.d", NULL);

    for (gsize i = 0; i < G_N_ELEMENTS(keys); i++)
        if (keys[i].fallback)
            g_assert(set_value(c, &keys[i], keys[i].fallback, "defaults", NULL));
    c->host = g_strdup(g_get_host_name());
    bool wanted = path || g_file_test(file, G_FILE_TEST_EXISTS);
    if ((wanted && !merge_file(c, file, err)) || !merge_folder(c, parts, err) || !check(c, err)) {
        config_free(c);
        return NULL;
    }
    return c;
}

void
config_free(struct config *c)
{
    if (!c)
        return;
    for (gsize i = 0; i < G_N_ELEMENTS(keys); i++)
        if (keys[i].kind != KIND_INTEGER && keys[i].kind != KIND_BOOLEAN)
            g_free(*(char **)member(c, &keys[i]));
    g_free(c);
}

void
config_describe(GString *out)
{
    const char *group = "";
    for (gsize i = 0; i < G_N_ELEMENTS(keys); i++) {
        if (strcmp(group, keys[i].group) != 0)
            g_string_append_printf(out, "%s[%s]\n", i ? "\n" : "", group = keys[i].group);
        g_string_append_printf(out, "# %s\n#%s = %s\n", keys[i].meaning, keys[i].name, keys[i].fallback ? keys[i].fallback : "");
    }
}
