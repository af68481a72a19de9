/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "base/err.h"
#include "base/uuid.h"

#include <stdbool.h>

/* Long-running work that outlives the request which began it: Msvm_ConcreteJob (contract section 0.4).
 *
 * A job runs `work` in a thread of the registry's pool.  work reports progress through the struct job it is given and returns true, or
 * false with an error; a warning set with job_warn turns success into 32768 Completed With Warnings.  Finished jobs stay for five minutes.
 * At most one job per `conflict` key runs at a time: a second one is ERR_IN_USE.
 *
 * Every state change is saved through `store` (may be NULL in tests) before it is visible; jobs found running at start were interrupted:
 * they are resumed by their owner (job_resume) or end as Exception.  Any thread; job_info is a copy. */

enum job_state { JOB_NEW = 2, JOB_STARTING = 3, JOB_RUNNING = 4, JOB_COMPLETED = 7, JOB_TERMINATED = 8, JOB_KILLED = 9, JOB_EXCEPTION = 10,
                 JOB_WARNINGS = 32768 };

struct job_info {
    char id[UUID_TEXT];          /* InstanceID */
    guint type;                  /* JobType, contract section 0.4 */
    char *name;                  /* "Initiate Failover" */
    struct uuid vm;              /* affected guest; nil: the host */
    char *owner;                 /* user who asked */
    enum job_state state;
    guint percent;
    char *status;                /* what it is doing, for people */
    bool cancellable;
    guint error_code;            /* 0 or 32768.. */
    char *error_text, *error_summary, *error_id; /* error_id: word of ERR_TABLE */
    char **causes;               /* what was behind the error: "<error_id> <text>", the next one first; NULL: nothing is known */
    char *warning;
    gint64 submitted_us, scheduled_us, started_us, ended_us, changed_us; /* wall; 0: not (yet); changed: the state */
};
void job_info_clear(struct job_info *i);
void job_info_copy(struct job_info *to, const struct job_info *from);
void job_info_free(struct job_info *i);
bool job_state_final(enum job_state s);

struct job_store {
    bool (*save)(void *user, const struct job_info *info, GError **err);
    bool (*remove)(void *user, const char *id, GError **err);
    GPtrArray *(*load)(void *user, GError **err); /* struct job_info, at start */
    void *user;
};

struct job;                       /* what work sees */
typedef bool (*job_work)(struct job *job, void *user, GError **err);

struct job_request {
    guint type;
    const char *name;
    struct uuid vm;
    const char *owner;
    const char *conflict;        /* NULL: conflicts with nothing */
    gint64 start_us;             /* wall clock; 0: now */
    bool cancellable;
    job_work work;
    void *user;
    GDestroyNotify user_free;
};

struct job_registry;
/* threads 0: as many as there are jobs. */
struct job_registry *job_registry_new(const struct job_store *store, guint threads, GError **err);
/* Asks all work to end, waits for it, and keeps what was cut short in the store as interrupted; job_start is refused from then on. */
void job_registry_stop(struct job_registry *r);
void job_registry_free(struct job_registry *r); /* stops, too */
/* id: where to put the new job's id.  On failure user is freed. */
bool job_start(struct job_registry *r, const struct job_request *request, char id[UUID_TEXT], GError **err);
/* Jobs that the store says were not finished when the program ended (struct job_info copies).  Their owner may take each up again under its
 * id; job_settle ends the rest as Exception and is called once, after that. */
GPtrArray *job_interrupted(struct job_registry *r);
bool job_resume(struct job_registry *r, const char *id, const struct job_request *request, GError **err);
void job_settle(struct job_registry *r);
bool job_get(struct job_registry *r, const char *id, struct job_info *out); /* false: no such job (any more) */
GPtrArray *job_list(struct job_registry *r);      /* struct job_info copies, oldest first; unref frees */
/* Those that work on that guest now (nil: on the host), neither ended nor waiting for their time. */
GPtrArray *job_active(struct job_registry *r, const struct uuid *vm);
/* ERR_INVALID_STATE: final already or not cancellable now. */
bool job_cancel(struct job_registry *r, const char *id, GError **err);
bool job_wait(struct job_registry *r, const char *id, gint64 timeout_us, struct job_info *out); /* false: still running */
bool job_busy(struct job_registry *r, const char *conflict);

/* For work. */
void job_progress(struct job *j, guint percent, const char *status);
void job_set_cancellable(struct job *j, bool yes);
void job_release(struct job *j); /* what it does from now on conflicts with nobody */
void job_warn(struct job *j, const char *format, ...) G_GNUC_PRINTF(2, 3);
bool job_cancelled(struct job *j, GError **err);   /* true: also sets ERR_CANCELLED */
const gint *job_cancel_flag(struct job *j);        /* for loops of lower layers */
void job_info_of(struct job *j, struct job_info *out);
