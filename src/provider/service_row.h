/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "base/err.h"
#include "cim/dispatch.h"
#include "repl/service.h"

/* The services of this host beside Msvm_ReplicationService: one instance each, whose constants are defaults of the schema, and the return
 * codes that their methods share (contract 0.3: DMTF's small codes).  Any thread. */

enum service { SERVICE_MANAGEMENT, SERVICE_SNAPSHOT, SERVICES };

struct cim_path *service_row_path(struct repl_service *s, enum service which);
struct cim_instance *service_row_instance(struct repl_service *s, enum service which);

/* 1 not supported, 2 failed, 3 timeout, 4 invalid parameter, 5 invalid state, 6 invalid type; access denied keeps 32769, which these
 * methods list as well or have no other number for. */
guint32 service_small_code(const GError *why);
/* The same for methods without 6: what cannot be decoded is an invalid parameter. */
guint32 service_smaller_code(const GError *why);

/* Reference to a recovery point or to the settings of a guest, checked in the order of contract 0.3; both name a guest. */
struct service_setting {
    struct uuid vm;
    bool is_point;
    struct repl_point point;
};
bool service_setting_arg(const struct cim_call *call, const char *name, struct service_setting *out, GError **err);
bool service_setting_of(struct repl_service *s, const struct cim_path *path, const char *name, struct service_setting *out, GError **err);
