/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "log/reader.h"

/* Logs on top of one another, newest first, with the frames of all of them numbered through.  A view is a stack over the base; a
 * consolidation writes a stack out as one log.
 *
 * A layer is an opened log, or one of which a span (span.h) knows the frames: such a log is opened when somebody wants its data, by a
 * descriptor that may be there already.  Built by one thread; from then on stack_open and stack_locate may be called by any. */

struct stack;
struct stack_promise {
    int fd;                      /* taken; -1: by its path */
    char *path;                  /* taken */
    uint32_t frames;
    uint8_t digest[LOG_DIGEST];
};
struct stack *stack_new(void);
void stack_free(struct stack *s); /* closes the readers */
/* Takes the reader.  False: more frames than can be numbered (ERR_NOT_SUPPORTED); the reader is closed then. */
bool stack_push(struct stack *s, struct log_reader *r, GError **err);
bool stack_push_promise(struct stack *s, struct stack_promise *p, GError **err); /* the same for a log that is not read yet */
unsigned stack_count(const struct stack *s);
const struct log_reader *stack_reader(const struct stack *s, unsigned layer); /* NULL: closed, or not opened yet */
/* Opens it if need be; ERR_CORRUPT: damaged, or not the log that was promised. */
const struct log_reader *stack_open(struct stack *s, unsigned layer, GError **err);
uint32_t stack_first_frame(const struct stack *s, unsigned layer); /* of stack_count: how many there are */
void stack_locate(const struct stack *s, uint32_t frame, unsigned *layer, unsigned *frame_of_layer);
void stack_mark_used(struct stack *s, unsigned layer);
void stack_close_unused(struct stack *s); /* readers that nobody marked; stack_reader gives NULL for them */
