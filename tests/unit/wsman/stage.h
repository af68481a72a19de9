/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "soap.h"

/* The host of fake.h with events. */

#define JOBS "SELECT * FROM __InstanceCreationEvent WITHIN 3600 WHERE TargetInstance ISA 'Msvm_ConcreteJob'"

struct stage {
    struct soap s;
    struct cim_watch *watch;
};
void stage_open(struct stage *t);
void stage_open_as(struct stage *t, const struct net_identity *identity); /* towards listeners */
void stage_close(struct stage *t);
void stage_job(struct stage *t);                                          /* a job begins, and is looked at */
/* Renew, Unsubscribe of a subscription. */
void stage_manage(struct stage *t, const char *action, const char *id, const char *body);
