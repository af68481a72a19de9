/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/uuid.h"

#include <glib.h>
#include <string.h>
#include <sys/random.h>

const struct uuid UUID_NIL;

struct uuid
uuid_random(void)
{
    struct uuid u;
    ssize_t got = getrandom(u.bytes, sizeof u.bytes, 0); /* 16 bytes are never given in part (getrandom(2)) */
    g_assert(got == sizeof u.bytes);
    u.bytes[6] = (uint8_t)((u.bytes[6] & 0x0f) | 0x40);
    u.bytes[8] = (uint8_t)((u.bytes[8] & 0x3f) | 0x80);
    return u;
}

static bool
is_dash_position(int i)
{
    return i == 8 || i == 13 || i == 18 || i == 23;
}

bool
uuid_parse(const char *text, struct uuid *out)
{
    struct uuid u;
    int digits = 0;
    bool brace = *text == '{';

    text += brace;
    for (int i = 0; i < UUID_TEXT - 1; i++) {
        if (is_dash_position(i)) {
            if (text[i] != '-')
                return false;
            continue;
        }
        int v = g_ascii_xdigit_value(text[i]);
        if (v < 0)
            return false;
        u.bytes[digits / 2] = (uint8_t)(digits % 2 ? u.bytes[digits / 2] << 4 | v : v);
        digits++;
    }
    if (strcmp(text + UUID_TEXT - 1, brace ? "}" : "") != 0)
        return false;
    *out = u;
    return true;
}

static const char *
format(const struct uuid *u, char text[UUID_TEXT], const char *digits)
{
    int byte = 0;
    for (int i = 0; i < UUID_TEXT - 1;) {
        if (is_dash_position(i)) {
            text[i++] = '-';
            continue;
        }
        text[i++] = digits[u->bytes[byte] >> 4];
        text[i++] = digits[u->bytes[byte++] & 15];
    }
    text[UUID_TEXT - 1] = '\0';
    return text;
}

const char *
uuid_format(const struct uuid *u, char text[UUID_TEXT])
{
    return format(u, text, "0123456789ABCDEF");
}

const char *
uuid_format_lower(const struct uuid *u, char text[UUID_TEXT])
{
    return format(u, text, "0123456789abcdef");
}

bool
uuid_equal(const struct uuid *a, const struct uuid *b)
{
    return memcmp(a, b, sizeof *a) == 0;
}

bool
uuid_is_nil(const struct uuid *u)
{
    return uuid_equal(u, &UUID_NIL);
}

/* Every byte counts: made-up UUIDs differ in their last ones only. */
unsigned
uuid_hash(const void *u)
{
    unsigned words[4];
    memcpy(words, u, sizeof words);
    return words[0] ^ words[1] ^ words[2] ^ words[3];
}

int
uuid_same(const void *a, const void *b)
{
    return uuid_equal(a, b);
}
