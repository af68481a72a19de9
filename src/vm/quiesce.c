/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "vm/quiesce.h"

#include "base/clean.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "vm/agentcall.h"

#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* After the program on the host has had its turn; the mounts are read first, while nothing is frozen. */
static const char TIMER[] = "m=$(cat /proc/self/mounts); sleep \"$1\"; echo \"$m\" | while read -r d p t rest; do "
                            "case $d in /*) fsfreeze --unfreeze \"$(printf '%b' \"$p\")\";; esac; done";
enum { TIMER_LATER_S = 2 };

struct quiesce {
    virDomainPtr dom;
    guint limit_s;
    int word;             /* write end of the program's standard input: "t" tells that the thaw has happened, an end thaws at once */
    gint64 timer;         /* process in the guest; 0: none */
    gint64 began_us, frozen_us; /* monotonic */
    struct quiesce_report report;
};

void
quiesce_report_clear(struct quiesce_report *r)
{
    g_strfreev(r->filesystems);
    memset(r, 0, sizeof *r);
}

/* ---- the program beside us ---- */

/* Its first word says that it is connected. */
static bool
wait_ready(int fd, guint limit_s)
{
    char word[8];
    struct pollfd p = { .fd = fd, .events = POLLIN };
    return poll(&p, 1, (int)limit_s * 1000) == 1 && read(fd, word, sizeof word) > 0 && word[0] == 'r';
}

static bool
start_program(struct quiesce *q, const char *uri, const struct uuid *vm, const char *program, GError **err)
{
    char text[UUID_TEXT];
    g_autofree char *seconds = g_strdup_printf("%u", q->limit_s);
    char *argv[] = { (char *)(gsize)program, (char *)(gsize)uri, text, seconds, NULL };
    g_autoptr(GError) why = NULL;
    auto_fd out = -1;
    uuid_format_lower(vm, text);
    /* GLib's second fork makes it nobody's child, so nobody has to collect it. */
    if (!g_spawn_async_with_pipes("/", argv, NULL, G_SPAWN_DEFAULT, NULL, NULL, NULL, &q->word, &out, NULL, &why))
        return err_set(err, ERR_NOT_AVAILABLE, "Program '%s', without which no guest is frozen, cannot be started: %s.", program,
                       why->message);
    fcntl(q->word, F_SETFD, FD_CLOEXEC);
    return wait_ready(out, q->limit_s) ||
           err_set(err, ERR_NOT_AVAILABLE, "Program '%s', without which no guest is frozen, is not ready.", program);
}

static void
tell_thawed(struct quiesce *q)
{
    if (write(q->word, "t", 1) != 1)
        log_debug("The program that thaws guests is gone already.");
}

/* ---- the timer inside ---- */

static void
start_timer(struct quiesce *q)
{
    g_autofree char *seconds = g_strdup_printf("%u", q->limit_s + TIMER_LATER_S);
    const char *const argv[] = { "/bin/sh", "-c", TIMER, "vmreplica", seconds, NULL };
    g_autoptr(GError) why = NULL;
    q->timer = agent_exec(q->dom, argv, NULL, false, &why);
    if (!q->timer)
        log_debug("Guest '%s' gets no timer: %s", virDomainGetName(q->dom), why->message);
    q->report.timer = q->timer != 0;
}

static void
stop_timer(struct quiesce *q)
{
    g_autofree char *pid = g_strdup_printf("%" G_GINT64_FORMAT, q->timer);
    const char *const argv[] = { "/bin/sh", "-c", "kill \"$1\"", "vmreplica", pid, NULL };
    g_autoptr(GError) why = NULL;
    if (q->timer && !agent_exec(q->dom, argv, NULL, false, &why))
        log_debug("The timer in guest '%s' runs out by itself: %s", virDomainGetName(q->dom), why->message);
}

/* ---- freeze and thaw ---- */

static void
quiesce_free(struct quiesce *q)
{
    if (q->word >= 0)
        close(q->word);
    quiesce_report_clear(&q->report);
    virDomainFree(q->dom);
    g_free(q);
}

/* Also the cheap way to learn that there is no agent. */
static bool
read_filesystems(struct quiesce *q, GError **err)
{
    virDomainFSInfoPtr *all = NULL;
    const char *name = virDomainGetName(q->dom);
    const int n = virDomainGetFSInfo(q->dom, &all, 0);
    if (n < 0) {
        g_autoptr(GError) why = NULL;
        conn_error(&why, "The agent of guest '%s' does not say which file systems there are", name);
        if (err_is(why, ERR_NOT_SUPPORTED) || err_is(why, ERR_FAILED))
            return true;
        g_propagate_error(err, g_steal_pointer(&why));
        return false;
    }
    q->report.filesystems = g_new0(char *, (gsize)n + 1);
    for (int i = 0; i < n; i++) {
        q->report.filesystems[i] = g_strdup(all[i]->mountpoint);
        virDomainFSInfoFree(all[i]);
    }
    free(all);
    return true;
}

static bool
freeze(struct quiesce *q, bool *loose, GError **err)
{
    const char *name = virDomainGetName(q->dom);
    const gint64 began = clock_mono_us();
    const int n = virDomainFSFreeze(q->dom, NULL, 0, 0);
    q->frozen_us = clock_mono_us();
    q->report.freeze_us = q->frozen_us - began;
    if (n >= 0) {
        q->report.frozen = (guint)n;
        return true;
    }
    conn_error(err, "The agent of guest '%s' did not freeze its file systems", name);
    /* An answer that came too late may have been a yes. */
    *loose = virDomainFSThaw(q->dom, NULL, 0, 0) < 0;
    if (!*loose)
        tell_thawed(q);
    return false;
}

struct quiesce *
quiesce_begin(struct vm_conn *c, const struct uuid *vm, const struct quiesce_config *config, bool *loose, GError **err)
{
    *loose = false;
    g_autoptr(virDomain) dom = conn_domain(c, vm, err);
    if (!dom)
        return NULL;
    struct quiesce *q = g_new0(struct quiesce, 1);
    q->dom = g_steal_pointer(&dom);
    q->limit_s = config->limit_s;
    q->word = -1;
    q->began_us = clock_mono_us();
    virDomainAgentSetResponseTimeout(q->dom, (int)MAX(1, config->limit_s / 2), 0);
    if (read_filesystems(q, err) && start_program(q, conn_uri(c), vm, config->program, err)) {
        if (config->timer)
            start_timer(q);
        if (freeze(q, loose, err))
            return q;
        if (!*loose)
            stop_timer(q);
    }
    quiesce_free(q);
    return NULL;
}

static bool
judge(const struct quiesce *q, const char *name, gint64 now_us, GError **err)
{
    const struct quiesce_report *r = &q->report;
    if (now_us - q->began_us > (gint64)q->limit_s * G_USEC_PER_SEC)
        return err_set(err, ERR_TIMEOUT, "Guest '%s' took longer than %u seconds to freeze and thaw.", name, q->limit_s);
    return r->thawed == r->frozen ||
           err_set(err, ERR_FAILED, "Guest '%s' was thawed by somebody else: %u file systems were frozen, %u still were.", name, r->frozen,
                   r->thawed);
}

bool
quiesce_end(struct quiesce *q, struct quiesce_report *out, bool *loose, GError **err)
{
    g_autofree char *name = g_strdup(virDomainGetName(q->dom));
    const int n = virDomainFSThaw(q->dom, NULL, 0, 0);
    const gint64 now = clock_mono_us();
    *loose = n < 0;
    if (*loose)
        conn_error(err, "Guest '%s' could not be thawed and is thawed by 'vmreplica-thaw'", name);
    else
        tell_thawed(q);
    q->report.thawed = (guint)MAX(n, 0);
    q->report.frozen_us = now - q->frozen_us;
    q->report.held = !*loose && judge(q, name, now, err);
    if (!*loose)
        stop_timer(q);
    const bool held = q->report.held;
    *out = q->report;
    q->report = (struct quiesce_report){ 0 };
    quiesce_free(q);
    return held;
}

bool
vm_thaw(struct vm_conn *c, const struct uuid *vm, guint *count, GError **err)
{
    g_autoptr(GError) why = NULL;
    g_autoptr(virDomain) dom = conn_domain(c, vm, &why);
    const int active = dom ? virDomainIsActive(dom) : -1;
    int n = active == 0 ? 0 : -1;
    if (active == 1) {
        virDomainAgentSetResponseTimeout(dom, AGENT_CALL_S, 0);
        n = virDomainFSThaw(dom, NULL, 0, 0);
    }
    if (count)
        *count = (guint)MAX(n, 0);
    if (n >= 0 || err_is(why, ERR_NO_SUCH_INSTANCE))
        return true;
    if (!why)
        conn_error(&why, "The file systems of a guest could not be thawed");
    g_propagate_error(err, g_steal_pointer(&why));
    return false;
}
