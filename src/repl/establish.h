/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "repl/work.h"

/* Can replication to that host be enabled?  other (may be NULL): its own name; g_free. */
struct wire_peer *establish_dial(struct core *c, const char *host, guint port, GError **err);
struct wire_peer *establish_dial_replica(struct relation *rel, GError **err); /* the host that its settings name now */
bool establish_ask(struct wire_peer *peer, const char *host, char **other, GError **err);

/* Work of the jobs that make, change and end a relationship (contract 2.2, 2.3, 2.8); the checks before them are in methods.c. */

bool establish_create_work(struct job *job, void *work, GError **err);      /* 91 */
bool establish_start_work(struct job *job, void *work, GError **err);       /* 94, 117, 118: ends when the copy is whole */
enum job_number establish_start_job(guint type);                            /* of an InitialReplicationType */
bool establish_stop_work(struct job *job, void *work, GError **err);        /* 109 */
bool establish_modify_work(struct job *job, void *work, GError **err);      /* 92 */
bool establish_remove_work(struct job *job, void *work, GError **err);      /* 93 */
bool establish_state_work(struct job *job, void *work, GError **err);       /* 96: pause, resume */
bool establish_test_work(struct job *job, void *work, GError **err);        /* 115 */
