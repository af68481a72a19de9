/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/clock.h"
#include "base/log.h"
#include "vm/quiesce.h"

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* vmreplica-thaw URI GUEST SECONDS: sees to it that a frozen guest is thawed, whatever becomes of vmreplicad.
 *
 * Started before a freeze.  It leaves the daemon's session, ignores the signals that end a group, connects to libvirt, and prints "ready".
 * A "t" on standard input says that the thaw has happened: exit status 0.  The end of standard input (the daemon is gone), and SECONDS
 * without a word, are the sign to thaw: tried again until it succeeds (0), the guest is off or gone (0), or it is given up (1).
 * vm/quiesce.c is the other side. */

enum { GIVE_UP_S = 3600, PAUSE_MS = 500 };

static void
outlive(void)
{
    static const int deadly[] = { SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGPIPE };
    setsid();
    for (size_t i = 0; i < sizeof deadly / sizeof *deadly; i++)
        signal(deadly[i], SIG_IGN);
}

/* True: the thaw was told. */
static bool
told(int ms)
{
    char word = 0;
    struct pollfd p = { .fd = STDIN_FILENO, .events = POLLIN };
    return poll(&p, 1, ms) == 1 && read(STDIN_FILENO, &word, 1) == 1 && word == 't';
}

/* Standard input may have ended, upon which poll returns at once: hence the sleep. */
static int
thaw(struct vm_conn *c, const struct uuid *vm, const char *name)
{
    g_autoptr(GError) why = NULL;
    guint count = 0;
    const gint64 end = clock_mono_us() + GIVE_UP_S * (gint64)G_USEC_PER_SEC;
    while (!vm_thaw(c, vm, &count, &why)) {
        if (clock_mono_us() > end) {
            log_error("Guest '%s' may be frozen and could not be thawed: %s", name, why->message);
            return 1;
        }
        g_clear_error(&why);
        if (told(0))
            return 0;
        g_usleep(PAUSE_MS * 1000);
    }
    log_warning("Guest '%s' was thawed by the watchdog (%u file systems).", name, count);
    printf("thawed %u\n", count);
    return 0;
}

int
main(int argc, char **argv)
{
    struct uuid vm;
    g_autoptr(GError) err = NULL;
    const int seconds = argc == 4 ? atoi(argv[3]) : 0;
    if (seconds < 1 || !uuid_parse(argv[2], &vm)) {
        fputs("usage: vmreplica-thaw URI GUEST SECONDS\nStarted by vmreplicad; see vmreplicad(8).\n", stderr);
        return 2;
    }
    outlive();
    log_init(LOG_LEVEL_INFO);
    struct vm_conn *c = vm_conn_open(argv[1], &err);
    if (!c || !vm_conn_alive(c)) {
        log_error("The watchdog of guest '%s' has no connection to libvirt%s%s", argv[2], err ? ": " : ".", err ? err->message : "");
        vm_conn_close(c);
        return 1;
    }
    puts("ready");
    fflush(stdout);
    const int status = told(seconds * 1000) ? 0 : thaw(c, &vm, argv[2]);
    vm_conn_close(c);
    return status;
}
