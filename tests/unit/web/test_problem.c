/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/err.h"
#include "web/problem.h"

/* The statuses of refusals are those of the one table; sets of their own are told apart where all agree. */
static void
test_status(void)
{
    static const struct {
        guint32 result;
        guint status;
    } rows[] = {
        {0, 200},     {4096, 202},  {32768, 500}, {32769, 403}, {32770, 501}, {32771, 500}, {32772, 504}, {32773, 400},
        {32774, 409}, {32775, 409}, {32776, 400}, {32777, 503}, {32778, 500}, {32779, 404}, {1, 501},     {2, 500},
        {3, 504},     {4, 409},     {5, 409},     {6, 409},     {4097, 409},  {4098, 400},  {4099, 409},  {99, 409},
    };
    for (guint i = 0; i < G_N_ELEMENTS(rows); i++)
        g_assert_cmpuint(problem_status(rows[i].result), ==, rows[i].status);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/web/problem/status", test_status);
    return g_test_run();
}
