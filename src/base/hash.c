/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/hash.h"

#include <glib.h>
#include <stdbool.h>
#include <string.h>
#include <xxhash.h>

static struct hash128
canonical(XXH128_hash_t value)
{
    struct hash128 out;
    XXH128_canonical_t c;
    XXH128_canonicalFromHash(&c, value);
    memcpy(out.bytes, c.digest, sizeof out.bytes);
    return out;
}

struct hash128
hash128_of(const void *data, size_t len)
{
    return canonical(XXH3_128bits(data, len));
}

struct hash128
hash128_keyed(const void *data, size_t len, const uint8_t *secret)
{
    return canonical(XXH3_128bits_withSecret(data, len, secret, HASH_SECRET));
}

struct hash128_state *
hash128_new_keyed(const uint8_t *secret)
{
    XXH3_state_t *s = XXH3_createState();
    bool ready = s && XXH3_128bits_reset_withSecret(s, secret, HASH_SECRET) == XXH_OK;
    g_assert(ready);
    return (struct hash128_state *)s;
}

struct hash128_state *
hash128_new(void)
{
    XXH3_state_t *s = XXH3_createState();
    bool ready = s && XXH3_128bits_reset(s) == XXH_OK;
    g_assert(ready);
    return (struct hash128_state *)s;
}

void
hash128_update(struct hash128_state *s, const void *data, size_t len)
{
    XXH3_128bits_update((XXH3_state_t *)s, data, len);
}

struct hash128
hash128_final(struct hash128_state *s)
{
    struct hash128 out = canonical(XXH3_128bits_digest((XXH3_state_t *)s));
    XXH3_freeState((XXH3_state_t *)s);
    return out;
}
