/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "world.h"

#include "base/clean.h"
#include "base/err.h"
#include "repl/work.h"

#include <string.h>

/* Every method in every state, and the order of its checks (contract 0.3): the refusals are what a client programs against.
 * Here states are set by hand; that what is permitted also works is shown by the other tests. */

enum method {
    M_CREATE, M_START, M_MODIFY, M_CANCEL, M_RESUME, M_PREPARE, M_PAUSE, M_RESYNC_CANCEL, M_REMOVE, M_FAILOVER, M_REVERT, M_COMMIT,
    M_POWER_ON, M_POWER_OFF, M_RESET, M_STATISTICS, METHODS
};
static const char *const NAMES[METHODS] = { "create", "start", "modify", "cancel", "resume", "prepare", "pause", "resync-cancel", "remove",
                                            "failover", "revert", "commit", "power-on", "power-off", "reset", "statistics" };

struct fixture {
    struct world w;
    struct uuid vm, plain; /* replicated; not replicated (on both hosts) */
};

static bool
call(struct fixture *f, struct host *h, enum method m, const struct uuid *vm, char job[UUID_TEXT], GError **err)
{
    struct repl_service *s = h->service;
    struct repl_statistics st;
    struct repl_settings settings = world_settings(&f->w, 30000);
    bool ok = false;
    *job = '\0';
    if (h == &f->w.b) { /* as if b would replicate to somebody */
        g_free(settings.recovery_host);
        settings.recovery_host = g_strdup("c.localhost");
        settings.interval_s = 300; /* the shortest of an extended relationship */
        g_free(settings.thumbprint);
        settings.thumbprint = g_strdup(net_identity_thumbprint(h->identity));
    }
    switch (m) {
    case M_CREATE: ok = repl_create(s, vm, &settings, "t", job, err); break;
    case M_START: ok = repl_start(s, vm, 1, NULL, 0, "t", job, err); break;
    case M_MODIFY: ok = repl_modify(s, vm, &settings, "t", job, err); break;
    case M_CANCEL: ok = repl_state_change(s, vm, 0, 1, "t", job, err); break;
    case M_RESUME: ok = repl_state_change(s, vm, 0, 3, "t", job, err); break;
    case M_PREPARE: ok = repl_state_change(s, vm, 0, 4, "t", job, err); break;
    case M_PAUSE: ok = repl_state_change(s, vm, 0, 7, "t", job, err); break;
    case M_RESYNC_CANCEL: ok = repl_state_change(s, vm, 0, 9, "t", job, err); break;
    case M_REMOVE: ok = repl_remove(s, vm, 0, "t", job, err); break;
    case M_FAILOVER: ok = repl_failover(s, vm, NULL, false, "t", job, err); break;
    case M_REVERT: ok = repl_revert(s, vm, "t", job, err); break;
    case M_COMMIT: ok = repl_commit(s, vm, "t", job, err); break;
    case M_POWER_ON: ok = repl_power(s, vm, 2, "t", job, err); break;
    case M_POWER_OFF: ok = repl_power(s, vm, 3, "t", job, err); break;
    case M_RESET: ok = repl_power(s, vm, 11, "t", job, err); break;
    case M_STATISTICS: ok = repl_statistics(s, vm, 0, &st, NULL, err); break;
    case METHODS: break;
    }
    repl_settings_clear(&settings);
    return ok;
}

static void
refused(struct fixture *f, struct host *h, enum method m, const struct uuid *vm, enum err_code code)
{
    char job[UUID_TEXT];
    g_autoptr(GError) err = NULL;
    const bool ok = call(f, h, m, vm, job, &err);
    if (ok || !err_is(err, code))
        g_error("%s on %s: expected %s, got %s", NAMES[m], h->name, err_info(code)->id, ok ? "success" : err->message);
    g_assert_cmpuint(strlen(err->message), >, 20); /* a sentence */
}

static void
open_fixture(struct fixture *f)
{
    world_open(&f->w);
    f->vm = world_guest(&f->w, 1);
    world_enable(&f->w, &f->vm, 30000);
    world_start(&f->w, &f->vm);
    f->plain = fake_guest_add(f->w.a.fake, "plain", 1, 1 << 20);
    g_autofree char *xml = fake_definition(f->w.a.fake, &f->plain);
    g_assert_true(fake_vm_ops.define(fake_conn(f->w.b.fake), xml, NULL));
}

static void
set_state(struct host *h, const struct uuid *vm, enum repl_state state)
{
    struct relation *rel = core_find(h->service->core, vm, 0);
    {
        HOLD(&rel->lock);
        rel->r.state = state;
    }
    relation_unref(rel);
}

/* '+' permitted, 's' 32775 invalid state, 'u' 32774 in use; columns as in enum method. */
struct row {
    enum repl_state state;
    const char *codes;
};
static const struct row SENDER[] = {
    /*                          C S M c r p P y R F v o 1 0 ! s */
    { STATE_READY,             "s + + s s s s s + s s s + + + +" },
    { STATE_WAITING_INITIAL,   "s s s + s s + s + s s s + + + +" },
    { STATE_REPLICATING,       "s s + s + s + s + s s s + + + +" },
    { STATE_PREPARED,          "s s s s + + s s + s s s s + + +" },
    { STATE_SUSPENDED,         "s s + s + s + s + s s s + + + +" },
    { STATE_CRITICAL,          "s s + s + s + s + s s s + + + +" },
    { STATE_WAITING_RESYNC,    "s s + s s s s s + s s s + + + +" },
    { STATE_RESYNC_SUSPENDED,  "s s + s + s s + + s s s + + + +" },
};
static const struct row RECEIVER[] = {
    { STATE_WAITING_INITIAL,   "s s s s s s + s + s s s s + s +" },
    { STATE_REPLICATING,       "+ s s s + s + s + + s s s + s +" },
    { STATE_RECOVERED,         "s s s s s s s s + s + + + + + +" },
    { STATE_COMMITTED,         "s s s s s s s s + s s s + + + +" },
    { STATE_SUSPENDED,         "s s s s + s + s + + s s s + s +" },
    { STATE_CRITICAL,          "s s s s + s + s + + s s s + s +" },
    { STATE_FAILING_OVER,      "s s s s s s s s u u u u s + s +" },
};

static void
check_row(struct fixture *f, struct host *h, const struct row *row)
{
    set_state(h, &f->vm, row->state);
    for (int m = 0; m < METHODS; m++) {
        const char c = row->codes[m * 2];
        g_test_message("%s in state %d: %c", NAMES[m], row->state, c);
        if (c != '+')
            refused(f, h, (enum method)m, &f->vm, c == 'u' ? ERR_IN_USE : ERR_INVALID_STATE);
    }
    set_state(h, &f->vm, STATE_REPLICATING);
}

static void
test_states(void)
{
    struct fixture f = { 0 };
    open_fixture(&f);
    for (guint i = 0; i < G_N_ELEMENTS(SENDER); i++)
        check_row(&f, &f.w.a, &SENDER[i]);
    for (guint i = 0; i < G_N_ELEMENTS(RECEIVER); i++)
        check_row(&f, &f.w.b, &RECEIVER[i]);
    COVERS("unplanned failover", "wrong side",
           "refused (32775) on the primary, in every state; so it is for a guest without replication");
    world_close(&f.w);
}

/* Not replicated, and not there at all. */
static void
test_no_relationship(void)
{
    struct fixture f = { 0 };
    open_fixture(&f);
    struct host *const hosts[] = { &f.w.a, &f.w.b };
    const struct uuid nobody = uuid_random();
    for (guint i = 0; i < 2; i++) {
        for (int m = 0; m < METHODS; m++)
            refused(&f, hosts[i], (enum method)m, &nobody, ERR_NO_SUCH_INSTANCE);
        static const enum method NEED[] = { M_START, M_MODIFY, M_CANCEL, M_RESUME, M_PAUSE, M_RESYNC_CANCEL, M_REMOVE, M_FAILOVER, M_REVERT,
                                            M_COMMIT, M_STATISTICS };
        for (guint j = 0; j < G_N_ELEMENTS(NEED); j++)
            refused(&f, hosts[i], NEED[j], &f.plain, ERR_INVALID_STATE);
    }
    world_close(&f.w);
}

/* One job per guest: everything that would change it is refused meanwhile. */
static void
test_in_use(void)
{
    static const enum method SIDE_A[] = { M_MODIFY, M_PAUSE, M_REMOVE }, SIDE_B[] = { M_PAUSE, M_REMOVE, M_FAILOVER };
    struct fixture f = { 0 };
    struct busy busy;
    open_fixture(&f);
    struct host *const hosts[] = { &f.w.a, &f.w.b };
    for (guint i = 0; i < 2; i++) {
        world_busy(hosts[i], &f.vm, &busy);
        for (guint j = 0; j < 3; j++)
            refused(&f, hosts[i], i ? SIDE_B[j] : SIDE_A[j], &f.vm, ERR_IN_USE);
        world_idle(&busy);
    }
    COVERS("unplanned failover", "during another job", "refused (32774), nothing changes; later it works");
    world_close(&f.w);
}

/* ---- revert and commit, on both sides, through a whole life ---- */

enum now { REPLICATES, FAILED_OVER, RUNS, BUSY, REVERTED, COMMITTED, REMOVED };

/* Revert and commit: '+' permitted (not called here), 's' 32775, 'u' 32774, of the replica's host and of the primary's. */
static const struct {
    enum now now;
    const char *replica, *primary;
} LIFE[] = {
    { REPLICATES,  "ss", "ss" },
    { FAILED_OVER, "++", "ss" },
    { BUSY,        "uu", "ss" },
    { RUNS,        "s+", "ss" },
    { REVERTED,    "ss", "ss" }, /* twice */
    { FAILED_OVER, "++", "ss" },
    { COMMITTED,   "ss", "ss" }, /* twice */
    { REMOVED,     "ss", "ss" },
};

static void
carry_out(struct fixture *f, enum method m)
{
    char job[UUID_TEXT];
    g_autoptr(GError) err = NULL;
    g_assert_true(call(f, &f->w.b, m, &f->vm, job, &err));
    g_assert_no_error(err);
    if (*job)
        world_done(&f->w.b, job);
}

static void
become(struct fixture *f, enum now now)
{
    switch (now) {
    case FAILED_OVER: carry_out(f, M_FAILOVER); break;
    case RUNS: carry_out(f, M_POWER_ON); break;
    case REVERTED:
        carry_out(f, M_POWER_OFF);
        carry_out(f, M_REVERT);
        break;
    case COMMITTED: carry_out(f, M_COMMIT); break;
    case REMOVED: carry_out(f, M_REMOVE); break;
    case REPLICATES:
    case BUSY: break;
    }
}

static void
check_pair(struct fixture *f, struct host *h, const char *codes)
{
    static const enum method PAIR[] = { M_REVERT, M_COMMIT };
    const enum repl_state before = world_state(h, &f->vm);
    for (guint i = 0; i < G_N_ELEMENTS(PAIR); i++)
        if (codes[i] != '+')
            refused(f, h, PAIR[i], &f->vm, codes[i] == 'u' ? ERR_IN_USE : ERR_INVALID_STATE);
    g_assert_cmpuint(world_state(h, &f->vm), ==, before); /* what is refused changes nothing */
}

static void
test_life(void)
{
    struct fixture f = { 0 };
    open_fixture(&f);
    for (guint i = 0; i < G_N_ELEMENTS(LIFE); i++) {
        struct busy busy;
        g_test_message("row %u", i);
        become(&f, LIFE[i].now);
        if (LIFE[i].now == BUSY)
            world_busy(&f.w.b, &f.vm, &busy);
        check_pair(&f, &f.w.b, LIFE[i].replica);
        check_pair(&f, &f.w.a, LIFE[i].primary);
        if (LIFE[i].now == BUSY)
            world_idle(&busy);
    }
    COVERS("revert", "called twice", "the second is refused (32775), nothing changes");
    COVERS("revert", "wrong side", "refused (32775) on the primary, in every state");
    COVERS("revert", "during another job", "refused (32774), nothing changes; later it works");
    COVERS("commit", "called twice", "the second is refused (32775), nothing changes");
    COVERS("commit", "wrong side", "refused (32775) on the primary, in every state");
    COVERS("commit", "during another job", "refused (32774), nothing changes; later it works");
    world_close(&f.w);
}

static void
expect(bool ok, GError *err, enum err_code code)
{
    g_assert_false(ok);
    if (!err_is(err, code))
        g_error("expected %s, got: %s", err_info(code)->id, err->message);
    g_error_free(err);
}

#define EXPECT(code, call) \
    do { \
        GError *err = NULL; \
        const bool ok_ = call; \
        expect(ok_, err, code); \
    } while (0)

/* Wrong arguments are told before wrong states. */
static void
test_arguments(void)
{
    struct fixture f = { 0 };
    char job[UUID_TEXT];
    open_fixture(&f);
    struct repl_service *a = f.w.a.service, *b = f.w.b.service;
    const gint64 now = g_get_real_time();
    EXPECT(ERR_INVALID_PARAMETER, repl_start(a, &f.plain, 0, NULL, 0, "t", job, &err));
    EXPECT(ERR_INVALID_PARAMETER, repl_start(a, &f.plain, 4, NULL, 0, "t", job, &err));
    EXPECT(ERR_INVALID_PARAMETER, repl_start(a, &f.vm, 2, NULL, 0, "t", job, &err));
    EXPECT(ERR_INVALID_PARAMETER, repl_start(a, &f.vm, 2, "relative", 0, "t", job, &err));
    EXPECT(ERR_INVALID_STATE, repl_start(a, &f.vm, 2, "/tmp", 0, "t", job, &err));
    EXPECT(ERR_INVALID_STATE, repl_start(a, &f.vm, 3, NULL, 0, "t", job, &err));
    EXPECT(ERR_INVALID_PARAMETER, repl_start(a, &f.vm, 1, NULL, now - 1, "t", job, &err));
    EXPECT(ERR_INVALID_PARAMETER, repl_start(a, &f.vm, 1, NULL, now + 8 * G_TIME_SPAN_DAY, "t", job, &err));
    static const guint UNKNOWN[] = { 0, 5, 6, 8, 10, 255 };
    for (guint i = 0; i < G_N_ELEMENTS(UNKNOWN); i++)
        EXPECT(ERR_INVALID_PARAMETER, repl_state_change(a, &f.plain, 0, UNKNOWN[i], "t", job, &err));
    EXPECT(ERR_INVALID_STATE, repl_state_change(a, &f.plain, 0, 2, "t", job, &err)); /* it runs */
    EXPECT(ERR_INVALID_STATE, repl_state_change(a, &f.vm, 1, 7, "t", job, &err)); /* no \HVR\1 */
    EXPECT(ERR_INVALID_PARAMETER, repl_power(a, &f.vm, 5, "t", job, &err));
    EXPECT(ERR_INVALID_PARAMETER, repl_test_connection(a, "", 8443, "t", job, &err));
    EXPECT(ERR_INVALID_PARAMETER, repl_test_connection(a, "127.0.0.1", 8443, "t", job, &err));
    EXPECT(ERR_INVALID_PARAMETER, repl_test_connection(a, "b.localhost", 0, "t", job, &err));
    const struct uuid nothing = uuid_random();
    EXPECT(ERR_INVALID_PARAMETER, repl_failover(b, &f.vm, &nothing, false, "t", job, &err));
    EXPECT(ERR_INVALID_PARAMETER, repl_failover(b, &f.plain, &nothing, false, "t", job, &err));
    g_autoptr(GArray) points = repl_points(b, &f.vm, NULL);
    const struct uuid point = g_array_index(points, struct repl_point, 0).id;
    EXPECT(ERR_INVALID_PARAMETER, repl_failover(b, &f.plain, &point, false, "t", job, &err)); /* of another guest */
    world_close(&f.w);
}

static void
test_settings_before_state(void)
{
    struct fixture f = { 0 };
    char job[UUID_TEXT];
    open_fixture(&f);
    struct repl_settings s = world_settings(&f.w, 30000);
    s.history = 99;
    EXPECT(ERR_INVALID_PARAMETER, repl_create(f.w.a.service, &f.vm, &s, "t", job, &err));
    EXPECT(ERR_INVALID_PARAMETER, repl_modify(f.w.a.service, &f.plain, &s, "t", job, &err));
    s.history = 24;
    s.disks = g_strsplit("vdz", ",", 0);
    EXPECT(ERR_INVALID_PARAMETER, repl_create(f.w.a.service, &f.plain, &s, "t", job, &err));
    EXPECT(ERR_NOT_SUPPORTED, repl_modify(f.w.a.service, &f.vm, &s, "t", job, &err)); /* another set of disks */
    repl_settings_clear(&s);
    world_close(&f.w);
}

static void
test_power_states(void)
{
    struct fixture f = { 0 };
    char job[UUID_TEXT];
    open_fixture(&f);
    fake_power_set(f.w.b.fake, &f.vm, VM_RUNNING); /* somebody went around the fence */
    refused(&f, &f.w.b, M_FAILOVER, &f.vm, ERR_INVALID_STATE);
    g_assert_true(repl_power(f.w.b.service, &f.vm, 3, "t", job, NULL));
    g_assert_true(repl_failover(f.w.b.service, &f.vm, NULL, false, "t", job, NULL));
    world_done(&f.w.b, job);
    g_assert_true(repl_power(f.w.b.service, &f.vm, 2, "t", job, NULL));
    refused(&f, &f.w.b, M_REVERT, &f.vm, ERR_INVALID_STATE); /* runs */
    world_close(&f.w);
}

/* Creating fails on the other side: the job says why, and nothing is left on either. */
static void
test_create_fails(void)
{
    struct fixture f = { 0 };
    char job[UUID_TEXT];
    struct uuid vm;
    open_fixture(&f);
    struct repl_settings s = world_settings(&f.w, 30000);
    g_assert_true(repl_create(f.w.a.service, &f.plain, &s, "t", job, NULL)); /* b has a guest of that identity */
    world_fails(&f.w.a, job, "exists");
    vm = fake_guest_add(f.w.a.fake, "other", 1, 1 << 20);
    fake_fail(f.w.b.fake, FAKE_DEFINE, ERR_NO_SPACE, 1);
    g_assert_true(repl_create(f.w.a.service, &vm, &s, "t", job, NULL));
    world_fails(&f.w.a, job, "no-space");
    g_autofree char *folder = world_folder(&f.w, &vm);
    g_assert_false(g_file_test(folder, G_FILE_TEST_EXISTS));
    g_assert_null(core_find(f.w.b.service->core, &vm, 0));
    g_assert_cmpuint(world_state(&f.w.a, &vm), ==, STATE_DISABLED);
    world_cut(&f.w, true);
    g_assert_true(repl_create(f.w.a.service, &vm, &s, "t", job, NULL));
    struct job_info i = world_wait(&f.w.a, job);
    g_assert_cmpuint(i.error_code, ==, 32777);
    job_info_clear(&i);
    world_cut(&f.w, false);
    g_assert_true(repl_entry_remove(f.w.b.service, f.w.a.name, NULL));
    g_assert_true(repl_create(f.w.a.service, &vm, &s, "t", job, NULL));
    world_fails(&f.w.a, job, "peer-refused");
    g_assert_true(repl_test_connection(f.w.a.service, f.w.b.name, f.w.link_port, "t", job, NULL));
    world_fails(&f.w.a, job, "peer-refused");
    repl_settings_clear(&s);
    world_close(&f.w);
}

/* A port that is taken: the job fails and the former one is open again. */
static void
test_port_taken(void)
{
    struct fixture f = { 0 };
    char job[UUID_TEXT];
    bool listening;
    struct repl_host_settings s;
    open_fixture(&f);
    repl_host_settings(f.w.b.service, &s, &listening);
    g_assert_true(listening);
    s.https_port = f.w.link_port; /* held by the link */
    g_assert_true(repl_modify_service(f.w.b.service, &s, "t", job, NULL));
    repl_host_settings_clear(&s);
    struct job_info i = world_wait(&f.w.b, job);
    g_assert_cmpuint(i.state, ==, JOB_EXCEPTION);
    job_info_clear(&i);
    repl_host_settings(f.w.b.service, &s, &listening);
    g_assert_cmpuint(s.https_port, ==, f.w.b.port);
    g_assert_true(listening);
    g_assert_true(repl_test_connection(f.w.a.service, f.w.b.name, f.w.link_port, "t", job, NULL));
    world_done(&f.w.a, job);
    s.recovery_enabled = false;
    g_assert_true(repl_modify_service(f.w.b.service, &s, "t", job, NULL));
    world_done(&f.w.b, job);
    repl_host_settings_clear(&s);
    repl_host_settings(f.w.b.service, &s, &listening);
    g_assert_false(listening);
    repl_host_settings_clear(&s);
    world_close(&f.w);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/repl/refusals/states", test_states);
    g_test_add_func("/repl/refusals/no-relationship", test_no_relationship);
    g_test_add_func("/repl/refusals/in-use", test_in_use);
    g_test_add_func("/repl/refusals/life", test_life);
    g_test_add_func("/repl/refusals/arguments", test_arguments);
    g_test_add_func("/repl/refusals/settings-before-state", test_settings_before_state);
    g_test_add_func("/repl/refusals/power-states", test_power_states);
    g_test_add_func("/repl/refusals/create-fails", test_create_fails);
    g_test_add_func("/repl/refusals/port-taken", test_port_taken);
    return g_test_run();
}
