/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "cim/instance.h"
#include "repl/service.h"

/* What Msvm_ComputerSystem and Msvm_SummaryInformation say alike about a guest.  Any thread. */

guint computer_system_state(enum vm_power power);  /* EnabledState */
enum repl_mode computer_system_mode(struct repl_service *s, const struct uuid *vm, const struct repl_relation *r); /* r NULL: none */
/* HealthState, OperationalStatus and StatusDescriptions: a guest on which a job works is In Service. */
void computer_system_status(struct cim_instance *i, struct repl_service *s, const struct uuid *vm);
