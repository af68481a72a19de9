/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

/* Log lines of the program (not change logs: those live in src/log/).
 *
 * One line per event: a sentence first, then key=value pairs written by the caller at its end.  The sink is journald when standard
 * error is connected to it, else standard error with time and level.  Never a secret, never bulk data.  Any thread. */

enum log_level { LOG_LEVEL_DEBUG, LOG_LEVEL_INFO, LOG_LEVEL_WARNING, LOG_LEVEL_ERROR };

void log_init(enum log_level threshold); /* once, from main */
void log_line(enum log_level level, const char *format, ...) G_GNUC_PRINTF(2, 3);

/* Events that monitoring looks for have the numbers that it knows (contract section 8): "event=N" at the end of the line, and field
 * VMREPLICA_EVENT of the journal.  vmreplicad(8) lists them. */
enum log_event {
    LOG_EVENT_WINDOW = 29174,        /* statistics of a finished window */
    LOG_EVENT_COMPARE_BEGUN = 29242, /* disks are compared with what the replica has */
    LOG_EVENT_COMPARE_ENDED = 29244,
    LOG_EVENT_NOT_SENT = 32022,      /* changes could not be replicated; it is tried again */
    LOG_EVENT_NOT_APPLIED = 32032,   /* the replica could not take or merge them */
    LOG_EVENT_STOPPED = 32086,       /* no retry mends it: somebody has to look */
    LOG_EVENT_RETRY = 32315,         /* how long until the next try */
    LOG_EVENT_WRONG_STATE = 32546,   /* a job failed because of the guest's state */
    LOG_EVENT_BEHIND = 33414,        /* the replica is more than an hour behind */
    LOG_EVENT_JOB_FAILED = 33680
};
void log_event(enum log_level level, enum log_event event, const char *format, ...) G_GNUC_PRINTF(3, 4);

#define log_debug(...)   log_line(LOG_LEVEL_DEBUG, __VA_ARGS__)
#define log_info(...)    log_line(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_warning(...) log_line(LOG_LEVEL_WARNING, __VA_ARGS__)
#define log_error(...)   log_line(LOG_LEVEL_ERROR, __VA_ARGS__)
