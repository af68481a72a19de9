/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cli/progress.h"

#include <stdio.h>
#include <unistd.h>

enum { BAR = 24, STATUS_COLUMNS = 30 };

static void
draw(struct progress *p, guint percent, const char *status)
{
    char bar[BAR + 1];
    for (guint i = 0; i < BAR; i++)
        bar[i] = i * 100 < percent * BAR ? '#' : '.';
    bar[BAR] = '\0';
    fprintf(stderr, "\r\033[K%.20s [%s] %3u %% %.*s", p->title, bar, percent, STATUS_COLUMNS, status);
    p->drawn = true;
}

bool
progress_show(void *progress, guint percent, const char *status)
{
    struct progress *p = progress;
    percent = MIN(percent, 100);
    bool other_words = g_strcmp0(status, p->status) != 0;
    if (isatty(STDERR_FILENO))
        draw(p, percent, status);
    else if (other_words || p->percent == G_MAXUINT || percent / 10 != p->percent / 10)
        fprintf(stderr, "%s: %u %%%s%s\n", p->title, percent, *status ? ", " : "", status);
    if (other_words) {
        g_free(p->status);
        p->status = g_strdup(status);
    }
    p->percent = percent;
    return true;
}

void
progress_end(struct progress *p)
{
    if (p->drawn)
        fputc('\n', stderr);
    g_clear_pointer(&p->status, g_free);
    p->drawn = false;
}
