/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "cim/instance.h"
#include "repl/service.h"

/* Msvm_SummaryInformation (contract 1.25), embedded in the answer of GetSummaryInformation.  Only what was asked for is set; what KVM does
 * not know stays null.  Asking for the guest's system (106) waits for its agent.  Caller's; any thread. */

bool summary_knows(guint number); /* is that a number of RequestedInformation? */
struct cim_instance *summary_of_guest(struct repl_service *s, const struct vm_facts *f, const guint *wanted, guint count);
struct cim_instance *summary_of_point(struct repl_service *s, const struct repl_point *p, const guint *wanted, guint count);
