/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "provider/service_setting.h"

#include "provider/all.h"
#include "provider/common.h"

/* Msvm_ReplicationServiceSettingData (contract 1.2, one instance) and Msvm_ReplicationAuthorizationSettingData (1.4, one per entry). */

static char *
setting_id(struct repl_service *s)
{
    return g_strdup_printf("Microsoft:%s\\HVR", repl_host(s));
}

struct cim_path *
service_setting_path(struct repl_service *s)
{
    g_autofree char *id = setting_id(s);
    return with_id("Msvm_ReplicationServiceSettingData", id);
}

static bool
enumerate_setting(void *user, const struct cim_path *source, cim_emit emit, void *sink, GError **err)
{
    struct repl_service *s = service_of(user);
    struct repl_host_settings h = {0};
    bool listening;
    repl_host_settings(s, &h, &listening);
    struct cim_instance *i = new_instance("Msvm_ReplicationServiceSettingData");
    g_autofree char *id = setting_id(s);
    cim_set_string(i, "InstanceID", id);
    cim_set_bool(i, "RecoveryServerEnabled", h.recovery_enabled);
    cim_set_uint(i, "AllowedAuthenticationType", h.allowed_authentication);
    cim_set_string(i, "CertificateThumbPrint", h.thumbprint);
    cim_set_uint(i, "HttpsPort", h.https_port);
    cim_set_uint(i, "HttpPort", h.http_port);
    cim_set_interval(i, "MonitoringStartTime", h.monitoring_start_us);
    cim_set_uint(i, "MonitoringInterval", h.monitoring_interval_s);
    repl_host_settings_clear(&h);
    emit(sink, i);
    return true;
}

const struct cim_provider replication_service_setting = {"Msvm_ReplicationServiceSettingData", enumerate_setting, NULL, NULL};

bool
service_setting_read(const struct cim_instance *i, struct repl_host_settings *h, GError **err)
{
    if (cim_given(i, "RecoveryServerEnabled"))
        h->recovery_enabled = cim_get_bool(i, "RecoveryServerEnabled");
    if (cim_given(i, "AllowedAuthenticationType"))
        h->allowed_authentication = (guint)cim_get_uint(i, "AllowedAuthenticationType");
    if (cim_given(i, "CertificateThumbPrint")) {
        g_free(h->thumbprint);
        h->thumbprint = g_strdup(cim_get_string(i, "CertificateThumbPrint"));
    }
    if (cim_given(i, "HttpsPort"))
        h->https_port = (guint)cim_get_uint(i, "HttpsPort");
    if (cim_given(i, "HttpPort"))
        h->http_port = (guint)cim_get_uint(i, "HttpPort");
    if (cim_given(i, "MonitoringInterval"))
        h->monitoring_interval_s = (guint)cim_get_uint(i, "MonitoringInterval");
    if (!cim_given(i, "MonitoringStartTime"))
        return true;
    const struct cim_datetime *t = &cim_get(i, "MonitoringStartTime")->time;
    h->monitoring_start_us = t->us;
    return (t->interval && t->us < 24 * (gint64)3600 * G_USEC_PER_SEC) ||
           err_set(err, ERR_INVALID_PARAMETER, "MonitoringStartTime must be a time of day without a date.");
}

char *
entry_id(const struct repl_entry *e)
{
    return g_strdup_printf("Microsoft:Authorization\\%s", e->host);
}

static bool
enumerate_entries(void *user, const struct cim_path *source, cim_emit emit, void *sink, GError **err)
{
    g_autoptr(GPtrArray) entries = repl_entries(service_of(user));
    for (guint n = 0; n < entries->len; n++) {
        const struct repl_entry *e = g_ptr_array_index(entries, n);
        struct cim_instance *i = new_instance("Msvm_ReplicationAuthorizationSettingData");
        g_autofree char *id = entry_id(e);
        cim_set_string(i, "InstanceID", id);
        cim_set_string(i, "Caption", "Replication Authorization Settings");
        cim_set_string(i, "Description", "Virtual Machine Replication Authorization Settings Data");
        cim_set_string(i, "ElementName", e->host);
        cim_set_string(i, "AllowedPrimaryHostSystem", e->host);
        cim_set_string(i, "TrustGroup", e->trust_group);
        cim_set_string(i, "ReplicaStorageLocation", e->location);
        if (!emit(sink, i))
            break;
    }
    return true;
}

const struct cim_provider authorization_setting = {"Msvm_ReplicationAuthorizationSettingData", enumerate_entries, NULL, NULL};
