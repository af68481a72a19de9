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
    bool no_checkpoint;
    const char *words;                /* of libvirt's last error */
    guint deleted, forgotten;         /* checkpoints with and without their bitmaps */
    const char *sizes;                /* a checkpoint's disks */
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
    error = (virError){ .code = libvirt.code, .message = (char *)(gsize)libvirt.words };
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

virDomainCheckpointPtr
virDomainCheckpointLookupByName(virDomainPtr d, const char *name, unsigned int flags)
{
    return libvirt.no_checkpoint ? NULL : (virDomainCheckpointPtr)(gpointer)&guest;
}

int
virDomainCheckpointFree(virDomainCheckpointPtr c)
{
    return 0;
}

/* The bitmaps cannot be removed. */
int
virDomainCheckpointDelete(virDomainCheckpointPtr c, unsigned int flags)
{
    const bool alone = flags & VIR_DOMAIN_CHECKPOINT_DELETE_METADATA_ONLY;
    libvirt.deleted += !alone;
    libvirt.forgotten += alone;
    return alone ? 0 : -1;
}

char *
virDomainCheckpointGetXMLDesc(virDomainCheckpointPtr c, unsigned int flags)
{
    return libvirt.sizes ? g_strdup_printf("<domaincheckpoint><disks>%s</disks></domaincheckpoint>", libvirt.sizes) : NULL;
}

char *
virDomainGetXMLDesc(virDomainPtr d, unsigned int flags)
{
    return strdup("<domain><devices><disk device='disk'><target dev='vda'/></disk><disk device='disk'><target dev='vdb'/></disk></devices>"
                  "</domain>");
}

static void
ours_runs(void)
{
    memset(&libvirt, 0, sizeof libvirt);
    libvirt.active = 1;
    libvirt.job = VIR_DOMAIN_JOB_UNBOUNDED;
    libvirt.backup = "<domainbackup mode='pull'><server transport='unix' socket='" SOCKET "'/></domainbackup>";
    libvirt.code = VIR_ERR_RPC;
    libvirt.words = "it was restarted";
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

/* A bitmap that only cannot be removed now would record for ever without its checkpoint. */
static void
test_delete(void)
{
    g_autoptr(GError) err = NULL;
    ours_runs();
    g_assert_false(checkpoint_delete(dom(), "c", &err));
    g_assert_error(err, ERR, ERR_NOT_AVAILABLE);
    g_assert_cmpuint(libvirt.deleted, ==, 1);
    libvirt.active = -1;
    g_assert_false(checkpoint_delete(dom(), "c", NULL));
    g_assert_cmpuint(libvirt.forgotten, ==, 0);
    libvirt.active = 0;
    g_assert_true(checkpoint_delete(dom(), "c", NULL));
    g_assert_cmpuint(libvirt.forgotten, ==, 1);
    libvirt.active = 1;
    libvirt.no_checkpoint = true;
    g_assert_false(checkpoint_delete(dom(), "c", NULL));
    libvirt.code = VIR_ERR_NO_DOMAIN_CHECKPOINT;
    g_assert_true(checkpoint_delete(dom(), "c", NULL));
}

/* Whether one is gone is seen, not read: libvirt's words are in the language of its daemon. */
static void
test_delete_bare(void)
{
    static const struct {
        const char *sizes;
        guint forgotten;
    } rows[] = {
        { "<disk name='vda' checkpoint='bitmap' size='0'/><disk name='vdb' checkpoint='bitmap' size='65536'/>", 0 },
        { "<disk name='vda' checkpoint='no'/><disk name='vdb' checkpoint='bitmap' size='65536'/>", 0 },
        { "<disk name='vda' checkpoint='bitmap' size='0'/><disk name='unplugged' checkpoint='bitmap'/>", 0 },
        { NULL, 0 },
        { "<disk name='vda' checkpoint='bitmap' size='0'/><disk name='vdb' checkpoint='bitmap'/>", 1 },
    };
    for (gsize i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autoptr(GError) err = NULL;
        ours_runs();
        libvirt.code = VIR_ERR_INTERNAL_ERROR;
        libvirt.words = "interner Fehler: Bitmap 'c' nicht gefunden";
        libvirt.sizes = rows[i].sizes;
        const bool ok = checkpoint_delete(dom(), "c", &err);
        g_assert_true(ok == (rows[i].forgotten > 0) && ok == !err);
        g_assert_cmpuint(libvirt.forgotten, ==, rows[i].forgotten);
        libvirt.code = VIR_ERR_RPC; /* it could not even try */
        g_assert_false(checkpoint_delete(dom(), "c", NULL));
    }
    ours_runs();
    libvirt.code = VIR_ERR_CHECKPOINT_INCONSISTENT;
    g_assert_true(checkpoint_delete(dom(), "c", NULL));
    g_assert_cmpuint(libvirt.forgotten, ==, 1);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/vm/checkpoint/end", test_end);
    g_test_add_func("/vm/checkpoint/delete", test_delete);
    g_test_add_func("/vm/checkpoint/delete-bare", test_delete_bare);
    g_test_add_func("/vm/lease/free", test_lease);
    return g_test_run();
}
