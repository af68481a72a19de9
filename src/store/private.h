/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "base/clean.h"
#include "store/manifest.h"
#include "store/stack.h"
#include "store/testing.h"

/* The inside of struct store, for the files that implement store.h.
 *
 * Lock order: change, then lock.
 *   change   held through apply, consolidate and truncate, which may take minutes: they exclude each other, but not a commit
 *   lock     guards the fields below it; held for moments, and through the renames and unlinks that change what the fields say
 * Between two holds of `lock` the holder of `change` knows: logs only grow at their newest end, manifest stays. */

struct store {
    char *dir;
    struct uuid vm;
    int lock_fd;
    void (*step)(void *data, const char *name); /* testing.h */
    void *step_data;
    struct throttle *throttle; /* atomic */

    GMutex change;
    GArray *unsettled;           /* with `change`: blocks that were merged in lately (spans.c) */
    guint span_checked;          /* with `change`: counts */
    GMutex lock;
    struct manifest manifest;
    GArray *logs;                /* struct store_log, oldest first */
    struct uuid arrived;         /* the log that did last since open, nil: none; and the digest of its definition */
    struct hash128 definition;
    struct store_intake *intake; /* the one that is open, or NULL */
    bool tidy;                   /* with `intake`: incoming/ holds no part */
    bool spoiled;                /* with `intake`: what is in incoming/ must not be gone on with */
};

#define STORE_LOG(s, i) g_array_index((s)->logs, struct store_log, i)

/* All of these want `lock` held. */
bool store_head_locked(const struct store *s, struct store_log *out);
bool store_index_locked(const struct store *s, const struct uuid *id, guint *index); /* false: not in logs */
GArray *store_copy_locked(const struct store *s, guint first, guint count);

bool store_kept_locked(const struct store *s, const struct uuid *id);              /* pinned or protected */
bool store_refuse_kept(const struct store *s, const struct uuid *id, GError **err); /* ERR_IN_USE */

bool store_no_such_log(const struct store *s, const struct uuid *id, GError **err); /* sets ERR_NOT_FOUND, returns false */
bool store_set_received(const char *path, int64_t received_us, GError **err); /* the file's time says when a log came */
/* Removes the files of the first `count` logs; their content must be elsewhere, durably.  `step` as in store_step. */
bool store_unlink_logs(const struct store *s, const GArray *logs, guint count, const char *step, GError **err);
/* Readers of all these logs, the newest on top; NULL: one cannot be opened. */
struct stack *store_stack(const struct store *s, const GArray *logs, GError **err);
GArray *spans_unsettled_new(void);
/* Removes the spans of logs with sequences first .. last, durably, before these change; with `change` held (spans.h). */
bool spans_drop(struct store *s, uint64_t first, uint64_t last, GError **err);
/* *cancel may be set by any thread at any time; NULL: cannot be cancelled. */
static inline bool
store_cancelled(const gint *cancel)
{
    return cancel && __atomic_load_n(cancel, __ATOMIC_RELAXED);
}
/* Waits until so many bytes may be merged; false: cancelled, now or before. */
bool store_may_merge(const struct store *s, uint64_t bytes, const gint *cancel);
void store_step(const struct store *s, const char *name);
