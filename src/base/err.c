/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/err.h"

#include <errno.h>
#include <stdarg.h>
#include <string.h>

static const struct err_info table[] = {
#define X(name, ...) [name] = {__VA_ARGS__},
    ERR_TABLE(X)
#undef X
};

/* What GLib keeps beside every error of our domain. */
typedef struct {
    GError *cause;
    int number; /* errno; 0: none */
} ErrPrivate;

static void
err_private_init(ErrPrivate *p)
{
    p->cause = NULL;
    p->number = 0;
}

static void
err_private_copy(const ErrPrivate *from, ErrPrivate *to)
{
    to->cause = from->cause ? g_error_copy(from->cause) : NULL;
    to->number = from->number;
}

static void
err_private_clear(ErrPrivate *p)
{
    g_clear_error(&p->cause);
}

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wcast-qual" /* in GLib's macro */
G_DEFINE_EXTENDED_ERROR(Err, err)
#pragma GCC diagnostic pop

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

gboolean
err_wrap(GError **err, enum err_code code, const char *format, ...)
{
    if (!err)
        return FALSE;
    va_list args;
    va_start(args, format);
    g_autofree char *text = g_strdup_vprintf(format, args);
    va_end(args);
    GError *outer = g_error_new_literal(ERR, code, text);
    err_get_private(outer)->cause = *err;
    *err = outer;
    return FALSE;
}

const GError *
err_cause(const GError *err)
{
    return err && err->domain == ERR ? err_get_private(err)->cause : NULL;
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
    err_get_private(*err)->number = number;
    return FALSE;
}

gboolean
err_is(const GError *err, enum err_code code)
{
    return err && g_error_matches(err, ERR, code);
}

/* EUCLEAN and EBADMSG: the file system found its own data damaged.  EISDIR comes of reading only: there is no file any more. */
gboolean
err_is_damage(const GError *err)
{
    if (!err || err->domain != ERR)
        return FALSE;
    const int number = err_get_private(err)->number;
    return number == EIO || number == EUCLEAN || number == EBADMSG || number == EISDIR || err_is(err, ERR_CORRUPT) ||
           err_is(err, ERR_NOT_SUPPORTED);
}
