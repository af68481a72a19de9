/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "base/throttle.h"
#include "repl/churn.h"
#include "repl/compress.h"
#include "repl/db.h"
#include "repl/forecast.h"
#include "repl/hourly.h"
#include "repl/outbox.h"
#include "repl/schedule.h"
#include "repl/service.h"
#include "repl/stats.h"
#include "store/scrub.h"
#include "wire/peer.h"

/* One relationship on this host: its record, its state, and what its activities share.
 *
 * The record is saved before a change is visible: relation_event_locked and relation_save_locked write the database while the lock is held,
 * and a failed write leaves the old state.  Nothing that blocks on libvirt, the network or a disk image runs under the lock.
 *
 * Lock order: core -> relation -> (job registry, schedule, outbox, entries, store, database).  Reference counted; `removed` ends it. */

struct core;
struct round;
struct sample;
struct store;

/* Steps of a failover that were begun; what is set must be undone (failover.c). */
enum failover_step { STEP_SERVED = 1, STEP_OVERLAYS = 2, STEP_DEFINED = 4, STEP_UNFENCED = 8 };

struct relation_record {
    enum repl_mode mode;
    enum repl_state state, resume_to, failover_from;
    char *name, *reason;        /* of the guest; why the state is Critical */
    guint64 epoch;
    gint64 last_us, last_app_us, last_apply_us, active_us;
    guint last_type, failed_over_type;
    /* sender */
    char **targets;             /* replicated disks; the position is the disk's id in change logs */
    char **detached;            /* those of them that the guest does not have now; NULL: none (guest.h) */
    struct uuid acked;          /* newest log that the replica has */
    guint64 acked_sequence;
    bool pulled;                /* the engine "pull" captured last, so what it left is what has to go */
    bool adopt_epoch;           /* an operator resumed after the replica had failed over: accept its epoch */
    bool frozen;                /* the guest's file systems may be frozen by us (consistent.h) */
    char *initial_job;
    guint initial_type;         /* of StartReplication */
    char *export_dir;           /* the initial copy goes there; NULL: over the network (export.h) */
    struct uuid export_point;   /* whose state an extended replica's export holds (extendfill.h) */
    bool away;                  /* the guest migrated to another host and did not run here since (guest.h) */
    bool superseded;            /* the replica said that it has failed over (supersede.h) */
    char *elsewhere;            /* ... or that the host behind it has: that one's name; NULL: it itself */
    bool exported;              /* it is complete there, and the replica has not imported it yet */
    char *leave_out;            /* what is not replicated, and why that is known (leaveout.h); NULL: all is */
    bool removing;              /* RemoveReplicationRelationship was begun */
    char *difference;           /* what the last comparison found different, in words; NULL: nothing */
    gint64 compared_us;         /* wall: when that was; 0: never */
    guint64 compared_pages, different_pages;
    /* receiver */
    char *folder, *trust_group, *primary_host;
    guint primary_port;
    guint64 peer_epoch;         /* newest epoch that the sender has acknowledged; older than ours: refused */
    char **disks;               /* targets by id */
    guint steps;                /* enum failover_step */
    struct uuid point;          /* what the failover runs from */
    struct uuid test, test_point; /* the test guest and what it stands on; nil: none (testvm.h) */
    bool test_ready;            /* it was made whole */
    bool test_drill;            /* it belongs to a boot check (drill.h) */
    struct uuid check_point;    /* of the newest boot check (bootcheck.h); nil: there was none */
    gint64 check_capture_us;    /* and the time of that point */
    guint64 point_sequence;
    bool point_named, reverting, committing, flat, reversing;
    char *failover_job;
    /* receiver that is made of a guest's own disks (seed.h) */
    bool seeding;
    char **seeds;               /* format:path of each image, by disk id */
    struct uuid seed;           /* the log that they stand for */
    guint64 seed_sequence;
    bool emptying;              /* its store is being made anew (placeholder.h) */
    guint64 given_up;           /* points that went for want of space (space.h) */
    gint64 given_up_us, given_up_capture_us; /* wall: when the last one went, and its time */
};

/* A replica on its file system (space.h). */
struct space {
    gint64 measured_us;         /* monotonic; 0: never */
    guint64 bytes, free, total, device;
    bool grows;                 /* per_day is known */
    double per_day;             /* bytes */
    gint days;                  /* until the file system is full; -1: never, or not known */
    bool stuck;                 /* it is as good as full, and no point may be given up */
    struct forecast used;
};

/* What is known of the replica's bytes (proof.h).  The task alone changes it, under the lock. */
struct proof {
    struct scrub_record record;
    guint64 total;              /* about what a pass reads */
    guint unusable;             /* recovery points that damage makes so */
    char *warning;              /* for health; NULL: nothing is known to be damaged that a point needs */
    gint64 looked_us;           /* monotonic: which points are hit was found out then; the task's own */
    gint64 turn_us;             /* monotonic: its next piece may be read then; 0: not asked yet; the task's own */
    guint64 healed;             /* sequence of the newest log that mending has looked at; the task's own */
    char *said;                 /* why the pass does not go on, as it was logged; NULL: it does; the task's own */
    bool wanted;                /* a pass shall begin now; under the lock */
};

struct sending {
    struct outbox *outbox;
    struct task *cycle, *send;
    /* only the capture task */
    bool tracked;               /* bitmaps are known to continue the chain */
    bool taking_last;           /* want_last was set before the cycle that runs now began */
    bool sending_last;          /* the send task's own: `preparing` was set before the try that runs now began */
    struct fingerprint *prints; /* prints.h; NULL: not open */
    char **attached;            /* the disks that it has, for captures; NULL: to be made (guest.h) */
    json_t *left;               /* what the full read under way leaves out (leaveout.h); NULL: nothing */
    char *off_stamp;            /* images of a stopped guest as they were captured; NULL: not */
    gint64 due;                 /* monotonic */
    struct round *round;        /* the common instant of the group that this cycle takes part in (round.h); NULL: none */
    bool grouped;               /* in a group, and in the lane for that */
    bool round_ran, round_held, round_met; /* its guest runs; we paused it; all members' captures are good */
    gint64 common_us;           /* wall: the common instant */
    char *common;               /* what the log of this instant says about its group; NULL: nothing */
    bool reads;                 /* in the lane for full reads, or on the way to it */
    gint64 app_due;             /* monotonic, of the next application-consistent point (consistent.h); 0: not known */
    guint app_failures;         /* in a row */
    char *evidence;             /* how the instant that is captured now was quiesced, JSON; NULL: it was not */
    /* under the relation's lock */
    struct wire_peer *peer;     /* freed by the send task only */
    bool peer_known;            /* status was asked on this connection */
    bool peer_stale;            /* host or port changed: connect anew */
    bool want_status;           /* an idle cycle: tell the replica that we live; extended: a round is due */
    bool facts_stale;
    bool rebase;                /* the replica stands elsewhere: go on from rebase_head */
    struct uuid rebase_head;
    guint64 rebase_sequence;
    char *lost;                 /* why the chain of logs does not go on where it should, for whoever reads the disks then; NULL: it does */
    guint failures;             /* of sending, in a row */
    gint64 retry_at;            /* monotonic */
    char *tracking;             /* why all disks are read, and how far; NULL: they are not */
    guint64 read_total, read_acked; /* bytes of the full read */
    guint64 disk_bytes;
    char *disks_note;
    struct hourly hourly;       /* how much it changes */
    char *app_trouble;          /* why there are no application-consistent points, although there should be; NULL */
    struct churn churn;         /* is what the guest changes usual? */
    struct compress_meter meter; /* how well logs pack and how fast they are sent */
    bool superseded_runs;       /* the guest ran where it has failed over when that was asked last */
    guint peer_log_version;     /* newest format of change logs that the replica reads; 0: it has not said yet */
    bool want_compare;          /* what the bitmaps say does not count: everything is compared (resync.h) */
    struct throttle *pace;      /* bandwidth of the settings; fixed, its rate follows them */
    gint64 resync_us;           /* wall: the last attempt to resynchronise, or its cancellation; 0: none yet (resync.h) */
    bool want_round;            /* another member of the group opened a round */
    bool want_last;             /* the next instant is the last before a planned failover (prepare.h) */
    bool preparing;             /* a planned failover waits for the last log's acknowledgement */
    struct uuid unstamped;      /* the log of a stopped guest that is not sent before off_stamp is taken; nil: none */
    struct uuid last_log;       /* its log, once that is in the outbox; nil: not yet */
    struct sample *sample;      /* pages that a job wants (sample.h); NULL: none */
    bool comparing;             /* a comparison is under way (difference.h) */
    struct extendmend *mend;    /* pages that the extended replica gets again (extendcompare.h); NULL: none */
    GError *export_error;       /* why an export cannot go on, for its job; NULL: it can */
    gint64 unread_us;           /* monotonic: since when what was exported cannot be read (extendfill.h); 0: it can; the send task's */
};

struct receiving {
    struct store *store;        /* NULL once a failover was committed */
    struct task *maintain, *fill, *prove, *serve;
    GMutex filling;             /* one at a time fills overlays; taken before the relation's lock */
    GMutex untesting;           /* one at a time removes the test guest; taken before the relation's lock */
    GMutex serving;             /* servers of recovery points start and stop under it, and it guards: */
    GPtrArray *servers;         /* struct serving: what runs until it is stopped (serving.h) */
    GMutex opening;             /* one at a time opens the store; taken before the relation's lock */
    /* under the relation's lock */
    guint uploads, commits;
    bool importing;             /* an initial replica comes from a folder (import.h) */
    bool merging;               /* maintenance changes the store */
    gint64 looked_us;           /* of maintenance: when it looked at a saved index last; monotonic */
    char *unknown;              /* of maintenance: why it does not know which points a group keeps, as it was said; NULL: it does */
    bool proving;               /* the store is being verified */
    bool drilling;              /* a boot check is under way */
    GHashTable *instants;       /* common instants of the group, by log (group.h); NULL: none was read */
    GHashTable *checks;         /* what boot checks found, by point (bootcheck.h); NULL: none */
    bool undo;                  /* a failed failover is still to be undone; maintenance tries again */
    bool shut;                  /* could not be taken up at the daemon's start; maintenance tries again */
    gint64 missed_us;           /* monotonic: since when the others of its group miss its store (groupkeep.h); 0: it is open */
    bool passed;                /* they do so no more */
    struct uuid part;           /* log that is half here; nil: none */
    char *xml_seen;             /* definition that the placeholder has now */
    struct hash128 xml_digest;  /* store_definition's of it; zeros: not known */
    guint64 flat_done, flat_total;
    char *unserved;             /* why a server that ended could not be started again (serving.h); NULL: all run */
    gint64 saved_us;            /* monotonic */
    gint64 app_since_us;        /* wall: since when application-consistent points are waited for (consistent.h) */
    struct space space;
    struct proof proof;
};

struct relation {
    gatomicrefcount refs;
    /* fixed */
    struct core *core;
    struct db *db;
    struct uuid vm;
    guint index;
    enum repl_side side;
    char *key;                  /* in the database */
    gint halt;                  /* atomic: activities end soon */
    GMutex lock;
    GCond changed;
    /* under lock */
    struct relation_record r;
    struct repl_settings settings;
    struct stats stats;
    GPtrArray *names;           /* that the guest had before: many read r.name without the lock, so none is freed before the end */
    char *noted;                /* what libvirt's hook finds about it (maystart.h); NULL: not known */
    char *trouble;              /* what fails now and is retried */
    GQuark trouble_domain;      /* its error's */
    gint trouble_code;
    guint troubles;             /* counts reports of trouble, also of the same one again */
    bool trouble_sends, removed, was_running;
    bool behind;                /* it was said that the replica is an hour behind */
    bool ended;                 /* its activities are not begun again (activity.h) */
    struct sending s;
    struct receiving in;
};

struct relation *relation_new(struct core *core, struct db *db, const struct uuid *vm, guint index, enum repl_side side);
struct relation *relation_load(struct core *core, struct db *db, const char *doc, GError **err);
struct relation *relation_ref(struct relation *rel);
void relation_unref(struct relation *rel); /* the last one frees everything but tasks, which must be gone; NULL is fine */
#define relation_auto __attribute__((cleanup(relation_clean))) struct relation *
static inline void relation_clean(struct relation **rel) { relation_unref(*rel); }

/* Saves, and wakes who waits for a change. */
bool relation_save_locked(struct relation *rel, GError **err);
/* The same for an acknowledgement: written with others, soon (late.h). */
bool relation_save_late_locked(struct relation *rel, GError **err);
bool relation_forget(struct relation *rel, GError **err); /* out of the database */
/* Carries out an event: ERR_INVALID_STATE names state and event when the table has no such row.  Saved before it is visible. */
bool relation_event_locked(struct relation *rel, enum repl_event event, const char *reason, GError **err);
bool relation_event(struct relation *rel, enum repl_event event, const char *reason, GError **err);
enum repl_state relation_state(struct relation *rel);
char *relation_name(struct relation *rel); /* of the guest; g_free */
bool relation_rename_locked(struct relation *rel, const char *name, GError **err);

/* The limit of sending follows the settings, also in the middle of a transfer. */
void relation_pace_locked(struct relation *rel);

/* What fails now; NULL: nothing.  Logged when it begins, when it becomes another one, and when it is over: not when only names and numbers
 * in its words differ, nor which file a full disk has no room for. */
void relation_trouble(struct relation *rel, bool sends, const GError *why);
/* Is it another failure than *said?  It is *said then; whoever does the work sets it to NULL when that goes on.  No lock. */
bool relation_is_news(char **said, const GError *why);
void relation_captured_locked(struct relation *rel); /* what kept cycles from being captured is over; the logs may still not be sent */
void relation_halt(struct relation *rel, bool halt); /* activities give up what they do, or may go on */
/* Newest log of the chain as this sender knows it: last of the outbox, else the acknowledged one. */
void relation_tail(struct relation *rel, struct uuid *id, guint64 *sequence);
