/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/order.h"

struct thing {
    guint number;
    struct order_item item;
};

static void
test_ties(void)
{
    struct thing things[4] = {{.number = 0}, {.number = 1}, {.number = 2}, {.number = 3}};
    struct order *o = order_new();
    g_assert_null(order_first(o));
    order_add(o, &things[2].item, 5);
    order_add(o, &things[0].item, 5);
    order_add(o, &things[1].item, -1);
    order_add(o, &things[3].item, G_MAXINT64);
    static const guint wanted[] = {1, 2, 0, 3}; /* the same number: as they came */
    for (guint i = 0; i < G_N_ELEMENTS(wanted); i++) {
        struct order_item *first = order_first(o);
        g_assert_true(first == &things[wanted[i]].item);
        order_remove(o, first);
        order_remove(o, first); /* is fine */
    }
    g_assert_null(order_first(o));
    order_free(o);
    order_free(NULL);
}

/* Against a plain search. */
static void
test_random(void)
{
    enum { THINGS = 200, STEPS = 20000 };
    g_autofree struct thing *things = g_new0(struct thing, THINGS);
    struct order *o = order_new();
    for (guint step = 0; step < STEPS; step++) {
        struct thing *t = &things[g_test_rand_int_range(0, THINGS)];
        if (t->item.in)
            order_remove(o, &t->item);
        else
            order_add(o, &t->item, g_test_rand_int_range(-50, 50));
        const struct order_item *least = NULL;
        for (guint i = 0; i < THINGS; i++) {
            const struct order_item *one = &things[i].item;
            if (one->in && (!least || one->key < least->key || (one->key == least->key && one->came < least->came)))
                least = one;
        }
        g_assert_true(order_first(o) == least);
    }
    for (guint i = 0; i < THINGS; i++)
        order_remove(o, &things[i].item);
    order_free(o);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/order/ties", test_ties);
    g_test_add_func("/order/random", test_random);
    return g_test_run();
}
