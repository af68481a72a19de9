/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "world.h"

#include "link.h"

#include "base/clock.h"
#include "base/err.h"
#include "base/file.h"
#include "base/log.h"
#include "repl/health.h"
#include "repl/work.h"
#include "store/view.h"
#include "vm/fence.h"

#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

enum { DISK = 2 << 20 };
static const gint64 SIX_HOURS_US = 6 * G_TIME_SPAN_HOUR;

/* ---- hosts ---- */

/* Nobody else is given the port as long as *fd is open, which does not listen: that is for the service, as often as it comes up. */
static guint
reserve_port(int *fd)
{
    const int on = 1;
    struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t len = sizeof at;
    *fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    g_assert_cmpint(setsockopt(*fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on), ==, 0);
    g_assert_cmpint(bind(*fd, (struct sockaddr *)&at, len), ==, 0);
    g_assert_cmpint(getsockname(*fd, (struct sockaddr *)&at, &len), ==, 0);
    return ntohs(at.sin_port);
}

static char *
below(const struct host *h, const char *name)
{
    return g_build_filename(h->dir, name, NULL);
}

bool
host_try_up(struct world *w, struct host *h, GError **err)
{
    g_autofree char *state = below(h, "state"), *runtime = below(h, "run"), *scratch = below(h, "scratch");
    g_autofree char *swtpm = below(h, "swtpm");
    const struct repl_config config = {
        .state_dir = state, .runtime_dir = runtime, .scratch_dir = scratch, .swtpm_dir = swtpm,
        .host = h->name, .nbdkit = "nbdkit", .plugin = "none",
        .listen_address = "127.0.0.1", .identity = h->identity, .outbox_max = w->outbox_max, .max_transfers = 3,
        .reserve_percent = w->reserve_percent, .scrub_bytes_per_s = w->scrub_bytes_per_s, .scrub_days = 7,
        .refuse_if_primary_running = w->refuse_if_primary_running, .pause_superseded = true,
        .fill_bytes_per_s = w->fill_bytes_per_s, .network_map = w->network_map,
        .compression_threads = 2, .log_version = h->log_version,
    };
    g_assert_true(file_make_dirs(runtime, 0755, NULL));
    h->service = repl_service_new_with(&config, fake_conn(h->fake), w->ops ? w->ops : &fake_vm_ops, err);
    if (!h->service)
        return false;
    h->service->core->slice_bytes = 1 << 20;
    h->service->core->waiting_bytes = 32 << 20; /* however little room this machine has */
    h->service->core->probe_us = WORLD_PROBE_US;
    h->service->core->host.monitoring_start_us = (clock_wall_us() + SIX_HOURS_US) % G_TIME_SPAN_DAY; /* no window ends in a test */
    return repl_service_start(h->service, err);
}

void
host_up(struct world *w, struct host *h)
{
    g_autoptr(GError) err = NULL;
    g_assert_true(host_try_up(w, h, &err));
    g_assert_no_error(err);
}

void
host_down(struct host *h)
{
    fake_vm_ops.watch(fake_conn(h->fake), NULL, NULL);
    repl_service_stop(h->service);
    repl_service_free(g_steal_pointer(&h->service));
}

/* A small log goes out in one write, and b goes on with it after a is gone.  Its listener ends when all whom it serves have ended, and what
 * nobody has read by then is lost with the socket. */
void
world_drain(struct world *w)
{
    host_down(&w->b);
    host_up(w, &w->b);
}

static void
host_make(struct world *w, struct host *h, const char *name)
{
    h->name = g_strdup_printf("%s.localhost", name);
    h->dir = box_path(&w->box, name);
    h->fake = fake_host_new(h->dir);
    h->identity = box_identity(&w->box, h->name);
    h->port = reserve_port(&h->reserved);
}

static void
enable_server(struct host *h)
{
    struct repl_host_settings s;
    bool listening;
    char job[UUID_TEXT];
    g_autoptr(GError) err = NULL;
    repl_host_settings(h->service, &s, &listening);
    s.recovery_enabled = true;
    s.allowed_authentication = 2;
    s.https_port = h->port;
    g_free(s.thumbprint);
    s.thumbprint = g_strdup(net_identity_thumbprint(h->identity));
    g_assert_true(repl_modify_service(h->service, &s, "test", job, &err));
    g_assert_no_error(err);
    repl_host_settings_clear(&s);
    world_done(h, job);
}

static void
authorise(struct host *h, const struct host *sender)
{
    g_autofree char *location = below(h, "replicas");
    g_assert_true(file_make_dirs(location, 0755, NULL));
    const struct repl_entry entry = { sender->name, g_strdup("DEFAULT"), location };
    g_assert_true(repl_entry_add(h->service, &entry, NULL));
    g_free(entry.trust_group);
}

void
world_open(struct world *w)
{
    log_init(g_test_verbose() ? LOG_LEVEL_DEBUG : w->loud ? LOG_LEVEL_INFO : LOG_LEVEL_ERROR + 1);
    box_open(&w->box);
    w->rand = g_rand_new_with_seed(20261123);
    if (!w->outbox_max)
        w->outbox_max = 64 << 20;
    host_make(w, &w->a, "a");
    host_make(w, &w->b, "b");
    host_up(w, &w->a);
    host_up(w, &w->b);
    enable_server(&w->b);
    w->link = link_new(&w->link_port);
    link_target(w->link, w->b.port);
    authorise(&w->b, &w->a);
}

void
world_third(struct world *w)
{
    host_make(w, &w->c, "c");
    host_up(w, &w->c);
    enable_server(&w->c);
    w->link_c = link_new(&w->link_c_port);
    link_target(w->link_c, w->c.port);
    authorise(&w->c, &w->b);
}

void
world_borrow(struct world *w, const char *box_dir, guint port)
{
    log_init(LOG_LEVEL_ERROR + 1);
    w->box = (struct box){ g_strdup(box_dir), g_build_filename(box_dir, "ca.pem", NULL) };
    w->outbox_max = 64 << 20;
    host_make(w, &w->b, "b");
    w->b.port = port;
}

static void
host_free(struct host *h)
{
    if (h->service)
        host_down(h);
    close(h->reserved);
    fake_host_free(h->fake);
    net_identity_unref(h->identity);
    g_free(h->name);
    g_free(h->dir);
}

void
world_close(struct world *w)
{
    host_free(&w->a);
    host_free(&w->b);
    if (w->c.name)
        host_free(&w->c);
    if (w->link_c)
        link_free(w->link_c);
    link_free(w->link);
    g_rand_free(w->rand);
    box_close(&w->box);
}

void
world_cut(struct world *w, bool cut)
{
    link_cut(w->link, cut);
}

/* ---- jobs ---- */

struct job_info
world_wait(struct host *h, const char *job)
{
    struct job_info info;
    if (!job_wait(repl_jobs(h->service), job, PATIENCE_S * (gint64)G_USEC_PER_SEC, &info))
        g_error("Job '%s' does not end.", job);
    return info;
}

void
world_done(struct host *h, const char *job)
{
    struct job_info i = world_wait(h, job);
    if (i.state != JOB_COMPLETED && i.state != JOB_WARNINGS)
        g_error("Job '%s' failed: %s", i.name, i.error_text);
    job_info_clear(&i);
}

void
world_fails(struct host *h, const char *job, const char *error_id)
{
    struct job_info i = world_wait(h, job);
    g_assert_cmpstr(i.error_id, ==, error_id);
    g_assert_cmpuint(i.state, ==, JOB_EXCEPTION);
    job_info_clear(&i);
}

static bool
hold(struct job *job, void *user, GError **err)
{
    struct busy *b = user;
    while (!g_atomic_int_get(&b->go))
        g_usleep(1000);
    return true;
}

void
world_busy(struct host *h, const struct uuid *vm, struct busy *out)
{
    g_autofree char *key = jobs_conflict(vm);
    *out = (struct busy){ .host = h };
    const struct job_request q = { .type = 96, .name = "Held by the test", .vm = *vm, .conflict = key, .work = hold, .user = out };
    g_assert_true(job_start(repl_jobs(h->service), &q, out->job, NULL));
}

void
world_idle(struct busy *b)
{
    g_atomic_int_set(&b->go, 1);
    world_done(b->host, b->job);
}

/* ---- relationships ---- */

struct repl_settings
world_settings(struct world *w, guint interval_ms)
{
    struct repl_settings s;
    repl_settings_init(&s);
    s.recovery_host = g_strdup(w->b.name);
    s.recovery_port = w->link_port;
    s.thumbprint = g_strdup(net_identity_thumbprint(w->a.identity));
    s.interval_s = 30;
    s.history = 24;
    s.additional = g_strdup_printf("{\"interval_ms\": %u, \"keep_every_cycle_s\": 3600}", interval_ms);
    return s;
}

struct repl_settings
world_settings_c(struct world *w, guint interval_ms)
{
    struct repl_settings s = world_settings(w, interval_ms);
    g_free(s.recovery_host);
    g_free(s.thumbprint);
    s.recovery_host = g_strdup(w->c.name);
    s.recovery_port = w->link_c_port;
    s.thumbprint = g_strdup(net_identity_thumbprint(w->b.identity));
    s.interval_s = 300;
    return s;
}

void
world_extend(struct world *w, const struct uuid *vm)
{
    char job[UUID_TEXT];
    g_autoptr(GError) err = NULL;
    struct repl_settings s = world_settings_c(w, 300);
    g_assert_true(repl_create(w->b.service, vm, &s, "test", job, &err));
    g_assert_no_error(err);
    repl_settings_clear(&s);
    world_done(&w->b, job);
}

struct uuid
world_guest(struct world *w, guint disks)
{
    const struct uuid vm = fake_guest_add(w->a.fake, "guest", disks, DISK);
    fake_scribble(w->a.fake, &vm, w->rand, 100);
    return vm;
}

void
world_enable(struct world *w, const struct uuid *vm, guint interval_ms)
{
    char job[UUID_TEXT];
    g_autoptr(GError) err = NULL;
    struct repl_settings s = world_settings(w, interval_ms);
    g_assert_true(repl_create(w->a.service, vm, &s, "test", job, &err));
    g_assert_no_error(err);
    repl_settings_clear(&s);
    world_done(&w->a, job);
}

void
world_start(struct world *w, const struct uuid *vm)
{
    char job[UUID_TEXT];
    g_autoptr(GError) err = NULL;
    g_assert_true(repl_start(w->a.service, vm, 1, NULL, 0, "test", job, &err));
    g_assert_no_error(err);
    world_done(&w->a, job);
    g_assert_cmpuint(world_state(&w->a, vm), ==, STATE_REPLICATING);
    g_assert_cmpuint(world_state(&w->b, vm), ==, STATE_REPLICATING);
}

struct repl_relation
world_relation(struct host *h, const struct uuid *vm)
{
    struct repl_relation r;
    g_autoptr(GError) err = NULL;
    g_assert_true(repl_relation_get(h->service, vm, 0, &r, &err));
    g_assert_no_error(err);
    return r;
}

enum repl_state
world_state(struct host *h, const struct uuid *vm)
{
    struct repl_relation r = world_relation(h, vm);
    const enum repl_state s = r.state;
    repl_relation_clear(&r);
    return s;
}

void
world_wait_state(struct host *h, const struct uuid *vm, enum repl_state state)
{
    UNTIL(world_state(h, vm) == state);
}

bool
world_point_since(struct host *h, const struct uuid *vm, gint64 since_us)
{
    g_autoptr(GArray) points = repl_points(h->service, vm, NULL);
    return points->len && g_array_index(points, struct repl_point, points->len - 1).capture_us > since_us;
}

void
world_wait_cycle(struct world *w, const struct uuid *vm)
{
    const gint64 now = clock_wall_us();
    UNTIL(world_point_since(&w->b, vm, now));
}

void
world_wait_c(struct world *w, const struct uuid *vm)
{
    const gint64 now = clock_wall_us();
    UNTIL(world_point_since(&w->c, vm, now));
}

char *
world_folder(struct world *w, const struct uuid *vm)
{
    char text[UUID_TEXT];
    return g_build_filename(w->b.dir, "replicas", "vmreplica", uuid_format(vm, text), NULL);
}

guint
world_newest_disks(struct world *w, const struct uuid *vm)
{
    g_autofree char *folder = world_folder(w, vm);
    g_autoptr(GArray) points = repl_points(w->b.service, vm, NULL);
    struct view *v = points->len ? view_open(folder, &g_array_index(points, struct repl_point, points->len - 1).id, NULL) : NULL;
    const guint n = v ? view_disks(v) : 0;
    if (v)
        view_close(v);
    return n;
}

struct uuid
world_with_points(struct world *w, guint disks, guint count)
{
    const struct uuid vm = world_guest(w, disks);
    world_enable(w, &vm, 250);
    world_start(w, &vm);
    for (guint i = 1; i < count; i++) {
        fake_scribble(w->a.fake, &vm, w->rand, 20);
        world_wait_cycle(w, &vm);
    }
    return vm;
}

struct uuid
world_replicated(struct world *w)
{
    return world_with_points(w, 2, 2);
}

struct uuid
world_point(struct world *w, const struct uuid *vm, guint i)
{
    g_autoptr(GArray) points = repl_points(w->b.service, vm, NULL);
    g_assert_cmpuint(points->len, >, i);
    return g_array_index(points, struct repl_point, i).id;
}

bool
world_fenced(struct host *h, const struct uuid *vm)
{
    return fence_is_up(h->service->core->fence_dir, vm);
}

/* ---- comparison ---- */

void
world_compare_point(struct world *w, const struct uuid *vm, const struct uuid *point)
{
    g_autoptr(GError) err = NULL;
    g_autofree char *folder = world_folder(w, vm);
    struct view *v = view_open(folder, point, &err);
    g_assert_no_error(err);
    for (unsigned i = 0; i < view_disks(v); i++) {
        g_autoptr(GBytes) expected = fake_instant(w->a.fake, point, i);
        g_assert_nonnull(expected);
        struct block *b = view_disk(v, i);
        g_assert_cmpuint(b->size, ==, g_bytes_get_size(expected));
        g_autofree guint8 *buffer = g_malloc(b->size);
        g_assert_true(block_read(b, buffer, b->size, 0, &err));
        g_assert_no_error(err);
        g_assert_true(!memcmp(buffer, g_bytes_get_data(expected, NULL), b->size));
    }
    view_close(v);
}

guint
world_compare(struct world *w, const struct uuid *vm)
{
    g_autoptr(GArray) points = repl_points(w->b.service, vm, NULL);
    for (guint i = 0; i < points->len; i++)
        world_compare_point(w, vm, &g_array_index(points, struct repl_point, i).id);
    return points->len;
}

bool
world_healthy(struct host *h, const struct uuid *vm, const char *issue)
{
    struct repl_statistics s;
    g_autoptr(GPtrArray) issues = NULL;
    g_assert_true(repl_statistics(h->service, vm, 0, &s, &issues, NULL));
    for (guint i = 0; issue && i < issues->len; i++)
        if (!strcmp(((const struct repl_issue *)issues->pdata[i])->id, issue))
            return true;
    return !issue && s.health == HEALTH_OK;
}

bool
world_on_its_way(struct host *h, const struct uuid *vm)
{
    struct repl_statistics s;
    g_autoptr(GPtrArray) issues = NULL;
    g_assert_true(repl_statistics(h->service, vm, 0, &s, &issues, NULL));
    for (guint i = 0; i < issues->len; i++)
        if (strcmp(((const struct repl_issue *)issues->pdata[i])->id, "missed-cycles"))
            return false;
    return true;
}

char *
world_tpm(struct host *h, const struct uuid *vm)
{
    char *state = NULL, text[UUID_TEXT];
    g_autofree char *path = g_strdup_printf("%s/swtpm/%s/tpm2/tpm2-00.permall", h->dir, uuid_format_lower(vm, text));
    g_file_get_contents(path, &state, NULL, NULL);
    return state;
}
