/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "acts.h"

#include "base/clean.h"
#include "repl/proof.h"
#include "repl/work.h"

static void
finish(struct host *h, const char *job, const GError *err)
{
    g_assert_no_error(err);
    if (*job)
        world_done(h, job);
}

void
act_request(struct host *h, const struct uuid *vm, guint state)
{
    char job[UUID_TEXT] = "";
    g_autoptr(GError) err = NULL;
    g_assert_true(repl_state_change(h->service, vm, 0, state, "test", job, &err) || err);
    finish(h, job, err);
}

void
act_failover(struct host *h, const struct uuid *vm, const struct uuid *point)
{
    char job[UUID_TEXT] = "";
    g_autoptr(GError) err = NULL;
    g_assert_true(repl_failover(h->service, vm, point, false, "test", job, &err) || err);
    finish(h, job, err);
    g_assert_cmpuint(world_state(h, vm), ==, STATE_RECOVERED);
}

void
act_revert(struct host *h, const struct uuid *vm)
{
    char job[UUID_TEXT] = "";
    g_autoptr(GError) err = NULL;
    g_assert_true(repl_revert(h->service, vm, "test", job, &err) || err);
    finish(h, job, err);
    g_assert_cmpuint(world_state(h, vm), ==, STATE_REPLICATING);
}

void
act_power(struct host *h, const struct uuid *vm, guint state)
{
    char job[UUID_TEXT] = "";
    g_autoptr(GError) err = NULL;
    g_assert_true(repl_power(h->service, vm, state, "test", job, &err) || err);
    finish(h, job, err);
}

static bool
is_wanted(struct relation *rel)
{
    HOLD(&rel->lock);
    return rel->in.proof.wanted;
}

void
act_verify_begin(struct host *h, const struct uuid *vm)
{
    relation_auto rel = core_find(h->service->core, vm, 0);
    proof_begin(rel);
    UNTIL(!is_wanted(rel));
}

static gint64
verified_us(struct host *h, const struct uuid *vm)
{
    struct repl_statistics s;
    g_assert_true(repl_statistics(h->service, vm, 0, &s, NULL, NULL));
    return s.proof.ended_us;
}

void
act_verify(struct host *h, const struct uuid *vm)
{
    const gint64 before = verified_us(h, vm);
    act_verify_begin(h, vm);
    UNTIL(verified_us(h, vm) > before);
}
