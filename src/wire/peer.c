/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "wire/peer.h"

#include "base/bytes.h"
#include "base/clean.h"
#include "base/clock.h"
#include "net/http_client.h"
#include "wire/json.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#define SHOWN 200 /* characters of an answer that is not ours, quoted in the error */

struct wire_peer {
    char *host;
    struct http_client *http;
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

static bool
read_hashes(const struct wire_peer *p, const struct http_answer *a, guint32 most, struct wire_hashes *out, GError **err)
{
    struct reader r = reader_over(a->body, a->len);
    out->size = reader_u64(&r);
    const size_t left = reader_left(&r), n = left / sizeof(struct hash128);
    if (r.failed || left % sizeof(struct hash128) || n > most)
        return err_set(err, ERR_MALFORMED, "'%s' answers with %zu bytes where hashes of pages are expected.", p->host, a->len);
    out->hashes = g_array_sized_new(FALSE, FALSE, sizeof(struct hash128), (guint)n);
    g_array_set_size(out->hashes, (guint)n);
    reader_copy(&r, out->hashes->data, left);
    return true;
}

bool
wire_peer_hashes(struct wire_peer *p, const struct wire_hash_query *query, struct wire_hashes *out, GError **err)
{
    static const char *const fields[] = {"Content-Type: application/octet-stream", NULL};
    char log[UUID_TEXT];
    http_answer_auto answer = {0};
    g_autofree char *tail = g_strdup_printf("/hashes/%s?disk=%u&page=%" G_GUINT64_FORMAT "&count=%u%s",
                                            uuid_format(&query->log, log), query->disk, query->page, query->count,
                                            query->mend ? "&mend=1" : "");
    g_autofree char *path = vm_path(&query->vm, tail);
    struct http_call call = {
        .method = "POST", .path = path, .headers = fields, .body = query->key, .length = HASH_SECRET, .fd = -1};
    *out = (struct wire_hashes){0};
    return exchange(p, &call, &answer, err) && read_hashes(p, &answer, query->count, out, err);
}
