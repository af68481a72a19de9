/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "repl/settings.h"

/* AdditionalSettings (contract 2.2.1 leaves it to the provider): one JSON object, at most 64 KiB.
 *
 *   interval_ms              period of the cycle, 250 .. 3600000; wins over ReplicationInterval
 *   keep_every_cycle_s       every cycle younger than this stays a recovery point, 0 .. 31536000
 *   retention                rules for more points, text as in store/rules.h; "" is none
 *   bandwidth                limit of the sender, by hours of the day as in base/rates.h, or a number; "" and 0 are none
 *   bandwidth_bytes_per_s    the same as a number, 0 (none) or 1024 ..; not both
 *   compression              "auto" (default), "none", "lz4", "zstd:-1", "zstd:1", "zstd:2" or "zstd:3" (compress.h)
 *   compression_level        zstd level, 1 .. 19; not both
 *   engine                   "push" (default) or "pull": what captures the guest (vm/capture.h)
 *   test_network             libvirt network of test guests
 *   verify_text              a boot check (drill.h) passes when this comes on the serial console, 1 .. 200 bytes; absent: when the
 *                            guest agent answers
 *   verify_timeout_s         and fails after that long, 1 .. 86400; absent: 300
 *   leave_out                "none" (default) or "swap": what is in Linux swap partitions is not replicated (leaveout.h)
 *   full_copy                "allow" (default) or "forbid": what happens when tracking was lost and nothing says what the replica has
 *
 * An unknown key, a wrong type and a value out of range are ERR_INVALID_PARAMETER and name the key.  additional_parse sets the members of
 * struct repl_settings that come from here; a key that is absent resets its member to "not given".  Pure. */
bool additional_parse(struct repl_settings *s, GError **err);

/* Shared checks of settings.c, also used for the connection test (contract 2.1).  own_host NULL: any name.  The thumbprint is brought into
 * the form that net/identity.h uses; own NULL: any. */
bool settings_check_host(const char *host, const char *own_host, const char *property, GError **err);
bool settings_check_thumbprint(char **thumbprint, const char *own, GError **err);
