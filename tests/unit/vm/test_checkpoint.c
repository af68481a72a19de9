/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/err.h"
#include "vm/lease.h"

#include <string.h>

/* Backup jobs and checkpoints when libvirt fails in between.  The functions below take the place of libvirt's. */

#define SOCKET "/run/vmr-test.sock"

static struct {
    int active, job, abort;           /* what is answered; -1: it fails, */
    const char *backup;               /* so does NULL, */
    int code;                         /* with this one of libvirt's codes */
    int job_then;                     /* `job` from when one is begun on */
    guint aborted;
} libvirt;
static char guest; /* stands for a virDomain */

static virDomainPtr
dom(void)
{
    return (virDomainPtr)(gpointer)&guest;
}

virErrorPtr
virGetLastError(void)
{
    static virError error;
    static char words[] = "it was restarted";
    error = (virError){ .code = libvirt.code, .message = words };
    return &error;
}

const char *
virDomainGetName(virDomainPtr d)
{
    return "g";
}

int
virDomainRef(virDomainPtr d)
{
    return 0;
}

int
virDomainFree(virDomainPtr d)
{
    return 0;
}

int
virDomainIsActive(virDomainPtr d)
{
    return libvirt.active;
}

int
virDomainGetJobInfo(virDomainPtr d, virDomainJobInfoPtr info)
{
    info->type = libvirt.job;
    return MIN(libvirt.job, 0);
}

char *
virDomainBackupGetXMLDesc(virDomainPtr d, unsigned int flags)
{
    return libvirt.backup ? strdup(libvirt.backup) : NULL;
}

int
virDomainBackupBegin(virDomainPtr d, const char *backup, const char *checkpoint, unsigned int flags)
{
    libvirt.job = libvirt.job_then;
    return 0;
}

int
virDomainAbortJob(virDomainPtr d)
{
    libvirt.aborted++;
    return libvirt.abort;
}

static void
ours_runs(void)
{
    memset(&libvirt, 0, sizeof libvirt);
    libvirt.active = 1;
    libvirt.job = VIR_DOMAIN_JOB_UNBOUNDED;
    libvirt.backup = "<domainbackup mode='pull'><server transport='unix' socket='" SOCKET "'/></domainbackup>";
    libvirt.code = VIR_ERR_RPC;
}

static void
assert_not_ended(void)
{
    g_autoptr(GError) err = NULL;
    g_assert_false(backup_end(dom(), SOCKET, &err));
    g_assert_error(err, ERR, ERR_NOT_AVAILABLE);
    libvirt.active = 0; /* it went with its QEMU */
    g_assert_true(backup_end(dom(), SOCKET, NULL));
}

/* That libvirt does not answer is not that there is no job. */
static void
test_end(void)
{
    ours_runs();
    g_assert_true(backup_end(dom(), SOCKET, NULL));
    g_assert_cmpuint(libvirt.aborted, ==, 1);
    g_assert_true(backup_end(dom(), "/run/other.sock", NULL));
    g_assert_cmpuint(libvirt.aborted, ==, 1);
    libvirt.abort = -1;
    assert_not_ended();
    ours_runs();
    libvirt.backup = NULL;
    assert_not_ended();
    ours_runs();
    libvirt.backup = NULL;
    libvirt.code = VIR_ERR_NO_DOMAIN_BACKUP; /* a migration */
    g_assert_true(backup_end(dom(), SOCKET, NULL));
    ours_runs();
    libvirt.job = -1;
    assert_not_ended();
    libvirt.job = VIR_DOMAIN_JOB_NONE;
    libvirt.active = 1;
    g_assert_true(backup_end(dom(), SOCKET, NULL));
}

static bool
has_room(void *unused)
{
    return true;
}

static struct lease *
lease_with_job(int job)
{
    static const char *const targets[] = { "vda", NULL };
    const struct backup b = { SOCKET, "/run/s", targets, NULL, NULL };
    libvirt.job = VIR_DOMAIN_JOB_NONE;
    libvirt.job_then = job;
    struct lease *l = lease_new(dom(), &b, has_room, NULL);
    g_assert_null(lease_disk(l, 0, NULL)); /* nobody listens, but the job was begun */
    return l;
}

static void
test_lease(void)
{
    ours_runs();
    g_assert_true(lease_free(lease_with_job(VIR_DOMAIN_JOB_UNBOUNDED)));
    g_assert_false(lease_free(lease_with_job(-1)));
    g_assert_true(lease_free(NULL));
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/vm/checkpoint/end", test_end);
    g_test_add_func("/vm/lease/free", test_lease);
    return g_test_run();
}
