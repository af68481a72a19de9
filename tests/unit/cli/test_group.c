/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "shell.h"
#include "world.h"

#include "base/clean.h"
#include "base/file.h"
#include "provider/all.h"
#include "repl/together.h"
#include "repl/work.h"
#include "wsman/endpoint.h"

#include <string.h>

/* vmreplica against two whole hosts: real services, real API over HTTP, guests of fake_vm.  Groups, plans, switchover. */

static const char *program;

struct api {
    struct cim_broker *broker;
    struct wsman_endpoint *endpoint;
    struct http_server *server;
    struct shell sh;
};

struct site {
    struct world w;
    char *dir, *password;
    struct auth *auth;
    struct api a, b;
    struct uuid db, app;
};

static void
api_open(struct site *s, struct api *api, struct host *h)
{
    g_autoptr(GError) err = NULL;
    const struct http_server_config config = {.address = "127.0.0.1"};
    api->broker = cim_broker_new(h->name, all_providers, h->service);
    api->endpoint = wsman_endpoint_new(api->broker, s->auth);
    api->server = http_server_new(&config);
    wsman_endpoint_mount(api->endpoint, api->server);
    http_server_start(api->server, &err);
    g_assert_no_error(err);
    char *connection[] = {g_strdup("--plain"), g_strdup("--host"), g_strdup_printf("127.0.0.1:%u", http_server_port(api->server)),
                          g_strdup("--user=boss"), g_strdup("--password-file"), g_strdup(s->password), NULL};
    api->sh.program = program;
    memcpy(api->sh.connection, connection, sizeof connection);
}

static void
api_close(struct api *api)
{
    http_server_free(api->server);
    wsman_endpoint_free(api->endpoint);
    cim_broker_free(api->broker);
    for (guint i = 0; api->sh.connection[i]; i++)
        g_free(api->sh.connection[i]);
    shell_clear(&api->sh);
}

static struct uuid
guest(struct site *s, const char *name)
{
    const struct uuid vm = fake_guest_add(s->w.a.fake, name, 1, 1 << 20);
    fake_scribble(s->w.a.fake, &vm, s->w.rand, 10);
    fake_agent_add(s->w.a.fake, &vm);
    world_enable(&s->w, &vm, 300);
    world_start(&s->w, &vm);
    return vm;
}

static void
site_open(struct site *s)
{
    g_autoptr(GError) err = NULL;
    world_open(&s->w);
    s->dir = g_dir_make_tmp("vmr-cli-XXXXXX", NULL);
    s->password = g_build_filename(s->dir, "password", NULL);
    g_autofree char *users = g_build_filename(s->dir, "users", NULL);
    auth_user_add(users, "boss", "secret", "admin", &err);
    g_file_set_contents(s->password, "secret\n", -1, NULL);
    s->auth = auth_open(users, &err);
    g_assert_no_error(err);
    api_open(s, &s->a, &s->w.a);
    api_open(s, &s->b, &s->w.b);
    s->db = guest(s, "db");
    s->app = guest(s, "app");
}

static void
site_close(struct site *s)
{
    api_close(&s->a);
    api_close(&s->b);
    auth_free(s->auth);
    world_close(&s->w);
    file_remove_tree(s->dir, NULL);
    g_free(s->password);
    g_free(s->dir);
}

static guint
points(struct site *s)
{
    guint n = 0;
    g_autoptr(GPtrArray) groups = repl_groups(s->w.b.service);
    for (guint i = 0; i < groups->len; i++) {
        g_autoptr(GPtrArray) found = repl_group_points(s->w.b.service, &((const struct group *)groups->pdata[i])->id, NULL);
        n += found ? found->len : 0;
    }
    return n;
}

static char *G_GNUC_PRINTF(2, 3)
plan_file(struct site *s, const char *format, ...)
{
    va_list args;
    char *path = g_build_filename(s->dir, "plan", NULL);
    va_start(args, format);
    g_autofree char *text = g_strdup_vprintf(format, args);
    va_end(args);
    g_assert_true(g_file_set_contents(path, text, -1, NULL));
    return path;
}

static void
test_group(void)
{
    struct site s = {0};
    site_open(&s);
    shell_run(&s.a.sh, "group", "create", "shop", "db", "app", NULL);
    shell_expect(&s.a.sh, 0, "Group 'shop' was made.", NULL);
    shell_run(&s.a.sh, "group", "add", "shop", "db", NULL);
    g_assert_cmpint(s.a.sh.status, !=, 0);
    shell_run(&s.a.sh, "group", "failover", "shop", NULL);
    g_assert_cmpint(s.a.sh.status, !=, 0); /* the points are on the other host */
    shell_run(&s.a.sh, "group", "list", NULL);
    shell_expect(&s.a.sh, 0, "db, app", NULL);
    UNTIL(points(&s) >= 2);
    shell_run(&s.b.sh, "group", "points", "shop", "--json", NULL);
    shell_expect(&s.b.sh, 0, NULL, NULL);
    json_t *list = shell_json(&s.b.sh);
    g_assert_cmpuint(json_array_size(list), >=, 2);
    json_decref(list);
    shell_run(&s.b.sh, "group", "test", "shop", NULL);
    shell_expect(&s.b.sh, 0, NULL, NULL);
    shell_run(&s.b.sh, "group", "test", "shop", "--stop", NULL);
    shell_expect(&s.b.sh, 0, "gone", NULL);
    shell_run(&s.a.sh, "group", "suspend", "shop", NULL);
    shell_expect(&s.a.sh, 0, NULL, NULL);
    shell_run(&s.a.sh, "group", "resume", "shop", NULL);
    shell_expect(&s.a.sh, 0, NULL, NULL);
    shell_run(&s.a.sh, "group", "remove", "shop", "app", NULL);
    shell_expect(&s.a.sh, 0, "no longer", NULL);
    shell_run(&s.a.sh, "group", "remove", "shop", NULL);
    shell_expect(&s.a.sh, 0, "gone", NULL);
    shell_run(&s.a.sh, "group", "dance", "shop", NULL);
    g_assert_cmpint(s.a.sh.status, !=, 0);
    site_close(&s);
}

/* The network of a card in test guests, on the replica host. */
static void
test_networks(void)
{
    struct site s = {0};
    site_open(&s);
    shell_run(&s.b.sh, "test-network", "db", "lab", NULL);
    g_assert_cmpint(s.b.sh.status, !=, 0); /* no card */
    fake_card_add(s.w.b.fake, &s.db, "52:54:00:00:00:01");
    fake_card_add(s.w.b.fake, &s.db, "52:54:00:00:00:02");
    shell_run(&s.b.sh, "test-network", "db", "lab", NULL);
    shell_expect(&s.b.sh, 12, NULL, "--card"); /* which one? */
    shell_run(&s.b.sh, "test-network", "db", "lab", "--card", "52:54:00:00:00:02", NULL);
    shell_expect(&s.b.sh, 0, "52:54:00:00:00:02 of 'db' is on 'lab' in test guests", NULL);
    shell_run(&s.b.sh, "test-network", "db", NULL);
    shell_expect(&s.b.sh, 0, "lab", NULL);
    shell_run(&s.b.sh, "test-network", "db", "--clear", "lab", NULL);
    shell_expect(&s.b.sh, 64, NULL, "--clear");
    shell_run(&s.b.sh, "test-network", "db", "--clear", "--card", "52:54:00:00:00:02", NULL);
    shell_expect(&s.b.sh, 0, "no test network of its own", NULL);
    shell_run(&s.b.sh, "test-network", "db", NULL);
    g_assert_null(strstr(s.b.sh.out, "lab"));
    site_close(&s);
}

/* ---- switchover ---- */

/* The replica host may send to the primary host, once the roles are reversed. */
static void
way_back(struct site *s)
{
    struct repl_host_settings h;
    bool listening;
    char job[UUID_TEXT];
    g_autoptr(GError) err = NULL;
    repl_host_settings(s->w.a.service, &h, &listening);
    h.recovery_enabled = true;
    h.allowed_authentication = 2;
    h.https_port = s->w.a.port;
    g_assert_true(repl_modify_service(s->w.a.service, &h, "test", job, NULL));
    repl_host_settings_clear(&h);
    world_done(&s->w.a, job);
    g_autofree char *location = g_build_filename(s->dir, "replicas-of-b", NULL), *trust = g_strdup("T");
    g_assert_cmpint(g_mkdir_with_parents(location, 0755), ==, 0);
    const struct repl_entry entry = {.host = s->w.b.name, .trust_group = trust, .location = location};
    g_assert_true(repl_entry_add(s->w.a.service, &entry, &err));
    g_assert_no_error(err);
    relation_auto rel = core_find(s->w.b.service->core, &s->db, 0); /* else it is taken for its own port, as on two hosts */
    HOLD(&rel->lock);
    rel->r.primary_port = s->w.a.port;
}

static char *
port_of(struct api *api)
{
    return g_strdup_printf("127.0.0.1:%u", http_server_port(api->server));
}

static void
untouched(struct site *s)
{
    g_assert_cmpuint(fake_power(s->w.a.fake, &s->db), ==, VM_RUNNING);
    g_assert_cmpuint(world_state(&s->w.a, &s->db), ==, STATE_REPLICATING);
    g_assert_cmpuint(world_state(&s->w.b, &s->db), ==, STATE_REPLICATING);
}

/* The guest cannot be asked, or does not do it: nothing is changed, and it can still be forced. */
static void
test_unwilling(void)
{
    struct site s = {0};
    site_open(&s);
    way_back(&s);
    g_autofree char *there = port_of(&s.b);
    fake_fail(s.w.a.fake, FAKE_SHUTDOWN, ERR_NOT_AVAILABLE, 1);
    shell_run(&s.a.sh, "switchover", "db", "--peer", there, NULL);
    g_assert_cmpint(s.a.sh.status, !=, 0);
    g_assert_nonnull(strstr(s.a.sh.err, "Nothing else was changed"));
    untouched(&s);
    fake_deaf(s.w.a.fake, true);
    shell_run(&s.a.sh, "switchover", "db", "--peer", there, "--timeout", "1s", NULL);
    g_assert_cmpint(s.a.sh.status, !=, 0);
    g_assert_nonnull(strstr(s.a.sh.err, "still runs on 'a.localhost' after 1 s"));
    g_assert_nonnull(strstr(s.a.sh.err, "--force"));
    untouched(&s);
    shell_run(&s.a.sh, "switchover", "db", "--peer", there, "--force", NULL);
    shell_expect(&s.a.sh, 0, "5/5 Start on 'b.localhost'", NULL);
    g_assert_cmpuint(fake_power(s.w.b.fake, &s.db), ==, VM_RUNNING);
    g_assert_cmpuint(fake_power(s.w.a.fake, &s.db), ==, VM_OFF);
    site_close(&s);
}

/* Called off after each of the steps that can be; then nothing is left of it. */
static void
test_undo(void)
{
    enum { OFF, LOCKED, UP, STEPS };
    struct site s = {0};
    site_open(&s);
    way_back(&s);
    g_autofree char *there = port_of(&s.b);
    for (guint to = OFF; to < STEPS; to++) {
        shell_run(&s.a.sh, "power", "db", "off", NULL);
        shell_expect(&s.a.sh, 0, NULL, NULL);
        if (to >= LOCKED)
            shell_run(&s.a.sh, "prepare", "db", NULL);
        shell_expect(&s.a.sh, 0, NULL, NULL);
        if (to >= UP)
            shell_run(&s.b.sh, "failover", "db", NULL);
        shell_run(&s.a.sh, "switchover", "db", "--undo", "--peer", there, NULL);
        shell_expect(&s.a.sh, 0, "3/3 Start on 'a.localhost': done (", NULL);
        g_assert_nonnull(strstr(s.a.sh.out, to >= LOCKED ? "Unlock on 'a.localhost': done (" : "Unlock on 'a.localhost': done before"));
        g_assert_nonnull(strstr(s.a.sh.out, to >= UP ? "on 'b.localhost': done (" : "on 'b.localhost': done before"));
        world_wait_state(&s.w.a, &s.db, STATE_REPLICATING);
        world_wait_state(&s.w.b, &s.db, STATE_REPLICATING);
        untouched(&s);
        world_wait_cycle(&s.w, &s.db);
    }
    shell_run(&s.a.sh, "switchover", "db", "--undo", "--peer", there, NULL); /* nothing to undo is no error */
    shell_expect(&s.a.sh, 0, "3/3 Start on 'a.localhost': done before", NULL);
    untouched(&s);
    site_close(&s);
}

static void
test_plan_file(void)
{
    static const char *const BAD[] = {
        "", "[plan]\ngroup=shop\n", "[guest db]\n", "[plan]\ngroup=shop\n[guest db]\nready=soon\n",
        "[plan]\ngroup=shop\n[guest db]\nready=tcp db\n", "[plan]\ngroup=shop\n[guest db]\ntimeout=soon\n",
        "[plan]\ngroup=shop\n[guest db]\norder=first\n", "[plan]\ngroup=shop\n[guest db]\ncolour=red\n",
        "[plan]\ngroup=shop\n[other]\n[guest db]\n", "[plan]\ngroup=shop\non-failure=maybe\n[guest db]\n", "[plan\n",
    };
    struct site s = {.dir = g_dir_make_tmp("vmr-cli-XXXXXX", NULL), .a.sh.program = program};
    for (guint i = 0; i < G_N_ELEMENTS(BAD); i++) {
        g_autofree char *path = plan_file(&s, "%s", BAD[i]);
        shell_plain(&s.a.sh, "plan", "check", path, NULL);
        g_assert_cmpint(s.a.sh.status, ==, 6);
        g_assert_nonnull(strstr(s.a.sh.err, "Plan '"));
    }
    g_autofree char *path = plan_file(&s, "[plan]\ngroup=shop\n[guest app]\norder=2\nready=command test 1 = 1\n"
                                          "[guest db]\norder=1\ndelay=2m\n");
    shell_plain(&s.a.sh, "plan", "check", path, "--json", NULL);
    shell_expect(&s.a.sh, 0, NULL, NULL);
    json_t *plan = shell_json(&s.a.sh), *first = json_array_get(json_object_get(plan, "steps"), 0);
    g_assert_cmpstr(json_string_value(json_object_get(first, "guest")), ==, "db");
    g_assert_cmpint(json_integer_value(json_object_get(first, "delay")), ==, 120);
    json_decref(plan);
    shell_plain(&s.a.sh, "plan", "run", path, NULL);
    g_assert_cmpint(s.a.sh.status, !=, 0); /* neither --test nor --failover */
    shell_clear(&s.a.sh);
    file_remove_tree(s.dir, NULL);
    g_free(s.dir);
}

static void
started(struct site *s, const struct uuid *vm, bool wanted)
{
    g_assert_cmpint(fake_power(s->w.b.fake, vm) == VM_RUNNING, ==, wanted);
}

static void
test_plan_run(void)
{
    struct site s = {0};
    site_open(&s);
    g_autofree char *order = g_build_filename(s.dir, "order", NULL), *said = NULL;
    shell_run(&s.a.sh, "group", "create", "shop", "db", "app", NULL);
    UNTIL(points(&s) >= 1);
    g_autofree char *drill = plan_file(&s, "[plan]\ngroup=shop\n[guest db]\n[guest app]\n"); /* their agents answer */
    shell_run(&s.b.sh, "plan", "run", drill, "--test", NULL);
    shell_expect(&s.b.sh, 0, "app - Test", NULL);
    shell_run(&s.b.sh, "group", "test", "shop", "--stop", NULL);
    shell_expect(&s.b.sh, 0, NULL, NULL);
    /* One that does not come up ends it. */
    g_autofree char *bad = plan_file(&s, "[plan]\ngroup=shop\n[guest db]\nready=command false\ntimeout=1s\n[guest app]\nready=none\n");
    shell_run(&s.b.sh, "plan", "run", bad, "--failover", NULL);
    g_assert_cmpint(s.b.sh.status, !=, 0);
    started(&s, &s.db, true);
    started(&s, &s.app, false);
    /* Run again it goes on, in order. */
    g_autofree char *good = plan_file(&s,
                                      "[plan]\ngroup=shop\n[guest app]\norder=2\nready=tcp 127.0.0.1:%u\n[guest db]\norder=1\n"
                                      "ready=command echo \"$VMREPLICA_GUEST $VMREPLICA_MODE\" >> %s\n",
                                      http_server_port(s.b.server), order);
    shell_run(&s.b.sh, "plan", "run", good, "--failover", "--json", NULL);
    shell_expect(&s.b.sh, 0, NULL, NULL);
    json_t *report = shell_json(&s.b.sh), *steps = json_object_get(report, "steps");
    g_assert_cmpuint(json_array_size(steps), ==, 3);
    g_assert_cmpstr(json_string_value(json_object_get(json_array_get(steps, 0), "result")), ==, "done before");
    g_assert_cmpstr(json_string_value(json_object_get(json_array_get(steps, 2), "guest")), ==, "app");
    json_decref(report);
    started(&s, &s.app, true);
    g_assert_true(g_file_get_contents(order, &said, NULL, NULL));
    g_assert_cmpstr(said, ==, "db failover\n");
    site_close(&s);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    program = argv[1];
    g_test_add_func("/cli/group/verbs", test_group);
    g_test_add_func("/cli/test-network", test_networks);
    g_test_add_func("/cli/switchover/unwilling", test_unwilling);
    g_test_add_func("/cli/switchover/undo", test_undo);
    g_test_add_func("/cli/plan/file", test_plan_file);
    g_test_add_func("/cli/plan/run", test_plan_run);
    return g_test_run();
}
