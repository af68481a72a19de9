/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "base/err.h"

/* A recovery plan: in which order the guests of a group are started, and when each one counts as up.  A key file:
 *
 *   [plan]
 *   group=shop
 *   on-failure=stop            stop (default) or continue with the next guest
 *
 *   [guest db]                 a section for each guest; started in the order of `order`, then of the file
 *   order=1
 *   ready=agent                agent (default): its guest agent answers; tcp HOST:PORT: a connection can be made; none;
 *                              command TEXT: a program ends with status 0, with VMREPLICA_GUEST and VMREPLICA_MODE (test, failover)
 *   timeout=5m                 for becoming ready (default 5m)
 *   delay=10s                  after that, before the next guest (default 0)
 *   on-failure=continue        as above, for this guest
 *
 * Unknown sections and keys are refused.  Immutable once read. */

enum ready { READY_AGENT, READY_TCP, READY_COMMAND, READY_NONE };

struct plan_step {
    char *guest, *target;     /* target: HOST:PORT or the command line */
    enum ready ready;
    gint order;
    guint64 timeout_s, delay_s;
    bool goes_on;             /* when it does not come up */
};
struct plan {
    char *group;
    GPtrArray *steps;         /* struct plan_step, in the order of starting */
};
struct plan *planfile_read(const char *path, GError **err); /* ERR_INVALID_PARAMETER names section and key */
void planfile_free(struct plan *p);                         /* NULL is fine */
#define plan_auto __attribute__((cleanup(planfile_clean))) struct plan *
static inline void planfile_clean(struct plan **p) { planfile_free(*p); }
