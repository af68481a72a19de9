/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

/* Threads that pack frames, shared by all writers of a host (log/writer.h), so that many guests at once do not mean many threads.
 *
 * Work is done first come, first served; who hands in more than LOG_POOL_QUEUE pieces ahead of the threads waits.  A writer has few pieces
 * out at a time (its ring) and writes them in its own order, so memory is bounded by the number of writers.  Any thread. */

enum { LOG_POOL_QUEUE = 256, LOG_POOL_MAX = 64 };

struct log_pool_work {
    gint64 (*run)(struct log_pool_work *work); /* microseconds of processor time that it took */
};

struct log_pool;
struct log_pool *log_pool_new(guint threads); /* 1 .. LOG_POOL_MAX */
void log_pool_free(struct log_pool *p);       /* all that was handed in is done first; NULL is fine */
guint log_pool_threads(const struct log_pool *p);
void log_pool_add(struct log_pool *p, struct log_pool_work *work);
guint64 log_pool_busy_us(const struct log_pool *p); /* processor time of its threads so far, counted as pieces end */
