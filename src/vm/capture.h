/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "base/block.h"
#include "vm/domain.h"

/* What a guest's disks hold now, or what changed since the last change log, frozen at one instant over all disks (design D6,
 * engine "push").
 *
 * Tracking: on every replicated disk one dirty bitmap of 4 KiB granularity named "vmr-<log id>.<number>": the writes since that log's
 * instant (bitmap.h).
 * It is persistent in qcow2 images (survives an orderly stop of the guest) and transient on raw ones.
 *
 * capture_begin(INSTANT), guest running, in one QMP transaction over all disks: add "vmr-<new log>", disable "vmr-<old log>",
 * blockdev-backup sync=bitmap of the old one into a sparse file of ours in `scratch_dir` (tmpfs).  Before it: the free scratch is checked
 * (ERR_NO_SPACE: nothing was changed).  After it: every job's error is read before any data is trusted; the exact dirty extents are read
 * over NBD.  When the function returns no job and no NBD server is open in QEMU.  A scratch that takes longer than 10 s and a second per
 * 8 MiB, in either of the two passes below, is given up (ERR_TIMEOUT), since the guest's writes wait for the copies.
 *
 * QEMU copies 64 KiB for every marked 4 KiB, while the guest's writes wait.  Where CAPTURE_LIVE_FIRST bytes or more are marked there are
 * two passes: what is marked is read from the live disk over NBD, in which a bitmap of its own tracks what is written meanwhile, and only
 * that is copied at the instant.  The bitmap of the old log goes on until the instant, so a first pass that fails or dies loses nothing.
 *
 * Guest off: the images, wherever they are (vm/source.h), are served read-only by qemu-storage-daemon, which also locks those that are
 * files; bitmaps in them are turned over with qemu-img.  Of images without such locks (devices, network) bitmaps are only read, and a read
 * that a start of the guest overtook fails.  An image without bitmaps (raw) counts as unchanged after CAPTURE_FUZZY_ALL as long as its
 * stamp is the same and the guest stays off.
 *
 * capture_end(durable): true removes the old bitmap, false merges the new one back into it: no change is ever lost.  A crash between
 * the two is mended by capture_recover from what QEMU reports, never from memory.  CAPTURE_INSTANT and CAPTURE_FUZZY_CHANGES need a
 * successful capture_recover or durable capture_end in this process before: only then is it known which log the bitmaps stand for
 * (ERR_TRACKING_LOST otherwise, as when a bitmap is gone: recover, and if that fails, CAPTURE_FUZZY_ALL, which closes what an earlier
 * process left open by itself).
 *
 * Clean refusals, after which all is as before: ERR_NOT_FOUND (a target is no disk of the guest any more), ERR_IN_USE (somebody else's NBD
 * server: a libvirt backup or a migration), ERR_NOT_AVAILABLE (the guest stopped meanwhile), ERR_TIMEOUT (held by another libvirt job).
 *
 * One capture per guest at a time (ERR_IN_USE); different guests in parallel.  Blocking; any thread.
 * Source: QEMU interop docs "bitmaps", "live-block-operations". */

enum { CAPTURE_LIVE_FIRST = 8 << 20 };
struct capture_config {
    const char *scratch_dir;   /* tmpfs that existed before the guests started (QEMU lives in its own mount namespace) */
    const char *runtime_dir;   /* for sockets */
    const char *qemu_user;     /* owner of what QEMU must open, e.g. "libvirt-qemu"; NULL: ours */
    guint64 scratch_reserve;   /* bytes to leave free */
    const char *swtpm_dir;     /* vm/tpm.h; NULL: the state of TPMs is left alone */
    guint64 live_first;        /* so many marked bytes are read in two passes; 0: CAPTURE_LIVE_FIRST */
};

enum capture_mode {
    CAPTURE_INSTANT,       /* changes since the tracked log, one instant: a recovery point */
    CAPTURE_FUZZY_CHANGES, /* the same set read from the live disk, holds no job: when the scratch is too small */
    CAPTURE_FUZZY_ALL,     /* starts tracking anew and reads all allocated data from the live disk: initial copy */
};

/* Which engine captures a running guest; one for all its disks, since only then they are captured at one instant.
 *   CAPTURE_PUSH  what is described above: qcow2 and raw, 4 KiB, cheap; QEMU monitor commands (libvirt's "custom-monitor" taint)
 *   CAPTURE_PULL  libvirt's backup API and checkpoints: no monitor commands; qcow2 only, 64 KiB; while a cycle's changes are copied
 *                 (over NBD into the scratch folder) libvirt's own operations on the guest wait, and block jobs are refused
 * A guest that is off is read the same way with both; then "pull" turns no bitmaps over, and the next capture reads them once more. */
enum capture_kind { CAPTURE_PUSH, CAPTURE_PULL };

struct capture_engine;
struct capture_engine *capture_engine_new(struct vm_conn *conn, const struct capture_config *config);
void capture_engine_free(struct capture_engine *e);

/* From now on; CAPTURE_PUSH until told.  Not while the guest is captured.  Whoever changes it calls capture_forget before and recovers
 * after: neither engine goes on from what the other one tracked. */
void capture_choose(struct capture_engine *e, const struct uuid *vm, enum capture_kind kind);

/* Finds and closes whatever an earlier run left open on this guest (jobs, exports, NBD server, nodes, scratch files), puts the bitmaps in
 * order (durable(log) decides whether a half-done capture counts), and says since which log all `targets` are tracked.
 * Returns false with ERR_TRACKING_LOST and the reason when they are not (no bitmap, inconsistent, new disk, other log). */
bool capture_recover(struct capture_engine *e, const struct uuid *vm, const char *const *targets,
                     bool (*durable)(void *user, const struct uuid *log), void *user, struct uuid *since, GError **err);

struct capture;
/* `log`: id of the change log that this capture becomes. */
struct capture *capture_begin(struct capture_engine *e, const struct uuid *vm, const char *const *targets, enum capture_mode mode,
                              const struct uuid *log, GError **err);
/* A CAPTURE_INSTANT with calls right before and right after the instant, when the guest runs: before may take its time, after is called
 * whenever before was, as soon as the changes stand still.  Neither for a guest that is off. */
struct capture_around {
    void (*before)(void *user), (*after)(void *user);
    void *user;
    bool others_wait; /* other guests wait for `before`: one pass */
};
struct capture *capture_begin_around(struct capture_engine *e, const struct uuid *vm, const char *const *targets, const struct uuid *log,
                                     const struct capture_around *around, GError **err);
gint64 capture_instant_us(const struct capture *c);                 /* wall clock of the instant */
const char *capture_domain_xml(const struct capture *c);            /* definition at that time */
GBytes *capture_tpm(const struct capture *c);                       /* state of its TPM right after the instant, likewise */
GBytes *capture_nvram(const struct capture *c);                     /* UEFI variables at that time, borrowed; NULL: none, or fuzzy */
guint capture_disks(const struct capture *c);                       /* in the order of targets */
struct block *capture_disk(struct capture *c, guint i);             /* owned by the capture */
const struct extents *capture_extents(const struct capture *c, guint i); /* what to copy; zero ranges are marked where known */
/* Frees c in any case.  Not durable: as if the capture had never been. */
bool capture_end(struct capture *c, bool durable, GError **err);

/* Removes everything of ours from the guest, running or off; for the end of a relationship. */
bool capture_forget(struct capture_engine *e, const struct uuid *vm, GError **err);
/* Bytes marked dirty now (for PendingReplicationSize); 0 when not tracked or off. */
guint64 capture_pending(struct capture_engine *e, const struct uuid *vm);
