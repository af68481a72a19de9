/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "vm/domain.h"

#include <sys/types.h>

/* A recovery point in front of QEMU: nbdkit with our plugin on a Unix socket, qcow2 overlays over it, and filling them in.
 *
 * The nbdkit process is in its own session and outlives this one; <socket>.pid names it (pid and start time), so a restarted daemon finds
 * it again.  Blocking; any thread. */

struct serve_config {
    const char *nbdkit;      /* program, e.g. "nbdkit" */
    const char *plugin;      /* path of nbdkit-vmreplica-plugin.so */
    const char *qemu_user;   /* who must be able to connect; NULL: ours */
};

/* Starts, or finds running, the server of `point` of the store in `store_dir`; returns when the socket answers. */
bool serve_start(const struct serve_config *config, const char *store_dir, const struct uuid *point, const char *socket,
                 GError **err);
/* false: it cannot be found out, so nobody may take it for stopped (serve_start and serve_stop leave all as it is then, too). */
bool serve_running(const char *socket, bool *running, GError **err);
bool serve_stop(const char *socket, GError **err);     /* by pid and start time; absent is success; removes socket and pid file */

/* qcow2 at `path` (must not exist) over export `target` of `socket`, owned by qemu_user.  Writes of the guest are marked from the
 * first one on in a persistent bitmap of log `since`, in the form that capture knows (bitmap.h); filling the overlay is none. */
bool overlay_create(const struct serve_config *config, const char *path, const char *socket, const char *target, guint64 size,
                    const struct uuid *since, GError **err);
/* Guest off: copies what the overlay lacks from its backing and cuts the link; repeatable after a crash. */
bool overlay_flatten(const char *path, const gint *cancel, GError **err);
bool overlay_is_flat(const char *path, bool *flat, GError **err); /* works on an image in use, too */

/* Guest running: fills the overlay of disk `target` from its backing while the guest works (QEMU's block-stream).  A job that fails simply
 * goes away: overlay_is_flat tells whether it did its work.  libvirt does not know of the job.  bandwidth bytes/s, 0: no limit. */
bool overlay_pull_start(struct vm_conn *c, const struct uuid *vm, const char *target, guint64 bandwidth, GError **err);
struct overlay_pull {
    bool active;             /* a job is there */
    guint64 done, total;     /* bytes */
    guint64 rate;            /* bytes/s, 0: no limit */
};
bool overlay_pull_state(struct vm_conn *c, const struct uuid *vm, const char *target, struct overlay_pull *out, GError **err);
/* Another rate for a job that is there; ERR_NOT_FOUND: it is over. */
bool overlay_pull_rate(struct vm_conn *c, const struct uuid *vm, const char *target, guint64 bandwidth, GError **err);
bool overlay_pull_stop(struct vm_conn *c, const struct uuid *vm, const char *target, GError **err);
/* All overlays are full: the guest's persistent definition names the server's socket no more.  Repeatable; running or not. */
bool overlay_forget_backing(struct vm_conn *c, const struct uuid *vm, const char *socket, GError **err);
