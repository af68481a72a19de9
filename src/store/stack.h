/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "log/reader.h"

/* Opened logs on top of one another, newest first, with the frames of all of them numbered through.  A view is a stack over the base; a
 * consolidation writes a stack out as one log.  Immutable once built, except for stack_close_unused. */

struct stack;
struct stack *stack_new(void);
void stack_free(struct stack *s); /* closes the readers */
/* Takes the reader.  False: more frames than can be numbered (ERR_NOT_SUPPORTED); the reader is closed then. */
bool stack_push(struct stack *s, struct log_reader *r, GError **err);
unsigned stack_count(const struct stack *s);
const struct log_reader *stack_reader(const struct stack *s, unsigned layer);
uint32_t stack_first_frame(const struct stack *s, unsigned layer);
void stack_locate(const struct stack *s, uint32_t frame, unsigned *layer, unsigned *frame_of_layer);
void stack_mark_used(struct stack *s, unsigned layer);
void stack_close_unused(struct stack *s); /* readers that nobody marked; stack_reader gives NULL for them */
