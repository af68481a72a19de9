/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/err.h"

#include <errno.h>
#include <stdarg.h>
#include <string.h>

static const struct err_info table[] = {
#define X(name, id, cim, fault, http, exit, retry) [name] = {id, cim, fault, http, exit, retry},
    ERR_TABLE(X)
#undef X
};

G_DEFINE_QUARK(vmreplica - error, err)

const struct err_info *
err_info(enum err_code code)
{
    g_assert((guint)code < ERR_COUNT);
    return &table[code];
}

const struct err_info *
err_info_of(const GError *err)
{
    return err_info(err && err->domain == ERR ? (enum err_code)err->code : ERR_FAILED);
}

gboolean
err_from_id(const char *id, enum err_code *code)
{
    for (guint i = 0; i < ERR_COUNT; i++) {
        if (strcmp(table[i].id, id) == 0) {
            *code = (enum err_code)i;
            return TRUE;
        }
    }
    return FALSE;
}

gboolean
err_set(GError **err, enum err_code code, const char *format, ...)
{
    if (!err)
        return FALSE;
    va_list args;
    va_start(args, format);
    g_autofree char *text = g_strdup_vprintf(format, args);
    va_end(args);
    g_set_error_literal(err, ERR, code, text);
    return FALSE;
}

static enum err_code
code_of_errno(int number)
{
    switch (number) {
    case ENOSPC:
    case EDQUOT:
        return ERR_NO_SPACE;
    case ENOENT:
        return ERR_NOT_FOUND;
    case EACCES:
    case EPERM:
        return ERR_ACCESS_DENIED;
    case ENOMEM:
        return ERR_NO_MEMORY;
    default:
        return ERR_IO;
    }
}

gboolean
err_errno(GError **err, const char *format, ...)
{
    int number = errno;
    if (!err)
        return FALSE;
    va_list args;
    va_start(args, format);
    g_autofree char *text = g_strdup_vprintf(format, args);
    va_end(args);
    g_set_error(err, ERR, code_of_errno(number), "%s: %s.", text, g_strerror(number));
    return FALSE;
}

gboolean
err_is(const GError *err, enum err_code code)
{
    return err && g_error_matches(err, ERR, code);
}
