/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "vm/handle.h"

/* libvirt's checkpoints of ours: what the engine "pull" tracks changes with.  libvirt keeps one bitmap per checkpoint and disk, in the
 * qcow2 image, under the checkpoint's name; ours are named like the bitmaps of the engine "push" (bitmap.h).  All of them record all the
 * time, so a newer one can be thrown away without loss.
 *
 * Only a running guest's checkpoints can be made or removed with their bitmaps; of one that is off the description alone is removed.
 * Blocking; any thread.  Source: libvirt "Checkpoint XML format", virDomainCheckpoint*. */

struct checkpoint {
    char *name;
    struct uuid log;
    guint64 number;
};

GPtrArray *checkpoint_list(virDomainPtr dom, GError **err); /* struct checkpoint, the oldest first */
const struct checkpoint *checkpoint_find(const GPtrArray *list, const struct uuid *log); /* the newest of that log; NULL: none */
char *checkpoint_next_name(const GPtrArray *list, const struct uuid *log);               /* g_free */

bool checkpoint_create(virDomainPtr dom, const char *name, const char *const *targets, GError **err);
/* Absent is success. */
bool checkpoint_delete(virDomainPtr dom, const char *name, GError **err);
/* All of ours but `keep` (NULL: all). */
bool checkpoint_delete_others(virDomainPtr dom, const char *keep, GError **err);

/* Bytes written to all targets since the checkpoint, in units of its bitmap's granularity (64 KiB as a rule).  ERR_TRACKING_LOST: a disk
 * has no bitmap of it, or one that an unclean stop of QEMU made worthless.  The guest runs. */
bool checkpoint_size(virDomainPtr dom, const char *name, const char *const *targets, guint64 *bytes, GError **err);

/* Texts for libvirt; g_free. */
char *checkpoint_xml(const char *name, const char *const *targets);

/* A pull backup of a running guest: libvirt exports each target, as it was when the job began, on the socket under the target's name, and
 * what changed since a checkpoint in the metadata context of bitmap BACKUP_BITMAP.  While the job is open libvirt refuses or delays other
 * jobs on the guest, and first writes to a cluster cost a copy into libvirt's scratch files: keep it short. */
#define BACKUP_BITMAP "vmr"
struct backup {
    const char *socket;          /* path */
    const char *scratch_prefix;  /* libvirt's scratch file of a target is <prefix><target>-pull */
    const char *const *targets;
    const char *since;           /* a checkpoint; NULL: everything */
    const char *create;          /* checkpoint that begins with the job, at the same instant; NULL: none */
};
char *backup_xml(const struct backup *b);
bool backup_begin(virDomainPtr dom, const struct backup *b, GError **err); /* ERR_IN_USE, ERR_TIMEOUT, ERR_TRACKING_LOST */
/* Ends the guest's backup job if it is the one on that socket; none is success.  false: it may go on, and its scratch grows. */
bool backup_end(virDomainPtr dom, const char *socket, GError **err);
