/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "provider/common.h"

/* SetFailoverNetworkAdapterSettings (contract 2.8): every check of its embedded Msvm_FailoverNetworkAdapterSettingData, which is then
 * kept on this host (repl/addresses.h): all of them or none.  Done when it is answered.  Any thread. */
guint32 replication_set_failover_addresses(struct cim_call *call, GError **err);
