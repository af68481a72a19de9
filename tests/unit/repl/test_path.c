/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "world.h"

#include "link.h"

/* The way of the data: a's disks arrive at b, whatever happens to the link and to either service. */

static struct uuid
protected_guest(struct world *w, guint interval_ms)
{
    const struct uuid vm = world_guest(w, 2);
    world_enable(w, &vm, interval_ms);
    world_start(w, &vm);
    return vm;
}

static void
test_cycles(void)
{
    struct world w = { 0 };
    world_open(&w);
    const struct uuid vm = world_guest(&w, 2);
    world_enable(&w, &vm, 250);
    g_assert_cmpuint(world_state(&w.a, &vm), ==, STATE_READY);
    g_assert_cmpuint(world_state(&w.b, &vm), ==, STATE_WAITING_INITIAL);
    g_autofree char *placeholder = fake_definition(w.b.fake, &vm);
    g_assert_nonnull(placeholder);
    g_assert_nonnull(strstr(placeholder, "disk-1.raw"));
    world_start(&w, &vm);
    for (int i = 0; i < 4; i++) {
        fake_scribble(w.a.fake, &vm, w.rand, 20);
        world_wait_cycle(&w, &vm);
    }
    g_assert_cmpuint(world_compare(&w, &vm), >=, 4);
    g_assert_cmpuint(fake_full_reads(w.a.fake), ==, 1);
    UNTIL(world_healthy(&w.a, &vm, NULL));
    UNTIL(world_healthy(&w.b, &vm, NULL));
    struct repl_statistics s;
    g_assert_true(repl_statistics(w.a.service, &vm, 0, &s, NULL, NULL));
    g_assert_cmpuint(s.success, >=, 4);
    g_assert_cmpuint(s.failures, ==, 0);
    g_assert_cmpuint(s.wire_bytes, >, 0);
    world_close(&w);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/repl/path/cycles", test_cycles);
    (void)protected_guest;
    return g_test_run();
}
