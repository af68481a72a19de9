/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "wire/peer.h"

#include "base/bytes.h"
#include "base/clean.h"
#include "base/clock.h"
#include "net/http_client.h"
#include "log/format.h"
#include "wire/hashes.h"
#include "wire/json.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#define SHOWN 200 /* characters of an answer that is not ours, quoted in the error */

struct wire_peer {
    char *host;
    struct http_client *http;
    guint hash_forms; /* 0: it has not said */
    bool dense;       /* most groups of the last guess were wrong */
};

struct wire_peer *
wire_peer_new(const char *host, guint port, const struct net_identity *identity, GError **err)
{
    bool v6 = strchr(host, ':') != NULL;
    if (*host == '\0' || strpbrk(host, "/@?#% \t\r\n[]")) {
        err_set(err, ERR_INVALID_PARAMETER, "'%s' is no host name.", host);
        return NULL;
    }
    g_autofree char *url = g_strdup_printf(v6 ? "https://[%s]:%u" : "https://%s:%u", host, port ? port : WIRE_PORT);
    struct http_client_config config = {
        .url = url, .identity = identity, .tls13_only = true, .stall_s = WIRE_STALL_S, .max_answer = WIRE_MAX_BODY};
    struct http_client *http = http_client_new(&config, err);
    if (!http)
        return NULL;
    struct wire_peer *p = g_new0(struct wire_peer, 1);
    p->host = g_strdup(host);
    p->http = http;
    return p;
}

void
wire_peer_free(struct wire_peer *p)
{
    if (!p)
        return;
    http_client_free(p->http);
    g_free(p->host);
    g_free(p);
}

void
wire_peer_abort(struct wire_peer *p)
{
    http_client_abort(p->http);
}

/* --- one exchange --- */

static bool
explain(const struct wire_peer *p, const struct http_answer *a, GError **err)
{
    if (wire_json_read_error(a->body, a->len, p->host, err))
        return false;
    g_autofree char *start = g_strndup(a->body, SHOWN);
    g_autofree char *shown = g_utf8_make_valid(g_strstrip(start), -1);
    enum err_code code = a->status == 401 || a->status == 403 ? ERR_PEER_REFUSED
                         : a->status >= 500                   ? ERR_NETWORK
                         : a->status == 413                   ? ERR_TOO_BIG
                                                              : ERR_FAILED;
    return err_set(err, code, "'%s' answers with HTTP status %u%s%s", p->host, a->status, *shown ? ": " : ".", shown);
}

static bool
exchange(struct wire_peer *p, const struct http_call *call, struct http_answer *out, GError **err)
{
    if (!http_client_call(p->http, call, out, err))
        return false;
    return (out->status >= 200 && out->status < 300) || explain(p, out, err);
}

static bool
malformed(const struct wire_peer *p, GError **err)
{
    g_prefix_error(err, "The answer of '%s' cannot be understood.  ", p->host);
    return false;
}

static char *
vm_path(const struct uuid *vm, const char *tail)
{
    char text[UUID_TEXT];
    return g_strconcat("/replication/v1/vms/", uuid_format(vm, text), tail, NULL);
}

static bool
get_status(struct wire_peer *p, const struct http_call *call, struct wire_status *out, GError **err)
{
    http_answer_auto answer = {0};
    *out = (struct wire_status){0};
    if (!exchange(p, call, &answer, err))
        return false;
    return wire_json_read_status(answer.body, answer.len, out, err) || malformed(p, err);
}

static const char *const json_fields[] = {"Content-Type: application/json", NULL};

bool
wire_peer_hello(struct wire_peer *p, struct wire_hello *out, GError **err)
{
    http_answer_auto answer = {0};
    struct http_call call = HTTP_CALL_INIT;
    gint64 theirs = 0, before = clock_wall_us();
    *out = (struct wire_hello){0};
    call.method = "GET";
    call.path = "/replication/v1/hello";
    if (!exchange(p, &call, &answer, err))
        return false;
    gint64 after = clock_wall_us();
    if (!wire_json_read_hello(answer.body, answer.len, out, &theirs, err))
        return malformed(p, err);
    out->skew_us = theirs - (before + (after - before) / 2); /* right to within half the round trip */
    p->hash_forms = out->hash_forms;
    return true;
}

bool
wire_peer_offer(struct wire_peer *p, const struct wire_offer *offer, struct wire_status *out, GError **err)
{
    g_autofree char *path = vm_path(&offer->vm, "");
    g_autofree char *body = wire_json_offer(offer);
    struct http_call call = {.method = "PUT", .path = path, .headers = json_fields, .body = body, .length = strlen(body), .fd = -1};
    return get_status(p, &call, out, err);
}

bool
wire_peer_reverse(struct wire_peer *p, const struct wire_offer *offer, struct wire_status *out, GError **err)
{
    g_autofree char *path = vm_path(&offer->vm, "/reverse");
    g_autofree char *body = wire_json_offer(offer);
    struct http_call call = {.method = "PUT", .path = path, .headers = json_fields, .body = body, .length = strlen(body), .fd = -1};
    return get_status(p, &call, out, err);
}

bool
wire_peer_settings(struct wire_peer *p, const struct wire_offer *offer, GError **err)
{
    http_answer_auto answer = {0};
    g_autofree char *path = vm_path(&offer->vm, "/settings");
    g_autofree char *body = wire_json_offer(offer);
    struct http_call call = {.method = "PUT", .path = path, .headers = json_fields, .body = body, .length = strlen(body), .fd = -1};
    return exchange(p, &call, &answer, err);
}

bool
wire_peer_status(struct wire_peer *p, const struct uuid *vm, struct wire_status *out, GError **err)
{
    g_autofree char *path = vm_path(vm, "");
    struct http_call call = {.method = "GET", .path = path, .fd = -1};
    return get_status(p, &call, out, err);
}

bool
wire_peer_withdraw(struct wire_peer *p, const struct uuid *vm, GError **err)
{
    http_answer_auto answer = {0};
    g_autofree char *path = vm_path(vm, "");
    struct http_call call = {.method = "DELETE", .path = path, .fd = -1};
    return exchange(p, &call, &answer, err);
}

bool
wire_peer_send_log(struct wire_peer *p, const struct uuid *vm, const struct uuid *log, const char *path, guint64 offset,
                   struct throttle *const *limits, gint64 *sent, struct wire_status *out, GError **err)
{
    char log_text[UUID_TEXT];
    struct stat st;
    *out = (struct wire_status){0};
    auto_fd fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &st) != 0)
        return err_errno(err, "Cannot open the change log '%s'", path);
    if (offset > (guint64)st.st_size)
        return err_set(err, ERR_OUT_OF_SEQUENCE,
                       "The change log '%s' has %" G_GINT64_FORMAT " bytes, so it cannot be sent from byte %" G_GUINT64_FORMAT " on.", path,
                       (gint64)st.st_size, offset);
    g_autofree char *tail = g_strdup_printf("/logs/%s?offset=%" G_GUINT64_FORMAT, uuid_format(log, log_text), offset);
    g_autofree char *target = vm_path(vm, tail);
    static const char *const fields[] = {"Content-Type: application/octet-stream", NULL};
    struct http_call call = {.method = "PUT",
                             .path = target,
                             .headers = fields,
                             .length = (guint64)st.st_size - offset,
                             .fd = fd,
                             .offset = offset,
                             .limits = limits,
                             .sent = sent};
    posix_fadvise(fd, (off_t)offset, 0, POSIX_FADV_SEQUENTIAL);
    return get_status(p, &call, out, err);
}

void
wire_hashes_clear(struct wire_hashes *h)
{
    if (h->hashes)
        g_array_unref(h->hashes);
    *h = (struct wire_hashes){0};
}

/* ---- hashes ---- */

static bool
odd_hashes(const struct wire_peer *p, GError **err)
{
    g_clear_error(err);
    return err_set(err, ERR_MALFORMED, "'%s' answers with something else than the hashes of pages that it is asked for.", p->host);
}

/* One exchange.  as: the form; body: what follows the key.  r: the answer behind the size of the disk. */
static bool
ask_hashes(struct wire_peer *p, const struct wire_hash_query *q, const char *as, const GByteArray *body, struct http_answer *a,
           struct reader *r, guint64 *size, GError **err)
{
    static const char *const fields[] = {"Content-Type: application/octet-stream", NULL};
    char log[UUID_TEXT];
    g_autofree char *tail =
        g_strdup_printf("/hashes/%s?disk=%u&page=%" G_GUINT64_FORMAT "&count=%u%s%s", uuid_format(&q->log, log), q->disk, q->page, q->count,
                        q->mend ? "&mend=1" : "", as);
    g_autofree char *path = vm_path(&q->vm, tail);
    g_autoptr(GByteArray) all = g_byte_array_new();
    writer_bytes(all, q->key, HASH_SECRET);
    if (body)
        writer_bytes(all, body->data, body->len);
    struct http_call call = {
        .method = "POST", .path = path, .headers = fields, .body = (const char *)all->data, .length = all->len, .fd = -1};
    if (!exchange(p, &call, a, err)) {
        p->hash_forms = 0; /* its program may have been replaced behind a connection that was made anew */
        return false;
    }
    *r = reader_over(a->body, a->len);
    *size = reader_u64(r);
    return !r->failed || odd_hashes(p, err);
}

static guint
pages_there(const struct wire_hash_query *q, guint64 size)
{
    const guint64 all = size / LOG_PAGE + (size % LOG_PAGE != 0);
    return (guint)(all > q->page ? MIN(q->count, all - q->page) : 0);
}

static bool
ask_list(struct wire_peer *p, const struct wire_hash_query *q, struct wire_hashes *out, GError **err)
{
    http_answer_auto a = {0};
    struct reader r;
    const bool runs = p->hash_forms > 1;
    if (!ask_hashes(p, q, runs ? "&as=list" : "", NULL, &a, &r, &out->size, err))
        return false;
    const size_t left = reader_left(&r), n = left / sizeof(struct hash128);
    out->hashes = g_array_new(FALSE, FALSE, sizeof(struct hash128));
    if (runs)
        return hashes_read(&r, NULL, q->count, out->hashes, err) || odd_hashes(p, err);
    if (left % sizeof(struct hash128) || n > q->count)
        return odd_hashes(p, err);
    g_array_append_vals(out->hashes, reader_span(&r, left), (guint)n);
    return true;
}

/* A guess on its way to what is there. */
struct guess {
    const struct wire_hash_query *q;
    struct hash128 *known;
    guint8 wanted[WIRE_MAX_HASHES / HASHES_GROUP / 8]; /* groups that are not right yet */
    guint64 size;
    bool asked;                                        /* size is known */
};

static bool
take_size(struct wire_peer *p, struct guess *g, guint64 size, GError **err)
{
    if (g->asked && g->size != size)
        return odd_hashes(p, err);
    g->size = size;
    g->asked = true;
    return true;
}

static bool
ask_sums(struct wire_peer *p, struct guess *g, GError **err)
{
    http_answer_auto a = {0};
    struct reader r;
    guint64 size;
    g_autoptr(GByteArray) body = g_byte_array_new();
    hashes_ask_sums(body, g->known, g->q->count, g->q->key);
    return ask_hashes(p, g->q, "&as=sums", body, &a, &r, &size, err) && take_size(p, g, size, err) &&
           (hashes_read_sums(&r, g->q->count, g->wanted, err) || odd_hashes(p, err));
}

/* The first of the groups that are wanted, and how many from there on; 0: none. */
static guint
span_of(const struct guess *g, guint *first)
{
    const guint groups = hashes_groups(g->q->count);
    guint begin = 0, end = groups;
    while (begin < groups && !hashes_bit(g->wanted, begin))
        begin++;
    while (end > begin && !hashes_bit(g->wanted, end - 1))
        end--;
    *first = begin;
    return end - begin;
}

/* Only the span that has what is wanted is read there. */
static bool
ask_shorts(struct wire_peer *p, struct guess *g, guint first, guint groups, guint round, GError **err)
{
    http_answer_auto a = {0};
    struct reader r;
    guint64 size;
    struct wire_hash_query q = *g->q;
    guint8 wanted[sizeof g->wanted] = {0};
    g_autofree char *as = g_strdup_printf("&as=shorts&round=%u", round);
    g_autoptr(GByteArray) body = g_byte_array_new();
    q.page += first * HASHES_GROUP;
    q.count = MIN(groups * HASHES_GROUP, q.count - first * HASHES_GROUP);
    for (guint i = 0; i < groups; i++)
        if (hashes_bit(g->wanted, first + i))
            hashes_set_bit(wanted, i);
    hashes_ask_shorts(body, g->known + first * HASHES_GROUP, q.count, wanted, round);
    if (!ask_hashes(p, &q, as, body, &a, &r, &size, err) || !take_size(p, g, size, err))
        return false;
    if (!hashes_read_shorts(&r, g->known + first * HASHES_GROUP, pages_there(&q, size), q.count, wanted, q.key, err))
        return odd_hashes(p, err);
    memset(g->wanted, 0, sizeof g->wanted);
    for (guint i = 0; i < groups; i++)
        if (hashes_bit(wanted, i))
            hashes_set_bit(g->wanted, first + i);
    return true;
}

static bool
was_dense(const struct guess *g)
{
    const guint groups = hashes_groups(g->q->count);
    guint wrong = 0;
    for (guint i = 0; i < groups; i++) {
        const gsize at = i * HASHES_GROUP, n = hashes_in_group(g->q->count, i);
        wrong += memcmp(g->known + at, g->q->guess + at, n * sizeof *g->known) != 0;
    }
    return wrong * 2 > groups;
}

/* Where most of the last guess was wrong, sums would only be asked in vain. */
static bool
ask_guess(struct wire_peer *p, const struct wire_hash_query *q, struct wire_hashes *out, GError **err)
{
    g_autofree struct hash128 *known = g_memdup2(q->guess, q->count * sizeof *known);
    struct guess g = {.q = q, .known = known};
    guint first, n, round = 0;
    for (guint i = 0; i < hashes_groups(q->count); i++)
        hashes_set_bit(g.wanted, i);
    if (!p->dense && !ask_sums(p, &g, err))
        return false;
    for (; (n = span_of(&g, &first)) && round < HASHES_ROUNDS; round++)
        if (!ask_shorts(p, &g, first, n, round, err))
            return false;
    if (n)
        return ask_list(p, q, out, err);
    p->dense = was_dense(&g);
    out->size = g.size;
    out->hashes = g_array_new(FALSE, FALSE, sizeof *known);
    g_array_append_vals(out->hashes, known, pages_there(q, g.size));
    return true;
}

static bool
learn_forms(struct wire_peer *p, GError **err)
{
    struct wire_hello hello = {0};
    const bool ok = p->hash_forms || wire_peer_hello(p, &hello, err);
    wire_hello_clear(&hello);
    return ok;
}

bool
wire_peer_hashes(struct wire_peer *p, const struct wire_hash_query *query, struct wire_hashes *out, GError **err)
{
    *out = (struct wire_hashes){0};
    if (!learn_forms(p, err))
        return false;
    const bool guess = query->guess && p->hash_forms > 1 && query->count > 0 && query->count <= WIRE_MAX_HASHES;
    return guess ? ask_guess(p, query, out, err) : ask_list(p, query, out, err);
}
