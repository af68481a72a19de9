/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "world.h"

#include "base/err.h"

#include <string.h>

/* Addresses after a failover: kept over restarts, given once the guest runs and its agent answers, the outcome kept. */

static const char MAC[] = "52:54:00:00:00:01";

static struct repl_addresses *
card(const char *address, const char *subnet)
{
    struct repl_addresses *a = g_new0(struct repl_addresses, 1);
    a->mac = g_strdup(MAC);
    a->family = address ? strchr(address, ':') ? 4097 : 4096 : 0;
    a->addresses = g_strsplit(address ? address : "", ",", 0);
    a->subnets = g_strsplit(subnet ? subnet : "", ",", 0);
    return a;
}

static void
set(struct host *h, const struct uuid *vm, const char *address, const char *subnet)
{
    g_autoptr(GError) err = NULL;
    g_autoptr(GPtrArray) list = g_ptr_array_new_with_free_func((GDestroyNotify)repl_addresses_free);
    g_ptr_array_add(list, card(address, subnet));
    repl_addresses_set(h->service, vm, list, &err);
    g_assert_no_error(err);
}

/* A guest with a card and with a point on b. */
static struct uuid
protect(struct world *w)
{
    const struct uuid vm = world_guest(w, 1);
    fake_card_add(w->a.fake, &vm, MAC);
    world_enable(w, &vm, 250);
    world_start(w, &vm);
    world_wait_cycle(w, &vm);
    return vm;
}

static void
failover(struct world *w, const struct uuid *vm)
{
    char job[UUID_TEXT];
    g_autoptr(GError) err = NULL;
    fake_power_set(w->a.fake, vm, VM_OFF);
    repl_failover(w->b.service, vm, NULL, false, "test", job, &err);
    g_assert_no_error(err);
    world_done(&w->b, job);
}

static bool
outcome_has(struct host *h, const struct uuid *vm, const char *text, bool want_failed)
{
    bool failed, waiting;
    g_autofree char *outcome = repl_addresses_outcome(h->service, vm, &failed, &waiting);
    return outcome && !waiting && failed == want_failed && strstr(outcome, text);
}

static bool
is_waiting(struct host *h, const struct uuid *vm)
{
    bool failed, waiting;
    g_autofree char *outcome = repl_addresses_outcome(h->service, vm, &failed, &waiting);
    return waiting && !outcome;
}

static void
test_failover(void)
{
    struct world w = {0};
    world_open(&w);
    const struct uuid vm = protect(&w);
    set(&w.b, &vm, "10.1.2.3", "255.255.255.0");
    fake_fail(w.b.fake, FAKE_AGENT, ERR_NOT_AVAILABLE, 2); /* it boots */
    failover(&w, &vm);
    g_assert_true(is_waiting(&w.b, &vm));
    host_down(&w.b);
    host_up(&w, &w.b);
    g_assert_true(is_waiting(&w.b, &vm));
    fake_power_set(w.b.fake, &vm, VM_RUNNING);
    UNTIL(outcome_has(&w.b, &vm, "were set at", false));
    g_autofree char *program = fake_program(w.b.fake, &vm);
    g_assert_true(g_str_has_prefix(program, "/bin/sh\n"));
    g_assert_nonnull(strstr(program, "\nvmr_card '52:54:00:00:00:01' 'static' '10.1.2.3/24' '' 'keep' '' '' ''\nvmr_end\n"));
    host_down(&w.b);
    host_up(&w, &w.b);
    g_assert_true(outcome_has(&w.b, &vm, "(fake)", false));
    COVERS("addresses", "daemon killed",
           "ended after the failover: the next one waits for the guest's agent in its place; the outcome is kept");
    world_close(&w);
}

static void
test_complaint(void)
{
    struct world w = {0};
    world_open(&w);
    const struct uuid vm = protect(&w);
    set(&w.b, &vm, "2001:db8::1", "64");
    fake_complain(w.b.fake, "card eth0 was not set\n");
    failover(&w, &vm);
    fake_power_set(w.b.fake, &vm, VM_RUNNING);
    UNTIL(outcome_has(&w.b, &vm, "card eth0 was not set", true));
    g_assert_true(world_healthy(&w.b, &vm, "addresses"));
    world_close(&w);
}

/* An agent that may not run programs is not asked for ever. */
static void
test_forbidden(void)
{
    struct world w = {0};
    world_open(&w);
    const struct uuid vm = protect(&w);
    set(&w.b, &vm, "10.1.2.3", "255.0.0.0");
    fake_fail(w.b.fake, FAKE_RUN, ERR_NOT_SUPPORTED, 1);
    failover(&w, &vm);
    fake_power_set(w.b.fake, &vm, VM_RUNNING);
    UNTIL(outcome_has(&w.b, &vm, "fail", true));
    world_close(&w);
}

static void
test_cleared(void)
{
    struct world w = {0};
    world_open(&w);
    const struct uuid vm = protect(&w);
    set(&w.b, &vm, "10.1.2.3", "255.0.0.0");
    set(&w.b, &vm, "10.1.2.4", "255.0.0.0");
    g_autoptr(GPtrArray) one = repl_addresses_get(w.b.service, &vm);
    g_assert_cmpuint(one->len, ==, 1);
    g_assert_cmpstr(((const struct repl_addresses *)one->pdata[0])->addresses[0], ==, "10.1.2.4");
    set(&w.b, &vm, NULL, NULL);
    g_autoptr(GPtrArray) none = repl_addresses_get(w.b.service, &vm);
    g_assert_cmpuint(none->len, ==, 0);
    failover(&w, &vm);
    g_assert_false(is_waiting(&w.b, &vm));
    COVERS("addresses", "called twice", "the second call replaces the first");
    world_close(&w);
}

/* The test guest has other MAC addresses: the place of the card counts. */
static void
test_drill(void)
{
    struct world w = {0};
    char job[UUID_TEXT];
    g_autoptr(GError) err = NULL;
    world_open(&w);
    const struct uuid vm = protect(&w);
    set(&w.b, &vm, "10.1.2.3", "255.255.0.0");
    repl_test_failover(w.b.service, &vm, NULL, false, "test", job, &err);
    g_assert_no_error(err);
    world_done(&w.b, job);
    g_autoptr(GArray) tests = repl_tests(w.b.service);
    g_assert_cmpuint(tests->len, ==, 1);
    const struct uuid test = g_array_index(tests, struct repl_test, 0).test;
    fake_card_add(w.b.fake, &test, "52:54:00:00:00:77");
    fake_power_set(w.b.fake, &test, VM_RUNNING);
    UNTIL(outcome_has(&w.b, &vm, "of the test guest", false));
    g_autofree char *program = fake_program(w.b.fake, &test);
    g_assert_nonnull(strstr(program, "'10.1.2.3/16'"));
    world_close(&w);
}

/* The other host is gone, the guest has another job; and what is set on the primary is the primary's. */
static void
test_between(void)
{
    struct world w = {0};
    struct busy busy;
    world_open(&w);
    const struct uuid vm = protect(&w);
    set(&w.a, &vm, "10.9.9.9", "255.0.0.0");
    g_autoptr(GPtrArray) none = repl_addresses_get(w.b.service, &vm);
    g_assert_cmpuint(none->len, ==, 0);
    world_busy(&w.b, &vm, &busy);
    set(&w.b, &vm, "10.1.2.3", "255.0.0.0");
    world_idle(&busy);
    fake_power_set(w.a.fake, &vm, VM_OFF);
    host_down(&w.a);
    failover(&w, &vm);
    fake_power_set(w.b.fake, &vm, VM_RUNNING);
    UNTIL(outcome_has(&w.b, &vm, "were set at", false));
    g_autofree char *program = fake_program(w.b.fake, &vm);
    g_assert_nonnull(strstr(program, "'10.1.2.3/8'"));
    g_assert_null(strstr(program, "10.9.9.9"));
    COVERS("addresses", "during another job", "set at once, no job is needed");
    COVERS("addresses", "other host dies", "nobody is asked: the guest gets them after its failover");
    COVERS("addresses", "wrong side", "set on the primary, they are kept there for itself; the replica's guest does not get them");
    host_up(&w, &w.a);
    world_close(&w);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/repl/addresses/failover", test_failover);
    g_test_add_func("/repl/addresses/complaint", test_complaint);
    g_test_add_func("/repl/addresses/forbidden", test_forbidden);
    g_test_add_func("/repl/addresses/cleared", test_cleared);
    g_test_add_func("/repl/addresses/test-guest", test_drill);
    g_test_add_func("/repl/addresses/between", test_between);
    return g_test_run();
}
