/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/err.h"
#include "vm/capture_int.h"
#include "vm/qjob.h"

#include <libvirt/libvirt-qemu.h>
#include <string.h>

/* What captures make of QEMU's answers, and of none.  The functions below take the place of libvirt's. */

static struct {
    int active;
    const char *const *answers; /* the next one first, the last one for ever; NULL: libvirt fails */
    guint asked;
} qemu;
static char guest; /* stands for a virDomain */

static virDomainPtr
dom(void)
{
    return (virDomainPtr)(gpointer)&guest;
}

virErrorPtr
virGetLastError(void)
{
    static virError error = { .code = VIR_ERR_OPERATION_TIMEOUT };
    return &error;
}

const char *
virDomainGetName(virDomainPtr d)
{
    return "g";
}

int
virDomainIsActive(virDomainPtr d)
{
    return qemu.active;
}

int
virDomainQemuMonitorCommand(virDomainPtr d, const char *command, char **result, unsigned int flags)
{
    const char *answer = *qemu.answers;
    qemu.asked++;
    if (answer && qemu.answers[1])
        qemu.answers++;
    *result = answer ? strdup(answer) : NULL;
    return answer ? 0 : -1;
}

static void
answers(const char *const *list)
{
    qemu.active = 1;
    qemu.answers = list;
    qemu.asked = 0;
}

/* That QEMU does not answer is not that the server is closed. */
static void
test_close_nbd(void)
{
    static const char *const yes[] = { "{\"return\": {}}", NULL }, *const silence[] = { NULL };
    static const char *const none[] = { "{\"error\": {\"class\": \"GenericError\", \"desc\": \"NBD server not running\"}}", NULL };
    static const char *const no[] = { "{\"error\": {\"class\": \"GenericError\", \"desc\": \"not now\"}}", NULL };
    g_autoptr(GError) err = NULL;
    answers(yes);
    g_assert_true(live_close_nbd(dom(), NULL));
    answers(none);
    g_assert_true(live_close_nbd(dom(), NULL));
    answers(no);
    g_assert_false(live_close_nbd(dom(), NULL));
    answers(silence);
    g_assert_false(live_close_nbd(dom(), &err));
    g_assert_error(err, ERR, ERR_TIMEOUT);
    qemu.active = -1;
    g_assert_false(live_close_nbd(dom(), NULL));
    qemu.active = 0; /* it went with its QEMU */
    g_assert_true(live_close_nbd(dom(), NULL));
}

#define JOBS(jobs) "{\"return\": [" jobs "]}"
#define JOB(id, status) "{\"id\": \"" id "\", \"status\": \"" status "\"}"

/* A job that is in no list any more (another QEMU runs, or somebody dismissed it) did not end well for that. */
static void
test_jobs_gone(void)
{
    static const char *const well[] = { JOBS(JOB("vmr-vda", "concluded") "," JOB("vmr-vdb", "running") "," JOB("other", "running")),
                                        "{\"return\": {}}", JOBS(JOB("vmr-vdb", "concluded")), "{\"return\": {}}", NULL };
    static const char *const gone[] = { JOBS(JOB("vmr-vda", "concluded") "," JOB("vmr-vdb", "running")), "{\"return\": {}}", JOBS(""),
                                        NULL };
    g_autoptr(GError) err = NULL;
    answers(well);
    g_assert_true(qjob_finish(dom(), 2, 60 * G_USEC_PER_SEC, &err));
    g_assert_cmpuint(qemu.asked, ==, 4);
    answers(gone);
    g_assert_false(qjob_finish(dom(), 2, 60 * G_USEC_PER_SEC, &err));
    g_assert_error(err, ERR, ERR_NOT_AVAILABLE);
    answers(gone + 2);
    g_assert_true(qjob_cancel(dom(), NULL));
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/vm/capture/close-nbd", test_close_nbd);
    g_test_add_func("/vm/qjob/gone", test_jobs_gone);
    return g_test_run();
}
