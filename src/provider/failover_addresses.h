/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "provider/common.h"

/* SetFailoverNetworkAdapterSettings (contract 2.8): every check of its embedded Msvm_FailoverNetworkAdapterSettingData.  Giving the
 * addresses to a guest after a failover is not there yet, so settings that pass are refused with ERR_NOT_SUPPORTED.  Any thread. */
guint32 replication_set_failover_addresses(struct cim_call *call, GError **err);
