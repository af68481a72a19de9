/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "vm/conn.h"

/* What the QEMU guest agent says about the system in the guest.
 *
 * Each call asks the guest and waits for its answer, at most a few seconds; ERR_NOT_AVAILABLE: no agent answers (none is installed, none
 * runs, the guest is off), ERR_TIMEOUT.  Strings are NULL where the agent has nothing.  Any thread.
 * Source: libvirt's virDomainGetGuestInfo, QEMU's guest agent protocol (guest-get-osinfo, guest-get-host-name). */

struct vm_agent_info {
    char *os_id;      /* "debian", "mswindows" */
    char *os_name;    /* "Debian GNU/Linux 12 (bookworm)" */
    char *os_version; /* "12" */
    char *kernel;     /* release */
    char *hostname;
};
void vm_agent_info_clear(struct vm_agent_info *i);
bool vm_agent_info(struct vm_conn *c, const struct uuid *vm, struct vm_agent_info *out, GError **err);

/* A program that ran in the guest: its exit status (-1: a signal ended it), what it wrote, each NULL when it wrote nothing. */
struct vm_agent_ran {
    int status;
    char *out, *err;
};
void vm_agent_ran_clear(struct vm_agent_ran *r);
/* As the agent's user, usually root.  input (may be NULL): its standard input.  False: it did not run, or not to its end within limit_s;
 * ERR_NOT_SUPPORTED: the agent may not run programs. */
bool vm_agent_run(struct vm_conn *c, const struct uuid *vm, const char *const *argv, const char *input, guint limit_s,
                  struct vm_agent_ran *out, GError **err);
