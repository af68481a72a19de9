/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "base/uuid.h"

#include <glib.h>
#include <stdbool.h>

/* The state of a guest's emulated TPM (swtpm): what a system sealed against it opens with this state only.
 *
 * libvirt keeps it in <dir>/<uuid>/tpm2/tpm2-00.permall (TPM 1.2: tpm1.2/tpm-00.permall), <dir> being /var/lib/libvirt/swtpm, or in the
 * folder that <source type='dir'> of the backend names.  swtpm replaces that file as a whole, also while the guest runs: what is read is
 * one state, and read again when it was replaced meanwhile.  What swtpm keeps only until the guest is off (PCRs, sessions) is not in it.
 *
 * A state that is put there belongs to the user that swtpm runs as, with the modes that libvirt and swtpm give it: swtpm refuses a file of
 * anybody else.
 *
 * Blocking; any thread.  Source: libvirt "Domain XML format" (TPM device), swtpm(8). */

bool tpm_emulated(const char *xml); /* the definition has such a TPM; false also when it cannot be read */

/* NULL without error: no emulated TPM, or no state (yet), or a state that is not kept in a folder.  One that cannot be looked at is an
 * error. */
GBytes *tpm_read(const char *dir, const char *xml, GError **err);

/* swtpm_user of libvirt's configuration (/etc/libvirt/qemu.conf); where none is set the default, which its file has as a comment, else
 * "tss".  g_free. */
char *tpm_user(const char *qemu_conf);

/* The state of the guest that the definition describes, in place of what was there; durable.  data NULL: none, so libvirt makes a new TPM
 * when the guest starts.  The guest is off.  Nothing is done for a definition without an emulated TPM.  user NULL, or we are not root: the
 * state is ours.  ERR_NOT_FOUND: there is no such user. */
bool tpm_put(const char *dir, const char *user, const char *xml, const void *data, gsize len, GError **err);
bool tpm_remove(const char *dir, const struct uuid *vm, GError **err); /* absent is success */
