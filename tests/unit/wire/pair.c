/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "pair.h"
#include "patience.h"

#include "base/clean.h"
#include "base/clock.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>

/* --- operations --- */

static void G_GNUC_PRINTF(3, 4) note(struct pair *p, const struct net_peer *peer, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    HOLD(&p->lock);
    if (peer)
        g_string_append_printf(p->record, "%s: ", peer->names[0]);
    g_string_append_vprintf(p->record, format, args);
    g_string_append_c(p->record, '\n');
    va_end(args);
}

static bool
fails(struct pair *p, enum pair_fail where, GError **err)
{
    HOLD(&p->lock);
    return p->fail == where && !err_set(err, p->code, "Refused by the test, as '%s'.", err_info(p->code)->id);
}

static void
fill(const struct pair *p, struct wire_status *out)
{
    *out = (struct wire_status){
        .epoch = 9, .host = g_strdup("b"), .state = g_strdup("ready"), .has_part = p->held->len > 0, .part_bytes = p->held->len};
}

static bool
op_hello(void *user, const struct net_peer *peer, struct wire_hello *out, GError **err)
{
    struct pair *p = user;
    note(p, peer, "hello");
    if (p->shift_us)
        clock_shift_for_test(p->shift_us, 0);
    *out = (struct wire_hello){.host = g_strdup("b"), .recovery_enabled = true, .authorised = false, .hash_forms = p->hash_forms};
    return true;
}

static bool
op_offer(void *user, const struct net_peer *peer, const struct wire_offer *offer, struct wire_status *out, GError **err)
{
    char text[UUID_TEXT];
    note(user, peer, "offer %s '%s' %u disks", uuid_format(&offer->vm, text), offer->name, offer->disks->len);
    fill(user, out);
    return true;
}

static bool
op_reverse(void *user, const struct net_peer *peer, const struct wire_offer *offer, struct wire_status *out, GError **err)
{
    char text[UUID_TEXT];
    note(user, peer, "reverse %s from %s", uuid_format(&offer->vm, text), offer->has_head ? "a log" : "nothing");
    fill(user, out);
    return true;
}

static bool
op_settings(void *user, const struct net_peer *peer, const struct wire_offer *offer, GError **err)
{
    note(user, peer, "settings interval %u", offer->interval_ms);
    return true;
}

/* A disk of five pages; the hash of a page is made of its number and the key. */
static bool
op_hashes(void *user, const struct net_peer *peer, const struct wire_hash_query *q, struct wire_hashes *out, GError **err)
{
    const struct pair *p = user;
    note(user, peer, "hashes disk %u", q->disk);
    if (fails(user, FAIL_STATUS, err))
        return false;
    out->hashes = g_array_new(FALSE, FALSE, sizeof(struct hash128));
    out->size = (p->there ? p->pages : 5) * 4096;
    if (p->there) {
        const guint64 first = MIN(q->page, p->pages);
        g_array_append_vals(out->hashes, p->there + first, (guint)MIN(q->count, p->pages - first));
        return true;
    }
    for (guint64 page = q->page; page < MIN(5, q->page + q->count); page++) {
        const struct hash128 h = hash128_keyed(&page, sizeof page, q->key);
        g_array_append_val(out->hashes, h);
    }
    return true;
}

static bool
op_status(void *user, const struct net_peer *peer, const struct uuid *vm, struct wire_status *out, GError **err)
{
    char text[UUID_TEXT];
    note(user, peer, "status %s", uuid_format(vm, text));
    if (fails(user, FAIL_STATUS, err))
        return false;
    fill(user, out);
    return true;
}

static bool
op_withdraw(void *user, const struct net_peer *peer, const struct uuid *vm, GError **err)
{
    char text[UUID_TEXT];
    note(user, peer, "withdraw %s", uuid_format(vm, text));
    return true;
}

static void *
op_open(void *user, const struct net_peer *peer, const struct uuid *vm, const struct uuid *log, guint64 offset, GError **err)
{
    struct pair *p = user;
    char vm_text[UUID_TEXT], log_text[UUID_TEXT];
    note(p, peer, "open %s %s at %" G_GUINT64_FORMAT, uuid_format(vm, vm_text), uuid_format(log, log_text), offset);
    if (fails(p, FAIL_OPEN, err))
        return NULL;
    HOLD(&p->lock);
    if (offset == p->held->len)
        return p;
    err_set(err, ERR_OUT_OF_SEQUENCE, "The log is here up to byte %u.", p->held->len);
    return NULL;
}

static bool
op_write(void *intake, const void *data, size_t len, GError **err)
{
    struct pair *p = intake;
    g_mutex_lock(&p->lock);
    g_byte_array_append(p->held, data, (guint)len);
    p->blocked = true;
    g_cond_broadcast(&p->changed);
    while (p->block)
        g_cond_wait(&p->changed, &p->lock);
    bool far = p->held->len > p->fail_after;
    g_mutex_unlock(&p->lock);
    return !far || !fails(p, FAIL_WRITE, err);
}

static bool
op_commit(void *intake, struct wire_status *out, GError **err)
{
    struct pair *p = intake;
    note(p, NULL, "commit %u", p->held->len);
    if (fails(p, FAIL_COMMIT, err))
        return false;
    fill(p, out);
    return true;
}

static void
op_close(void *intake)
{
    struct pair *p = intake;
    note(p, NULL, "close");
    HOLD(&p->lock);
    p->closes++;
    g_cond_broadcast(&p->changed);
}

static const struct wire_receiver_ops ops = {
    .hello = op_hello, .offer = op_offer, .reverse = op_reverse, .settings = op_settings, .status = op_status, .withdraw = op_withdraw,
    .hashes = op_hashes,
    .log_open = op_open, .log_write = op_write, .log_commit = op_commit, .log_close = op_close,
};

/* --- the pair --- */

void
pair_open(struct pair *p)
{
    GError *err = NULL;
    *p = (struct pair){0};
    box_open(&p->box);
    p->a = box_identity(&p->box, "a.example");
    p->b = box_identity(&p->box, "localhost");
    g_mutex_init(&p->lock);
    g_cond_init(&p->changed);
    p->record = g_string_new(NULL);
    p->held = g_byte_array_new();
    p->server = http_server_new(&(struct http_server_config){.address = "127.0.0.1",
                                                             .identity = p->b,
                                                             .require_client_cert = true,
                                                             .tls13_only = true,
                                                             .max_body = WIRE_MAX_BODY,
                                                             .timeout_s = 20});
    p->receiver = wire_receiver_new(p->server, &ops, p);
    g_assert_true(http_server_start(p->server, &err));
    g_assert_no_error(err);
}

void
pair_close(struct pair *p)
{
    http_server_free(p->server);
    wire_receiver_free(p->receiver);
    net_identity_unref(p->a);
    net_identity_unref(p->b);
    box_close(&p->box);
    g_string_free(p->record, TRUE);
    g_byte_array_unref(p->held);
    g_mutex_clear(&p->lock);
    g_cond_clear(&p->changed);
}

struct wire_peer *
pair_peer(const struct pair *p)
{
    GError *err = NULL;
    struct wire_peer *peer = wire_peer_new("localhost", http_server_port(p->server), p->a, &err);
    g_assert_no_error(err);
    return peer;
}

void
pair_await_closes(struct pair *p, guint closes)
{
    gint64 until = g_get_monotonic_time() + PATIENCE_S * (gint64)G_USEC_PER_SEC;
    HOLD(&p->lock);
    while (p->closes < closes)
        g_assert_true(g_cond_wait_until(&p->changed, &p->lock, until));
}

void
pair_unblock(struct pair *p)
{
    HOLD(&p->lock);
    p->block = false;
    g_cond_broadcast(&p->changed);
}

char *
pair_take_record(struct pair *p)
{
    HOLD(&p->lock);
    char *text = g_string_free(p->record, FALSE);
    p->record = g_string_new(NULL);
    return text;
}

/* --- a link that breaks --- */

struct cutter {
    int listener, quit[2];
    guint port;
    guint64 left;
    guint64 bytes; /* atomic */
    GThread *thread;
};

static bool
forward(struct cutter *c, int from, int to, guint64 *left)
{
    char buffer[8192];
    ssize_t n = recv(from, buffer, MIN(sizeof buffer, left ? *left : sizeof buffer), 0);
    if (n <= 0 || send(to, buffer, (size_t)n, MSG_NOSIGNAL) != n)
        return false;
    __atomic_add_fetch(&c->bytes, (guint64)n, __ATOMIC_RELAXED);
    if (left)
        *left -= (guint64)n;
    return !left || *left > 0;
}

static void
serve_one(struct cutter *c, int client)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons((guint16)c->port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    auto_fd server = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct pollfd p[3] = {{client, POLLIN, 0}, {server, POLLIN, 0}, {c->quit[0], POLLIN, 0}};
    struct linger reset = {1, 0};
    g_assert_cmpint(connect(server, (struct sockaddr *)&at, sizeof at), ==, 0);
    bool alive = true;
    while (alive && poll(p, 3, -1) > 0 && !p[2].revents)
        alive = (!p[0].revents || forward(c, client, server, &c->left)) && (!p[1].revents || forward(c, server, client, NULL));
    setsockopt(client, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
}

static gpointer
cutter_run(gpointer user)
{
    struct cutter *c = user;
    struct pollfd p[2] = {{c->listener, POLLIN, 0}, {c->quit[0], POLLIN, 0}};
    while (c->left > 0 && poll(p, 2, -1) > 0 && !p[1].revents) {
        auto_fd client = accept(c->listener, NULL, NULL);
        serve_one(c, client);
    }
    clean_fd(&c->listener);
    return NULL;
}

struct cutter *
cutter_new(guint port, guint64 limit, guint *own_port)
{
    struct cutter *c = g_new0(struct cutter, 1);
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof at;
    c->port = port;
    c->left = limit;
    c->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    g_assert_cmpint(bind(c->listener, (struct sockaddr *)&at, len), ==, 0);
    g_assert_cmpint(listen(c->listener, 8), ==, 0);
    g_assert_cmpint(getsockname(c->listener, (struct sockaddr *)&at, &len), ==, 0);
    g_assert_cmpint(pipe(c->quit), ==, 0);
    *own_port = ntohs(at.sin_port);
    c->thread = g_thread_new("cutter", cutter_run, c);
    return c;
}

guint64
cutter_bytes(struct cutter *c)
{
    return __atomic_load_n(&c->bytes, __ATOMIC_RELAXED);
}

void
cutter_free(struct cutter *c)
{
    g_assert_cmpint(write(c->quit[1], "q", 1), ==, 1);
    g_thread_join(c->thread);
    close(c->quit[0]);
    close(c->quit[1]);
    g_free(c);
}
