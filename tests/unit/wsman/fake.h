/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "cim/dispatch.h"

/* A host that exists in memory only: three guests, their relationships and settings, three recovery points, authorisation entries, jobs,
 * and a replication service whose methods write down how they were called.  The classes are the real ones.
 *
 *   WEB  "web", replica, Replicating, running as process 4711, points POINT_1 .. POINT_3 (oldest first)
 *   DB   "db", primary, Replicating with a warning; whatever needs a replica is refused with 32775, CommitFailover with a failing job
 *   NEW  "new", not replicated, off */

#define FAKE_HOST "HOSTB"
#define WEB "11111111-2222-3333-4444-555555555501"
#define DB "11111111-2222-3333-4444-555555555502"
#define NEW "11111111-2222-3333-4444-555555555503"
#define POINT_1 "AAAAAAAA-0000-0000-0000-000000000001"
#define POINT_2 "AAAAAAAA-0000-0000-0000-000000000002"
#define POINT_3 "AAAAAAAA-0000-0000-0000-000000000003"
#define FAKE_EPOCH_US (G_GINT64_CONSTANT(1795000000) * G_USEC_PER_SEC) /* of POINT_1; the others 60 s apart; 2026-11-18T11:06:40Z */

struct fake;
struct fake *fake_new(void);
void fake_free(struct fake *f);
struct cim_broker *fake_broker(struct fake *f); /* owned by f */
void fake_store_dir(struct fake *f, const char *dir); /* the replica's folder that WEB's points name; set before serving */
void fake_slow(struct fake *f, gint64 us);       /* looking at the service takes so long, by the clock of base/clock.h; 0: no time */
/* The calls since the last time, one line each: Method(name=value, ...) -> ReturnValue.  g_free. */
char *fake_calls(struct fake *f);
guint fake_listings(struct fake *f); /* how often a guest's points were listed since the last time */
