/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <stdbool.h>

/* The daemon's configuration: an INI file, then conf.d/ beside it in alphabetical order, later values win.  Every key has a default; an
 * unknown group or key, a malformed number or a relative path is an error that names file, group and key.  Immutable after load.
 * Described for users in vmreplica.conf(5); docs and table are compared by a test. */

struct config {
    /* [daemon] */
    char *host;             /* our name for peers and in object paths; default: the kernel's host name */
    char *state_dir, *runtime_dir, *libvirt_uri, *swtpm_dir, *swtpm_user, *log_level;
    /* [api] */
    char *listen;           /* address of the plain WS-Management port; must be loopback unless insecure_listen */
    gint64 port, tls_port;  /* 0: off */
    char *tls_listen, *users, *keytab, *pam_service, *pam_helper;
    gint64 pam_timeout;     /* s */
    bool insecure_listen;
    /* [tls] */
    char *certificate, *key, *ca;
    /* [replication] */
    char *replication_listen, *scratch_dir, *qemu_user, *nbdkit, *plugin, *thaw_helper;
    char *bandwidth;        /* text as in base/rates.h, checked */
    gint64 outbox_max_mib, scratch_reserve_mib, max_cycles, max_transfers, reserve_percent, merge_mib_per_s;
    gint64 scrub_mib, scrub_days, freeze_seconds;
    gint64 compression_threads;
    /* [failover] */
    char *network_map;
    gint64 fill_mib_per_s;
    bool refuse_if_primary_running, pause_superseded;
};

struct config *config_load(const char *path, GError **err); /* path NULL or absent default file: all defaults */
void config_free(struct config *c);
/* One line per key: group, key, default, meaning; for `vmreplicad --print-config`. */
void config_describe(GString *out);
