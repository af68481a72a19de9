/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "cim/instance.h"
#include "job/job.h"

/* Msvm_Error (contract 1.20), embedded only.  Words, class of error and next step come from the table of base/err.h; the message names the
 * objects.  Instances are the caller's; any thread. */

/* error_id: a word of ERR_TABLE; source: path of the object that failed, NULL: none. */
struct cim_instance *error_instance(const char *error_id, const char *message, const char *source);

/* What a job failed of, outermost first: array of CIM-XML texts; a null array: it runs or did not fail. */
struct cim_value error_chain(const struct job_info *job);
