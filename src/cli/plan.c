/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cli/planfile.h"

#include "cli/group.h"
#include "cli/guest.h"
#include "cli/method.h"
#include "cli/show.h"

#include "base/clean.h"

#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>

/* plan: all guests of a group from one instant, then one after another as the plan says.  Each step looks first whether it is done, so a
 * plan that was cut off, or stopped at a guest, goes on where it was when it is run again. */

enum { ON = 2, RUNNING = 2, RECOVERED = 5, COMMITTED = 6, LOOK_MS = 500 };

struct run {
    struct cli *cli;
    const struct plan *plan;
    bool test;
    const char *point;
    json_t *report;           /* array of steps */
    guint failed;
};

static char *
name_in(const struct run *r, const char *guest)
{
    return r->test ? g_strconcat(guest, " - Test", NULL) : g_strdup(guest);
}

static void
note(struct run *r, const char *guest, const char *step, const char *result, gint64 begun_us, const char *why)
{
    const double seconds = (double)(g_get_monotonic_time() - begun_us) / G_USEC_PER_SEC;
    json_array_append_new(r->report, json_pack("{s:s?, s:s, s:s, s:f, s:s?}", "guest", guest, "step", step, "result", result, "seconds",
                                               seconds, "reason", why));
    if (!r->cli->json)
        fprintf(stderr, "%s%s%s: %s (%.1f s)%s%s\n", guest ? guest : "", guest ? ": " : "", step, result, seconds, why ? ": " : "",
                why ? why : "");
}

/* ---- is it up? ---- */

static bool
agent_answers(struct cli *c, const struct cim_instance *guest)
{
    g_autofree char *id = guest_quote(cim_get_string(guest, "Name"));
    g_autofree char *wql = g_strdup_printf("SELECT * FROM Msvm_KvpExchangeComponent WHERE SystemName = %s", id);
    g_autoptr(GPtrArray) found = wsman_client_query(c->client, wql, NULL);
    return found && found->len == 1 && cim_given(found->pdata[0], "GuestIntrinsicExchangeItems");
}

/* Within five seconds. */
static bool
connects_to(const struct addrinfo *to)
{
    enum { PATIENCE_MS = 5000 };
    int why = 0;
    socklen_t len = sizeof why;
    auto_fd fd = socket(to->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return false;
    if (connect(fd, to->ai_addr, to->ai_addrlen) == 0)
        return true;
    struct pollfd p = {.fd = fd, .events = POLLOUT};
    return errno == EINPROGRESS && poll(&p, 1, PATIENCE_MS) == 1 && getsockopt(fd, SOL_SOCKET, SO_ERROR, &why, &len) == 0 && why == 0;
}

static bool
connects(const char *address)
{
    const struct addrinfo wanted = {.ai_socktype = SOCK_STREAM};
    struct addrinfo *found = NULL;
    const char *colon = strrchr(address, ':');
    g_autofree char *host = g_strndup(address, (gsize)(colon - address));
    bool made = false;
    if (getaddrinfo(host, colon + 1, &wanted, &found) != 0)
        return false;
    for (const struct addrinfo *a = found; a && !made; a = a->ai_next)
        made = connects_to(a);
    freeaddrinfo(found);
    return made;
}

static bool
command_succeeds(const struct run *r, const struct plan_step *s)
{
    int status = 1;
    g_autofree char *name = name_in(r, s->guest);
    char *argv[] = {(char[]){"/bin/sh"}, (char[]){"-c"}, s->target, NULL};
    g_auto(GStrv) env = g_get_environ();
    env = g_environ_setenv(env, "VMREPLICA_GUEST", name, TRUE);
    env = g_environ_setenv(env, "VMREPLICA_MODE", r->test ? "test" : "failover", TRUE);
    return g_spawn_sync(NULL, argv, env, G_SPAWN_DEFAULT, NULL, NULL, NULL, NULL, &status, NULL) && status == 0;
}

static bool
is_ready(const struct run *r, const struct plan_step *s, const struct cim_instance *guest)
{
    switch (s->ready) {
    case READY_AGENT: return agent_answers(r->cli, guest);
    case READY_TCP: return connects(s->target);
    case READY_COMMAND: return command_succeeds(r, s);
    case READY_NONE: break;
    }
    return true;
}

static bool
wait_ready(const struct run *r, const struct plan_step *s, const struct cim_instance *guest, GError **err)
{
    const gint64 end = g_get_monotonic_time() + (gint64)s->timeout_s * G_USEC_PER_SEC;
    while (!is_ready(r, s, guest)) {
        if (g_get_monotonic_time() >= end)
            return err_set(err, ERR_TIMEOUT, "It was not ready after %" G_GUINT64_FORMAT " s.", s->timeout_s);
        g_usleep(LOOK_MS * 1000);
    }
    return true;
}

/* ---- steps ---- */

static bool
start(const struct run *r, const struct cim_instance *guest, GError **err)
{
    if (cim_get_uint(guest, "EnabledState") == RUNNING)
        return true;
    const gboolean json = r->cli->json;
    r->cli->json = FALSE;
    const bool fine = method_state(r->cli, guest, "RequestStateChange", ON, "Start", NULL, err);
    r->cli->json = json;
    return fine;
}

static bool
one_guest(struct run *r, const struct plan_step *s)
{
    const gint64 begun = g_get_monotonic_time();
    g_autoptr(GError) why = NULL;
    g_autofree char *name = name_in(r, s->guest);
    cim_instance_auto guest = guest_find(r->cli, name, &why);
    const bool fine = guest && start(r, guest, &why) && wait_ready(r, s, guest, &why);
    note(r, name, "start", fine ? "ready" : "failed", begun, why ? why->message : NULL);
    r->failed += !fine;
    if (fine && s->delay_s)
        g_usleep(s->delay_s * G_USEC_PER_SEC);
    return fine || s->goes_on;
}

/* The guests of the plan are there already: it was run before. */
static bool
brought_up(const struct run *r)
{
    for (guint i = 0; i < r->plan->steps->len; i++) {
        g_autofree char *name = name_in(r, ((const struct plan_step *)r->plan->steps->pdata[i])->guest);
        cim_instance_auto guest = guest_find(r->cli, name, NULL);
        const guint state = guest ? (guint)cim_get_uint(guest, "ReplicationState") : 0;
        if (!guest || (!r->test && state != RECOVERED && state != COMMITTED))
            return false;
    }
    return true;
}

static bool
bring_up(struct run *r, GError **err)
{
    const gint64 begun = g_get_monotonic_time();
    const char *step = r->test ? "test failover" : "failover";
    cim_instance_auto group = group_find(r->cli, r->plan->group, err);
    if (!group)
        return false;
    if (brought_up(r)) {
        note(r, NULL, step, "done before", begun, NULL);
        return true;
    }
    struct cim_args *args = cim_args_new();
    if (!group_point_argument(r->cli, group, r->point, args, err)) {
        cim_args_free(args);
        return false;
    }
    const gboolean json = r->cli->json;
    r->cli->json = FALSE;
    const bool fine = group_call(r->cli, group, r->test ? "TestReplicaCollection" : "InitiateFailover", args, "Failover", NULL, err);
    r->cli->json = json;
    if (fine)
        note(r, NULL, step, "done", begun, NULL);
    return fine;
}

static void
print_report(const struct run *r)
{
    if (r->cli->json) {
        show_print_json(json_pack("{s:s, s:s, s:i, s:O}", "group", r->plan->group, "mode", r->test ? "test" : "failover", "failed",
                                  (int)r->failed, "steps", r->report));
        return;
    }
    size_t i;
    json_t *step;
    struct table *t = table_new("GUEST", "STEP", "RESULT", ">SECONDS", "REASON", NULL);
    json_array_foreach(r->report, i, step) {
        const char *result = json_string_value(json_object_get(step, "result"));
        table_add(t, json_string_value(json_object_get(step, "guest")));
        table_add(t, json_string_value(json_object_get(step, "step")));
        table_add_colour(t, result, strcmp(result, "failed") == 0 ? TABLE_BAD : TABLE_GOOD);
        table_add_format(t, "%.1f", json_real_value(json_object_get(step, "seconds")));
        table_add(t, json_string_value(json_object_get(step, "reason")));
    }
    table_print(t, stdout);
    table_free(t);
}

static bool
run_plan(struct run *r, GError **err)
{
    bool fine = bring_up(r, err);
    for (guint i = 0; fine && i < r->plan->steps->len; i++)
        if (!one_guest(r, r->plan->steps->pdata[i]))
            break;
    if (!fine)
        return false;
    print_report(r);
    return !r->failed ||
           err_set(err, ERR_FAILED, "%u guests of the plan did not come up; run it again when that is mended, what is done is left out.",
                   r->failed);
}

static bool
run(struct cli *c, const struct plan *plan, bool test, const char *point, GError **err)
{
    struct run r = {c, plan, test, point, json_array(), 0};
    const bool fine = cli_connect(c, err) && run_plan(&r, err);
    json_decref(r.report);
    return fine;
}

static void
print_plan(const struct cli *c, const struct plan *p)
{
    static const char *const READY[] = {"agent", "tcp", "command", "none"};
    if (c->json) {
        json_t *steps = json_array();
        for (guint i = 0; i < p->steps->len; i++) {
            const struct plan_step *s = p->steps->pdata[i];
            json_array_append_new(steps, json_pack("{s:s, s:s, s:s?, s:I, s:I, s:s}", "guest", s->guest, "ready", READY[s->ready], "target",
                                                   s->target, "timeout", (json_int_t)s->timeout_s, "delay", (json_int_t)s->delay_s,
                                                   "on_failure", s->goes_on ? "continue" : "stop"));
        }
        show_print_json(json_pack("{s:s, s:o}", "group", p->group, "steps", steps));
        return;
    }
    struct table *t = table_new(">STEP", "GUEST", "READY WHEN", ">TIMEOUT", ">DELAY", "ON FAILURE", NULL);
    for (guint i = 0; i < p->steps->len; i++) {
        const struct plan_step *s = p->steps->pdata[i];
        table_add_format(t, "%u", i + 1);
        table_add(t, s->guest);
        table_add_format(t, "%s%s%s", READY[s->ready], s->target ? " " : "", s->target ? s->target : "");
        table_add_format(t, "%" G_GUINT64_FORMAT " s", s->timeout_s);
        table_add_format(t, "%" G_GUINT64_FORMAT " s", s->delay_s);
        table_add(t, s->goes_on ? "continue" : "stop");
    }
    table_print(t, stdout);
    table_free(t);
}

struct wish {
    gboolean test, failover;
    char *point;
};

static bool
carry_out(struct cli *c, char **args, const struct usage *usage, const struct wish *w, GError **err)
{
    if (!cli_count(args, 2, 2, usage, "plan", err))
        return false;
    const bool runs = strcmp(args[0], "run") == 0;
    if (!runs && strcmp(args[0], "check") != 0)
        return err_set(err, ERR_USAGE, "'%s' is nothing that plan does. Usage: vmreplica plan %s", args[0], usage->synopsis);
    if (runs && w->test == w->failover)
        return err_set(err, ERR_USAGE, "Say either --test or --failover.");
    plan_auto plan = planfile_read(args[1], err);
    if (!plan)
        return false;
    if (runs)
        return run(c, plan, w->test, w->point, err);
    print_plan(c, plan);
    return true;
}

VERB(verb_plan)
{
    static const struct usage usage = {
        "check FILE | run FILE --test|--failover", "Recovery plans: a group's guests, in order, each when it is due.",
        "check reads a plan and shows its steps; run brings up all guests of its group\n"
        "from one instant, then starts one after another and waits until each is ready.\n"
        "Run again, it goes on where it stopped. vmreplica(1) has the file's keys.\n"
        "The exit status is 0 when all guests have come up."};
    struct wish w = {0};
    g_auto(GStrv) args = NULL;
    const GOptionEntry options[] = {
        {"test", 0, 0, G_OPTION_ARG_NONE, &w.test, "with test guests beside the replicas", NULL},
        {"failover", 0, 0, G_OPTION_ARG_NONE, &w.failover, "with the guests themselves", NULL},
        {"point", 'p', 0, G_OPTION_ARG_STRING, &w.point, "see vmreplica group points", "POINT"},
        {0},
    };
    bool fine = cli_parse(c, &usage, CLI_CONNECTS | CLI_JSON, options, argc, argv, &args, err);
    fine = fine ? carry_out(c, args, &usage, &w, err) : c->helped;
    g_free(w.point);
    return fine;
}
