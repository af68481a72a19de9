/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "vm/qjob.h"

#include "base/clock.h"
#include "base/err.h"
#include "vm/qmp.h"

#include <string.h>

enum { POLL_FIRST_US = 1000, POLL_MAX_US = 20000 };
static const gint64 CANCEL_TIMEOUT_US = 30 * G_USEC_PER_SEC;

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

/* One look at the jobs: dismisses those that have ended, cancels the others if asked to; *left counts those still there. */
static bool
look(virDomainPtr dom, bool cancel, guint *left, GError **first, GError **err)
{
    json_scoped jobs = qmp_run(dom, "query-jobs", NULL, err);
    size_t i;
    json_t *job;
    *left = 0;
    json_array_foreach(jobs, i, job) {
        if (!is_ours(job))
            continue;
        const char *id = qmp_text(job, "id");
        if (has_status(job, "concluded")) {
            note_error(job, first);
            if (!qmp_do(dom, "job-dismiss", json_pack("{s:s}", "id", id), err))
                return false;
            continue;
        }
        ++*left;
        if (cancel && !has_status(job, "aborting"))
            qmp_do(dom, "job-cancel", json_pack("{s:s}", "id", id), NULL);
    }
    return jobs != NULL;
}

static bool
wait_all(virDomainPtr dom, bool cancel, gint64 timeout_us, GError **first, GError **err)
{
    const gint64 deadline = clock_mono_us() + timeout_us;
    gulong pause_us = POLL_FIRST_US;
    guint left;
    while (look(dom, cancel, &left, first, err)) {
        if (left == 0)
            return true;
        if (clock_mono_us() > deadline)
            return err_set(err, ERR_TIMEOUT, "QEMU did not end a copy job in time.");
        g_usleep(pause_us);
        pause_us = MIN(pause_us * 2, POLL_MAX_US);
    }
    return false;
}

bool
qjob_finish(virDomainPtr dom, gint64 timeout_us, GError **err)
{
    g_autoptr(GError) first = NULL;
    if (!wait_all(dom, false, timeout_us, &first, err))
        return false;
    if (!first)
        return true;
    g_propagate_error(err, g_steal_pointer(&first));
    return false;
}

bool
qjob_cancel(virDomainPtr dom, GError **err)
{
    g_autoptr(GError) ignored = NULL; /* the error of a job that is thrown away */
    return wait_all(dom, true, CANCEL_TIMEOUT_US, &ignored, err);
}
