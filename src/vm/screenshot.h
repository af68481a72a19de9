/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "vm/conn.h"

/* What a running guest shows on its first screen, as the hypervisor gives it.  Blocks; any thread.
 *
 * *suffix (g_free) is "png", "ppm" or "img".  ERR_NOT_SUPPORTED, ERR_NOT_AVAILABLE: the guest has no graphics, or is off; ERR_TOO_BIG.
 * Source: libvirt's virDomainScreenshot, which streams a picture that QEMU wrote (screendump). */
GBytes *vm_screenshot(struct vm_conn *c, const struct uuid *vm, char **suffix, GError **err);
