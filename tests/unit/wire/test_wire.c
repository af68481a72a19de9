/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/clean.h"
#include "base/clock.h"
#include "base/file.h"
#include "net/http_client.h"
#include "pair.h"

#include <string.h>

static const struct uuid VM = {{1, 2, 3}}, LOG = {{4, 5, 6}};
#define VM_TEXT "01020300-0000-0000-0000-000000000000"
#define LOG_TEXT "04050600-0000-0000-0000-000000000000"

static struct wire_offer
some_offer(void)
{
    struct wire_offer o = {
        .vm = VM, .name = g_strdup("guest"), .primary_host = g_strdup("claimed"), .domain_xml = g_strdup("<domain/>"), .interval_ms = 1000};
    o.disks = g_array_new(FALSE, TRUE, sizeof(struct wire_disk));
    struct wire_disk d = {0, g_strdup("vda"), 4096};
    g_array_append_val(o.disks, d);
    return o;
}

/* A file of `len` bytes that differ from one another. */
static char *
some_log(const struct pair *p, gsize len, char **content)
{
    GError *err = NULL;
    char *path = box_path(&p->box, "log");
    g_autofree char *bytes = g_malloc(len + 1);
    for (gsize i = 0; i < len; i++)
        bytes[i] = (char)(i * 2654435761u >> 13);
    g_assert_true(file_replace(path, bytes, len, 0600, &err));
    if (content)
        *content = g_steal_pointer(&bytes);
    return path;
}

static void
test_conversation(void)
{
    struct pair p;
    GError *err = NULL;
    pair_open(&p);
    struct wire_peer *peer = pair_peer(&p);
    struct wire_offer offer = some_offer();
    struct wire_hello hello;
    struct wire_status status;
    gint64 sent = 0;
    g_autofree char *content = NULL, *path = some_log(&p, 3000000, &content);

    g_assert_true(wire_peer_hello(peer, &hello, &err));
    g_assert_cmpstr(hello.host, ==, "b");
    g_assert_true(hello.recovery_enabled && !hello.authorised);
    g_assert_cmpint(ABS(hello.skew_us), <, 2 * G_USEC_PER_SEC);
    wire_hello_clear(&hello);
    g_assert_true(wire_peer_offer(peer, &offer, &status, &err));
    g_assert_cmpuint(status.epoch, ==, 9);
    g_assert_false(status.has_part);
    wire_status_clear(&status);
    g_assert_true(wire_peer_reverse(peer, &offer, &status, &err));
    wire_status_clear(&status);
    g_assert_true(wire_peer_settings(peer, &offer, &err));
    g_assert_true(wire_peer_send_log(peer, &VM, &LOG, path, 0, NULL, &sent, &status, &err));
    g_assert_cmpint(sent, ==, 3000000);
    g_assert_cmpuint(status.part_bytes, ==, 3000000);
    wire_status_clear(&status);
    g_assert_true(wire_peer_status(peer, &VM, &status, &err));
    wire_status_clear(&status);
    g_assert_true(wire_peer_withdraw(peer, &VM, &err));
    g_assert_no_error(err);

    g_autofree char *record = pair_take_record(&p);
    g_assert_cmpstr(record, ==,
                    "a.example: hello\n"
                    "a.example: offer " VM_TEXT " 'guest' 1 disks\n"
                    "a.example: reverse " VM_TEXT " from nothing\n"
                    "a.example: settings interval 1000\n"
                    "a.example: open " VM_TEXT " " LOG_TEXT " at 0\n"
                    "commit 3000000\n"
                    "close\n"
                    "a.example: status " VM_TEXT "\n"
                    "a.example: withdraw " VM_TEXT "\n");
    g_assert_cmpmem(p.held->data, p.held->len, content, 3000000);
    wire_offer_clear(&offer);
    wire_peer_free(peer);
    pair_close(&p);
}

/* The link breaks after half the log; the sender asks where it stopped and goes on there. */
static void
test_hashes(void)
{
    struct pair p;
    g_autoptr(GError) err = NULL;
    guint8 key[HASH_SECRET];
    struct wire_hashes h;
    pair_open(&p);
    struct wire_peer *peer = pair_peer(&p);
    for (guint i = 0; i < sizeof key; i++)
        key[i] = (guint8)(i * 37 + 1);
    struct wire_hash_query q = {VM, LOG, 3, 2, 100, key, false, NULL};
    g_assert_true(wire_peer_hashes(peer, &q, &h, &err));
    g_assert_cmpuint(h.size, ==, 5 * 4096);
    g_assert_cmpuint(h.hashes->len, ==, 3);
    for (guint64 page = 2; page < 5; page++) {
        const struct hash128 want = hash128_keyed(&page, sizeof page, key);
        g_assert_cmpmem(&g_array_index(h.hashes, struct hash128, page - 2), 16, &want, 16);
    }
    wire_hashes_clear(&h);
    q.count = WIRE_MAX_HASHES + 1;
    g_assert_false(wire_peer_hashes(peer, &q, &h, &err));
    g_assert_error(err, ERR, ERR_MALFORMED);
    g_clear_error(&err);
    q.count = 1;
    p.fail = FAIL_STATUS;
    p.code = ERR_OUT_OF_SEQUENCE;
    g_assert_false(wire_peer_hashes(peer, &q, &h, &err));
    g_assert_error(err, ERR, ERR_OUT_OF_SEQUENCE);
    wire_peer_free(peer);
    pair_close(&p);
}

static void
test_resume(void)
{
    struct pair p;
    g_autoptr(GError) err = NULL;
    guint port;
    pair_open(&p);
    const gsize len = 5000000;
    g_autofree char *content = NULL, *path = some_log(&p, len, &content);
    struct wire_status status;

    struct cutter *cutter = cutter_new(http_server_port(p.server), len / 2, &port);
    struct wire_peer *broken = wire_peer_new("localhost", port, p.a, &err);
    g_assert_false(wire_peer_send_log(broken, &VM, &LOG, path, 0, NULL, NULL, &status, &err));
    g_test_message("%s", err->message);
    g_assert_error(err, ERR, ERR_NETWORK);
    g_clear_error(&err);
    wire_peer_free(broken);
    cutter_free(cutter);
    pair_await_closes(&p, 1);

    struct wire_peer *peer = pair_peer(&p);
    g_assert_true(wire_peer_status(peer, &VM, &status, &err));
    guint64 part = status.part_bytes;
    g_assert_true(status.has_part);
    g_assert_cmpuint(part, >, 0);
    g_assert_cmpuint(part, <, len);
    wire_status_clear(&status);
    while (!wire_peer_send_log(peer, &VM, &LOG, path, 0, NULL, NULL, &status, &err) && err_is(err, ERR_IN_USE))
        g_clear_error(&err); /* the broken upload is closed, and about to let the next one in */
    g_assert_error(err, ERR, ERR_OUT_OF_SEQUENCE);
    g_clear_error(&err);
    g_assert_true(wire_peer_send_log(peer, &VM, &LOG, path, part, NULL, NULL, &status, &err));
    g_assert_cmpuint(status.part_bytes, ==, len);
    wire_status_clear(&status);
    g_assert_cmpmem(p.held->data, p.held->len, content, len);
    g_assert_false(wire_peer_send_log(peer, &VM, &LOG, path, len + 1, NULL, NULL, &status, &err));
    g_assert_error(err, ERR, ERR_OUT_OF_SEQUENCE);

    g_autofree char *wanted = g_strdup_printf("a.example: open " VM_TEXT " " LOG_TEXT " at 0\nclose\n"
                                              "a.example: status " VM_TEXT "\n"
                                              "a.example: open " VM_TEXT " " LOG_TEXT " at 0\n"
                                              "a.example: open " VM_TEXT " " LOG_TEXT " at %" G_GUINT64_FORMAT "\ncommit 5000000\nclose\n",
                                              part);
    g_autofree char *record = pair_take_record(&p);
    g_assert_cmpstr(record, ==, wanted);
    wire_peer_free(peer);
    pair_close(&p);
}

static void
test_every_error(void)
{
    struct pair p;
    pair_open(&p);
    struct wire_peer *peer = pair_peer(&p);
    p.fail = FAIL_STATUS;
    for (enum err_code code = 0; code < ERR_COUNT; code++) {
        g_autoptr(GError) err = NULL;
        struct wire_status status;
        p.code = code;
        g_assert_false(wire_peer_status(peer, &VM, &status, &err));
        g_assert_error(err, ERR, (gint)code);
        g_assert_nonnull(strstr(err->message, err_info(code)->id));
    }
    wire_peer_free(peer);
    pair_close(&p);
}

/* Wherever the receiver says no, the sender of 64 MiB hears why, and the next upload goes through. */
static void
test_refused_upload(void)
{
    static const struct {
        enum pair_fail where;
        enum err_code code;
        const char *record;
    } cases[] = {
        {FAIL_OPEN, ERR_FAILED_OVER, "a.example: open " VM_TEXT " " LOG_TEXT " at 0\n"},
        {FAIL_WRITE, ERR_NO_SPACE, "a.example: open " VM_TEXT " " LOG_TEXT " at 0\nclose\n"},
        {FAIL_COMMIT, ERR_CORRUPT, "a.example: open " VM_TEXT " " LOG_TEXT " at 0\ncommit 67108864\nclose\n"},
    };
    struct pair p;
    struct wire_status status;
    pair_open(&p);
    g_autofree char *path = some_log(&p, 64 << 20, NULL);
    struct wire_peer *peer = pair_peer(&p);
    for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(GError) err = NULL;
        p.fail = cases[i].where;
        p.code = cases[i].code;
        p.fail_after = 1 << 20;
        g_byte_array_set_size(p.held, 0);
        g_assert_false(wire_peer_send_log(peer, &VM, &LOG, path, 0, NULL, NULL, &status, &err));
        g_test_message("%s", err->message);
        g_assert_error(err, ERR, (gint)cases[i].code);
        g_autofree char *record = pair_take_record(&p);
        g_assert_cmpstr(record, ==, cases[i].record);
    }
    g_autoptr(GError) err = NULL;
    p.fail = FAIL_NEVER;
    g_byte_array_set_size(p.held, 0);
    g_assert_true(wire_peer_send_log(peer, &VM, &LOG, path, 0, NULL, NULL, &status, &err));
    wire_status_clear(&status);
    wire_peer_free(peer);
    pair_close(&p);
}

struct sending {
    struct pair *pair;
    struct wire_peer *peer;
    const char *path;
    GError *err;
    bool done;
};

static gpointer
run_sending(gpointer user)
{
    struct sending *s = user;
    struct wire_status status;
    s->done = wire_peer_send_log(s->peer, &VM, &LOG, s->path, 0, NULL, NULL, &status, &s->err);
    wire_status_clear(&status);
    return NULL;
}

static void
await_blocked(struct pair *p)
{
    HOLD(&p->lock);
    while (!p->blocked)
        g_cond_wait(&p->changed, &p->lock);
}

/* While one upload hangs in the receiver: a second for the same guest is refused, and the first can be given up. */
static void
test_busy_and_abort(void)
{
    struct pair p;
    g_autoptr(GError) err = NULL;
    struct wire_status status;
    pair_open(&p);
    p.block = true;
    g_autofree char *path = some_log(&p, 32 << 20, NULL);
    struct sending first = {.pair = &p, .peer = pair_peer(&p), .path = path};
    struct wire_peer *second = pair_peer(&p);
    GThread *t = g_thread_new("sending", run_sending, &first);
    await_blocked(&p);
    g_assert_false(wire_peer_send_log(second, &VM, &LOG, path, 0, NULL, NULL, &status, &err));
    g_assert_error(err, ERR, ERR_IN_USE);
    g_clear_error(&err);
    wire_peer_abort(first.peer);
    g_thread_join(t);
    g_assert_false(first.done);
    g_assert_error(first.err, ERR, ERR_CANCELLED);
    g_clear_error(&first.err);
    pair_unblock(&p);
    wire_peer_free(first.peer);
    pair_await_closes(&p, 1);
    g_autofree char *record = pair_take_record(&p);
    g_assert_cmpstr(record, ==, "a.example: open " VM_TEXT " " LOG_TEXT " at 0\nclose\n");
    wire_peer_free(second);
    pair_close(&p);
}

/* Both ends share a clock here; the receiver jumps 8 s ahead while it answers, so half of it is seen as the way there. */
static void
test_skew(void)
{
    struct pair p;
    g_autoptr(GError) err = NULL;
    struct wire_hello hello;
    pair_open(&p);
    struct wire_peer *peer = pair_peer(&p);
    p.shift_us = 8 * G_USEC_PER_SEC;
    g_assert_true(wire_peer_hello(peer, &hello, &err));
    g_assert_cmpint(hello.skew_us, >, 2 * G_USEC_PER_SEC);
    g_assert_cmpint(hello.skew_us, <, 6 * G_USEC_PER_SEC);
    clock_shift_for_test(0, 0);
    wire_hello_clear(&hello);
    wire_peer_free(peer);
    pair_close(&p);
}

static void
test_rate(void)
{
    struct pair p;
    g_autoptr(GError) err = NULL;
    struct wire_status status;
    pair_open(&p);
    struct wire_peer *peer = pair_peer(&p);
    g_autofree char *path = some_log(&p, 600 << 10, NULL);
    struct throttle *const limits[] = {throttle_new(400 << 10), NULL};
    gint64 start = g_get_monotonic_time();
    g_assert_true(wire_peer_send_log(peer, &VM, &LOG, path, 0, limits, NULL, &status, &err));
    g_assert_cmpint(g_get_monotonic_time() - start, >, 900 * 1000);
    throttle_free(limits[0]);
    wire_status_clear(&status);
    wire_peer_free(peer);
    pair_close(&p);
}

static void
test_strangers(void)
{
    struct pair p;
    struct box rogue;
    g_autoptr(GError) err = NULL;
    struct wire_hello hello;
    pair_open(&p);
    box_open(&rogue);
    struct net_identity *id = box_stranger(&rogue, &p.box, "a.example"); /* trusts the receiver, who does not trust it */
    struct wire_peer *peer = wire_peer_new("localhost", http_server_port(p.server), id, &err);
    g_assert_false(wire_peer_hello(peer, &hello, &err));
    g_test_message("%s", err->message);
    g_assert_error(err, ERR, ERR_PEER_REFUSED);
    g_assert_nonnull(strstr(err->message, "not signed by a trusted CA"));
    g_clear_error(&err);
    g_assert_cmpstr(p.record->str, ==, "");
    wire_peer_free(peer);
    net_identity_unref(id);

    id = box_identity(&rogue, "b.example"); /* and does not trust the receiver either */
    peer = wire_peer_new("localhost", http_server_port(p.server), id, &err);
    g_assert_false(wire_peer_hello(peer, &hello, &err));
    g_assert_error(err, ERR, ERR_PEER_REFUSED);
    wire_peer_free(peer);
    net_identity_unref(id);
    box_close(&rogue);
    pair_close(&p);
}

/* --- requests that no peer of ours sends --- */

static void
test_odd_requests(void)
{
    static const struct {
        const char *method, *path, *body;
        guint status;
    } cases[] = {
        {"GET", "/replication/v1/vms/nonsense", NULL, 400},
        {"GET", "/replication/v1/vms/{" VM_TEXT "}", NULL, 400},
        {"GET", "/replication/v1/vms/" VM_TEXT "/more", NULL, 404},
        {"PUT", "/replication/v1/vms/" VM_TEXT, "junk", 400},
        {"PUT", "/replication/v1/vms/" VM_TEXT,
         "{\"vm\":\"" LOG_TEXT "\",\"name\":\"\",\"primary_host\":\"\",\"domain_xml\":\"\",\"epoch\":0,"
         "\"interval_ms\":0,\"history\":0,\"keep_every_s\":0,\"app_interval_h\":0,\"disks\":[]}",
         400},
        {"PUT", "/replication/v1/vms/" VM_TEXT "/logs/" LOG_TEXT "?offset=-1", "x", 400},
        {"PUT", "/replication/v1/vms/" VM_TEXT "/logs/" LOG_TEXT "?offset=", "x", 400},
        {"PUT", "/replication/v1/vms/" VM_TEXT "/logs/" LOG_TEXT "?offset=99999999999999999999", "x", 400},
        {"PUT", "/replication/v1/vms/" VM_TEXT "/logs/nonsense", "x", 400},
        {"PUT", "/replication/v1/vms/" VM_TEXT "/logs/" LOG_TEXT "/more", "x", 404},
        {"POST", "/replication/v1/vms/" VM_TEXT "/hashes/" LOG_TEXT "?disk=0&page=0&count=9", "short", 400},
        {"POST", "/replication/v1/vms/" VM_TEXT "/hashes/" LOG_TEXT "?disk=0&page=0&count=9&as=sums", "short", 400},
        {"POST", "/replication/v1/vms/" VM_TEXT "/hashes/" LOG_TEXT "?disk=0&page=0&count=9&as=nonsense", "short", 400},
        {"POST", "/replication/v1/vms/" VM_TEXT "/hashes/" LOG_TEXT "?disk=0&page=0&count=9&as=shorts&round=4", "short", 400},
        {"POST", "/replication/v1/hello", "x", 405},
        {"GET", "/wsman", NULL, 404},
    };
    struct pair p;
    GError *err = NULL;
    pair_open(&p);
    g_autofree char *url = g_strdup_printf("https://localhost:%u", http_server_port(p.server));
    struct http_client *c = http_client_new(&(struct http_client_config){.url = url, .identity = p.a}, &err);
    for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
        http_answer_auto a = {0};
        struct http_call call = {.method = cases[i].method,
                                 .path = cases[i].path,
                                 .body = cases[i].body,
                                 .length = cases[i].body ? strlen(cases[i].body) : 0,
                                 .fd = -1};
        g_assert_true(http_client_call(c, &call, &a, &err));
        g_test_message("case %u: %u %s", i, a.status, a.body);
        g_assert_cmpuint(a.status, ==, cases[i].status);
    }
    g_autofree char *record = pair_take_record(&p);
    g_assert_cmpstr(record, ==, ""); /* none of them reached an operation */
    http_client_free(c);
    pair_close(&p);
}

static void
on_odd_answer(void *user, const struct http_request *q, struct http_response *r)
{
    const char *body = user;
    http_respond(r, (guint)atoi(body), "text/html", body + 4, strlen(body + 4));
}

static void
test_odd_answers(void)
{
    static const struct {
        const char *answer; /* status, blank, body */
        enum err_code code;
    } cases[] = {
        {"200 <html>", ERR_MALFORMED},
        {"200 ", ERR_MALFORMED},
        {"200 {\"host\":\"b\"}", ERR_MALFORMED},
        {"404 <html>", ERR_FAILED},
        {"403 <html>", ERR_PEER_REFUSED},
        {"500 <html>", ERR_NETWORK},
        {"503 ", ERR_NETWORK},
        {"302 ", ERR_FAILED},
        {"413 ", ERR_TOO_BIG},
    };
    struct box b;
    box_open(&b);
    struct net_identity *id = box_identity(&b, "localhost");
    for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(GError) err = NULL;
        struct wire_hello hello;
        struct http_server *s = http_server_new(&(struct http_server_config){.address = "127.0.0.1", .identity = id});
        http_server_route(s, "GET", "/", on_odd_answer, (void *)(gsize)cases[i].answer);
        g_assert_true(http_server_start(s, &err));
        struct wire_peer *peer = wire_peer_new("localhost", http_server_port(s), id, &err);
        g_assert_false(wire_peer_hello(peer, &hello, &err));
        g_test_message("%s", err->message);
        g_assert_error(err, ERR, (gint)cases[i].code);
        g_assert_nonnull(strstr(err->message, "localhost"));
        wire_peer_free(peer);
        http_server_free(s);
    }
    g_autoptr(GError) err = NULL;
    g_assert_null(wire_peer_new("host/evil", 0, id, &err));
    g_assert_error(err, ERR, ERR_INVALID_PARAMETER);
    net_identity_unref(id);
    box_close(&b);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/wire/conversation", test_conversation);
    g_test_add_func("/wire/hashes", test_hashes);
    g_test_add_func("/wire/resume", test_resume);
    g_test_add_func("/wire/every-error", test_every_error);
    g_test_add_func("/wire/refused-upload", test_refused_upload);
    g_test_add_func("/wire/busy-and-abort", test_busy_and_abort);
    g_test_add_func("/wire/skew", test_skew);
    g_test_add_func("/wire/rate", test_rate);
    g_test_add_func("/wire/strangers", test_strangers);
    g_test_add_func("/wire/odd-requests", test_odd_requests);
    g_test_add_func("/wire/odd-answers", test_odd_answers);
    return g_test_run();
}
