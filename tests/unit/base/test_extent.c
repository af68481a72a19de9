/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/extent.h"

#include <glib.h>
#include <string.h>

/* The set against the simplest thing that can be right: one byte per unit. */
static void
test_extents_model(void)
{
    enum { UNITS = 200 };
    for (int round = 0; round < 200; round++) {
        guint8 model[UNITS] = {0};
        extents_auto set = extents_new();
        for (int i = 0; i < 30; i++) {
            guint64 from = (guint64)g_test_rand_int_range(0, UNITS), to = (guint64)g_test_rand_int_range((gint)from, UNITS);
            bool zero = g_test_rand_bit();
            extents_add(set, from, to - from, zero ? EXTENT_ZERO : EXTENT_DATA);
            memset(model + from, zero ? 2 : 1, to - from);
        }
        guint64 cut = (guint64)g_test_rand_int_range(0, UNITS);
        extents_clip(set, cut);
        memset(model + cut, 0, UNITS - cut);
        guint8 is[UNITS] = {0};
        for (size_t i = 0; i < extents_count(set); i++) {
            const struct extent *e = extents_at(set, i), *before = i ? extents_at(set, i - 1) : NULL;
            g_assert_cmpuint(e->length, >, 0);
            if (before)
                g_assert_true(before->offset + before->length < e->offset ||
                              (before->offset + before->length == e->offset && before->kind != e->kind));
            memset(is + e->offset, e->kind == EXTENT_ZERO ? 2 : 1, e->length);
        }
        g_assert_cmpmem(is, UNITS, model, UNITS);
    }
}

static void
test_extents_intersect(void)
{
    extents_auto a = extents_new(), *b = extents_new();
    extents_add(a, 0, 100, EXTENT_DATA);
    extents_add(a, 200, 100, EXTENT_DATA);
    extents_add(b, 50, 200, EXTENT_ZERO);
    struct extents *both = extents_intersect(a, b);
    g_assert_cmpuint(extents_count(both), ==, 2);
    g_assert_cmpuint(extents_bytes_of(both, EXTENT_ZERO), ==, 100);
    extents_free(both);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/base/extent/model", test_extents_model);
    g_test_add_func("/base/extent/intersect", test_extents_intersect);
    return g_test_run();
}
