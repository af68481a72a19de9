/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "base/hash.h"
#include "base/throttle.h"
#include "log/info.h"

/* The replica's copy of one guest: per disk a sparse raw base (the oldest kept state) and committed change logs after it (design D3).
 *
 *   <dir>/store.json          who this is: VM id, name, the log that the base stands for, pins; replaced durably (manifest.h)
 *   <dir>/base/disk-<number>.raw   oldest kept state
 *   <dir>/base/disk-<number>.sums  checksums of its pages (basesum.h)
 *   <dir>/base/<LOG ID>.header     the header of the log that it stands for: disk table and configuration
 *   <dir>/logs/<sequence, 16 digits>-<LOG ID>.vrl      committed logs, oldest first; the file is the recovery point
 *   <dir>/incoming/<LOG ID>.part                       a log that is still arriving
 *   <dir>/incoming/<LOG ID>.mend                       when a log came whose file is being mended (mend.h)
 *   <dir>/index/<first>-<last sequence>.vri            saved indexes of neighbouring logs: a cache (span.h)
 *   <dir>/scrub.json                                   what is known to be damaged, and when that was looked at (scrub.h)
 *   <dir>/store.lock          exclusive: the process that may change the store
 *   <dir>/base.lock           one byte per sequence: viewers of point k hold a shared lock on byte k (open file description locks),
 *                             who merges log j into the base needs bytes 0 .. j-1 exclusively.  So a view never sees the base move.
 *
 * Commit of a log: verified, fsync, rename from incoming/ to logs/, fsync of logs/.
 * Apply: note in store.json that the base moves, write the logs into the base, fsync, replace store.json, unlink the logs.  Each step may
 *   be repeated, so a crash costs nothing but the old base's point, which was to go anyway; the next apply completes what was interrupted.
 * Consolidate: write the merged log under incoming/, fsync, rename over the newer one, unlink the older ones; on open a log whose content
 *   another one already carries is removed.
 * Fuzzy logs are never points; they are applied only together with the whole log that follows, except when the base is still empty or
 * fuzzy itself (initial copy).
 *
 * A struct store is opened by one daemon; its functions may be called from any thread (locks inside).  Views are in view.h. */

struct store;

/* A committed log as the store sees it. */
struct store_log {
    struct uuid id, parent;
    uint64_t sequence, epoch;
    int64_t capture_us, received_us;
    enum log_kind kind;
    bool fuzzy;
    bool grouped;              /* it has LOG_SECTION_GROUP; not said of the base's log */
    bool damaged;              /* cannot be opened: called fuzzy, since it is no point; only id, parent and sequence count */
    uint64_t file_bytes, raw_bytes;
};

struct store *store_create(const char *dir, const struct uuid *vm, const char *name, GError **err); /* empty: no base, no log */
/* The same, but files that are in base/ already stay: disks for store_seed. */
struct store *store_create_around(const char *dir, const struct uuid *vm, const char *name, GError **err);
struct store *store_open(const char *dir, GError **err); /* finishes or undoes what a crash left half done */
void store_close(struct store *s);
const char *store_dir(const struct store *s);
const struct uuid *store_vm(const struct store *s);

/* Newest committed log (fuzzy or not) and newest whole one; false: none.  When every log has been applied, the base's log counts. */
bool store_head(struct store *s, struct store_log *out);
bool store_latest_point(struct store *s, struct store_log *out);
/* Committed logs, oldest first, as struct store_log; the base's own log is not among them.  g_array_unref. */
GArray *store_logs(struct store *s);
bool store_base(struct store *s, struct store_log *out); /* the log that the base stands for; false: base is empty */
/* Logs below this sequence are being merged into the base (or were, when the merge was interrupted): no recovery points any more, and
 * store_base is false until the merge is complete.  0: all logs can be read. */
uint64_t store_first_readable(struct store *s);
bool store_find(struct store *s, const struct uuid *id, struct store_log *out);
char *store_log_path(struct store *s, const struct uuid *id); /* NULL: not (any more) a file; g_free */
/* Domain XML (or another section) that travelled with a log; for the base's log the copy kept in the store. */
char *store_section(struct store *s, const struct uuid *id, enum log_section type, size_t *len, GError **err);
/* Of the domain XML that travelled with a log, as it is stored: two logs with the same digest have the same.  Known of the log that arrived
 * last, without reading it; else false, or when it has none. */
bool store_definition(struct store *s, const struct uuid *id, struct hash128 *digest);

/* Ingest.  `part` bytes of log `id` are already here (0: none): where a sender resumes. */
uint64_t store_incoming_size(struct store *s, const struct uuid *id);
struct store_intake;
/* Verifies the parent against the head (ERR_OUT_OF_SEQUENCE), the VM id, and resumes at `offset`, which must equal store_incoming_size. */
struct store_intake *store_intake_open(struct store *s, const struct uuid *id, uint64_t offset, GError **err);
bool store_intake_write(struct store_intake *in, const void *data, size_t len, GError **err); /* a bad byte drops the whole part */
/* All bytes are here: verify the end, fsync, commit.  On success the log is in store_logs and `out` describes it. */
bool store_intake_commit(struct store_intake *in, struct store_log *out, GError **err);
void store_intake_close(struct store_intake *in); /* without commit: keeps what is whole for a resume */
bool store_drop_incoming(struct store *s, GError **err);

/* How fast merging may read and write (base/throttle.h); borrowed, NULL: as fast as it can. */
void store_set_throttle(struct store *s, struct throttle *t);
/* Merging (retention decides what; see retention.h).  What would end a point that is pinned or protected (pins.h) is ERR_IN_USE. */
/* Applies logs up to and including `id` to the base.  ERR_IN_USE when a view needs the old base; nothing is changed then. */
bool store_apply(struct store *s, const struct uuid *id, const gint *cancel, GError **err);
/* Replaces the logs `first` .. `last` (neighbours, oldest first) by one with last's identity and first's parent. */
bool store_consolidate(struct store *s, const struct uuid *first, const struct uuid *last, const gint *cancel, GError **err);
/* Drops every log after `id` (used when a failover is committed or a role is reversed); views on them must be closed. */
bool store_truncate(struct store *s, const struct uuid *id, GError **err);
/* Of an empty store: the files base/disk-<number>.raw, put there by the caller, hold the state of log info->id.  Mark it fuzzy when that is
 * no recovery point by itself; the next whole log makes it one. */
bool store_seed(struct store *s, const struct log_info *info, GError **err);
/* Everything below dir; closes nothing: call store_close after it.  ERR_INVALID_STATE while a point is protected. */
bool store_delete(struct store *s, GError **err);

uint64_t store_disk_bytes(struct store *s); /* allocated bytes below dir */
/* Every digest, every frame and every page of the base of what point `id` needs; NULL id: everything.  The error names the damaged file.
 * scrub.h does the same piece by piece, and finds all that is damaged. */
bool store_check(struct store *s, const struct uuid *id, const gint *cancel, GError **err);
