/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/xml.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Any bytes are a document or an error; what was read and written again must read the same. */
int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static gsize once;
    if (g_once_init_enter(&once)) {
        xml_init();
        g_once_init_leave(&once, 1);
    }
    g_autoptr(GError) err = NULL;
    g_autoptr(xmlDoc) doc = xml_parse((const char *)data, size, 32768, &err);
    if (!doc) {
        g_assert_nonnull(err);
        return 0;
    }
    const xmlNode *root = xmlDocGetRootElement(doc);
    g_autofree char *text = xml_text(root);
    g_autofree char *attribute = xml_attr(root, "a");
    g_assert_nonnull(text);
    g_assert_true(!attribute || g_utf8_validate(attribute, -1, NULL));
    for (xmlNode *child = xml_child(root, NULL, NULL); child; child = xml_next(child, NULL, NULL)) {
        g_autofree char *inner = xml_text(child);
        g_assert_nonnull(inner);
    }
    size_t len = 0;
    g_autofree char *dump = xml_dump(doc, &len);
    g_autoptr(xmlDoc) again = xml_parse(dump, len, 16 * 32768, &err);
    g_assert_no_error(err);
    g_assert_nonnull(again);
    return 0;
}
