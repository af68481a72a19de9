/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cim/path.h"
#include "cim/value.h"

#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
read_value(enum cim_type type, const char *text)
{
    struct cim_value v, again;
    int order = 1;
    g_autoptr(GError) err = NULL;
    bool ok = cim_value_parse(&v, type, text, &err);
    g_assert_true(ok == (err == NULL));
    g_autofree char *back = cim_value_text(&v);
    if (ok) {
        g_assert_true(cim_value_parse(&again, type, back, NULL));
        if (type != CIM_REFERENCE && type != CIM_REAL32 && type != CIM_REAL64)
            g_assert_true(cim_value_compare(&v, &again, &order) && order == 0);
        cim_value_clear(&again);
    }
    cim_value_clear(&v);
}

/* Any text is a path or an error, and what was written reads as the same path; the same for values of every type. */
int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    g_autofree char *text = g_strndup(size ? (const char *)data : "", size);
    g_autoptr(GError) err = NULL;
    cim_path_auto path = cim_path_parse(text, &err);
    g_assert_true((path == NULL) == (err != NULL));
    if (path) {
        g_autofree char *written = cim_path_text(path);
        cim_path_auto again = cim_path_parse(written, NULL);
        g_assert_true(again && cim_path_equal(path, again));
    }
    for (int type = CIM_BOOLEAN; type <= CIM_REFERENCE; type++)
        read_value((enum cim_type)type, text);
    return 0;
}
