/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "vm/conn.h"

/* Processor time of each virtual processor of a running guest, in ns since it started: guint64, in the order of their numbers; empty when
 * the guest is off.  NULL with ERR_NO_SUCH_INSTANCE, ERR_NOT_AVAILABLE.  Asks libvirt each time; any thread. */
GArray *vm_vcpu_times(struct vm_conn *c, const struct uuid *vm, GError **err);
