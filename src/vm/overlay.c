/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "vm/serve.h"

#include "base/clean.h"
#include "base/err.h"
#include "base/file.h"
#include "vm/domxml.h"
#include "vm/handle.h"
#include "vm/qmp.h"
#include "vm/run.h"
#include "vm/scratch.h"
#include "vm/track.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- the image ---- */

/* qemu-img makes the image under another name, so that what stands at `path` is whole and durable. */
static bool
make_image(const char *path, const char *backing, guint64 size, const struct serve_config *config, const char *bitmap, GError **err)
{
    g_autofree char *length = g_strdup_printf("%" G_GUINT64_FORMAT, size);
    uid_t uid;
    gid_t gid;
    const char *const argv[] = { "qemu-img", "create", "-q", "-u", "-f", "qcow2", "-F", "raw", "-b", backing, path, length, NULL };
    g_autofree char *granularity = g_strdup_printf("%d", BITMAP_GRANULARITY);
    const char *const marks[] = { "qemu-img", "bitmap", "--add", "-f", "qcow2", "-g", granularity, path, bitmap, NULL };
    if (!scratch_owner(config->qemu_user, &uid, &gid, err) || !run_program(argv, NULL, NULL, err) || !run_program(marks, NULL, NULL, err))
        return false;
    auto_fd fd = open(path, O_RDWR | O_CLOEXEC);
    if (fd < 0 || fchown(fd, uid, gid) != 0 || fchmod(fd, 0600) != 0)
        return err_errno(err, "Overlay '%s' cannot be given to QEMU", path);
    return file_sync(fd, path, err);
}

bool
overlay_create(const struct serve_config *config, const char *path, const char *socket, const char *target, guint64 size,
               const struct uuid *since, GError **err)
{
    g_autofree char *escaped = g_uri_escape_string(socket, "/", TRUE);
    g_autofree char *name = g_uri_escape_string(target, NULL, TRUE);
    g_autofree char *backing = g_strdup_printf("nbd+unix:///%s?socket=%s", name, escaped);
    g_autofree char *temporary = g_strconcat(path, ".new", NULL);
    g_autofree char *bitmap = bitmap_name(since, 1);
    if (access(path, F_OK) == 0)
        return err_set(err, ERR_EXISTS, "Overlay '%s' exists already.", path);
    unlink(temporary);
    if (make_image(temporary, backing, size, config, bitmap, err) && file_rename_durably(temporary, path, err))
        return true;
    unlink(temporary);
    return false;
}

bool
overlay_is_flat(const char *path, bool *flat, GError **err)
{
    const char *const argv[] = { "qemu-img", "info", "-U", "-f", "qcow2", "--output=json", path, NULL };
    g_autofree char *text = NULL;
    if (!run_program(argv, NULL, &text, err))
        return false;
    json_scoped info = json_loads(text, 0, NULL);
    if (!json_is_object(info))
        return err_set(err, ERR_MALFORMED, "What qemu-img says about overlay '%s' is not understood.", path);
    *flat = qmp_text(info, "backing-filename") == NULL;
    return true;
}

/* A safe rebase copies first and cuts the link last, so it can be done again after a crash. */
bool
overlay_flatten(const char *path, const gint *cancel, GError **err)
{
    const char *const argv[] = { "qemu-img", "rebase", "-q", "-f", "qcow2", "-b", "", path, NULL };
    bool flat = false;
    if (!overlay_is_flat(path, &flat, err))
        return false;
    if (flat)
        return true;
    if (!run_program(argv, cancel, NULL, err))
        return false;
    auto_fd fd = open(path, O_RDWR | O_CLOEXEC);
    if (fd < 0)
        return err_errno(err, "Overlay '%s' cannot be opened", path);
    return file_sync(fd, path, err);
}

/* ---- filling it under a running guest ---- */

/* Not libvirt's block pull: QEMU keeps that job's filter, which then has no child, until libvirt dismisses the job, and a
 * query-named-block-nodes in between (any `virsh domblkinfo` or domstats) is a segmentation fault of QEMU 7.2.  A filter with a name and a
 * job that dismisses itself have no such moment (docs/decisions/004-filling-overlays.md).  The names must not begin with "vmr-": jobs with
 * such names are the capture's (qjob.h). */
static char *
job_name(const char *target)
{
    return g_strconcat("vmreplica-fill-", target, NULL);
}

static bool
start_job(virDomainPtr dom, const char *target, guint64 bandwidth, GError **err)
{
    track_auto track = track_live(dom, err);
    const struct bitmap_disk *disk = track ? bitmap_find_disk(track->disks, target) : NULL;
    g_autofree char *job = job_name(target);
    if (!track)
        return false;
    if (!disk)
        return err_set(err, ERR_NOT_FOUND, "Guest '%s' has no disk '%s'.", virDomainGetName(dom), target);
    return qmp_do(dom, "block-stream",
                  json_pack("{s:s, s:s, s:s, s:I}", "job-id", job, "device", disk->node, "filter-node-name", job, "speed",
                            (json_int_t)bandwidth),
                  err);
}

bool
overlay_pull_start(struct vm_conn *c, const struct uuid *vm, const char *target, guint64 bandwidth, GError **err)
{
    g_autoptr(virDomain) dom = conn_domain(c, vm, err);
    return dom && start_job(dom, target, bandwidth, err);
}

static bool
job_state(virDomainPtr dom, const char *target, struct overlay_pull *out, GError **err)
{
    json_scoped jobs = qmp_run(dom, "query-block-jobs", NULL, err);
    g_autofree char *name = job_name(target);
    size_t i;
    json_t *job;
    *out = (struct overlay_pull){ 0 };
    json_array_foreach(jobs, i, job)
        if (g_strcmp0(qmp_text(job, "device"), name) == 0)
            *out = (struct overlay_pull){ .active = true, .done = qmp_number(job, "offset"), .total = qmp_number(job, "len"),
                                          .rate = qmp_number(job, "speed") };
    return jobs != NULL;
}

bool
overlay_pull_state(struct vm_conn *c, const struct uuid *vm, const char *target, struct overlay_pull *out, GError **err)
{
    g_autoptr(virDomain) dom = conn_domain(c, vm, err);
    return dom && job_state(dom, target, out, err);
}

bool
overlay_pull_rate(struct vm_conn *c, const struct uuid *vm, const char *target, guint64 bandwidth, GError **err)
{
    g_autoptr(virDomain) dom = conn_domain(c, vm, err);
    g_autofree char *job = job_name(target);
    return dom && qmp_do(dom, "block-job-set-speed", json_pack("{s:s, s:I}", "device", job, "speed", (json_int_t)bandwidth), err);
}

bool
overlay_pull_stop(struct vm_conn *c, const struct uuid *vm, const char *target, GError **err)
{
    enum { LOOK_US = 5000 };
    g_autoptr(virDomain) dom = conn_domain(c, vm, err);
    g_autofree char *name = job_name(target);
    struct overlay_pull state = { 0 };
    while (dom && job_state(dom, target, &state, err)) {
        if (!state.active)
            return true;
        g_autoptr(GError) why = NULL;
        if (!qmp_do(dom, "block-job-cancel", json_pack("{s:s, s:b}", "device", name, "force", 1), &why) && !err_is(why, ERR_NOT_FOUND)) {
            g_propagate_error(err, g_steal_pointer(&why));
            return false;
        }
        g_usleep(LOOK_US);
    }
    return false;
}

/* ---- afterwards ---- */

bool
overlay_forget_backing(struct vm_conn *c, const struct uuid *vm, const char *socket, GError **err)
{
    g_autoptr(virDomain) dom = conn_domain(c, vm, err);
    if (!dom)
        return false;
    char *xml = virDomainGetXMLDesc(dom, VIR_DOMAIN_XML_INACTIVE | VIR_DOMAIN_XML_SECURE);
    if (!xml)
        return conn_error(err, "The definition of guest '%s' cannot be read", virDomainGetName(dom));
    g_autofree char *ours = domxml_without_backing(xml, socket, err);
    free(xml);
    return ours && vm_define(c, ours, err);
}
