/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/log.h"

static void
say(void)
{
    log_init(LOG_LEVEL_WARNING);
    log_info("Nobody wants to know.");
    log_warning("Disk '%s' is slow. disk=%d", "vda", 3);
}

/* One line, with time and level; what is below the threshold is not there. */
static void
test_line(void)
{
    if (g_test_subprocess()) {
        say();
        return;
    }
    g_test_trap_subprocess(NULL, 0, 0);
    g_test_trap_assert_passed();
    g_test_trap_assert_stderr("20*T*Z warning: Disk 'vda' is slow. disk=3\n");
    g_test_trap_assert_stderr_unmatched("*Nobody*");
}

static void
test_event(void)
{
    if (g_test_subprocess()) {
        log_init(LOG_LEVEL_WARNING);
        log_event(LOG_LEVEL_INFO, LOG_EVENT_WINDOW, "Nobody wants to know.");
        log_event(LOG_LEVEL_WARNING, LOG_EVENT_BEHIND, "Guest '%s' is behind.", "web");
        return;
    }
    g_test_trap_subprocess(NULL, 0, 0);
    g_test_trap_assert_passed();
    g_test_trap_assert_stderr("20*T*Z warning: Guest 'web' is behind. event=33414\n");
    g_test_trap_assert_stderr_unmatched("*Nobody*");
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/base/log/line", test_line);
    g_test_add_func("/base/log/event", test_event);
    return g_test_run();
}
