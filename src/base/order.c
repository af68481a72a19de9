/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/order.h"

struct order {
    GTree *tree;
    guint64 arrivals;
};

static gint
compare(gconstpointer a, gconstpointer b, gpointer unused)
{
    const struct order_item *x = a, *y = b;
    if (x->key != y->key)
        return x->key < y->key ? -1 : 1;
    return x->came < y->came ? -1 : x->came > y->came;
}

struct order *
order_new(void)
{
    struct order *o = g_new0(struct order, 1);
    o->tree = g_tree_new_full(compare, NULL, NULL, NULL);
    return o;
}

void
order_free(struct order *o)
{
    if (!o)
        return;
    g_assert(g_tree_nnodes(o->tree) == 0);
    g_tree_unref(o->tree);
    g_free(o);
}

void
order_add(struct order *o, struct order_item *item, gint64 key)
{
    g_assert(!item->in);
    *item = (struct order_item){.key = key, .came = ++o->arrivals, .in = true};
    g_tree_insert(o->tree, item, item);
}

void
order_remove(struct order *o, struct order_item *item)
{
    if (!item->in)
        return;
    const gboolean found = g_tree_remove(o->tree, item);
    g_assert(found);
    item->in = false;
}

struct order_item *
order_first(const struct order *o)
{
    GTreeNode *first = g_tree_node_first(o->tree);
    return first ? g_tree_node_value(first) : NULL;
}
