/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "job/job.h"
#include "repl/db.h"

/* The job registry on our database, and the jobs of contract section 0.4 by number. */

struct job_registry *jobs_open(struct db *db, GError **err);

enum job_number {
    JOB_SAVE = 14, JOB_MODIFY_SERVICE = 90, JOB_CREATE = 91, JOB_MODIFY = 92, JOB_REMOVE = 93, JOB_START = 94, JOB_IMPORT = 95,
    JOB_STATE_CHANGE = 96, JOB_FAILOVER = 97, JOB_REVERT = 98, JOB_COMMIT = 99, JOB_PREPARE = 100, JOB_PREPARE_CANCEL = 101,
    JOB_TEST = 102, JOB_TEST_REMOVE = 103, JOB_REVERSE = 104, JOB_RESYNC = 107, JOB_STOP_RESYNC = 110, JOB_START_SEEDED = 117,
    JOB_EXPORT = 118, JOB_STOP_INITIAL = 109, JOB_COMPARE = 113, JOB_TEST_CONNECTION = 115,
    JOB_RESYNC_EXTENDED = 121, JOB_PROMOTE = 123,
};
const char *jobs_name(enum job_number n);
/* One replication-modifying job per guest (contract 0.3, check 8): the conflict key.  g_free. */
char *jobs_conflict(const struct uuid *vm);
