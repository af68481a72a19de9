/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "vm/screenshot.h"

#include "base/err.h"
#include "vm/handle.h"

#include <stdlib.h>
#include <string.h>

enum { PIECE = 256 << 10, PICTURE_MAX = 64 << 20 };

G_DEFINE_AUTOPTR_CLEANUP_FUNC(virStream, virStreamFree)

static const char *
suffix_of(const char *type)
{
    return !type ? "img" : strstr(type, "png") ? "png" : strstr(type, "pixmap") || strstr(type, "ppm") ? "ppm" : "img";
}

/* A stream ends by virStreamFinish or virStreamAbort, never by itself. */
static GBytes *
receive(virStreamPtr stream, const char *name, GError **err)
{
    g_autoptr(GByteArray) all = g_byte_array_new();
    g_autofree char *piece = g_malloc(PIECE);
    int got;
    while ((got = virStreamRecv(stream, piece, PIECE)) > 0 && all->len <= PICTURE_MAX)
        g_byte_array_append(all, (const guint8 *)piece, (guint)got);
    if (got == 0 && virStreamFinish(stream) == 0)
        return g_byte_array_free_to_bytes(g_steal_pointer(&all));
    if (got > 0)
        err_set(err, ERR_TOO_BIG, "The screenshot of guest '%s' is bigger than 64 MiB.", name);
    else
        conn_error(err, "The screenshot of guest '%s' cannot be read", name);
    if (got != 0)
        virStreamAbort(stream);
    return NULL;
}

GBytes *
vm_screenshot(struct vm_conn *c, const struct uuid *vm, char **suffix, GError **err)
{
    virt_conn_auto libvirt = conn_ref(c, err);
    g_autoptr(virDomain) dom = libvirt ? conn_domain(c, vm, err) : NULL;
    if (!dom)
        return NULL;
    const char *name = virDomainGetName(dom);
    g_autoptr(virStream) stream = virStreamNew(libvirt, 0);
    char *type = stream ? virDomainScreenshot(dom, stream, 0, 0) : NULL;
    if (!type) {
        conn_error(err, "Guest '%s' shows nothing", name);
        return NULL;
    }
    GBytes *picture = receive(stream, name, err);
    if (picture)
        *suffix = g_strdup(suffix_of(type));
    free(type);
    return picture;
}
