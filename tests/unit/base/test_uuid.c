/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/uuid.h"

#include <glib.h>

static void
test_text(void)
{
    char text[UUID_TEXT];
    struct uuid u = uuid_random(), v;
    g_assert_true(uuid_parse(uuid_format(&u, text), &v) && uuid_equal(&u, &v));
    g_assert_true(uuid_parse(uuid_format_lower(&u, text), &v) && uuid_equal(&u, &v));
    g_assert_true(uuid_parse("{6BA7B810-9dad-11d1-80b4-00c04fd430c8}", &v));
    g_assert_false(uuid_parse("6BA7B810-9dad-11d1-80b4-00c04fd430c", &v));
    g_assert_false(uuid_parse("6BA7B810-9dad-11d1-80b4-00c04fd430c8x", &v));
    g_assert_false(uuid_parse("", &v));
}

static void
test_random(void)
{
    char text[UUID_TEXT];
    for (int i = 0; i < 100; i++) {
        struct uuid u = uuid_random(), v = uuid_random();
        uuid_format(&u, text);
        g_assert_cmpint(text[14], ==, '4');
        g_assert_true(text[19] == '8' || text[19] == '9' || text[19] == 'A' || text[19] == 'B');
        g_assert_false(uuid_equal(&u, &v));
        g_assert_false(uuid_is_nil(&u));
    }
    g_assert_true(uuid_is_nil(&UUID_NIL));
}

static void
test_refused(void)
{
    static const char *const bad[] = {
        "{6BA7B810-9DAD-11D1-80B4-00C04FD430C8",
        "6BA7B810-9DAD-11D1-80B4-00C04FD430C8}",
        "6BA7B8109DAD-11D1-80B4-00C04FD430C8",
        "6BA7B810-9DAD-11D1-80B4-00C04FD430G8",
        "6BA7B810-9DAD-11D1-80B4",
        "{}",
        "{",
        "-",
    };
    struct uuid out = UUID_NIL;
    for (guint i = 0; i < G_N_ELEMENTS(bad); i++)
        g_assert_false(uuid_parse(bad[i], &out));
    g_assert_true(uuid_is_nil(&out));
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/base/uuid/text", test_text);
    g_test_add_func("/base/uuid/random", test_random);
    g_test_add_func("/base/uuid/refused", test_refused);
    return g_test_run();
}
