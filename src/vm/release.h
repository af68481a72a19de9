/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "vm/conn.h"

/* The program beside the daemon that resumes guests which the daemon left paused: vmreplica-thaw in its second form (src/thaw).
 *
 * While a guest is paused by us, <runtime_dir>/held/<GUID> is there.  When this process ends, or such a file is older than
 * RELEASE_LIMIT_S, the program resumes the guest and removes the file.  One thread at a time per struct. */

#define RELEASE_FOLDER "held"
enum { RELEASE_LIMIT_S = 20 };

struct release;
/* ERR_NOT_AVAILABLE: it cannot be started, or has no connection to libvirt. */
struct release *release_start(struct vm_conn *c, const char *program, const char *runtime_dir, GError **err);
bool release_runs(const struct release *r);
void release_stop(struct release *r); /* NULL is fine */
