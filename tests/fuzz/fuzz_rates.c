/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/rates.h"

#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Any text is refused with words, or has one form that reads as the same again. */
int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    g_autofree char *text = g_strndup(size ? (const char *)data : "", size);
    g_autoptr(GError) err = NULL;
    struct rates rates, again;
    if (!rates_parse(text, &rates, &err)) {
        g_assert_nonnull(err);
        g_assert_true(g_utf8_validate(err->message, -1, NULL));
        return 0;
    }
    g_autofree char *one = rates_text(&rates);
    g_assert_true(rates_parse(one, &again, NULL));
    for (int at = 0; at < 7 * 24 * 60; at += 7) {
        const struct tm local = { .tm_wday = at / (24 * 60), .tm_hour = at / 60 % 24, .tm_min = at % 60 };
        g_assert_cmpuint(rates_at(&rates, &local), ==, rates_at(&again, &local));
    }
    g_autofree char *two = rates_text(&again);
    g_assert_cmpstr(one, ==, two);
    return 0;
}
