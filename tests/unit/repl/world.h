/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "box.h"
#include "fake_vm.h"
#include "patience.h"
#include "repl/service.h"

/* Two hosts in one process: a.localhost and b.localhost, each a whole replication service with its own state folder and database, joined by
 * real TLS on loopback through a link that can be cut.  Hypervisors are fake_vm's; everything else is real.  Failures end the test. */

struct host {
    char *name, *dir;
    struct fake_host *fake;
    struct net_identity *identity;
    struct repl_service *service; /* NULL: down */
    guint port;
    int reserved;                 /* a socket that keeps the port while nobody listens */
    guint log_version;            /* newest format that it reads; 0: as this program does */
};

struct world {
    struct box box;
    struct host a, b, c;    /* c: only after world_third */
    struct link *link, *link_c;
    guint link_port;    /* where a finds b */
    guint link_c_port;  /* where b finds c */
    GRand *rand;
    guint64 outbox_max;
    guint reserve_percent;
    guint64 fill_bytes_per_s;
    guint64 scrub_bytes_per_s;
    const char *network_map;
    const struct repl_vm_ops *ops; /* NULL: fake_vm_ops */
    bool refuse_if_primary_running;
    bool loud; /* log lines go to standard error */
};

void world_open(struct world *w);  /* both up, b enabled as a replica server, a authorised */
void world_third(struct world *w); /* c.localhost, enabled as a replica server, b authorised */
void world_close(struct world *w);
/* Only b, from the folder of a world that lives in another process; b is not up yet. */
void world_borrow(struct world *w, const char *box_dir, guint port);
void host_up(struct world *w, struct host *h);
void host_down(struct host *h);
#define WORLD_PROBE_US (30 * (gint64)G_USEC_PER_SEC) /* another host that is slow is asked in vain only where a test wants that */
bool host_try_up(struct world *w, struct host *h, GError **err);
/* a is down, paused, or cut off, and when this returns, nothing that it sent before is still on its way to become a point of b. */
void world_drain(struct world *w);

void world_cut(struct world *w, bool cut); /* the link: connections break, new ones are refused */

/* Waits for a job; its outcome. */
struct job_info world_wait(struct host *h, const char *job);
void world_done(struct host *h, const char *job);                     /* it must succeed */
void world_fails(struct host *h, const char *job, const char *error_id); /* it must fail so */

/* Another job of that guest, which runs until world_idle. */
struct busy {
    struct host *host;
    gint go;
    char job[UUID_TEXT];
};
void world_busy(struct host *h, const struct uuid *vm, struct busy *out);
void world_idle(struct busy *b);

/* Until `condition` holds; the test fails after PATIENCE_S. */
#define UNTIL(condition) \
    do { \
        const gint64 end_ = g_get_monotonic_time() + PATIENCE_S * (gint64)G_USEC_PER_SEC; \
        while (!(condition)) { \
            if (g_get_monotonic_time() > end_) \
                g_error("%s:%d: waited in vain for %s", __FILE__, __LINE__, #condition); \
            g_usleep(3000); \
        } \
    } while (0)

/* A line of docs/lifecycle.md, which tests/structure/lifecycle.py makes: at the end of the test that proves it. */
#define COVERS(operation, disturbance, outcome) g_test_message("covers: %s | %s | %s", operation, disturbance, outcome)

struct repl_settings world_settings(struct world *w, guint interval_ms);
struct uuid world_guest(struct world *w, guint disks);                 /* on a, with some data */
void world_enable(struct world *w, const struct uuid *vm, guint interval_ms); /* created; state 1 */
void world_start(struct world *w, const struct uuid *vm);              /* initial copy begun and finished; state 3 */
/* b's half of a chain: towards c, through its link. */
struct repl_settings world_settings_c(struct world *w, guint interval_ms);
void world_extend(struct world *w, const struct uuid *vm);             /* created; state 1 */

enum repl_state world_state(struct host *h, const struct uuid *vm);
struct repl_relation world_relation(struct host *h, const struct uuid *vm);
void world_wait_state(struct host *h, const struct uuid *vm, enum repl_state state);
bool world_point_since(struct host *h, const struct uuid *vm, gint64 since_us); /* captured after that (wall) */
/* Until b has a point that was captured after this call began. */
void world_wait_cycle(struct world *w, const struct uuid *vm);
void world_wait_c(struct world *w, const struct uuid *vm);             /* the same of c */
char *world_folder(struct world *w, const struct uuid *vm);             /* of the replica on b */
guint world_newest_disks(struct world *w, const struct uuid *vm); /* that the newest point on b has; 0: there is none */
struct uuid world_replicated(struct world *w); /* a new guest of two disks on a, in cycles of 250 ms, with two points or more on b */
struct uuid world_with_points(struct world *w, guint disks, guint count); /* the same, so many disks and points */
struct uuid world_point(struct world *w, const struct uuid *vm, guint i); /* the id of that one on b, the oldest: 0 */
bool world_fenced(struct host *h, const struct uuid *vm); /* vm/fence.h */
/* Every visible point of the guest on b is what a's disks were, byte for byte; how many there are. */
guint world_compare(struct world *w, const struct uuid *vm);
void world_compare_point(struct world *w, const struct uuid *vm, const struct uuid *point);
/* What the TPM of that guest on the host knows (text, g_free); NULL: nothing.  A fake guest's TPM knows the log of the instant. */
char *world_tpm(struct host *h, const struct uuid *vm);
#define WORLD_TPM "<tpm model='tpm-crb'><backend type='emulator' version='2.0'/></tpm>"
bool world_healthy(struct host *h, const struct uuid *vm, const char *issue); /* issue NULL: health OK; else: that issue is there */
/* No issue, or none but "missed-cycles": two missed of a test's few cycles are enough for that one, and a busy machine misses them. */
bool world_on_its_way(struct host *h, const struct uuid *vm);
