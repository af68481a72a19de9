/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "vm/domain.h"

/* The guests of this host from memory, for readers that ask often (the management API): no libvirt call per question.
 *
 * What libvirt announces (start, stop, define, undefine, devices) and what this process does itself is seen by the next question.  What it
 * does not announce (autostart, edits of a definition, sizes of images) may be up to INVENTORY_OLD_S old: older entries are read anew, ones
 * beyond INVENTORY_FRESH_S in the background.  Decisions that must be right to the moment use vm_facts_get (domain.h).
 *
 * Results are shared: never change them, free them as always.  Any thread.  ERR_NOT_AVAILABLE when libvirt is away. */

enum { INVENTORY_FRESH_S = 3, INVENTORY_OLD_S = 10 };

struct vm_facts *vm_view_get(struct vm_conn *c, const struct uuid *vm, GError **err); /* ERR_NO_SUCH_INSTANCE */
GPtrArray *vm_view_list(struct vm_conn *c, GError **err); /* struct vm_facts, all guests; g_ptr_array_unref */
