/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "world.h"

#include "link.h"

#include "base/block.h"
#include "base/clean.h"
#include "base/err.h"
#include "base/file.h"
#include "repl/probe.h"
#include "repl/supersede.h"
#include "repl/work.h"
#include "store/view.h"
#include "vm/fence.h"

#include <string.h>

/* Two whole hosts and one guest; whatever an administrator or bad luck may do, in any order, on either host, also during another job.
 *
 * After every few steps these must hold:
 *   - the guest does not run on both hosts of a relationship.  The link is whole whenever a guest is started, and a host that dies takes
 *     its guest with it: what nobody can know, nobody can prevent;
 *   - every recovery point that is offered is, byte for byte, what the guest's disks were at one instant;
 *   - and now and then: from wherever both sides are, the methods of the API lead back to two hosts without a relationship.
 *
 * The steps follow from the seed, their outcomes from the hosts' threads as well; VMR_WALK_SEED and VMR_WALK_STEPS repeat and lengthen a
 * walk. */

struct pending {
    struct host *host;
    char job[UUID_TEXT];
};

struct walk {
    struct world w;
    struct uuid vm;
    GArray *pending;            /* struct pending: jobs nobody has waited for */
    bool cut;
    guint step, accepted, points, rounds;
    const char *name;           /* of the step that runs */
};

static struct host *
other(struct walk *k, const struct host *h)
{
    return h == &k->w.a ? &k->w.b : &k->w.a;
}

static struct host *
any_host(struct walk *k)
{
    return g_rand_boolean(k->w.rand) ? &k->w.a : &k->w.b;
}

static guint
dice(struct walk *k, guint sides)
{
    return g_rand_int(k->w.rand) % sides;
}

/* ---- jobs ---- */

static void
heal(struct walk *k)
{
    if (k->cut)
        world_cut(&k->w, k->cut = false);
}

static void
resume(struct walk *k, struct host *h)
{
    char job[UUID_TEXT];
    if (h->service)
        repl_state_change(h->service, &k->vm, 0, STATE_REPLICATING, "walk", job, NULL);
}

/* A copy waits for its network for ever, and for a side that is paused. */
static bool
wait_for(struct walk *k, const struct pending *p, struct job_info *info)
{
    heal(k);
    for (guint i = 0; i < 120; i++) {
        if (job_wait(repl_jobs(p->host->service), p->job, G_USEC_PER_SEC / 2, info))
            return true;
        resume(k, &k->w.a);
        resume(k, &k->w.b);
    }
    return false;
}

static void
settle(struct walk *k)
{
    for (guint i = 0; i < k->pending->len; i++) {
        const struct pending *p = &g_array_index(k->pending, struct pending, i);
        struct job_info info;
        if (!p->host->service)
            continue;
        if (!wait_for(k, p, &info))
            g_error("Step %u: a job of '%s' does not end.", k->step, p->host->name);
        if (info.error_text)
            g_test_message("  %s: %s", info.name, info.error_text);
        job_info_clear(&info);
    }
    g_array_set_size(k->pending, 0);
}

/* Three of four jobs are waited for; the others meet whatever comes next. */
static void
posted(struct walk *k, struct host *h, bool fine, const char *job, const GError *why)
{
    k->accepted += fine;
    g_test_message("%u %s on %s: %s", k->step, k->name, h->name, fine ? "accepted" : why->message);
    if (!fine || !*job)
        return;
    struct pending p = { .host = h };
    g_strlcpy(p.job, job, sizeof p.job);
    g_array_append_val(k->pending, p);
    if (dice(k, 4))
        settle(k);
}

/* ---- what an administrator does ---- */

#define ON(h, call) \
    do { \
        char job[UUID_TEXT] = ""; \
        g_autoptr(GError) err = NULL; \
        const bool fine = (call); \
        g_assert_true(fine || err); \
        posted(k, h, fine, job, err); \
    } while (0)

static void
do_create(struct walk *k, struct host *h)
{
    struct repl_settings s = world_settings(&k->w, 250);
    struct host *to = other(k, h);
    g_free(s.recovery_host);
    g_free(s.thumbprint);
    s.recovery_host = g_strdup(to->name);
    s.recovery_port = to == &k->w.b ? k->w.link_port : to->port;
    s.thumbprint = g_strdup(net_identity_thumbprint(h->identity));
    ON(h, repl_create(h->service, &k->vm, &s, "walk", job, &err));
    repl_settings_clear(&s);
}

static void
do_start(struct walk *k, struct host *h)
{
    const guint type = dice(k, 2) ? 1 : 3; /* over the network; from what the other side has */
    ON(h, repl_start(h->service, &k->vm, type, NULL, 0, "walk", job, &err));
}

static void
do_state(struct walk *k, struct host *h)
{
    static const guint REQUESTS[] = { 1, 2, 3, 3, 3, 4, 7, 9 };
    const guint state = REQUESTS[dice(k, G_N_ELEMENTS(REQUESTS))];
    ON(h, repl_state_change(h->service, &k->vm, 0, state, "walk", job, &err));
}

static void
do_failover(struct walk *k, struct host *h)
{
    g_autoptr(GArray) points = repl_points(h->service, &k->vm, NULL);
    const struct uuid *point = NULL;
    if (points && points->len && dice(k, 2))
        point = &g_array_index(points, struct repl_point, dice(k, points->len)).id;
    ON(h, repl_failover(h->service, &k->vm, point, false, "walk", job, &err));
}

static void
do_revert(struct walk *k, struct host *h)
{
    ON(h, repl_revert(h->service, &k->vm, "walk", job, &err));
}

static void
do_commit(struct walk *k, struct host *h)
{
    ON(h, repl_commit(h->service, &k->vm, "walk", job, &err));
}

static void
do_reverse(struct walk *k, struct host *h)
{
    ON(h, repl_reverse(h->service, &k->vm, NULL, "walk", job, &err));
}

static void
do_resync(struct walk *k, struct host *h)
{
    ON(h, repl_resynchronize(h->service, &k->vm, 0, "walk", job, &err));
}

static void
do_remove(struct walk *k, struct host *h)
{
    if (!dice(k, 4))
        ON(h, repl_remove(h->service, &k->vm, 0, "walk", job, &err));
}

static void
do_test(struct walk *k, struct host *h)
{
    ON(h, repl_test_failover(h->service, &k->vm, NULL, false, "walk", job, &err));
}

static void
do_test_end(struct walk *k, struct host *h)
{
    g_autoptr(GArray) tests = repl_tests(h->service);
    for (guint i = 0; i < tests->len; i++)
        ON(h, repl_destroy_guest(h->service, &g_array_index(tests, struct repl_test, i).test, "walk", job, &err));
}

static bool
is_defined(struct walk *k, const struct host *h)
{
    g_autofree char *xml = fake_definition(h->fake, &k->vm);
    return xml != NULL;
}

/* What libvirt's hook does. */
static bool
hook_permits(struct walk *k, struct host *h)
{
    struct core *c = h->service->core;
    relation_auto rel = core_find(c, &k->vm, 0);
    const bool alone = !rel || (rel->side == SIDE_SENDER ? supersede_check(c, rel, NULL) : probe_primary(c, rel, NULL, NULL));
    return alone && !fence_is_up(c->fence_dir, &k->vm);
}

/* Through the API and, as `virsh start` and a boot of the host do, past it: then libvirt's hook asks the fence. */
static void
do_power_on(struct walk *k, struct host *h)
{
    heal(k);
    if (dice(k, 2))
        ON(h, repl_power(h->service, &k->vm, 2, "walk", job, &err));
    else if (is_defined(k, h) && fake_power(h->fake, &k->vm) == VM_OFF && hook_permits(k, h)) {
        g_test_message("%u %s on %s behind our back", k->step, k->name, h->name);
        fake_power_set(h->fake, &k->vm, VM_RUNNING);
    }
}

static void
do_power_off(struct walk *k, struct host *h)
{
    ON(h, repl_power(h->service, &k->vm, 3, "walk", job, &err));
}

/* ---- what nobody asked for ---- */

static void
do_write(struct walk *k, struct host *h)
{
    if (fake_power(h->fake, &k->vm) == VM_RUNNING)
        fake_scribble(h->fake, &k->vm, k->w.rand, 1 + dice(k, 20));
}

static void
do_cycle(struct walk *k, struct host *h)
{
    (void)h;
    g_usleep(1000 * dice(k, 120)); /* a length, not a condition: cycles may happen, or not */
    (void)k;
}

static void
forget_jobs_of(struct walk *k, const struct host *h)
{
    for (guint i = k->pending->len; i-- > 0;)
        if (g_array_index(k->pending, struct pending, i).host == h)
            g_array_remove_index(k->pending, i);
}

static void
do_restart(struct walk *k, struct host *h)
{
    host_down(h);
    forget_jobs_of(k, h);
    host_up(&k->w, h);
}

/* The whole host: its guest is gone with its memory. */
static void
do_power_cut(struct walk *k, struct host *h)
{
    if (fake_power(h->fake, &k->vm) == VM_RUNNING)
        fake_kill(h->fake, &k->vm);
    do_restart(k, h);
}

static void
do_kill(struct walk *k, struct host *h)
{
    if (fake_power(h->fake, &k->vm) == VM_RUNNING)
        fake_kill(h->fake, &k->vm);
}

static void
do_cut(struct walk *k, struct host *h)
{
    (void)h;
    world_cut(&k->w, k->cut = !k->cut);
}

static const struct act {
    const char *name;
    void (*run)(struct walk *k, struct host *h);
    guint weight;
} ACTS[] = {
    { "create", do_create, 4 },       { "start", do_start, 6 },           { "state change", do_state, 6 },
    { "failover", do_failover, 5 },   { "revert", do_revert, 3 },         { "commit", do_commit, 2 },
    { "reverse", do_reverse, 4 },     { "resynchronise", do_resync, 2 },  { "remove", do_remove, 2 },
    { "test", do_test, 2 },           { "end of test", do_test_end, 2 },  { "power on", do_power_on, 8 },
    { "power off", do_power_off, 5 }, { "write", do_write, 8 },           { "cycle", do_cycle, 6 },
    { "restart", do_restart, 2 },     { "power cut", do_power_cut, 1 },   { "kill", do_kill, 1 },
    { "cut", do_cut, 2 },
};

static const struct act *
choose(struct walk *k)
{
    guint sum = 0, at;
    for (guint i = 0; i < G_N_ELEMENTS(ACTS); i++)
        sum += ACTS[i].weight;
    at = dice(k, sum);
    for (guint i = 0;; at -= ACTS[i++].weight)
        if (at < ACTS[i].weight)
            return &ACTS[i];
}

/* ---- what must hold ---- */

static enum repl_state
state_of(struct walk *k, struct host *h)
{
    struct repl_relation r;
    enum repl_state s = STATE_DISABLED;
    if (repl_relation_get(h->service, &k->vm, 0, &r, NULL)) { /* a replica's guest may be gone altogether */
        s = r.state;
        repl_relation_clear(&r);
    }
    return s;
}

static bool
runs(struct walk *k, const struct host *h)
{
    return fake_power(h->fake, &k->vm) == VM_RUNNING;
}

/* Who removes replication from a host makes what is there a guest of its own. */
static void
check_one_runs(struct walk *k)
{
    if (runs(k, &k->w.a) && runs(k, &k->w.b) && state_of(k, &k->w.a) && state_of(k, &k->w.b))
        g_error("Step %u (%s): the guest runs on both hosts.", k->step, k->name);
}

static GBytes *
instant(struct walk *k, const struct uuid *point, guint disk)
{
    GBytes *at = fake_instant(k->w.a.fake, point, disk);
    return at ? at : fake_instant(k->w.b.fake, point, disk);
}

static void
check_point(struct walk *k, const char *folder, const struct uuid *point)
{
    g_autoptr(GError) err = NULL;
    struct view *v = view_open(folder, point, &err);
    if (!v && err_is(err, ERR_NOT_FOUND))
        return; /* retention took it meanwhile */
    g_assert_no_error(err);
    for (guint d = 0; d < view_disks(v); d++) {
        g_autoptr(GBytes) expected = instant(k, point, d);
        struct block *b = view_disk(v, d);
        g_assert_nonnull(expected);
        g_assert_cmpuint(b->size, ==, g_bytes_get_size(expected));
        g_autofree char *got = g_malloc(b->size);
        g_assert_true(block_read(b, got, b->size, 0, &err));
        if (memcmp(got, g_bytes_get_data(expected, NULL), b->size))
            g_error("Step %u (%s): a recovery point is not what the guest's disk was.", k->step, k->name);
    }
    view_close(v);
    k->points++;
}

static void
check_points(struct walk *k, struct host *h)
{
    struct repl_relation r;
    if (!repl_relation_get(h->service, &k->vm, 0, &r, NULL))
        return;
    g_autoptr(GArray) points = repl_points(h->service, &k->vm, NULL);
    for (guint i = 0; points && r.folder && i < points->len; i++)
        check_point(k, r.folder, &g_array_index(points, struct repl_point, i).id);
    repl_relation_clear(&r);
}

/* ---- the way out ---- */

/* What a start of the daemon took up again may wait for a side that is paused or gone. */
static void
cancel_jobs(struct walk *k, struct host *h, const char *why)
{
    g_autoptr(GPtrArray) jobs = job_active(repl_jobs(h->service), &k->vm);
    g_test_message("%u leaving %s in state %s: %s", k->step, h->name, state_name(state_of(k, h)), why);
    for (guint i = 0; i < jobs->len; i++)
        job_cancel(repl_jobs(h->service), ((const struct job_info *)jobs->pdata[i])->id, NULL);
}

static bool
leave(struct walk *k, struct host *h)
{
    char job[UUID_TEXT] = "";
    g_autoptr(GError) err = NULL;
    do_test_end(k, h);
    settle(k);
    if (state_of(k, h) == STATE_DISABLED)
        return true;
    if (repl_remove(h->service, &k->vm, 0, "walk", job, &err) && *job)
        posted(k, h, true, job, NULL);
    else if (err)
        cancel_jobs(k, h, err->message);
    settle(k);
    return state_of(k, h) == STATE_DISABLED;
}

static void
check_way_out(struct walk *k)
{
    k->name = "leave";
    UNTIL(leave(k, &k->w.a));
    UNTIL(leave(k, &k->w.b));
    g_assert_cmpuint(state_of(k, &k->w.a), ==, STATE_DISABLED); /* the other's end did not bring it back */
    g_assert_false(fence_is_up(k->w.a.service->core->fence_dir, &k->vm)); /* whoever has a guest may start it */
    g_assert_false(fence_is_up(k->w.b.service->core->fence_dir, &k->vm));
}

/* ---- the walk ---- */

static void
accept_replicas(struct walk *k, struct host *h, const struct host *from)
{
    struct repl_host_settings s;
    char job[UUID_TEXT];
    bool listening;
    repl_host_settings(h->service, &s, &listening);
    s.recovery_enabled = true;
    s.allowed_authentication = 2;
    s.https_port = h->port;
    g_assert_true(repl_modify_service(h->service, &s, "walk", job, NULL));
    repl_host_settings_clear(&s);
    world_done(h, job);
    g_autofree char *location = g_build_filename(h->dir, "replicas-of-other", NULL), *group = g_strdup("T");
    const struct repl_entry entry = { .host = from->name, .trust_group = group, .location = location };
    g_assert_true(file_make_dirs(location, 0755, NULL));
    g_assert_true(repl_entry_add(h->service, &entry, NULL));
}

static void
begin(struct walk *k, guint32 seed)
{
    k->w = (struct world){ .refuse_if_primary_running = true };
    world_open(&k->w);
    g_rand_set_seed(k->w.rand, seed);
    accept_replicas(k, &k->w.a, &k->w.b);
    k->vm = world_guest(&k->w, 2);
    k->cut = false;
    if (dice(k, 4)) { /* without this most of a walk would be refusals */
        world_enable(&k->w, &k->vm, 250);
        world_start(&k->w, &k->vm);
    }
}

static void
take(struct walk *k, guint steps)
{
    for (guint i = 0; i < steps; i++, k->step++) {
        const struct act *act = choose(k);
        k->name = act->name;
        act->run(k, any_host(k));
        check_one_runs(k);
        if (dice(k, 12))
            continue;
        settle(k);
        check_one_runs(k);
        check_points(k, &k->w.a);
        check_points(k, &k->w.b);
    }
    settle(k);
}

static guint
from_environment(const char *name, guint otherwise)
{
    const char *text = g_getenv(name);
    return text ? (guint)g_ascii_strtoull(text, NULL, 10) : otherwise;
}

static void
test_walk(void)
{
    enum { LENGTH = 120 };
    const guint steps = from_environment("VMR_WALK_STEPS", g_getenv("VMR_FULL") ? 100000 : 1200);
    const guint32 seed = from_environment("VMR_WALK_SEED", 5);
    struct walk k = { .pending = g_array_new(FALSE, FALSE, sizeof(struct pending)) };
    for (; k.step < steps; k.rounds++) {
        begin(&k, seed + k.rounds);
        take(&k, LENGTH);
        check_way_out(&k);
        world_close(&k.w);
    }
    g_test_message("%u steps in %u walks: %u accepted, %u points compared", k.step, k.rounds, k.accepted, k.points);
    g_assert_cmpuint(k.accepted, >, k.step / 10);
    g_assert_cmpuint(k.points, >, k.step / 20);
    g_array_unref(k.pending);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/repl/walk", test_walk);
    return g_test_run();
}
