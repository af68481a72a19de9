/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "world.h"

#include "link.h"

#include "base/clean.h"
#include "repl/work.h"

#include <string.h>

/* What an administrator says about when and how much: bandwidth. */

static struct uuid
protected_guest(struct world *w)
{
    const struct uuid vm = world_guest(w, 1);
    world_enable(w, &vm, 250);
    world_start(w, &vm);
    return vm;
}

static void
set_bandwidth(struct world *w, const struct uuid *vm, const char *rates)
{
    char job[UUID_TEXT];
    g_autoptr(GError) err = NULL;
    struct repl_settings s = world_settings(w, 250);
    g_free(s.additional);
    s.additional = g_strdup_printf("{\"interval_ms\": 250, \"keep_every_cycle_s\": 86400, \"bandwidth\": \"%s\"}", rates);
    g_assert_true(repl_modify(w->a.service, vm, &s, "test", job, &err));
    g_assert_no_error(err);
    repl_settings_clear(&s);
    world_done(&w->a, job);
}

static void
write_noise(struct world *w, const struct uuid *vm, gsize bytes)
{
    g_autofree guint8 *noise = g_malloc(bytes);
    for (gsize i = 0; i < bytes; i++)
        noise[i] = (guint8)g_rand_int(w->rand);
    fake_write(w->a.fake, vm, 0, 0, noise, bytes);
}

/* A quarter of a MiB would take minutes, hours with what others send: it is under way when the limit goes. */
static void
test_bandwidth_changes(void)
{
    struct world w = { 0 };
    world_open(&w);
    const struct uuid vm = protected_guest(&w);
    set_bandwidth(&w, &vm, "unlimited; 00:00-24:00 1KiB");
    const gint64 before = link_bytes(w.link);
    write_noise(&w, &vm, 256 << 10);
    UNTIL(link_bytes(w.link) > before + (4 << 10));
    set_bandwidth(&w, &vm, "1KiB; 00:00-24:00 unlimited");
    world_wait_cycle(&w, &vm);
    world_compare(&w, &vm);
    struct repl_statistics s;
    g_assert_true(repl_statistics(w.a.service, &vm, 0, &s, NULL, NULL));
    g_assert_cmpuint(s.failures, ==, 0); /* nothing was broken off for it */
    world_close(&w);
}

static void
test_host_bandwidth_changes(void)
{
    struct world w = { 0 };
    struct rates slow;
    world_open(&w);
    const struct uuid first = protected_guest(&w), second = protected_guest(&w);
    rates_always(&slow, 1 << 10);
    throttle_set_rates(w.a.service->core->sending, &slow);
    const gint64 before = link_bytes(w.link);
    write_noise(&w, &first, 256 << 10);
    write_noise(&w, &second, 256 << 10);
    UNTIL(link_bytes(w.link) > before + (4 << 10));
    throttle_set_rates(w.a.service->core->sending, &(struct rates){ 0 });
    world_wait_cycle(&w, &first);
    world_wait_cycle(&w, &second);
    world_compare(&w, &first);
    world_compare(&w, &second);
    world_close(&w);
}

struct churn_sum {
    guint64 changed, wire, copied, overhead;
    guint cycles;
};

static struct churn_sum
churn_of(struct world *w, const struct uuid *vm)
{
    struct churn_sum sum = { 0 };
    g_autoptr(GError) err = NULL;
    g_autoptr(GArray) rows = repl_churn(w->a.service, vm, 0, 0, &err);
    g_assert_no_error(err);
    for (guint i = 0; i < rows->len; i++) {
        const struct repl_churn *r = &g_array_index(rows, struct repl_churn, i);
        sum.changed += r->changed;
        sum.wire += *r->target ? r->wire : 0;
        sum.copied += r->copied;
        sum.overhead += *r->target ? 0 : r->wire;
        sum.cycles += *r->target ? 0 : r->cycles;
    }
    return sum;
}

/* What was written is counted once, by disk, survives a restart, and agrees with what went over the wire. */
static void
test_churn(void)
{
    struct world w = { 0 };
    struct repl_statistics s;
    world_open(&w);
    const struct uuid vm = protected_guest(&w);
    const struct churn_sum first = churn_of(&w, &vm);
    g_assert_cmpuint(first.copied, >, 0);
    write_noise(&w, &vm, 256 << 10);
    world_wait_cycle(&w, &vm);
    const struct churn_sum then = churn_of(&w, &vm);
    g_assert_cmpuint(then.changed - first.changed, ==, 256 << 10);
    g_assert_cmpuint(then.wire - first.wire, >=, 256 << 10); /* it does not compress */
    g_assert_cmpuint(then.wire - first.wire, <, 257 << 10);
    g_assert_cmpuint(then.cycles, >, first.cycles);
    g_assert_cmpuint(then.copied, ==, first.copied);
    host_down(&w.a);
    host_up(&w, &w.a);
    world_wait_cycle(&w, &vm);
    const struct churn_sum later = churn_of(&w, &vm);
    g_assert_cmpuint(later.changed, ==, then.changed);
    g_assert_cmpuint(later.cycles, >, then.cycles);
    g_assert_true(repl_statistics(w.a.service, &vm, 0, &s, NULL, NULL));
    g_assert_cmpuint(later.wire + later.overhead, <=, s.wire_bytes + (64 << 10)); /* the newest may not be acknowledged yet */
    world_close(&w);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/repl/policy/bandwidth-changes", test_bandwidth_changes);
    g_test_add_func("/repl/policy/host-bandwidth-changes", test_host_bandwidth_changes);
    g_test_add_func("/repl/policy/churn", test_churn);
    return g_test_run();
}
