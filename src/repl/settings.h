/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "repl/compress.h"

#include <glib.h>
#include <stdbool.h>

/* Settings of a relationship (Msvm_ReplicationSettingData) and of the host (Msvm_ReplicationServiceSettingData): the only place that
 * checks them (contract 2.1, 2.2.1).  Errors: ERR_INVALID_PARAMETER naming the property.  Any thread. */

struct repl_settings {
    char *recovery_host;        /* RecoveryConnectionPoint */
    guint recovery_port;
    guint authentication;       /* 1 Kerberos, 2 certificate */
    char *thumbprint;
    bool compression, bypass_proxy, replicate_kvp, auto_resync;
    guint interval_s;           /* 30, 300, 900 */
    guint history;              /* RecoveryHistory 0..24 */
    guint app_interval_h;
    gint64 resync_start_us, resync_end_us; /* time of day */
    char **disks;               /* targets ("vda"); NULL: every eligible one */
    char *additional;           /* AdditionalSettings as given; NULL: none */
    /* out of AdditionalSettings; 0: not given */
    guint interval_ms, keep_every_s, app_interval_s;
    guint64 bandwidth;          /* bytes/s */
    char *bandwidth_hours;      /* by hours of the day (base/rates.h) in their one form; NULL: bandwidth, always */
    gint compression_level;     /* -1 not given */
    guint compress;             /* enum compress (compress.h); COMPRESS_AUTO: not given */
    bool no_full_copy;          /* rather stop than send all of the disks again */
    bool pull;                  /* engine "pull" captures the guest, else "push" */
    bool leave_out_swap;        /* what is in swap areas is not replicated (leaveout.h) */
    char *retention;            /* rules (store/rules.h) in their one form; NULL: none */
    char *test_network;         /* of test guests; NULL: cards stay disconnected */
    char *verify_text;          /* on the console of a test guest that has come up; NULL: its agent answers */
    guint verify_timeout_s;     /* 0 not given */
    /* derived, read-only for clients */
    char *recovery_host_system, *primary_host_system, *primary_connection_point, *root_thumbprint;
};
void repl_settings_init(struct repl_settings *s); /* the contract's defaults */
void repl_settings_clear(struct repl_settings *s);
/* How its logs are packed: "none" when CompressionEnabled is false, whatever else is set; g_free. */
char *repl_settings_compression(const struct repl_settings *s);
void repl_settings_copy(struct repl_settings *to, const struct repl_settings *from);
bool repl_settings_check(struct repl_settings *s, const char *own_host, const char *own_thumbprint, bool extended,
                         GError **err); /* also parses additional */
guint repl_settings_period_ms(const struct repl_settings *s);
guint repl_settings_app_s(const struct repl_settings *s); /* between application-consistent points; 0: none are made */

struct repl_host_settings {
    bool recovery_enabled;
    guint allowed_authentication;
    char *thumbprint;
    guint https_port, http_port;
    gint64 monitoring_start_us;
    guint monitoring_interval_s;
};
void repl_host_settings_clear(struct repl_host_settings *s);
void repl_host_settings_copy(struct repl_host_settings *to, const struct repl_host_settings *from);
bool repl_host_settings_check(const struct repl_host_settings *s, const char *own_thumbprint, GError **err);
