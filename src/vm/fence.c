/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "vm/fence.h"

#include "base/err.h"
#include "base/file.h"

#include <string.h>
#include <unistd.h>

static char *
fence_path(const char *dir, const struct uuid *vm)
{
    char text[UUID_TEXT];
    return g_build_filename(dir, uuid_format_lower(vm, text), NULL);
}

/* The hook runs as root, but people read the reason, too: 0755 and 0644. */
bool
fence_raise(const char *dir, const struct uuid *vm, const char *reason, GError **err)
{
    g_autofree char *path = fence_path(dir, vm);
    g_autofree char *text = g_strconcat(reason, g_str_has_suffix(reason, "\n") ? "" : "\n", NULL);
    return file_make_dirs(dir, 0755, err) && file_replace(path, text, strlen(text), 0644, err);
}

bool
fence_lower(const char *dir, const struct uuid *vm, GError **err)
{
    g_autofree char *path = fence_path(dir, vm);
    if (access(dir, F_OK) != 0)
        return true;
    return file_unlink_durably(path, err);
}

bool
fence_is_up(const char *dir, const struct uuid *vm)
{
    g_autofree char *path = fence_path(dir, vm);
    return access(path, F_OK) == 0;
}
