/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "vm/conn.h"

/* File systems of a running guest held still by its agent, and let go again whatever happens.
 *
 * Four hands hold the way back, each without the others: quiesce_end; the program vmreplica-thaw (src/thaw), started before the freeze in a
 * session of its own with its own connection to libvirt, which thaws when this process ends or the limit is over; a timer inside the
 * guest (`timer`, needs the agent's guest-exec and a shell), for a host whose libvirt hangs; and whoever called, from a record that was
 * written before (vm_thaw after a restart).
 *
 * A guest counts as held still only when the agent thaws as many file systems as it froze, and within the limit: somebody else's thaw in
 * between is seen.  Blocking; any thread; one at a time per guest.
 * Source: QEMU guest agent protocol (guest-fsfreeze-*, guest-exec); libvirt's virDomainFSFreeze, virDomainGetFSInfo. */

struct quiesce_config {
    const char *program;  /* vmreplica-thaw */
    guint limit_s;        /* from before the freeze until the thaw is answered; the agent has half of it to freeze */
    bool timer;           /* may run a program in the guest; taints the guest in libvirt's eyes */
};

struct quiesce_report {
    bool held;            /* the file systems stood still all the time */
    char **filesystems;   /* where they are mounted in the guest; NULL: the agent did not say */
    guint frozen, thawed; /* how many, in the agent's own words */
    bool timer;           /* one ran in the guest */
    gint64 freeze_us;     /* the agent's time for the freeze, with its scripts */
    gint64 frozen_us;     /* from its answer to that of the thaw */
};
void quiesce_report_clear(struct quiesce_report *r);

struct quiesce;
/* NULL: nothing is frozen (ERR_NOT_AVAILABLE: no agent answers), or it may be: *loose, then vm_thaw has to be called until it succeeds. */
struct quiesce *quiesce_begin(struct vm_conn *c, const struct uuid *vm, const struct quiesce_config *config, bool *loose, GError **err);
/* Frees q in any case.  False: not held still, or *loose as above. */
bool quiesce_end(struct quiesce *q, struct quiesce_report *out, bool *loose, GError **err);

/* Also when nothing is frozen.  True as well for a guest that is off or gone.  count (may be NULL): file systems that were frozen. */
bool vm_thaw(struct vm_conn *c, const struct uuid *vm, guint *count, GError **err);
