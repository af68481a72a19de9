/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <stdbool.h>

/* Things in the order of a number, those of the same number in the order in which they came: adding, removing and finding the first takes
 * log n steps.  The item lies in the thing itself and belongs to the caller; it may be in one order at a time.  No lock inside. */

struct order_item {
    gint64 key;
    guint64 came;
    bool in; /* in an order: remove it before its memory goes */
};

struct order;
struct order *order_new(void);
void order_free(struct order *o); /* must be empty; NULL is fine */
void order_add(struct order *o, struct order_item *item, gint64 key);
void order_remove(struct order *o, struct order_item *item); /* not in: nothing happens */
struct order_item *order_first(const struct order *o);       /* NULL: none */
