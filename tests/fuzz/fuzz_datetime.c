/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cim/value.h"

#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
assert_same(const char *text, const struct cim_datetime *wanted)
{
    struct cim_datetime again;
    g_assert_true(cim_datetime_parse(text, &again));
    g_assert_true(again.interval == wanted->interval);
    g_assert_cmpint(again.us, ==, wanted->us);
}

/* Any text is a point in time, an interval, or neither; both ways of writing read as the same again. */
int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    g_autofree char *text = g_strndup(size ? (const char *)data : "", size);
    struct cim_datetime t;
    if (!cim_datetime_parse(text, &t))
        return 0;
    g_autofree char *dmtf = cim_datetime_dmtf(&t), *iso = cim_datetime_iso(&t);
    assert_same(dmtf, &t);
    assert_same(iso, &t);
    return 0;
}
