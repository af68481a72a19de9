/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "vm/source.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Any disk of a definition has an image or a reason; what QEMU's programs are told of it is one name, and a node when it is not a path. */
int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static gsize once;
    if (g_once_init_enter(&once)) {
        xml_init();
        g_once_init_leave(&once, 1);
    }
    g_autoptr(xmlDoc) doc = xml_parse((const char *)data, size, 32768, NULL);
    g_autofree char *why = NULL, *image = doc ? source_image(xmlDocGetRootElement(doc), &why) : NULL;
    if (!doc)
        return 0;
    g_assert_true((image != NULL) != (why != NULL));
    if (!image)
        return 0;
    g_autoptr(GPtrArray) argv = g_ptr_array_new_with_free_func(g_free);
    source_argv(argv, image, "raw");
    g_assert_true(argv->len == 1 || argv->len == 3);
    json_t *node = source_node(image);
    g_assert_true(node || g_str_has_prefix(image, "json:"));
    json_decref(node);
    return 0;
}
