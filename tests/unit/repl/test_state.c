/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "repl/state.h"

#include <string.h>

/* The table of states by itself: shape, ways out, and a walk at random. */

static const enum repl_state STATES[] = {
    STATE_DISABLED,  STATE_READY,    STATE_WAITING_INITIAL, STATE_REPLICATING, STATE_PREPARED,         STATE_RECOVERED,    STATE_COMMITTED,
    STATE_SUSPENDED, STATE_CRITICAL, STATE_WAITING_RESYNC,  STATE_RESYNC,      STATE_RESYNC_SUSPENDED, STATE_FAILING_OVER,
};

static bool
is_state(enum repl_state s)
{
    for (guint i = 0; i < G_N_ELEMENTS(STATES); i++)
        if (STATES[i] == s)
            return true;
    return false;
}

static void
test_rows(void)
{
    guint rows = 0;
    for (int side = 0; side < 2; side++)
        for (guint i = 0; i < G_N_ELEMENTS(STATES); i++)
            for (int e = 0; e < EVENT_COUNT; e++) {
                const struct transition *t = state_next((enum repl_side)side, STATES[i], (enum repl_event)e);
                if (!t)
                    continue;
                rows++;
                g_assert_true(t->to == STATE_BEFORE || is_state(t->to));
                g_assert_cmpuint(strlen(t->reason), >, 0);
            }
    g_assert_cmpuint(rows, >, 60);
    for (int e = 0; e < EVENT_COUNT; e++)
        g_assert_nonnull(event_name((enum repl_event)e));
    g_assert_cmpstr(event_name(EVENT_COUNT), ==, "unknown");
    for (guint i = 0; i < G_N_ELEMENTS(STATES); i++)
        g_assert_cmpstr(state_name(STATES[i]), !=, "Unknown");
}

/* Only a receiver fails over, only a sender starts: rows that must not exist. */
static void
test_sides(void)
{
    for (guint i = 0; i < G_N_ELEMENTS(STATES); i++) {
        g_assert_null(state_next(SIDE_SENDER, STATES[i], EVENT_FAILOVER_START));
        g_assert_null(state_next(SIDE_SENDER, STATES[i], EVENT_COMMIT));
        g_assert_null(state_next(SIDE_SENDER, STATES[i], EVENT_REVERT));
        g_assert_null(state_next(SIDE_RECEIVER, STATES[i], EVENT_START));
        g_assert_null(state_next(SIDE_RECEIVER, STATES[i], EVENT_PREPARE));
        g_assert_null(state_next(SIDE_RECEIVER, STATES[i], EVENT_CANCEL_INITIAL));
    }
    g_assert_null(state_next(SIDE_RECEIVER, STATE_COMMITTED, EVENT_REVERT)); /* commit is final */
    g_assert_null(state_next(SIDE_RECEIVER, STATE_RECOVERED, EVENT_FAILOVER_START));
    g_assert_null(state_next(SIDE_RECEIVER, STATE_WAITING_INITIAL, EVENT_FAILOVER_START));
    g_assert_null(state_next(SIDE_SENDER, STATE_WAITING_RESYNC, EVENT_RESUME));
}

/* As the relationship does it: what a pause or a failed failover returns to is remembered. */
struct walker {
    enum repl_side side;
    enum repl_state now, resume_to, failover_from;
};

static bool
step(struct walker *w, enum repl_event event)
{
    const struct transition *t = state_next(w->side, w->now, event);
    if (!t)
        return false;
    if (w->now == STATE_WAITING_INITIAL || w->now == STATE_REPLICATING)
        w->resume_to = w->now;
    if (event == EVENT_FAILOVER_START)
        w->failover_from = w->now;
    w->now = t->to != STATE_BEFORE ? t->to : event == EVENT_FAILOVER_FAILED ? w->failover_from : w->resume_to;
    return true;
}

static bool
can_end(struct walker w)
{
    static const enum repl_event OUT[] = { EVENT_FAILOVER_DONE, EVENT_REMOVE };
    for (guint i = 0; i < G_N_ELEMENTS(OUT) && w.now != STATE_DISABLED; i++)
        step(&w, OUT[i]);
    return w.now == STATE_DISABLED;
}

static void
test_walk(void)
{
    g_autoptr(GRand) rand = g_rand_new_with_seed(3);
    GHashTable *seen = g_hash_table_new(NULL, NULL);
    for (int side = 0; side < 2; side++) {
        struct walker w = { (enum repl_side)side, STATE_DISABLED, STATE_REPLICATING, STATE_REPLICATING };
        guint taken = 0, initial_left = 0;
        for (int i = 0; i < 200000; i++) {
            const enum repl_state from = w.now;
            const enum repl_event event = (enum repl_event)(g_rand_int(rand) % EVENT_COUNT);
            if (!step(&w, event)) {
                g_assert_cmpuint(w.now, ==, from);
                continue;
            }
            taken++;
            g_assert_true(is_state(w.now));
            g_assert_true(can_end(w));
            g_hash_table_add(seen, GINT_TO_POINTER(side * 100 + (int)w.now));
            /* Nobody gets from an unfinished initial copy to Replicating by pausing or failing. */
            if (event == EVENT_RESUME && w.now == STATE_REPLICATING && from == STATE_SUSPENDED)
                g_assert_cmpuint(w.resume_to, ==, STATE_REPLICATING);
            initial_left += event == EVENT_INITIAL_DONE;
        }
        g_assert_cmpuint(taken, >, 10000);
        g_assert_cmpuint(initial_left, >, 100);
    }
    static const int REACHED[] = { 1, 2, 3, 4, 7, 8, 9, 10, 11, 102, 103, 105, 106, 107, 108, 110, 111, 112 };
    for (guint i = 0; i < G_N_ELEMENTS(REACHED); i++)
        g_assert_true(g_hash_table_contains(seen, GINT_TO_POINTER(REACHED[i])));
    g_hash_table_unref(seen);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/repl/state/rows", test_rows);
    g_test_add_func("/repl/state/sides", test_sides);
    g_test_add_func("/repl/state/walk", test_walk);
    return g_test_run();
}
