/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "vm/image.h"

#include "base/clean.h"
#include "base/err.h"
#include "base/file.h"
#include "vm/run.h"
#include "vm/source.h"

#include <fcntl.h>
#include <unistd.h>

json_t *
image_info(const char *path, const char *format, GError **err)
{
    g_autoptr(GPtrArray) argv = g_ptr_array_new_with_free_func(g_free);
    g_autofree char *text = NULL;
    /* A server on the network that does not answer must not hold us for minutes. */
    const char *const verb[] = { "timeout", "20", "qemu-img", "info", "--output=json" };
    for (gsize i = 0; i < G_N_ELEMENTS(verb); i++)
        g_ptr_array_add(argv, g_strdup(verb[i]));
    source_argv(argv, path, format);
    g_ptr_array_add(argv, NULL);
    if (!run_program((const char *const *)argv->pdata, NULL, &text, err))
        return NULL;
    json_t *info = json_loads(text, 0, NULL);
    if (json_is_object(info))
        return info;
    json_decref(info);
    err_set(err, ERR_MALFORMED, "What qemu-img says about image '%s' is not understood.", path);
    return NULL;
}

bool
image_size(const char *path, const char *format, guint64 *size, GError **err)
{
    json_t *info = image_info(path, format, err);
    if (!info)
        return false;
    *size = (guint64)json_integer_value(json_object_get(info, "virtual-size"));
    json_decref(info);
    return true;
}

bool
image_to_raw(const char *from, const char *format, const char *to, const gint *cancel, GError **err)
{
    g_autoptr(GPtrArray) argv = g_ptr_array_new_with_free_func(g_free);
    const char *const verb[] = { "qemu-img", "convert", "-q", "-O", "raw" };
    for (gsize i = 0; i < G_N_ELEMENTS(verb); i++)
        g_ptr_array_add(argv, g_strdup(verb[i]));
    source_argv(argv, from, format);
    g_ptr_array_add(argv, g_strdup(to));
    g_ptr_array_add(argv, NULL);
    if (access(to, F_OK) == 0)
        return err_set(err, ERR_EXISTS, "Image '%s' exists already.", to);
    if (!run_program((const char *const *)argv->pdata, cancel, NULL, err)) {
        unlink(to);
        return false;
    }
    auto_fd fd = open(to, O_RDWR | O_CLOEXEC);
    if (fd < 0)
        return err_errno(err, "Image '%s' cannot be opened", to);
    return file_sync(fd, to, err);
}
