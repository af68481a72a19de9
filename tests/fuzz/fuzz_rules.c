/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "store/rules.h"

#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Any text is refused with words, or has one form that reads as the same again. */
int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    g_autofree char *text = g_strndup(size ? (const char *)data : "", size);
    g_autoptr(GError) err = NULL;
    struct rules rules, again;
    if (!rules_parse(text, &rules, &err)) {
        g_assert_nonnull(err);
        g_assert_true(g_utf8_validate(err->message, -1, NULL));
        return 0;
    }
    g_autofree char *one = rules_text(&rules);
    g_assert_true(rules_parse(one, &again, NULL));
    g_autofree char *two = rules_text(&again);
    g_assert_cmpstr(one, ==, two);
    return 0;
}
