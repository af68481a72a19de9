/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "repl/settings.h"

#include "base/err.h"
#include "repl/additional.h"

#include <arpa/inet.h>
#include <string.h>

static const gint64 DAY_US = 24 * 3600 * (gint64)G_USEC_PER_SEC;
enum { NAME_MAX_CHARS = 256, THUMBPRINT_MAX = 128 };

void
repl_settings_init(struct repl_settings *s)
{
    *s = (struct repl_settings){
        .authentication = 2,
        .compression = true,
        .replicate_kvp = true,
        .interval_s = 300,
        .resync_start_us = (18 * 60 + 30) * 60 * (gint64)G_USEC_PER_SEC,
        .resync_end_us = 6 * 3600 * (gint64)G_USEC_PER_SEC,
        .compression_level = -1,
    };
}

void
repl_settings_clear(struct repl_settings *s)
{
    g_free(s->recovery_host);
    g_free(s->thumbprint);
    g_strfreev(s->disks);
    g_free(s->additional);
    g_free(s->retention);
    g_free(s->bandwidth_hours);
    g_free(s->test_network);
    g_free(s->verify_text);
    g_free(s->recovery_host_system);
    g_free(s->primary_host_system);
    g_free(s->primary_connection_point);
    g_free(s->root_thumbprint);
    memset(s, 0, sizeof *s);
}

void
repl_settings_copy(struct repl_settings *to, const struct repl_settings *from)
{
    *to = *from;
    to->recovery_host = g_strdup(from->recovery_host);
    to->thumbprint = g_strdup(from->thumbprint);
    to->disks = g_strdupv(from->disks);
    to->additional = g_strdup(from->additional);
    to->retention = g_strdup(from->retention);
    to->bandwidth_hours = g_strdup(from->bandwidth_hours);
    to->test_network = g_strdup(from->test_network);
    to->verify_text = g_strdup(from->verify_text);
    to->recovery_host_system = g_strdup(from->recovery_host_system);
    to->primary_host_system = g_strdup(from->primary_host_system);
    to->primary_connection_point = g_strdup(from->primary_connection_point);
    to->root_thumbprint = g_strdup(from->root_thumbprint);
}

char *
repl_settings_compression(const struct repl_settings *s)
{
    if (s->compression && s->compression_level > 0)
        return g_strdup_printf("zstd:%d", s->compression_level);
    return g_strdup(compress_name(s->compression ? (enum compress)s->compress : COMPRESS_NONE));
}

guint
repl_settings_period_ms(const struct repl_settings *s)
{
    return s->interval_ms ? s->interval_ms : s->interval_s * 1000;
}

guint
repl_settings_app_s(const struct repl_settings *s)
{
    return s->app_interval_s ? s->app_interval_s : s->app_interval_h * 3600;
}

static gboolean
bad(GError **err, const char *property, const char *what)
{
    return err_set(err, ERR_INVALID_PARAMETER, "Property '%s' %s.", property, what);
}

/* ---- pieces that relationship, host and connection test share ---- */

bool
settings_check_host(const char *host, const char *own_host, const char *property, GError **err)
{
    unsigned char address[16];
    if (!host || !*host)
        return bad(err, property, "must name the other host");
    if (strlen(host) > NAME_MAX_CHARS)
        return bad(err, property, "is longer than 256 characters");
    if (inet_pton(AF_INET, host, address) == 1 || inet_pton(AF_INET6, host, address) == 1)
        return bad(err, property, "must be a host name, not an address: certificates carry names");
    for (const char *p = host; *p; p++)
        if (!g_ascii_isalnum(*p) && !strchr("-._", *p) && !((guchar)*p & 0x80))
            return bad(err, property, "is not a host name");
    if (own_host && !g_ascii_strcasecmp(host, own_host))
        return bad(err, property, "names this host; a guest is replicated to another one");
    return true;
}

bool
settings_check_thumbprint(char **thumbprint, const char *own, GError **err)
{
    static const char PROPERTY[] = "CertificateThumbPrint";
    if (!*thumbprint || !**thumbprint)
        return bad(err, PROPERTY, "is required for certificate authentication");
    if (strlen(*thumbprint) > THUMBPRINT_MAX)
        return bad(err, PROPERTY, "is longer than 128 characters");
    g_autoptr(GString) clean = g_string_new(NULL);
    for (const char *p = *thumbprint; *p; p++) {
        if (g_ascii_isspace(*p) || *p == ':')
            continue;
        if (!g_ascii_isxdigit(*p))
            return bad(err, PROPERTY, "is not hexadecimal");
        g_string_append_c(clean, g_ascii_toupper(*p));
    }
    if (own && g_ascii_strcasecmp(clean->str, own))
        return bad(err, PROPERTY, "belongs to no certificate of this host; 'vmreplica pki show' prints it");
    g_free(*thumbprint);
    *thumbprint = g_strdup(clean->str);
    return true;
}

/* ---- a relationship ---- */

static bool
check_endpoint(struct repl_settings *s, const char *own_host, const char *own_thumbprint, GError **err)
{
    if (!settings_check_host(s->recovery_host, own_host, "RecoveryConnectionPoint", err))
        return false;
    if (s->recovery_port < 1 || s->recovery_port > 65535)
        return bad(err, "RecoveryServerPortNumber", "must be 1 to 65535");
    if (s->authentication != 1 && s->authentication != 2)
        return bad(err, "AuthenticationType", "must be 1 (Kerberos) or 2 (certificate)");
    return s->authentication != 2 || settings_check_thumbprint(&s->thumbprint, own_thumbprint, err);
}

static bool
check_times(const struct repl_settings *s, bool extended, GError **err)
{
    if (s->interval_s != 30 && s->interval_s != 300 && s->interval_s != 900)
        return bad(err, "ReplicationInterval", "must be 30, 300 or 900 seconds; AdditionalSettings interval_ms allows shorter ones");
    if (extended && s->interval_s == 30)
        return bad(err, "ReplicationInterval", "must be 300 or 900 seconds for an extended relationship");
    if (s->history > 24)
        return bad(err, "RecoveryHistory", "must be 0 to 24");
    if (s->app_interval_h > 12)
        return bad(err, "ApplicationConsistentSnapshotInterval", "must be 0 (off) to 12 hours");
    if (s->app_interval_h && extended)
        return bad(err, "ApplicationConsistentSnapshotInterval", "must be 0 for an extended relationship");
    if (s->app_interval_h > s->history)
        return bad(err, "ApplicationConsistentSnapshotInterval", "must not exceed RecoveryHistory");
    return true;
}

static bool
check_resync(const struct repl_settings *s, GError **err)
{
    if (s->resync_start_us < 0 || s->resync_start_us >= DAY_US)
        return bad(err, "AutoResynchronizeIntervalStart", "must be a time of day");
    if (s->resync_end_us < 0 || s->resync_end_us >= DAY_US)
        return bad(err, "AutoResynchronizeIntervalEnd", "must be a time of day");
    if (s->resync_start_us == s->resync_end_us)
        return bad(err, "AutoResynchronizeIntervalEnd", "must differ from AutoResynchronizeIntervalStart");
    return true;
}

static bool
check_disks(char **disks, GError **err)
{
    if (disks && !disks[0])
        return bad(err, "IncludedDisks", "must name at least one disk");
    for (char **d = disks; d && *d; d++)
        for (char **other = d + 1; *other; other++)
            if (!strcmp(*d, *other))
                return bad(err, "IncludedDisks", "names a disk twice");
    return true;
}

/* Values that the contract allows and this host cannot do: told apart from wrong values (contract 0.3, check 5). */
static bool
check_supported(const struct repl_settings *s, GError **err)
{
    if (s->authentication == 1)
        return err_set(err, ERR_NOT_SUPPORTED, "Kerberos between hosts is not supported; use AuthenticationType 2 (certificate).");
    return true;
}

/* The finer interval has the rules of the contract's. */
static bool
check_finer(const struct repl_settings *s, bool extended, GError **err)
{
    static const char KEY[] = "Key 'application_interval_s' of property 'AdditionalSettings'";
    if (s->app_interval_s && extended)
        return err_set(err, ERR_INVALID_PARAMETER, "%s must not be given for an extended relationship.", KEY);
    if (s->app_interval_s && !s->history && !s->retention)
        return err_set(err, ERR_INVALID_PARAMETER, "%s needs recovery points: RecoveryHistory or 'retention'.", KEY);
    return true;
}

bool
repl_settings_check(struct repl_settings *s, const char *own_host, const char *own_thumbprint, bool extended, GError **err)
{
    return check_endpoint(s, own_host, own_thumbprint, err) && check_times(s, extended, err) && check_disks(s->disks, err) &&
           check_resync(s, err) && additional_parse(s, err) && check_finer(s, extended, err) && check_supported(s, err);
}

/* ---- the host ---- */

void
repl_host_settings_clear(struct repl_host_settings *s)
{
    g_clear_pointer(&s->thumbprint, g_free);
}

void
repl_host_settings_copy(struct repl_host_settings *to, const struct repl_host_settings *from)
{
    *to = *from;
    to->thumbprint = g_strdup(from->thumbprint);
}

static bool
check_monitoring(const struct repl_host_settings *s, GError **err)
{
    if (s->monitoring_interval_s < 3600 || s->monitoring_interval_s > 604800 || s->monitoring_interval_s % 60)
        return bad(err, "MonitoringInterval", "must be 3600 to 604800 seconds and a multiple of 60");
    if (s->monitoring_start_us < 0 || s->monitoring_start_us >= DAY_US)
        return bad(err, "MonitoringStartTime", "must be a time of day without a date");
    return true;
}

static bool
check_ports(const struct repl_host_settings *s, GError **err)
{
    if (s->https_port < 1 || s->https_port > 65535)
        return bad(err, "HttpsPort", "must be 1 to 65535");
    if (s->http_port < 1 || s->http_port > 65535)
        return bad(err, "HttpPort", "must be 1 to 65535");
    if (s->allowed_authentication == 3 && s->http_port == s->https_port)
        return bad(err, "HttpPort", "must differ from HttpsPort when both are used");
    return true;
}

bool
repl_host_settings_check(const struct repl_host_settings *s, const char *own_thumbprint, GError **err)
{
    if (s->allowed_authentication > 3)
        return bad(err, "AllowedAuthenticationType", "must be 0 to 3");
    if (s->recovery_enabled && s->allowed_authentication == 0)
        return bad(err, "AllowedAuthenticationType", "must be 1 to 3 when RecoveryServerEnabled is true");
    if (s->allowed_authentication & 2) {
        g_autofree char *thumbprint = g_strdup(s->thumbprint);
        if (!settings_check_thumbprint(&thumbprint, own_thumbprint ? own_thumbprint : "none", err))
            return false;
    }
    if (!check_ports(s, err) || !check_monitoring(s, err))
        return false;
    if (s->recovery_enabled && (s->allowed_authentication & 1))
        return err_set(err, ERR_NOT_SUPPORTED, "Kerberos between hosts is not supported; use AllowedAuthenticationType 2 (certificate).");
    return true;
}
