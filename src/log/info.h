/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "log/format.h"

#include <glib.h>
#include <stdbool.h>

/* struct log_info owns its disk table and names.  log_info_clear frees what it owns and zeroes it.  Any thread. */

void log_info_clear(struct log_info *info);
void log_info_copy(struct log_info *to, const struct log_info *from);
void log_info_add_disk(struct log_info *info, uint16_t id, const char *target, uint64_t size);
const struct log_disk *log_info_disk(const struct log_info *info, uint16_t id); /* NULL: no such disk */
