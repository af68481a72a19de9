/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <stdbool.h>

/* How far a piece of work has come, on standard error: a bar that is redrawn on a terminal, otherwise a line when the words change or
 * another tenth is done.  One thread. */

struct progress {
    const char *title;
    bool drawn;          /* a bar stands in the current line */
    guint percent;
    char *status;
};
#define PROGRESS(text) {.title = (text), .percent = G_MAXUINT}
bool progress_show(void *progress, guint percent, const char *status); /* true; fits wsman_progress */
void progress_end(struct progress *p);
