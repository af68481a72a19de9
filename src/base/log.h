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

#define log_debug(...)   log_line(LOG_LEVEL_DEBUG, __VA_ARGS__)
#define log_info(...)    log_line(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_warning(...) log_line(LOG_LEVEL_WARNING, __VA_ARGS__)
#define log_error(...)   log_line(LOG_LEVEL_ERROR, __VA_ARGS__)
