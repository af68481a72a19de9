/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "provider/common.h"

/* ModifyResourceSettings (contract 6.1, Set-VMNetworkAdapter): TestReplicaSwitchName of Msvm_EthernetPortAllocationSettingData is taken, an
 * empty text clears it.  It names one of libvirt's networks, for that card in test guests on this host.
 *
 * Clients send either what they change or all that they have read: what is as it was is no change.  Other changes are ERR_NOT_SUPPORTED.
 * All of the elements are carried out, or none of one guest.  Any thread. */

bool resource_change(struct cim_call *call, GError **err); /* sets ResultingResourceSettings */
