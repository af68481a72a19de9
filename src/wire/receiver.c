/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "wire/receiver.h"

#include "base/bytes.h"
#include "base/clean.h"
#include "base/clock.h"
#include "wire/hashes.h"
#include "wire/json.h"

#include <string.h>

#define VMS "/replication/v1/vms"

struct wire_receiver {
    const struct wire_receiver_ops *ops;
    void *user;
    GMutex lock;
    GHashTable *busy; /* set of VM ids (text) with an upload under way; under the lock */
};

/* One upload. */
struct intake {
    struct wire_receiver *receiver;
    char vm[UUID_TEXT];
    void *handle; /* of ops->log_open */
};

/* --- answers --- */

static void
respond_json(struct http_response *r, guint status, char *text)
{
    http_respond(r, status, "application/json", text, strlen(text));
    free(text);
}

static void
respond_error(struct http_response *r, GError *error)
{
    g_autoptr(GError) held = error;
    g_autoptr(GError) unknown = NULL;
    if (!held)
        err_set(&unknown, ERR_FAILED, "The operation failed without saying why.");
    respond_json(r, err_info_of(held ? held : unknown)->http, wire_json_error(held ? held : unknown));
}

static void
respond_status(struct http_response *r, bool done, struct wire_status *status, GError *error)
{
    if (done)
        respond_json(r, 200, wire_json_status(status));
    else
        respond_error(r, error);
    wire_status_clear(status);
}

static void
respond_nothing(struct http_response *r, bool done, GError *error)
{
    if (done)
        http_respond(r, 204, NULL, NULL, 0);
    else
        respond_error(r, error);
}

/* --- paths: /replication/v1/vms/<VM>[/<part>[/<LOG>]] --- */

struct target {
    struct uuid vm, log;
};

static bool
parse_uuid(const char *text, const char *what, struct uuid *out, GError **err)
{
    return (strlen(text) == UUID_TEXT - 1 && uuid_parse(text, out)) || err_set(err, ERR_MALFORMED, "'%s' is no id of a %s.", text, what);
}

/* parts: how many segments follow the VM's id */
static bool
parse_path(const char *path, guint parts, struct target *out, GError **err)
{
    g_auto(GStrv) segments = g_strsplit(path + strlen(VMS "/"), "/", 8);
    if (g_strv_length(segments) != parts + 1)
        return err_set(err, ERR_NOT_FOUND, "There is nothing at '%s'.", path);
    return parse_uuid(segments[0], "guest", &out->vm, err) && (parts < 2 || parse_uuid(segments[2], "change log", &out->log, err));
}

static bool
parse_number(const char *text, const char *what, guint64 most, guint64 *out, GError **err)
{
    *out = 0;
    if (text && (strlen(text) == 0 || strspn(text, "0123456789") != strlen(text) ||
                 !g_ascii_string_to_unsigned(text, 10, 0, most, out, NULL)))
        return err_set(err, ERR_MALFORMED, "The %s '%s' is not a number, or too big.", what, text);
    return true;
}

static bool
read_offer(const struct http_request *q, guint parts, struct wire_offer *offer, GError **err)
{
    struct target t;
    if (!parse_path(q->path, parts, &t, err) || !wire_json_read_offer(q->body, q->body_len, offer, err))
        return false;
    return uuid_equal(&t.vm, &offer->vm) || err_set(err, ERR_MALFORMED, "The ids of the guest in path and body differ.");
}

/* --- handlers --- */

static void
on_hello(void *user, const struct http_request *q, struct http_response *r)
{
    struct wire_receiver *w = user;
    struct wire_hello hello = {0};
    GError *error = NULL;
    const bool done = w->ops->hello(w->user, q->peer, &hello, &error);
    hello.hash_forms = hello.hash_forms ? hello.hash_forms : WIRE_HASH_FORMS;
    if (done)
        respond_json(r, 200, wire_json_hello(&hello, clock_wall_us()));
    else
        respond_error(r, error);
    wire_hello_clear(&hello);
}

static void
on_offer(void *user, const struct http_request *q, struct http_response *r)
{
    struct wire_receiver *w = user;
    struct wire_offer offer = {0};
    struct wire_status status = {0};
    GError *error = NULL;
    bool done = read_offer(q, 0, &offer, &error) && w->ops->offer(w->user, q->peer, &offer, &status, &error);
    respond_status(r, done, &status, error);
    wire_offer_clear(&offer);
}

static void
on_reverse(void *user, const struct http_request *q, struct http_response *r)
{
    struct wire_receiver *w = user;
    struct wire_offer offer = {0};
    struct wire_status status = {0};
    GError *error = NULL;
    bool done = read_offer(q, 1, &offer, &error) && w->ops->reverse(w->user, q->peer, &offer, &status, &error);
    respond_status(r, done, &status, error);
    wire_offer_clear(&offer);
}

static void
on_settings(void *user, const struct http_request *q, struct http_response *r)
{
    struct wire_receiver *w = user;
    struct wire_offer offer = {0};
    GError *error = NULL;
    bool done = read_offer(q, 1, &offer, &error) && w->ops->settings(w->user, q->peer, &offer, &error);
    respond_nothing(r, done, error);
    wire_offer_clear(&offer);
}

static void
on_status(void *user, const struct http_request *q, struct http_response *r)
{
    struct wire_receiver *w = user;
    struct wire_status status = {0};
    struct target t;
    GError *error = NULL;
    bool done = parse_path(q->path, 0, &t, &error) && w->ops->status(w->user, q->peer, &t.vm, &status, &error);
    respond_status(r, done, &status, error);
}

static void
on_withdraw(void *user, const struct http_request *q, struct http_response *r)
{
    struct wire_receiver *w = user;
    struct target t;
    GError *error = NULL;
    bool done = parse_path(q->path, 0, &t, &error) && w->ops->withdraw(w->user, q->peer, &t.vm, &error);
    respond_nothing(r, done, error);
}

/* --- hashes --- */

enum hash_form { HASHES_PLAIN, HASHES_LIST, HASHES_SUMS, HASHES_SHORTS };

struct hash_question {
    struct wire_hash_query query;
    enum hash_form form;
    guint round;
    struct reader rest; /* of the body */
};

static bool
read_form(const struct http_request *q, struct hash_question *out, GError **err)
{
    static const char *const forms[] = {[HASHES_LIST] = "list", [HASHES_SUMS] = "sums", [HASHES_SHORTS] = "shorts"};
    const char *as = http_request_query(q, "as");
    guint64 round;
    out->form = HASHES_PLAIN;
    for (guint i = HASHES_LIST; as && i < G_N_ELEMENTS(forms); i++)
        if (!strcmp(as, forms[i]))
            out->form = i;
    if (as && out->form == HASHES_PLAIN)
        return err_set(err, ERR_MALFORMED, "Hashes cannot be asked for as '%s'.", as);
    if (!parse_number(http_request_query(q, "round"), "round", HASHES_ROUNDS - 1, &round, err))
        return false;
    out->round = (guint)round;
    return true;
}

static bool
read_hash_question(const struct http_request *q, struct hash_question *out, GError **err)
{
    struct target t;
    guint64 disk, count;
    struct wire_hash_query *query = &out->query;
    if (!parse_path(q->path, 2, &t, err) || !parse_number(http_request_query(q, "disk"), "disk", G_MAXUINT16, &disk, err) ||
        !parse_number(http_request_query(q, "page"), "page", G_MAXINT64 / 4096, &query->page, err) ||
        !parse_number(http_request_query(q, "count"), "count", WIRE_MAX_HASHES, &count, err) || !read_form(q, out, err))
        return false;
    if (out->form < HASHES_SUMS ? q->body_len != HASH_SECRET : q->body_len < HASH_SECRET)
        return err_set(err, ERR_MALFORMED, "A key for hashes has %d bytes, not %zu.", HASH_SECRET, q->body_len);
    query->vm = t.vm;
    query->log = t.log;
    query->disk = (guint16)disk;
    query->count = (guint32)count;
    query->key = (const guint8 *)q->body;
    query->mend = !g_strcmp0(http_request_query(q, "mend"), "1");
    out->rest = reader_over(q->body + HASH_SECRET, q->body_len - HASH_SECRET);
    return true;
}

static bool
write_hashes(struct hash_question *q, const struct wire_hashes *h, GByteArray *out, GError **err)
{
    static const struct hash128 none;
    const guint asked = q->query.count, n = h->hashes ? MIN(h->hashes->len, asked) : 0;
    const struct hash128 *there = n ? (const struct hash128 *)(gpointer)h->hashes->data : &none;
    writer_u64(out, h->size);
    switch (q->form) {
    case HASHES_SUMS: return hashes_answer_sums(&q->rest, there, n, asked, q->query.key, out, err);
    case HASHES_SHORTS: return hashes_answer_shorts(&q->rest, there, n, asked, q->round, q->query.key, out, err);
    case HASHES_LIST: hashes_write(out, there, NULL, n); return true;
    default: writer_bytes(out, there, n * sizeof *there); return true;
    }
}

static void
on_hashes(void *user, const struct http_request *q, struct http_response *r)
{
    struct wire_receiver *w = user;
    struct hash_question question = {0};
    struct wire_hashes hashes = {0};
    g_autoptr(GByteArray) body = g_byte_array_new();
    GError *error = NULL;
    if (read_hash_question(q, &question, &error) && w->ops->hashes(w->user, q->peer, &question.query, &hashes, &error) &&
        write_hashes(&question, &hashes, body, &error))
        http_respond(r, 200, "application/octet-stream", body->data, body->len);
    else
        respond_error(r, error);
    wire_hashes_clear(&hashes);
}

/* --- uploads --- */

static bool
claim(struct wire_receiver *w, const char *vm, GError **err)
{
    HOLD(&w->lock);
    return g_hash_table_add(w->busy, g_strdup(vm)) ||
           err_set(err, ERR_IN_USE, "Another change log of guest '%s' is being received; try again later.", vm);
}

static void
release(struct wire_receiver *w, const char *vm)
{
    HOLD(&w->lock);
    g_hash_table_remove(w->busy, vm);
}

static void *
log_begin(void *user, const struct http_request *q, struct http_response *r)
{
    struct wire_receiver *w = user;
    struct intake *in = g_new0(struct intake, 1);
    struct target t;
    guint64 offset;
    GError *error = NULL;
    in->receiver = w;
    if (parse_path(q->path, 2, &t, &error) && parse_number(http_request_query(q, "offset"), "offset", G_MAXINT64, &offset, &error) &&
        claim(w, uuid_format(&t.vm, in->vm), &error)) {
        in->handle = w->ops->log_open(w->user, q->peer, &t.vm, &t.log, offset, &error);
        if (in->handle)
            return in;
        release(w, in->vm);
    }
    g_free(in);
    respond_error(r, error);
    return NULL;
}

static bool
log_chunk(void *stream, const void *data, size_t len, struct http_response *r)
{
    struct intake *in = stream;
    GError *error = NULL;
    if (in->receiver->ops->log_write(in->handle, data, len, &error))
        return true;
    respond_error(r, error);
    return false;
}

static void
log_end(void *stream, bool complete, struct http_response *r)
{
    struct intake *in = stream;
    const struct wire_receiver_ops *ops = in->receiver->ops;
    if (complete) {
        struct wire_status status = {0};
        GError *error = NULL;
        bool done = ops->log_commit(in->handle, &status, &error);
        respond_status(r, done, &status, error);
    }
    ops->log_close(in->handle);
    release(in->receiver, in->vm);
    g_free(in);
}

static const struct http_stream_ops log_stream = {log_begin, log_chunk, log_end};

struct wire_receiver *
wire_receiver_new(struct http_server *server, const struct wire_receiver_ops *ops, void *user)
{
    struct wire_receiver *w = g_new0(struct wire_receiver, 1);
    w->ops = ops;
    w->user = user;
    w->busy = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    g_mutex_init(&w->lock);
    http_server_route(server, "GET", "/replication/v1/hello", on_hello, w);
    http_server_route(server, "PUT", VMS "/*", on_offer, w);
    http_server_route(server, "GET", VMS "/*", on_status, w);
    http_server_route(server, "DELETE", VMS "/*", on_withdraw, w);
    http_server_route(server, "PUT", VMS "/*/settings", on_settings, w);
    http_server_route(server, "PUT", VMS "/*/reverse", on_reverse, w);
    http_server_route(server, "POST", VMS "/*/hashes/*", on_hashes, w);
    http_server_stream(server, "PUT", VMS "/*/logs/*", &log_stream, w);
    return w;
}

void
wire_receiver_free(struct wire_receiver *w)
{
    if (!w)
        return;
    g_hash_table_unref(w->busy);
    g_mutex_clear(&w->lock);
    g_free(w);
}
