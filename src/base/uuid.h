/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/* 128-bit identities (RFC 4122).  Text is 36 characters; upper case as Hyper-V writes it, any case when read.  Any thread. */

struct uuid {
    uint8_t bytes[16];
};

#define UUID_TEXT 37
extern const struct uuid UUID_NIL;
struct uuid uuid_random(void);
bool uuid_parse(const char *text, struct uuid *out);           /* false: not a UUID; braces are tolerated */
const char *uuid_format(const struct uuid *u, char text[UUID_TEXT]); /* upper case; returns text */
const char *uuid_format_lower(const struct uuid *u, char text[UUID_TEXT]);
bool uuid_equal(const struct uuid *a, const struct uuid *b);
bool uuid_is_nil(const struct uuid *u);
unsigned uuid_hash(const void *u);                              /* for a GHashTable of struct uuid * */
int uuid_same(const void *a, const void *b);
