/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "cim/value.h"
#include "repl/service.h"

/* Msvm_ReplicationStatistics and Msvm_Error as embedded instances (contract 1.7, 1.20). */

struct cim_value statistics_text(const struct uuid *vm, guint index, const struct repl_statistics *st); /* array of one */
struct cim_value issues_text(GPtrArray *issues);    /* struct repl_issue */
