/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/clean.h"
#include "base/err.h"
#include "base/file.h"
#include "box.h"
#include "echo.h"

#include <fcntl.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>

static guint
get(struct http_client *c, const char *method, const char *path, const void *body, size_t len, struct http_answer *out)
{
    GError *err = NULL;
    static const char *const fields[] = {"X-Test: yes", "Expect:", NULL};
    struct http_call call = {.method = method, .path = path, .headers = fields, .body = body, .length = len, .fd = -1};
    const bool done = http_client_call(c, &call, out, &err);
    g_assert_no_error(err);
    g_assert_true(done);
    return out->status;
}

static void
test_routes(void)
{
    static const struct {
        const char *method, *path, *body;
        guint status;
        const char *answer;
    } cases[] = {
        {"GET", "/echo", NULL, 200, "GET /echo q=- x=yes 0:"},
        {"POST", "/echo/more?q=a%20b+c&z", "hello", 200, "POST /echo/more q=a b c x=yes 5:hello"},
        {"GET", "/echo/a%2fb%41?q", NULL, 200, "GET /echo/a/bA q= x=yes 0:"},
        {"GET", "/echo/a%00b%zz%4", NULL, 200, "GET /echo/a%00b%zz%4 q=- x=yes 0:"},
        {"GET", "/echo/x/deep", NULL, 500, "No answer was given."},
        {"POST", "/echo/x/deep", "b", 405, "This path does not have that method."},
        {"GET", "/echoes", NULL, 404, "There is nothing at this path."},
        {"GET", "/", NULL, 404, "There is nothing at this path."},
        {"DELETE", "/echo", NULL, 405, "This path does not have that method."},
        {"POST", "/nowhere", "body", 404, "There is nothing at this path."},
        {"POST", "/echo", "", 200, "POST /echo q=- x=yes 0:"},
    };
    struct echo e;
    echo_start(&e, &(struct http_server_config){0});
    struct http_client *c = echo_client(&e, NULL);
    for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
        http_answer_auto a = {0};
        g_assert_cmpuint(get(c, cases[i].method, cases[i].path, cases[i].body, cases[i].body ? strlen(cases[i].body) : 0, &a), ==,
                         cases[i].status);
        g_assert_cmpstr(a.body, ==, cases[i].answer);
    }
    http_client_free(c);
    echo_stop(&e);
}

static void
test_sizes(void)
{
    struct echo e;
    echo_start(&e, &(struct http_server_config){.max_body = 1 << 20});
    struct http_client *c = echo_client(&e, NULL);
    g_autofree char *big = g_malloc0(10 << 20);
    memset(big, 'x', 10 << 20);
    http_answer_auto fits = {0}, above = {0}, far = {0}, after = {0};
    g_assert_cmpuint(get(c, "POST", "/echo", big, 1 << 20, &fits), ==, 200);
    g_assert_cmpuint(fits.len, ==, strlen("POST /echo q=- x=yes 1048576:") + (1 << 20));
    g_assert_cmpuint(get(c, "POST", "/echo", big, (1 << 20) + 1, &above), ==, 413);
    g_assert_cmpuint(get(c, "POST", "/echo", big, 10 << 20, &far), ==, 413);
    g_assert_cmpuint(get(c, "GET", "/echo", NULL, 0, &after), ==, 200);
    http_client_free(c);
    echo_stop(&e);
}

/* A long body is worth a question, a short one is not. */
static void
test_expect(void)
{
    struct echo e;
    echo_start(&e, &(struct http_server_config){0});
    struct http_client *c = echo_client(&e, NULL);
    g_autofree char *body = g_malloc0(64 << 10);
    for (guint longer = 0; longer < 2; longer++) {
        GError *err = NULL;
        http_answer_auto a = {0};
        struct http_call call = {.method = "POST", .path = "/expects", .body = body, .length = (64 << 10) - 1 + longer, .fd = -1};
        g_assert_true(http_client_call(c, &call, &a, &err));
        g_assert_no_error(err);
        g_assert_cmpstr(a.body, ==, longer ? "100-continue" : "nothing");
    }
    http_client_free(c);
    echo_stop(&e);
}

/* A file of zeros in memory, for uploads. */
static int
zeros(gsize len)
{
    int fd = memfd_create("zeros", MFD_CLOEXEC);
    g_assert_cmpint(ftruncate(fd, (off_t)len), ==, 0);
    return fd;
}

/* A short file goes out with the head, whatever the calls before and after it on the same connection are like. */
static void
test_short_file(void)
{
    struct echo e;
    GError *err = NULL;
    auto_fd fd = memfd_create("digits", MFD_CLOEXEC);
    g_assert_cmpint(write(fd, "0123456789", 10), ==, 10);
    echo_start(&e, &(struct http_server_config){0});
    struct http_client *c = echo_client(&e, NULL);
    struct throttle *plenty = throttle_new(1 << 30), *little = throttle_new(1 << 10);
    struct throttle *const quick[] = {plenty, NULL}, *const slow[] = {plenty, little, NULL};
    gint64 sent = 0;
    static const char *const fields[] = {"Content-Type: application/octet-stream", NULL};
    const struct {
        struct http_call call;
        const char *answer;
    } calls[] = {
        {{.method = "POST", .path = "/echo", .headers = fields, .fd = fd, .offset = 3, .length = 5, .sent = &sent},
         "POST /echo q=- x=- 5:34567"},
        {{.method = "GET", .path = "/echo", .fd = -1}, "GET /echo q=- x=- 0:"},
        {{.method = "POST", .path = "/echo", .body = "body", .length = 4, .fd = -1}, "POST /echo q=- x=- 4:body"},
        {{.method = "PUT", .path = "/sink", .headers = fields, .fd = fd, .length = 10, .limits = quick, .sent = &sent}, "10"},
        {{.method = "POST", .path = "/echo", .headers = fields, .fd = fd, .length = 2, .limits = slow, .sent = &sent},
         "POST /echo q=- x=- 2:01"},
        {{.method = "POST", .path = "/echo", .headers = fields, .fd = fd, .length = 9, .limits = slow, .sent = &sent},
         "POST /echo q=- x=- 9:012345678"}, /* the limit is not free yet */
        {{.method = "GET", .path = "/echo", .fd = -1}, "GET /echo q=- x=- 0:"},
    };
    for (guint i = 0; i < G_N_ELEMENTS(calls); i++) {
        http_answer_auto a = {0};
        g_assert_true(http_client_call(c, &calls[i].call, &a, &err));
        g_assert_no_error(err);
        g_assert_cmpstr(a.body, ==, calls[i].answer);
    }
    g_assert_cmpint(sent, ==, 5 + 10 + 2 + 9);
    http_client_free(c);
    throttle_free(plenty);
    throttle_free(little);
    echo_stop(&e);
}

static void
upload(struct http_client *c, const char *path, gsize len, gsize offset, bool expect, gint64 *sent, struct http_answer *a)
{
    GError *err = NULL;
    auto_fd fd = zeros(len);
    static const char *const without[] = {"Expect:", NULL};
    struct http_call call = {.method = "PUT",
                             .path = path,
                             .headers = expect ? NULL : without,
                             .fd = fd,
                             .length = len - offset,
                             .offset = offset,
                             .sent = sent};
    const bool done = http_client_call(c, &call, a, &err);
    g_assert_no_error(err);
    g_assert_true(done);
}

/* A refusal reaches the sender whether it asked first or is in the middle of 64 MiB, and the stream ends exactly once. */
static void
check_streams(struct echo *e, struct http_client *c)
{
    const gsize big = 64 << 20;
    for (guint expect = 0; expect < 2; expect++) {
        http_answer_auto taken = {0}, picky = {0}, sour = {0}, small = {0}, empty = {0};
        gint64 sent = 100;
        upload(c, "/sink", big, 12345, expect, &sent, &taken);
        g_assert_cmpuint(taken.status, ==, 200);
        g_assert_cmpstr(taken.body, ==, "67096519");
        g_assert_cmpint(sent, ==, 100 + 67096519);
        sent = 0;
        upload(c, "/picky", big, 0, expect, &sent, &picky);
        g_assert_cmpuint(picky.status, ==, 412);
        g_assert_cmpstr(picky.body, ==, "not like this");
        g_assert_cmpint(sent, <, expect ? 1 : big);
        upload(c, "/sour", big, 0, expect, NULL, &sour);
        g_assert_cmpuint(sour.status, ==, 507);
        g_assert_cmpstr(sour.body, ==, "full");
        upload(c, "/picky", 10, 0, expect, NULL, &small);
        g_assert_cmpuint(small.status, ==, 412);
        upload(c, "/sink", 0, 0, expect, NULL, &empty);
        g_assert_cmpstr(empty.body, ==, "0");
    }
    g_assert_cmpint(g_atomic_int_get(&e->begun), ==, 10);
    g_assert_cmpint(g_atomic_int_get(&e->ended), ==, 6);
    g_assert_cmpint(g_atomic_int_get(&e->completed), ==, 4);
}

static void
test_streams(void)
{
    struct echo e;
    echo_start(&e, &(struct http_server_config){0});
    struct http_client *c = echo_client(&e, NULL);
    check_streams(&e, c);
    http_client_free(c);
    echo_stop(&e);
}

static void
test_streams_tls(void)
{
    struct box b;
    struct echo e;
    box_open(&b);
    struct net_identity *id = box_identity(&b, "localhost");
    echo_start(&e, &(struct http_server_config){.identity = id, .require_client_cert = true, .tls13_only = true});
    struct http_client *c = echo_client(&e, id);
    check_streams(&e, c);
    http_client_free(c);
    echo_stop(&e);
    net_identity_unref(id);
    box_close(&b);
}

static void
test_cut_upload(void)
{
    struct echo e;
    echo_start(&e, &(struct http_server_config){0});
    {
        auto_fd fd = echo_connect(&e);
        const char head[] = "PUT /sink HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\nfirst";
        g_assert_cmpint(write(fd, head, strlen(head)), ==, (gssize)strlen(head));
        echo_wait(&e, &e.begun, 1);
    }
    echo_wait(&e, &e.ended, 1);
    g_assert_cmpint(e.aborted, ==, 1);
    g_assert_cmpint(e.completed, ==, 0);
    echo_stop(&e);
}

/* --- client errors --- */

static void
assert_call_fails(struct http_client *c, const struct http_call *call, enum err_code code)
{
    g_autoptr(GError) err = NULL;
    http_answer_auto a = {0};
    g_assert_false(http_client_call(c, call, &a, &err));
    g_test_message("%s", err->message);
    g_assert_error(err, ERR, (gint)code);
}

static void
test_client_errors(void)
{
    struct echo e;
    echo_start(&e, &(struct http_server_config){.max_body = 1 << 20});
    g_autofree char *url = g_strdup_printf("http://localhost:%u", http_server_port(e.server));
    struct http_client *small = http_client_new(&(struct http_client_config){.url = url, .max_answer = 10}, NULL);
    struct http_call echo = {.method = "GET", .path = "/echo", .fd = -1};
    assert_call_fails(small, &echo, ERR_TOO_BIG);

    auto_fd fd = zeros(1000);
    struct http_call beyond = {.method = "PUT", .path = "/sink", .fd = fd, .length = 2000};
    assert_call_fails(small, &beyond, ERR_CORRUPT);
    http_client_free(small);

    struct http_client *c = echo_client(&e, NULL);
    echo_stop(&e);
    assert_call_fails(c, &echo, ERR_NETWORK);
    http_client_free(c);

    struct http_client *odd = http_client_new(&(struct http_client_config){.url = "ftp://localhost:1"}, NULL);
    assert_call_fails(odd, &echo, ERR_INVALID_PARAMETER);
    http_client_free(odd);
}

struct pending {
    struct http_client *client;
    struct http_call call;
    GError *err;
    bool done;
    struct http_answer answer;
};

static gpointer
run_pending(gpointer user)
{
    struct pending *p = user;
    p->done = http_client_call(p->client, &p->call, &p->answer, &p->err);
    return NULL;
}

static void
release_block(struct echo *e)
{
    HOLD(&e->lock);
    e->go = true;
    g_cond_broadcast(&e->changed);
}

static void
await_block(struct echo *e)
{
    HOLD(&e->lock);
    while (!e->waiting)
        g_cond_wait(&e->changed, &e->lock);
}

static void
test_abort(void)
{
    struct echo e;
    echo_start(&e, &(struct http_server_config){0});
    struct pending p = {.client = echo_client(&e, NULL), .call = {.method = "GET", .path = "/block", .fd = -1}};
    GThread *t = g_thread_new("pending", run_pending, &p);
    await_block(&e);
    http_client_abort(p.client);
    g_thread_join(t);
    g_assert_false(p.done);
    g_assert_error(p.err, ERR, ERR_CANCELLED);
    g_clear_error(&p.err);
    assert_call_fails(p.client, &p.call, ERR_CANCELLED); /* and so does every later one */
    release_block(&e);
    http_client_free(p.client);
    echo_stop(&e);
}

/* A limit that a machine under load keeps, and a pause that outlasts the server's patience, which is twice the limit. */
enum { LIMIT_S = 3, PAUSE_S = 2 * LIMIT_S + 1 };

static void
outlast(struct echo *e)
{
    gint64 until = g_get_monotonic_time() + PAUSE_S * G_USEC_PER_SEC;
    HOLD(&e->lock);
    while (g_cond_wait_until(&e->changed, &e->lock, until))
        continue;
}

struct patient {
    struct http_call call;
    const char *answer;
    bool tls;
    struct echo e;
    struct pending p;
    GThread *thread;
};

static void
begin_patient(struct patient *t, struct net_identity *id)
{
    echo_start(&t->e, &(struct http_server_config){.timeout_s = LIMIT_S, .identity = t->tls ? id : NULL});
    t->p = (struct pending){.client = echo_client(&t->e, t->tls ? id : NULL), .call = t->call};
    t->thread = g_thread_new("pending", run_pending, &t->p);
    await_block(&t->e);
}

static void
end_patient(struct patient *t)
{
    release_block(&t->e);
    g_thread_join(t->thread);
    g_assert_no_error(t->p.err);
    g_assert_cmpstr(t->p.answer.body, ==, t->answer);
    http_answer_clear(&t->p.answer);
    http_client_free(t->p.client);
    echo_stop(&t->e);
}

/* A handler may take longer than a client may: neither its answer nor what the client still has to send is lost. */
static void
test_slow_handler(void)
{
    struct box b;
    auto_fd fd = zeros(20 << 20), other = zeros(20 << 20);
    struct patient all[] = {
        {.call = {.method = "GET", .path = "/block", .fd = -1}, .answer = "go"},
        {.call = {.method = "GET", .path = "/block", .fd = -1}, .answer = "go", .tls = true},
        {.call = {.method = "PUT", .path = "/lag", .fd = fd, .length = 20 << 20}, .answer = "20971520"},
        {.call = {.method = "PUT", .path = "/lag", .fd = other, .length = 20 << 20}, .answer = "20971520", .tls = true},
    };
    box_open(&b);
    struct net_identity *id = box_identity(&b, "localhost");
    for (guint i = 0; i < G_N_ELEMENTS(all); i++)
        begin_patient(&all[i], id);
    outlast(&all[G_N_ELEMENTS(all) - 1].e); /* the last that began */
    for (guint i = 0; i < G_N_ELEMENTS(all); i++)
        end_patient(&all[i]);
    net_identity_unref(id);
    box_close(&b);
}

static void
restart(struct echo *e)
{
    GError *err = NULL;
    http_server_stop(e->server);
    g_assert_true(http_server_start(e->server, &err));
    g_assert_no_error(err);
}

/* What was kept alive is gone, over and over, and each call is made anew. */
static void
assert_outlives(struct net_identity *id, void (*end)(struct echo *e), guint rounds, guint timeout_s)
{
    struct echo e;
    char question[5000];
    memset(question, 'q', sizeof question);
    echo_start(&e, &(struct http_server_config){.identity = id, .timeout_s = timeout_s});
    struct http_client *c = echo_client(&e, id);
    for (guint i = 0; i < rounds; i++) {
        http_answer_auto got = {0}, post = {0}, put = {0}, stream = {0};
        g_assert_cmpuint(get(c, "GET", "/echo", NULL, 0, &got), ==, 200);
        end(&e);
        g_assert_cmpuint(get(c, "POST", "/echo", question, sizeof question, &post), ==, 200);
        end(&e);
        upload(c, "/sink", 5000, 0, false, NULL, &put);
        g_assert_cmpstr(put.body, ==, "5000");
        end(&e);
        upload(c, "/sink", 1 << 20, 0, true, NULL, &stream);
        g_assert_cmpstr(stream.body, ==, "1048576");
        end(&e);
    }
    http_client_free(c);
    echo_stop(&e);
}

static void
test_restart(void)
{
    struct box b;
    box_open(&b);
    struct net_identity *id = box_identity(&b, "localhost");
    assert_outlives(NULL, restart, 3, 0);
    assert_outlives(id, restart, 3, 0);
    assert_outlives(id, outlast, 1, LIMIT_S);
    net_identity_unref(id);
    box_close(&b);
}

/* Stopping waits for the handler and lets its answer out or cuts it, but never hangs on idle connections. */
static void
test_stop(void)
{
    struct echo e;
    echo_start(&e, &(struct http_server_config){.timeout_s = 1000});
    struct http_client *idle = echo_client(&e, NULL);
    http_answer_auto a = {0};
    g_assert_cmpuint(get(idle, "GET", "/echo", NULL, 0, &a), ==, 200);
    auto_fd mute = echo_connect(&e); /* says nothing at all */
    g_assert_cmpint(mute, >=, 0);
    struct pending p = {.client = echo_client(&e, NULL), .call = {.method = "GET", .path = "/block", .fd = -1}};
    GThread *t = g_thread_new("pending", run_pending, &p);
    await_block(&e);
    release_block(&e);
    http_server_stop(e.server);
    g_thread_join(t);
    g_assert_true(p.done || err_is(p.err, ERR_NETWORK));
    g_clear_error(&p.err);
    http_answer_clear(&p.answer);
    http_server_stop(e.server);
    http_client_free(p.client);
    http_client_free(idle);
    echo_stop(&e);
}

static void
test_port_taken(void)
{
    struct echo e;
    g_autoptr(GError) err = NULL;
    echo_start(&e, &(struct http_server_config){0});
    struct http_server *second = http_server_new(&(struct http_server_config){.address = "127.0.0.1", .port = http_server_port(e.server)});
    g_assert_false(http_server_start(second, &err));
    g_assert_error(err, ERR, ERR_IN_USE);
    http_server_free(second);
    echo_stop(&e);
}

static void
test_ipv6(void)
{
    struct echo e;
    auto_fd probe = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (probe < 0) {
        g_test_skip("this machine has no IPv6");
        return;
    }
    echo_start(&e, &(struct http_server_config){.address = "::"});
    g_autofree char *url = g_strdup_printf("http://127.0.0.1:%u", http_server_port(e.server));
    struct http_client *c = http_client_new(&(struct http_client_config){.url = url}, NULL);
    http_answer_auto a = {0};
    g_assert_cmpuint(get(c, "GET", "/whoami", NULL, 0, &a), ==, 200);
    g_assert_cmpstr(a.body, ==, "127.0.0.1 - - - 0");
    http_client_free(c);
    echo_stop(&e);
}

/* --- Unix sockets --- */

static void
test_unix(void)
{
    struct echo e;
    struct stat st;
    GError *err = NULL;
    g_autofree char *dir = g_dir_make_tmp("vmr-net-XXXXXX", NULL);
    g_autofree char *path = g_build_filename(dir, "api.sock", NULL);
    echo_start(&e, &(struct http_server_config){.address = path, .group = "no-such-group"});
    g_assert_cmpint(stat(path, &st), ==, 0);
    g_assert_cmpuint(st.st_mode & 0777, ==, 0660);
    struct http_client *c = http_client_new(&(struct http_client_config){.url = "http://localhost", .unix_socket = path}, NULL);
    http_answer_auto a = {0};
    g_assert_cmpuint(get(c, "GET", "/whoami", NULL, 0, &a), ==, 200);
    g_autofree char *wanted = g_strdup_printf("unix - - %s %d", getpwuid(getuid())->pw_name, getuid() == 0);
    g_assert_cmpstr(a.body, ==, wanted);

    struct http_server *second = http_server_new(&(struct http_server_config){.address = path});
    g_assert_false(http_server_start(second, &err));
    g_assert_error(err, ERR, ERR_IN_USE);
    g_clear_error(&err);
    http_server_free(second);
    http_client_free(c);
    echo_stop(&e);
    g_assert_cmpint(access(path, F_OK), !=, 0);
    g_assert_true(file_remove_tree(dir, &err));
}

static void
test_unix_stale(void)
{
    struct echo e;
    GError *err = NULL;
    g_autofree char *dir = g_dir_make_tmp("vmr-net-XXXXXX", NULL);
    g_autofree char *path = g_build_filename(dir, "api.sock", NULL);
    echo_start(&e, &(struct http_server_config){.address = path});
    g_autofree char *moved = g_strconcat(path, ".moved", NULL);
    g_assert_cmpint(rename(path, moved), ==, 0); /* what a killed daemon leaves */
    echo_stop(&e);
    g_assert_cmpint(rename(moved, path), ==, 0);
    echo_start(&e, &(struct http_server_config){.address = path});
    echo_stop(&e);

    g_assert_true(file_replace(path, "precious", 8, 0600, &err));
    struct http_server *s = http_server_new(&(struct http_server_config){.address = path});
    g_assert_false(http_server_start(s, &err));
    g_assert_error(err, ERR, ERR_EXISTS);
    g_clear_error(&err);
    http_server_free(s);
    g_assert_cmpint(access(path, F_OK), ==, 0);
    g_assert_true(file_remove_tree(dir, &err));
}

/* One connection serves many calls: the server sees one peer port. */
static void
test_keep_alive(void)
{
    struct echo e;
    echo_start(&e, &(struct http_server_config){.max_connections = 1});
    struct http_client *c = echo_client(&e, NULL);
    for (guint i = 0; i < 50; i++) {
        http_answer_auto a = {0};
        g_assert_cmpuint(get(c, "POST", "/echo", "x", 1, &a), ==, 200);
    }
    http_client_free(c);
    echo_stop(&e);
}

static void
test_rate(void)
{
    struct echo e;
    GError *err = NULL;
    echo_start(&e, &(struct http_server_config){0});
    struct http_client *c = echo_client(&e, NULL);
    auto_fd fd = zeros(600 << 10);
    struct throttle *const limits[] = {throttle_new(G_MAXINT64), throttle_new(400 << 10), NULL};
    struct http_call call = {.method = "PUT", .path = "/sink", .fd = fd, .length = 600 << 10, .limits = limits};
    http_answer_auto a = {0};
    gint64 start = g_get_monotonic_time();
    g_assert_true(http_client_call(c, &call, &a, &err));
    g_assert_cmpstr(a.body, ==, "614400");
    g_assert_cmpint(g_get_monotonic_time() - start, >, 900 * 1000); /* 1.5 s by the limit; the first and last piece are free */
    throttle_free(limits[0]);
    throttle_free(limits[1]);
    http_client_free(c);
    echo_stop(&e);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/http/routes", test_routes);
    g_test_add_func("/http/sizes", test_sizes);
    g_test_add_func("/http/expect", test_expect);
    g_test_add_func("/http/short-file", test_short_file);
    g_test_add_func("/http/streams", test_streams);
    g_test_add_func("/http/streams-tls", test_streams_tls);
    g_test_add_func("/http/cut-upload", test_cut_upload);
    g_test_add_func("/http/client-errors", test_client_errors);
    g_test_add_func("/http/abort", test_abort);
    g_test_add_func("/http/slow-handler", test_slow_handler);
    g_test_add_func("/http/restart", test_restart);
    g_test_add_func("/http/stop", test_stop);
    g_test_add_func("/http/port-taken", test_port_taken);
    g_test_add_func("/http/ipv6", test_ipv6);
    g_test_add_func("/http/unix", test_unix);
    g_test_add_func("/http/unix-stale", test_unix_stale);
    g_test_add_func("/http/keep-alive", test_keep_alive);
    g_test_add_func("/http/rate", test_rate);
    return g_test_run();
}
