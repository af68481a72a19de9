/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "cim/instance.h"
#include "repl/service.h"

/* Msvm_VirtualSystemSettingData of a guest as it is now (contract 1.13).  Caller's; any thread. */
struct cim_instance *virtual_system_setting_of(const struct vm_facts *f);

/* Of a recovery point; its Notes say what is beyond the contract: "bytes=N" (of its change log), "pinned=yes|no", "protected=DATE",
 * "damaged=yes", "quiesced=JSON", and of its last boot check "check=passed|failed", "check_time=DATE", "check_ms=N", "check_reason=WORDS",
 * "check_screenshot=FILE". */
struct cim_instance *virtual_system_setting_of_point(struct repl_service *s, const struct repl_point *p,
                                                     const struct repl_relation *r);

/* "Microsoft:Hyper-V:SubType:1" (BIOS) or ":2" (UEFI). */
const char *virtual_system_subtype(const struct vm_facts *f);
