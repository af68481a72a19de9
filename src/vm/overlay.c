/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "vm/serve.h"

#include "base/clean.h"
#include "base/err.h"
#include "base/file.h"
#include "vm/handle.h"
#include "vm/qmp.h"
#include "vm/run.h"
#include "vm/scratch.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- the image ---- */

/* qemu-img makes the image under another name, so that what stands at `path` is whole and durable. */
static bool
make_image(const char *path, const char *backing, guint64 size, const struct serve_config *config, GError **err)
{
    g_autofree char *length = g_strdup_printf("%" G_GUINT64_FORMAT, size);
    uid_t uid;
    gid_t gid;
    const char *const argv[] = { "qemu-img", "create", "-q", "-u", "-f", "qcow2", "-F", "raw", "-b", backing, path, length, NULL };
    if (!scratch_owner(config->qemu_user, &uid, &gid, err) || !run_program(argv, NULL, NULL, err))
        return false;
    auto_fd fd = open(path, O_RDWR | O_CLOEXEC);
    if (fd < 0 || fchown(fd, uid, gid) != 0 || fchmod(fd, 0600) != 0)
        return err_errno(err, "Overlay '%s' cannot be given to QEMU", path);
    return file_sync(fd, path, err);
}

bool
overlay_create(const struct serve_config *config, const char *path, const char *socket, const char *target, guint64 size, GError **err)
{
    g_autofree char *escaped = g_uri_escape_string(socket, "/", TRUE);
    g_autofree char *name = g_uri_escape_string(target, NULL, TRUE);
    g_autofree char *backing = g_strdup_printf("nbd+unix:///%s?socket=%s", name, escaped);
    g_autofree char *temporary = g_strconcat(path, ".new", NULL);
    if (access(path, F_OK) == 0)
        return err_set(err, ERR_EXISTS, "Overlay '%s' exists already.", path);
    unlink(temporary);
    if (make_image(temporary, backing, size, config, err) && file_rename_durably(temporary, path, err))
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

bool
overlay_pull_start(struct vm_conn *c, const struct uuid *vm, const char *target, guint64 bandwidth, GError **err)
{
    g_autoptr(virDomain) dom = conn_domain(c, vm, err);
    if (!dom)
        return false;
    const char *name = virDomainGetName(dom);
    if (virDomainBlockPull(dom, target, bandwidth, VIR_DOMAIN_BLOCK_PULL_BANDWIDTH_BYTES) < 0)
        return conn_error(err, "Disk '%s' of guest '%s' cannot be filled", target, name);
    return true;
}

bool
overlay_pull_state(struct vm_conn *c, const struct uuid *vm, const char *target, struct overlay_pull *out, GError **err)
{
    g_autoptr(virDomain) dom = conn_domain(c, vm, err);
    if (!dom)
        return false;
    const char *name = virDomainGetName(dom);
    virDomainBlockJobInfo info = { 0 };
    const int rc = virDomainGetBlockJobInfo(dom, target, &info, VIR_DOMAIN_BLOCK_JOB_INFO_BANDWIDTH_BYTES);
    if (rc < 0)
        return conn_error(err, "The progress of disk '%s' of guest '%s' cannot be read", target, name);
    *out = (struct overlay_pull){ .active = rc == 1, .done = info.cur, .total = info.end };
    return true;
}

bool
overlay_pull_stop(struct vm_conn *c, const struct uuid *vm, const char *target, GError **err)
{
    struct overlay_pull state;
    if (!overlay_pull_state(c, vm, target, &state, err))
        return false;
    g_autoptr(virDomain) dom = state.active ? conn_domain(c, vm, err) : NULL;
    if (!state.active)
        return true;
    if (!dom)
        return false;
    const char *name = virDomainGetName(dom);
    if (virDomainBlockJobAbort(dom, target, 0) == 0)
        return true;
    const virError *e = virGetLastError();
    if (e && e->code == VIR_ERR_INVALID_ARG) /* it ended meanwhile */
        return true;
    return conn_error(err, "Filling disk '%s' of guest '%s' cannot be stopped", target, name);
}
