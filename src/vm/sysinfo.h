/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "base/xml.h"
#include "vm/domain.h"

/* What a definition says about the guest as a machine: struct vm_machine of vm/domain.h.  Reads one <domain> element, keeps nothing of
 * it; members without a source stay as they are.  Any thread.  Source: libvirt's domain XML format. */

void sysinfo_read(struct vm_machine *m, const xmlNode *domain);
void sysinfo_clear(struct vm_machine *m);

/* When the process started, as wall clock, from /proc.  False: there is no such process. */
bool sysinfo_process_start(guint pid, gint64 *started_us);
