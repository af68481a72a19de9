/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "repl/additional.h"

#include "base/err.h"

#include <string.h>

static const char OWN[] = "00112233445566778899AABBCCDDEEFF00112233";

static struct repl_settings
good(void)
{
    struct repl_settings s;
    repl_settings_init(&s);
    s.recovery_host = g_strdup("b.example");
    s.recovery_port = 8443;
    s.thumbprint = g_strdup("00 11 22 33 44 55 66 77 88 99 aa bb cc dd ee ff 00 11 22 33");
    return s;
}

static void
expect(struct repl_settings *s, bool extended, enum err_code code, const char *word)
{
    g_autoptr(GError) err = NULL;
    const bool ok = repl_settings_check(s, "a.example", OWN, extended, &err);
    if (!word) {
        g_assert_no_error(err);
        g_assert_true(ok);
    } else {
        g_assert_false(ok);
        g_assert_true(err_is(err, code));
        g_assert_nonnull(strstr(err->message, word));
    }
    repl_settings_clear(s);
}

#define BAD(change, word) \
    do { \
        struct repl_settings s = good(); \
        change; \
        expect(&s, false, ERR_INVALID_PARAMETER, word); \
    } while (0)

static void
set(char **text, const char *value)
{
    g_free(*text);
    *text = g_strdup(value);
}

static void
test_defaults(void)
{
    struct repl_settings s = good();
    g_autoptr(GError) err = NULL;
    g_assert_true(s.compression && s.replicate_kvp && !s.bypass_proxy && !s.auto_resync);
    g_assert_cmpuint(s.interval_s, ==, 300);
    g_assert_true(repl_settings_check(&s, "a.example", OWN, false, &err));
    g_assert_no_error(err);
    g_assert_cmpstr(s.thumbprint, ==, OWN);
    g_assert_cmpuint(repl_settings_period_ms(&s), ==, 300000);
    repl_settings_clear(&s);
}

static void
more(struct repl_settings *s, const char *text)
{
    set(&s->additional, text);
}

static void
test_retention(void)
{
    struct repl_settings mine = good(), copy;
    g_autoptr(GError) err = NULL;
    more(&mine, "{\"retention\":\"every 60min for 48h,application all for 1w\"}");
    g_assert_true(repl_settings_check(&mine, "a.example", OWN, false, &err));
    g_assert_cmpstr(mine.retention, ==, "every 1h for 2d, application all for 7d");
    repl_settings_copy(&copy, &mine);
    g_assert_cmpstr(copy.retention, ==, mine.retention);
    repl_settings_clear(&copy);
    more(&mine, "{\"retention\":\"\"}");
    g_assert_true(repl_settings_check(&mine, "a.example", OWN, false, &err));
    g_assert_null(mine.retention);
    repl_settings_clear(&mine);
    BAD(more(&s, "{\"retention\":3}"), "'retention' of property 'AdditionalSettings' must be a text");
    BAD(more(&s, "{\"retention\":\"every 5m for 1h\"}"), "'retention' of property 'AdditionalSettings': '5m' in");
}

static void
test_endpoint(void)
{
    BAD(set(&s.recovery_host, NULL), "RecoveryConnectionPoint");
    BAD(set(&s.recovery_host, ""), "RecoveryConnectionPoint");
    BAD(set(&s.recovery_host, "A.EXAMPLE"), "this host");
    BAD(set(&s.recovery_host, "10.0.0.1"), "not an address");
    BAD(set(&s.recovery_host, "fe80::1"), "not an address");
    BAD(set(&s.recovery_host, "a b"), "not a host name");
    g_autofree char *long_name = g_strnfill(257, 'x');
    BAD(set(&s.recovery_host, long_name), "256");
    BAD(s.recovery_port = 0, "RecoveryServerPortNumber");
    BAD(s.recovery_port = 65536, "RecoveryServerPortNumber");
    BAD(s.authentication = 0, "AuthenticationType");
    BAD(s.authentication = 3, "AuthenticationType");
    BAD(set(&s.thumbprint, NULL), "CertificateThumbPrint");
    BAD(set(&s.thumbprint, "xyz"), "hexadecimal");
    BAD(set(&s.thumbprint, "0011"), "no certificate");
    struct repl_settings s = good();
    s.authentication = 1;
    set(&s.thumbprint, NULL); /* ignored for Kerberos, which we do not have */
    expect(&s, false, ERR_NOT_SUPPORTED, "Kerberos");
}

static void
test_times(void)
{
    BAD(s.interval_s = 0, "ReplicationInterval");
    BAD(s.interval_s = 60, "ReplicationInterval");
    BAD(s.history = 25, "RecoveryHistory");
    BAD(s.app_interval_h = 13, "ApplicationConsistentSnapshotInterval");
    BAD(s.app_interval_h = 1, "RecoveryHistory"); /* needs history */
    BAD(s.resync_start_us = s.resync_end_us, "AutoResynchronizeIntervalEnd");
    BAD(s.resync_start_us = 24 * G_TIME_SPAN_HOUR, "AutoResynchronizeIntervalStart");
    BAD(s.disks = g_new0(char *, 1), "IncludedDisks");
    BAD(s.disks = g_strsplit("vda,vdb,vda", ",", 0), "twice");
    struct repl_settings s = good();
    s.history = 4;
    s.app_interval_h = 4;
    g_assert_cmpuint(repl_settings_app_s(&s), ==, 4 * 3600);
    expect(&s, false, ERR_FAILED, NULL);
    s = good();
    s.interval_s = 30;
    expect(&s, true, ERR_INVALID_PARAMETER, "extended");
    s = good();
    s.interval_s = 900;
    s.history = 24;
    expect(&s, false, ERR_FAILED, NULL);
}

/* CompressionEnabled is the contract's: false is stronger than what AdditionalSettings say. */
static void
test_compression(void)
{
    static const struct {
        bool enabled;
        gint level;
        enum compress how;
        const char *expected;
    } cases[] = {
        { true, -1, COMPRESS_AUTO, "auto" },      { true, -1, COMPRESS_NONE, "none" },      { true, -1, COMPRESS_LZ4, "lz4" },
        { true, 7, COMPRESS_AUTO, "zstd:7" },     { true, -1, COMPRESS_ZSTD_3, "zstd:3" },  { false, -1, COMPRESS_AUTO, "none" },
        { false, 7, COMPRESS_AUTO, "none" },      { false, -1, COMPRESS_LZ4, "none" },
    };
    for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
        const struct repl_settings s = { .compression = cases[i].enabled, .compression_level = cases[i].level, .compress = cases[i].how };
        g_autofree char *text = repl_settings_compression(&s);
        g_assert_cmpstr(text, ==, cases[i].expected);
    }
}

static void
test_additional(void)
{
    BAD(set(&s.additional, "{"), "not JSON");
    BAD(set(&s.additional, "{\"engine\": \"pool\"}"), "must be \"push\" or \"pull\"");
    BAD(set(&s.additional, "{\"engine\": 1}"), "'engine'");
    BAD(set(&s.additional, "[]"), "JSON object");
    BAD(set(&s.additional, "{\"intervall\": 3}"), "unknown key 'intervall'");
    BAD(set(&s.additional, "{\"interval_ms\": \"3\"}"), "'interval_ms' of property 'AdditionalSettings' must be an integer");
    BAD(set(&s.additional, "{\"interval_ms\": 249}"), "250 to 3600000");
    BAD(set(&s.additional, "{\"interval_ms\": 1000.5}"), "integer");
    BAD(set(&s.additional, "{\"interval_ms\": 1000, \"interval_ms\": 2000}"), "not JSON");
    BAD(set(&s.additional, "{\"keep_every_cycle_s\": -1}"), "keep_every_cycle_s");
    BAD(set(&s.additional, "{\"bandwidth_bytes_per_s\": 10}"), "0 or 1024");
    BAD(set(&s.additional, "{\"leave_out\": \"pagefile\"}"), "must be \"none\" or \"swap\"");
    BAD(set(&s.additional, "{\"bandwidth\": true}"), "'bandwidth' of property 'AdditionalSettings' must be a text or a number");
    BAD(set(&s.additional, "{\"bandwidth\": 10}"), "1024");
    BAD(set(&s.additional, "{\"bandwidth\": \"1MiB; 8-9 2MiB\"}"), "'8-9' at position 7");
    BAD(set(&s.additional, "{\"bandwidth\": 2000, \"bandwidth_bytes_per_s\": 2000}"), "give one of them");
    BAD(set(&s.additional, "{\"application_interval_s\": 43201}"), "1 to 43200");
    BAD(set(&s.additional, "{\"application_interval_s\": 60}"); s.history = 0, "needs recovery points");
    BAD(set(&s.additional, "{\"compression_level\": 20}"), "1 to 19");
    BAD(set(&s.additional, "{\"compression_level\": 0}"), "1 to 19");
    BAD(set(&s.additional, "{\"compression\": \"gzip\"}"), "'compression'");
    BAD(set(&s.additional, "{\"compression\": 1}"), "'compression'");
    BAD(set(&s.additional, "{\"compression\": \"lz4\", \"compression_level\": 1}"), "say the same");
    g_autofree char *long_text = g_strnfill(70000, ' ');
    BAD(set(&s.additional, long_text), "64 KiB");
    struct repl_settings s = good();
    g_autoptr(GError) err = NULL;
    set(&s.additional,
        "{\"interval_ms\": 250, \"keep_every_cycle_s\": 60, \"bandwidth_bytes_per_s\": 5000000000, \"compression_level\": 3}");
    g_assert_true(additional_parse(&s, &err));
    g_assert_cmpuint(repl_settings_period_ms(&s), ==, 250);
    g_assert_cmpuint(s.keep_every_s, ==, 60);
    g_assert_cmpuint(s.bandwidth, ==, 5000000000);
    g_assert_cmpint(s.compression_level, ==, 3);
    set(&s.additional, "{\"bandwidth\": \"1024KiB/s; 22:00-06:00 mon,tue,wed unlimited\"}");
    g_assert_true(additional_parse(&s, &err));
    g_assert_cmpstr(s.bandwidth_hours, ==, "1MiB; 22:00-06:00 mon-wed unlimited");
    g_assert_cmpuint(s.bandwidth, ==, 0);
    set(&s.additional, "{\"bandwidth\": 0}");
    g_assert_true(additional_parse(&s, &err));
    g_assert_null(s.bandwidth_hours);
    set(&s.additional, "{\"bandwidth\": 2048}");
    g_assert_true(additional_parse(&s, &err));
    g_assert_cmpstr(s.bandwidth_hours, ==, "2KiB");
    set(&s.additional, "{}");
    g_assert_true(additional_parse(&s, &err));
    g_assert_cmpuint(repl_settings_period_ms(&s), ==, 300000);
    g_assert_cmpint(s.compression_level, ==, -1);
    g_assert_null(s.bandwidth_hours);
    set(&s.additional, "{\"compression\": \"zstd:-1\"}");
    g_assert_true(additional_parse(&s, &err));
    g_assert_cmpuint(s.compress, ==, COMPRESS_ZSTD_FAST);
    set(&s.additional, "{}");
    g_assert_true(additional_parse(&s, &err));
    g_assert_cmpuint(s.compress, ==, COMPRESS_AUTO);
    struct repl_settings copy;
    repl_settings_copy(&copy, &s);
    repl_settings_clear(&s);
    g_assert_cmpstr(copy.additional, ==, "{}");
    repl_settings_clear(&copy);
}

static void
host_bad(struct repl_host_settings s, enum err_code code, const char *word)
{
    g_autoptr(GError) err = NULL;
    g_assert_false(repl_host_settings_check(&s, OWN, &err));
    g_assert_true(err_is(err, code));
    g_assert_nonnull(strstr(err->message, word));
}

static void
test_host(void)
{
    char thumb[sizeof OWN];
    memcpy(thumb, OWN, sizeof OWN);
    const struct repl_host_settings ok = { true, 2, thumb, 8443, 80, 0, 43200 };
    g_autoptr(GError) err = NULL;
    g_assert_true(repl_host_settings_check(&ok, OWN, &err));
    struct repl_host_settings s = ok;
    s.allowed_authentication = 4;
    host_bad(s, ERR_INVALID_PARAMETER, "AllowedAuthenticationType");
    s.allowed_authentication = 0;
    host_bad(s, ERR_INVALID_PARAMETER, "RecoveryServerEnabled");
    s.allowed_authentication = 1;
    host_bad(s, ERR_NOT_SUPPORTED, "Kerberos");
    s.allowed_authentication = 3;
    s.http_port = s.https_port;
    host_bad(s, ERR_INVALID_PARAMETER, "HttpPort");
    s = ok;
    s.thumbprint = NULL;
    host_bad(s, ERR_INVALID_PARAMETER, "CertificateThumbPrint");
    s = ok;
    s.https_port = 0;
    host_bad(s, ERR_INVALID_PARAMETER, "HttpsPort");
    s = ok;
    s.monitoring_interval_s = 3599;
    host_bad(s, ERR_INVALID_PARAMETER, "MonitoringInterval");
    s.monitoring_interval_s = 604801;
    host_bad(s, ERR_INVALID_PARAMETER, "MonitoringInterval");
    s.monitoring_interval_s = 3601;
    host_bad(s, ERR_INVALID_PARAMETER, "MonitoringInterval");
    s = ok;
    s.monitoring_start_us = 24 * G_TIME_SPAN_HOUR;
    host_bad(s, ERR_INVALID_PARAMETER, "MonitoringStartTime");
    g_assert_false(repl_host_settings_check(&ok, NULL, &err)); /* a host without a certificate */
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/repl/settings/defaults", test_defaults);
    g_test_add_func("/repl/settings/retention", test_retention);
    g_test_add_func("/repl/settings/endpoint", test_endpoint);
    g_test_add_func("/repl/settings/times", test_times);
    g_test_add_func("/repl/settings/additional", test_additional);
    g_test_add_func("/repl/settings/compression", test_compression);
    g_test_add_func("/repl/settings/host", test_host);
    return g_test_run();
}
