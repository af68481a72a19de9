/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "world.h"

#include "base/err.h"
#include "repl/work.h"

#include <string.h>

/* What is said about a guest: its name, and the numbers of events that monitoring looks for. */

static struct uuid
protected_guest(struct world *w)
{
    const struct uuid vm = world_guest(w, 1);
    world_enable(w, &vm, 250);
    world_start(w, &vm);
    return vm;
}

/* Whoever reads about it finds the new name, on both sides, while everything goes on. */
static void
test_renamed(void)
{
    struct world w = { 0 };
    char job[UUID_TEXT];
    world_open(&w);
    const struct uuid vm = protected_guest(&w);
    g_assert_true(fake_vm_ops.rename(fake_conn(w.a.fake), &vm, "web", NULL));
    fake_power_set(w.a.fake, &vm, VM_RUNNING); /* libvirt says that something happened */
    struct host *const hosts[] = { &w.a, &w.b };
    for (guint i = 0; i < G_N_ELEMENTS(hosts); i++)
        UNTIL(({
            struct repl_relation r = world_relation(hosts[i], &vm);
            const bool there = !g_strcmp0(r.name, "web");
            repl_relation_clear(&r);
            there;
        }));
    world_wait_cycle(&w, &vm);
    world_compare(&w, &vm);
    g_autoptr(GError) err = NULL; /* and in words of refusals */
    g_assert_false(repl_start(w.a.service, &vm, 1, NULL, 0, "test", job, &err));
    g_assert_nonnull(strstr(err->message, "'web'"));
    world_close(&w);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/repl/journal/renamed", test_renamed);
    return g_test_run();
}
