/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "repl/churn.h"

#include <string.h>

/* Cycles of one second each. */

static const guint64 MIB = 1 << 20;

struct run {
    struct churn c;
    gint64 now;
    struct uuid last;
};

static void
cycles(struct run *r, guint count, guint64 raw, guint64 stored, bool compressed)
{
    for (guint i = 0; i < count; i++) {
        r->now += G_USEC_PER_SEC;
        r->last = uuid_random();
        churn_note(&r->c, &(struct churn_cycle){ r->last, r->now, raw, stored, compressed });
    }
}

static struct run
quiet_guest(guint64 raw, guint64 stored)
{
    struct run r = { .now = 1700000000 * (gint64)G_USEC_PER_SEC };
    cycles(&r, CHURN_LEARN + 2, raw, stored, true);
    return r;
}

static bool
alarmed(const struct run *r)
{
    g_autofree char *text = churn_alarm(&r->c, r->now);
    return text != NULL;
}

static void
test_attack(void)
{
    char id[UUID_TEXT];
    struct run r = quiet_guest(MIB, MIB / 3);
    const struct uuid quiet = r.last;
    cycles(&r, CHURN_LOUD - 1, 40 * MIB, 40 * MIB, true);
    g_assert_false(alarmed(&r));
    cycles(&r, 1, 40 * MIB, 40 * MIB, true);
    g_autofree char *text = churn_alarm(&r.c, r.now);
    g_assert_nonnull(text);
    g_assert_nonnull(strstr(text, uuid_format(&quiet, id)));
    cycles(&r, 500, 40 * MIB, 40 * MIB, true); /* it never becomes usual */
    g_autofree char *later = churn_alarm(&r.c, r.now);
    g_assert_nonnull(strstr(later, id));
    cycles(&r, 3599, MIB, MIB / 3, true);
    g_assert_true(alarmed(&r));
    cycles(&r, 2, MIB, MIB / 3, true);
    g_assert_false(alarmed(&r));
}

static void
test_no_attack(void)
{
    struct run r = quiet_guest(MIB, MIB / 3);
    cycles(&r, 100, 40 * MIB, 15 * MIB, true); /* much, but it compresses: a backup, an update */
    g_assert_false(alarmed(&r));
    r = quiet_guest(MIB, MIB / 3);
    cycles(&r, 100, 2 * MIB, 2 * MIB, true); /* not much more than usual */
    g_assert_false(alarmed(&r));
    r = quiet_guest(20 * MIB, 20 * MIB);
    cycles(&r, 100, 400 * MIB, 400 * MIB, true); /* a guest that always writes such data */
    g_assert_false(alarmed(&r));
    r = quiet_guest(MIB, MIB / 3);
    cycles(&r, 100, 40 * MIB, 40 * MIB, false); /* not compressed: nothing is known */
    g_assert_false(alarmed(&r));
    struct run young = { .now = 1700000000 * (gint64)G_USEC_PER_SEC };
    cycles(&young, 5, MIB, MIB / 3, true);
    cycles(&young, 10, 40 * MIB, 40 * MIB, true); /* still learning */
    g_assert_false(alarmed(&young));
}

/* One quiet cycle between loud ones begins the count anew; an idle guest that is attacked is noticed. */
static void
test_edges(void)
{
    struct run r = quiet_guest(MIB, MIB / 3);
    for (guint i = 0; i < 50; i++) {
        cycles(&r, CHURN_LOUD - 1, 10 * MIB, 10 * MIB, true);
        cycles(&r, 1, 0, 0, true);
    }
    g_assert_false(alarmed(&r));
    r = quiet_guest(0, 0);
    cycles(&r, CHURN_LOUD, 5 * MIB, 5 * MIB, true);
    g_assert_true(alarmed(&r));
    r.now -= 7200 * (gint64)G_USEC_PER_SEC; /* the clock is set back: no division by nothing, no negative rate */
    cycles(&r, 3, MIB, MIB / 3, true);
    g_assert_cmpfloat(r.c.rate, >=, 0);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/repl/churn/attack", test_attack);
    g_test_add_func("/repl/churn/no-attack", test_no_attack);
    g_test_add_func("/repl/churn/edges", test_edges);
    return g_test_run();
}
