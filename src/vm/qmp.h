/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "vm/handle.h"

#include <jansson.h>
#include <stdbool.h>

/* QMP commands through libvirt's monitor ("custom-monitor" taint).
 *
 * The answer is the member "return", owned by the caller (json_decref).  A refusal by QEMU is ERR_FAILED (class DeviceNotFound, or
 * DeviceNotActive of block jobs: ERR_NOT_FOUND) with QEMU's words; a guest that is not running is ERR_NOT_AVAILABLE; a libvirt job that
 * holds the guest for too long (30 s) is ERR_TIMEOUT.  Blocking; any thread.
 * Source: QEMU "QMP protocol specification", "QEMU QMP reference manual". */

json_t *qmp_run(virDomainPtr dom, const char *command, json_t *args, GError **err); /* steals args, NULL: none */
bool qmp_do(virDomainPtr dom, const char *command, json_t *args, GError **err);     /* when the answer does not matter */
/* The answer as it comes from the monitor.  Pure. */
json_t *qmp_parse(const char *command, const char *answer, GError **err);

/* Members of objects: NULL, 0 and false when absent or of another type. */
const char *qmp_text(const json_t *object, const char *name);
guint64 qmp_number(const json_t *object, const char *name);
bool qmp_flag(const json_t *object, const char *name);

static inline void
qmp_json_clean(json_t **j)
{
    json_decref(*j);
}
#define json_scoped __attribute__((cleanup(qmp_json_clean))) json_t *
