/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "vm/qjob.h"

#include "base/clock.h"
#include "base/err.h"
#include "vm/qmp.h"

#include <string.h>

enum { POLL_FIRST_US = 1000, POLL_MAX_US = 20000 };
static const gint64 CANCEL_TIMEOUT_US = 30 * G_USEC_PER_SEC;

struct tally {
    guint left;    /* still there at the last look */
    guint ended;   /* seen at their ends, and dismissed */
    GError *first; /* of theirs */
};

static bool
is_ours(const json_t *job)
{
    const char *id = qmp_text(job, "id");
    return id && g_str_has_prefix(id, "vmr-");
}

static bool
has_status(const json_t *job, const char *status)
{
    return g_strcmp0(qmp_text(job, "status"), status) == 0;
}

static void
note_error(const json_t *job, GError **first)
{
    const char *text = qmp_text(job, "error");
    if (!text || *first)
        return;
    err_set(first, strstr(text, "No space left") ? ERR_NO_SPACE : ERR_FAILED, "QEMU could not copy what changed on disk '%s': %s.",
            qmp_text(job, "id") + strlen("vmr-"), text);
}

/* One look at the jobs: dismisses those that have ended, cancels the others if asked to. */
static bool
look(virDomainPtr dom, bool cancel, struct tally *t, GError **err)
{
    json_scoped jobs = qmp_run(dom, "query-jobs", NULL, err);
    size_t i;
    json_t *job;
    t->left = 0;
    json_array_foreach(jobs, i, job) {
        if (!is_ours(job))
            continue;
        const char *id = qmp_text(job, "id");
        if (has_status(job, "concluded")) {
            note_error(job, &t->first);
            if (!qmp_do(dom, "job-dismiss", json_pack("{s:s}", "id", id), err))
                return false;
            t->ended++;
            continue;
        }
        t->left++;
        if (cancel && !has_status(job, "aborting"))
            qmp_do(dom, "job-cancel", json_pack("{s:s}", "id", id), NULL);
    }
    return jobs != NULL;
}

static bool
wait_all(virDomainPtr dom, bool cancel, gint64 timeout_us, struct tally *t, GError **err)
{
    const gint64 deadline = clock_mono_us() + timeout_us;
    gulong pause_us = POLL_FIRST_US;
    while (look(dom, cancel, t, err)) {
        if (t->left == 0)
            return true;
        if (clock_mono_us() > deadline)
            return err_set(err, ERR_TIMEOUT, "QEMU did not end a copy job in time.");
        g_usleep(pause_us);
        pause_us = MIN(pause_us * 2, POLL_MAX_US);
    }
    return false;
}

bool
qjob_finish(virDomainPtr dom, guint jobs, gint64 timeout_us, GError **err)
{
    struct tally t = { 0 };
    const char *guest = virDomainGetName(dom);
    if (!wait_all(dom, false, timeout_us, &t, err)) {
        g_clear_error(&t.first);
        return false;
    }
    if (!t.first && t.ended != jobs)
        err_set(&t.first, ERR_NOT_AVAILABLE, "Of the copy jobs of guest '%s' %u ended where %u were begun; it was stopped meanwhile, or "
                "somebody else dismissed them.", guest, t.ended, jobs);
    if (!t.first)
        return true;
    g_propagate_error(err, t.first);
    return false;
}

bool
qjob_cancel(virDomainPtr dom, GError **err)
{
    struct tally t = { 0 };
    const bool ok = wait_all(dom, true, CANCEL_TIMEOUT_US, &t, err);
    g_clear_error(&t.first); /* the error of a job that is thrown away */
    return ok;
}
