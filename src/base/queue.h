/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stdbool.h>
#include <glib.h>

/* A bounded queue between two stages of a pipeline.
 *
 * The producer blocks while the queue is full, the consumer while it is empty.  queue_close says that nothing more comes (a NULL from
 * queue_pop then means the end); queue_abort makes both sides give up at once (push returns false, pop returns NULL) and leaves the
 * remaining items to `destroy`.  Any number of threads on both sides. */

struct queue;
struct queue *queue_new(size_t capacity, GDestroyNotify destroy);
bool queue_push(struct queue *q, void *item);  /* takes item when true; false: aborted, item stays the caller's */
void *queue_pop(struct queue *q);              /* the caller owns the item; NULL: closed and empty, or aborted */
void queue_close(struct queue *q);
void queue_abort(struct queue *q);
void queue_free(struct queue *q);
