/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "vm/domain.h"
#include "vm/quiesce.h"
#include "vm/release.h"

#include <glib/gstdio.h>
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
 * vm/quiesce.c is the other side.
 *
 * vmreplica-thaw URI held FOLDER: the same for guests that are paused for an instant with others.  Files in FOLDER are named after them; at
 * the end of standard input all of them are resumed, before it those whose file is older than RELEASE_LIMIT_S.  vm/release.c is the other
 * side. */

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

/* ---- paused guests ---- */

static bool
resume(struct vm_conn *c, const char *folder, const char *name)
{
    struct uuid vm;
    enum vm_power power;
    g_autoptr(GError) why = NULL;
    g_autofree char *path = g_build_filename(folder, name, NULL);
    if (!uuid_parse(name, &vm))
        return true;
    const bool known = vm_power_get(c, &vm, &power, &why);
    const bool gone = !known && err_is(why, ERR_NO_SUCH_INSTANCE);
    if (!gone && (!known || (power == VM_PAUSED && !vm_resume(c, &vm, &why)))) {
        log_warning("Guest '%s' was left paused and cannot be resumed yet: %s", name, why->message);
        return false;
    }
    log_warning("Guest '%s' was left paused and goes on.", name);
    return g_unlink(path) == 0;
}

static bool
is_old(const char *folder, const char *name)
{
    GStatBuf st;
    g_autofree char *path = g_build_filename(folder, name, NULL);
    return g_stat(path, &st) == 0 && clock_wall_us() / G_USEC_PER_SEC - st.st_mtime > RELEASE_LIMIT_S;
}

/* False: some could not be resumed. */
static bool
resume_all(struct vm_conn *c, const char *folder, bool old_only)
{
    g_autoptr(GDir) d = g_dir_open(folder, 0, NULL);
    const char *name;
    bool fine = true;
    while (d && (name = g_dir_read_name(d)))
        if (!old_only || is_old(folder, name))
            fine = resume(c, folder, name) && fine;
    return fine;
}

static int
watch_held(struct vm_conn *c, const char *folder)
{
    const gint64 patience = GIVE_UP_S * (gint64)G_USEC_PER_SEC;
    struct pollfd p = { .fd = STDIN_FILENO, .events = POLLIN };
    while (poll(&p, 1, 1000) == 0)
        resume_all(c, folder, true);
    for (const gint64 end = clock_mono_us() + patience; !resume_all(c, folder, false);) {
        if (clock_mono_us() > end)
            return 1;
        g_usleep(PAUSE_MS * 1000);
    }
    return 0;
}

int
main(int argc, char **argv)
{
    struct uuid vm;
    const bool held = argc == 4 && g_str_equal(argv[2], "held");
    g_autoptr(GError) err = NULL;
    const int seconds = argc == 4 ? atoi(argv[3]) : 0;
    if (!held && (seconds < 1 || !uuid_parse(argv[2], &vm))) {
        fputs("usage: vmreplica-thaw URI GUEST SECONDS\n       vmreplica-thaw URI held FOLDER\nStarted by vmreplicad; see vmreplicad(8).\n",
              stderr);
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
    const int status = held ? watch_held(c, argv[3]) : told(seconds * 1000) ? 0 : thaw(c, &vm, argv[2]);
    vm_conn_close(c);
    return status;
}
