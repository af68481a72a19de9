/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stddef.h>
#include <stdint.h>

/* XXH3-128: finds accidental damage; it is no proof against an adversary (TLS and the SHA-256 digest of a change log are).
 * Canonical (big-endian) bytes, so that a file can be moved between machines.  Pure; any thread. */

struct hash128 {
    uint8_t bytes[16];
};

struct hash128 hash128_of(const void *data, size_t len);

/* The same under a secret of HASH_SECRET random bytes, where a guest chooses the data: it cannot look for two pages of one hash without
 * knowing the secret. */
#define HASH_SECRET 192
struct hash128 hash128_keyed(const void *data, size_t len, const uint8_t *secret);

struct hash128_state;
struct hash128_state *hash128_new(void);
struct hash128_state *hash128_new_keyed(const uint8_t *secret); /* the secret must live as long */
void hash128_update(struct hash128_state *s, const void *data, size_t len);
struct hash128 hash128_final(struct hash128_state *s); /* frees s */
