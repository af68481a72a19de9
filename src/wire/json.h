/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "base/err.h"
#include "wire/peer.h"

/* The structs of the replication protocol as JSON text, both ways; only for files of wire/.
 *
 * Writing cannot fail; the text is freed with free().  Reading refuses what is not JSON, duplicate members, members of a wrong type,
 * missing ones and numbers out of range with ERR_MALFORMED, more disks than WIRE_MAX_DISKS with ERR_TOO_BIG, and ignores members that it
 * does not know, so that a newer peer can say more.  `out` is zeroed first and left cleared on failure.  Pure; any thread. */

char *wire_json_hello(const struct wire_hello *hello, gint64 now_us); /* skew_us is not sent; the time is */
bool wire_json_read_hello(const char *text, size_t len, struct wire_hello *out, gint64 *now_us, GError **err);
char *wire_json_offer(const struct wire_offer *offer);
bool wire_json_read_offer(const char *text, size_t len, struct wire_offer *out, GError **err);
char *wire_json_status(const struct wire_status *status);
bool wire_json_read_status(const char *text, size_t len, struct wire_status *out, GError **err);

char *wire_json_error(const GError *error);
/* Turns the text into an error of its code; false when it is no such text (and err is untouched).  `host` begins the message. */
bool wire_json_read_error(const char *text, size_t len, const char *host, GError **err);
