/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/log.h"

#include "base/clock.h"

#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

static const char *const names[] = {"debug", "info", "warning", "error"};
static const char *const priorities[] = {"7", "6", "4", "3"}; /* syslog(3) */

/* Written once by log_init before other threads exist. */
static enum log_level threshold = LOG_LEVEL_INFO;
static gboolean to_journal;

void
log_init(enum log_level level)
{
    threshold = level;
    to_journal = g_log_writer_is_journald(STDERR_FILENO);
}

static void
to_the_journal(enum log_level level, const char *text, const char *event)
{
    GLogField fields[4] = {{"MESSAGE", text, -1}, {"PRIORITY", priorities[level], -1}};
    gsize n = 2;
    if (g_get_prgname())
        fields[n++] = (GLogField){"SYSLOG_IDENTIFIER", g_get_prgname(), -1};
    if (event)
        fields[n++] = (GLogField){"VMREPLICA_EVENT", event, -1};
    g_log_writer_journald(G_LOG_LEVEL_MESSAGE, fields, n, NULL);
}

static void
write_line(enum log_level level, const char *text, const char *event)
{
    if (to_journal) {
        to_the_journal(level, text, event);
        return;
    }
    g_autofree char *time = clock_iso8601(clock_wall_us());
    g_autofree char *line = g_strdup_printf("%s %s: %s\n", time, names[level], text);
    fputs(line, stderr);
}

void
log_line(enum log_level level, const char *format, ...)
{
    if (level < threshold)
        return;
    va_list args;
    va_start(args, format);
    g_autofree char *text = g_strdup_vprintf(format, args);
    va_end(args);
    write_line(level, text, NULL);
}

void
log_event(enum log_level level, enum log_event event, const char *format, ...)
{
    if (level < threshold)
        return;
    va_list args;
    va_start(args, format);
    g_autofree char *text = g_strdup_vprintf(format, args);
    va_end(args);
    g_autofree char *number = g_strdup_printf("%u", event);
    g_autofree char *line = g_strdup_printf("%s event=%s", text, number);
    write_line(level, line, number);
}
