/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

/* What a guest keeps outside its disks: the variables of its UEFI firmware.
 *
 * QEMU writes them through to a file that the definition names.  A reader may meet a write in the middle; UEFI's own journal of its
 * variables survives that as it survives a power cut.  Blocking; any thread.  Source: libvirt "Domain XML format" (os, nvram). */

/* Content of the file that the definition names; NULL without error: there is none (yet).  One that cannot be read is an error: a
 * point without it would be taken for whole, and its guest would start with fresh variables. */
GBytes *firmware_nvram(const char *xml, GError **err);
