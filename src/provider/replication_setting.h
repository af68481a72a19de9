/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "cim/instance.h"
#include "repl/settings.h"

#include "base/uuid.h"

/* Msvm_ReplicationSettingData <-> struct repl_settings. */

/* Takes over the properties that were supplied; the others keep their value.  ERR_INVALID_PARAMETER: InstanceID of another relationship,
 * a disk that cannot be understood. */
bool replication_setting_read(const struct cim_instance *i, const struct uuid *vm, struct repl_settings *s, GError **err);
