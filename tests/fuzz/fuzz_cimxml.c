/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/xml.h"
#include "cim/cimxml.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Any text is an embedded instance or an error; what was written reads as the same instance. */
int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static gsize once;
    if (g_once_init_enter(&once)) {
        xml_init();
        g_once_init_leave(&once, 1);
    }
    g_autofree char *text = g_strndup(size ? (const char *)data : "", size);
    g_autoptr(GError) err = NULL;
    cim_instance_auto i = cim_xml_parse(text, NULL, &err);
    g_assert_true((i == NULL) == (err != NULL));
    if (!i)
        return 0;
    g_autofree char *written = cim_xml_text(i);
    cim_instance_auto again = cim_xml_parse(written, i->cls->name, &err);
    g_assert_no_error(err);
    g_autofree char *twice = cim_xml_text(again);
    g_assert_cmpstr(written, ==, twice);
    cim_path_auto path = cim_instance_path(i);
    g_assert_nonnull(path);
    return 0;
}
