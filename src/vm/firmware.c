/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "vm/firmware.h"

#include "base/err.h"
#include "base/file.h"
#include "base/xml.h"

#include <string.h>

enum { XML_MAX = 16 << 20, NVRAM_MAX = 8 << 20 };

/* One on the network, or in a format of its own, is not read. */
static char *
nvram_path(const char *xml, GError **err)
{
    g_autoptr(xmlDoc) doc = xml_parse(xml, strlen(xml), XML_MAX, err);
    const xmlNode *os = doc ? xml_child(xmlDocGetRootElement(doc), NULL, "os") : NULL;
    const xmlNode *nvram = os ? xml_child(os, NULL, "nvram") : NULL;
    g_autofree char *format = nvram ? xml_attr(nvram, "format") : NULL;
    if (!nvram || (format && !g_str_equal(format, "raw")))
        return NULL;
    char *path = g_strstrip(xml_text(nvram));
    if (g_path_is_absolute(path))
        return path;
    g_free(path);
    return NULL;
}

GBytes *
firmware_nvram(const char *xml, GError **err)
{
    if (!strstr(xml, "<nvram"))
        return NULL;
    g_autofree char *path = nvram_path(xml, err);
    g_autoptr(GError) why = NULL;
    char *data;
    size_t len;
    if (!path)
        return NULL;
    if (file_read_all(path, NVRAM_MAX, &data, &len, &why))
        return g_bytes_new_take(data, len);
    if (!err_is(why, ERR_NOT_FOUND))
        g_propagate_error(err, g_steal_pointer(&why));
    return NULL;
}
