/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "cim/instance.h"
#include "repl/service.h"

/* Msvm_ReplicationServiceSettingData and Msvm_ReplicationAuthorizationSettingData: identities and reading. */

struct cim_path *service_setting_path(struct repl_service *s);
/* Takes over what was supplied. */
bool service_setting_read(const struct cim_instance *i, struct repl_host_settings *h, GError **err);
char *entry_id(const struct repl_entry *e); /* InstanceID; g_free */
