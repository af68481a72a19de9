/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "log/info.h"
#include "repl/core.h"

/* A recovery point as the disks of a guest: nbdkit serves the point, every disk gets a qcow2 overlay over it, a definition names the
 * overlays.  No data is copied.  Used by the failover and by the test failover, each with places of its own; who calls keeps the record of
 * what was begun.  Blocking; any thread. */

struct pointvm {
    struct uuid point, guest;
    char *socket;               /* of nbdkit */
    char *overlays;             /* folder: <target>.qcow2 */
    char *files;                /* folder for what the guest itself needs (console log, NVRAM) */
};
void pointvm_clear(struct pointvm *p);

/* point NULL: the latest whole state, ERR_INVALID_STATE when there is none; ERR_NOT_FOUND: the point was merged away meanwhile. */
bool pointvm_choose(struct relation *rel, const struct uuid *point, struct store_log *out, GError **err);
/* Disk table of the point, sizes as they were then; log_info_clear. */
bool pointvm_disks(struct relation *rel, const struct uuid *point, struct log_info *out, GError **err);
char *pointvm_overlay(const struct pointvm *p, const char *target); /* g_free */

bool pointvm_serve(struct relation *rel, const struct pointvm *p, GError **err);
/* Anew: what is in the folder goes. */
bool pointvm_make_overlays(struct core *c, const struct log_info *info, const struct pointvm *p, GError **err);
/* The state of its TPM as it was, for the guest that xml describes (vm/tpm.h); a point without one is a warning of the job. */
bool pointvm_put_tpm(struct core *c, struct relation *rel, const struct pointvm *p, const char *xml, struct job *job, GError **err);
/* The definition that came with the point (else the newest known), over the overlays, cards disconnected; g_free. */
char *pointvm_definition(struct core *c, struct relation *rel, const struct log_info *info, const struct pointvm *p, GError **err);
