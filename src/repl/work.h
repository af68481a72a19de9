/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "repl/core.h"
#include "repl/jobs.h"

/* What the methods of the service have in common: finding the guest in the order of contract 0.3, and posting jobs. */

struct repl_service {
    struct core *core;
    GMutex hook;                     /* a leaf above what `changed` locks: guards both */
    void (*changed)(void *user);
    void *changed_user;
};

/* Data of one job; freed with it. */
struct work {
    struct core *core;
    struct relation *rel;            /* NULL: none yet */
    struct uuid vm, point;
    bool named;                      /* point was named */
    bool repair;                     /* what differs is sent again */
    struct repl_settings *settings;
    struct repl_host_settings *host;
    char *peer, *location;
    guint port, requested;
};
struct work *work_new(struct core *c, struct relation *rel, const struct uuid *vm);
void work_free(struct work *w);

/* Posts it (takes w).  conflict: holds the guest against other replication jobs. */
bool work_post(struct work *w, enum job_number type, bool conflict, bool cancellable, gint64 start_us, const char *owner, job_work fn,
               char job[UUID_TEXT], GError **err);
/* Takes up an interrupted job under its id, or posts a new one when there is none. */
bool work_resume(struct work *w, const char *id, enum job_number type, bool cancellable, job_work fn, GError **err);

/* The relationship of a guest: ERR_NO_SUCH_INSTANCE no such guest; ERR_INVALID_STATE the guest is not replicated. */
struct relation *work_relation(struct core *c, const struct uuid *vm, guint index, GError **err);
/* ERR_IN_USE while a replication job holds the guest. */
bool work_free_to_change(struct core *c, const struct uuid *vm, GError **err);
