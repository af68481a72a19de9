/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/clean.h"
#include "base/queue.h"

static gpointer
produce(gpointer q)
{
    for (gsize i = 1; i <= 1000; i++)
        if (!queue_push(q, GSIZE_TO_POINTER(i)))
            return GSIZE_TO_POINTER(i);
    queue_close(q);
    return NULL;
}

static void
test_one_producer(void)
{
    struct queue *q = queue_new(3, NULL);
    GThread *t = g_thread_new("produce", produce, q);
    gsize expected = 1;
    for (void *item; (item = queue_pop(q));)
        g_assert_cmpuint(GPOINTER_TO_SIZE(item), ==, expected++);
    g_assert_cmpuint(expected, ==, 1001);
    g_assert_null(g_thread_join(t));
    queue_free(q);

    q = queue_new(3, NULL);
    t = g_thread_new("produce", produce, q);
    g_assert_nonnull(queue_pop(q));
    queue_abort(q);
    g_assert_nonnull(g_thread_join(t));
    g_assert_null(queue_pop(q));
    queue_free(q);
}

static gpointer
consume(gpointer q)
{
    gsize sum = 0;
    for (void *item; (item = queue_pop(q));)
        sum += GPOINTER_TO_SIZE(item);
    return GSIZE_TO_POINTER(sum);
}

static gpointer
produce_some(gpointer q)
{
    for (gsize i = 1; i <= 1000; i++)
        if (!queue_push(q, GSIZE_TO_POINTER(i)))
            return GSIZE_TO_POINTER(1);
    return NULL;
}

/* Every item arrives once, whoever takes it. */
static void
test_many(void)
{
    struct queue *q = queue_new(2, NULL);
    GThread *makers[4], *takers[3];
    gsize sum = 0;
    for (int i = 0; i < 3; i++)
        takers[i] = g_thread_new("consume", consume, q);
    for (int i = 0; i < 4; i++)
        makers[i] = g_thread_new("produce", produce_some, q);
    for (int i = 0; i < 4; i++)
        g_assert_null(g_thread_join(makers[i]));
    queue_close(q);
    for (int i = 0; i < 3; i++)
        sum += GPOINTER_TO_SIZE(g_thread_join(takers[i]));
    g_assert_cmpuint(sum, ==, 4 * 500500);
    queue_free(q);
}

static int destroyed;

static void
count_destroyed(gpointer item)
{
    destroyed++;
    g_free(item);
}

static void
test_destroys_the_rest(void)
{
    struct queue *q = queue_new(5, count_destroyed);
    for (int i = 0; i < 4; i++)
        g_assert_true(queue_push(q, g_malloc(1)));
    g_free(queue_pop(q));
    queue_abort(q);
    g_assert_null(queue_pop(q));
    queue_free(q);
    g_assert_cmpint(destroyed, ==, 3);
    queue_free(NULL);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/base/queue/one-producer", test_one_producer);
    g_test_add_func("/base/queue/many", test_many);
    g_test_add_func("/base/queue/destroy", test_destroys_the_rest);
    return g_test_run();
}
