/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "net/http_client.h"

#include "base/err.h"
#include "base/file.h"
#include "net/identity_int.h"

#include <curl/curl.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define CONNECT_S 10
#define STALL_S 60
#define MAX_ANSWER (16u << 20)
#define UPLOAD_BUFFER (2l << 20) /* measured: a fifth less CPU than the library's 64 KiB */
#define ASK_BYTES (64u << 10) /* a shorter body goes out at once: to ask first costs both sides a wait, and the answer comes anyway */
#define EXPECT_MS 5000l /* a receiver that opens its file slowly is worth waiting for before gigabytes go out */

struct http_client {
    CURL *easy;
    CURLM *multi;
    struct net_identity *identity;
    char *url;
    guint stall_s;
    size_t max_answer;
    gint aborted;
    char message[CURL_ERROR_SIZE];
};

/* One call under way. */
struct transfer {
    struct http_client *client;
    const struct http_call *call;
    guint64 at;      /* bytes of the body handed to the library */
    gint64 reported; /* bytes added to *call->sent */
    int read_errno;  /* why the body's file failed; -1: it ended too early */
    size_t granted;  /* bytes of the next piece, which the limits permit from until_us (monotonic) on; 0: not asked yet */
    gint64 until_us;
    bool waiting;    /* the library was told to wait for that */
    GString *answer;
    bool too_big;
};

/* --- what the library asks of us --- */

/* A piece is taken from every limit at once, and goes out when the slowest permits it. */
static size_t
granted(struct transfer *t, size_t want)
{
    struct throttle *const *limits = t->call->limits;
    const gint64 now = g_get_monotonic_time();
    if (!limits || !*limits)
        return want;
    if (t->granted == 0) {
        t->granted = want;
        for (guint i = 0; limits[i]; i++) {
            const size_t piece = throttle_piece(limits[i], now);
            t->granted = MIN(t->granted, piece);
        }
        t->until_us = now;
        for (guint i = 0; limits[i]; i++) {
            const gint64 until = throttle_reserve(limits[i], t->granted, now);
            t->until_us = MAX(t->until_us, until);
        }
    }
    return t->until_us > now ? 0 : MIN(want, t->granted);
}

static size_t
on_read(char *to, size_t size, size_t count, void *user)
{
    struct transfer *t = user;
    const struct http_call *call = t->call;
    size_t want = (size_t)MIN((guint64)(size * count), call->length - t->at);
    ssize_t got = (ssize_t)want;
    if (want == 0)
        return 0;
    got = (ssize_t)(want = granted(t, want));
    if (want == 0) {
        t->waiting = true;
        return CURL_READFUNC_PAUSE;
    }
    if (call->body)
        memcpy(to, (const char *)call->body + t->at, want);
    else
        got = TEMP_FAILURE_RETRY(pread(call->fd, to, want, (off_t)(call->offset + t->at)));
    if (got <= 0) {
        t->read_errno = got < 0 ? errno : -1;
        return CURL_READFUNC_ABORT;
    }
    t->at += (guint64)got;
    t->granted -= MIN(t->granted, (size_t)got);
    return (size_t)got;
}

/* The other side may keep what it got of a long body: only the caller knows where to go on. */
static bool
may_send_again(const struct transfer *t)
{
    return t->at == 0 || t->call->length <= ASK_BYTES;
}

static int
on_seek(void *user, curl_off_t offset, int origin)
{
    struct transfer *t = user;
    if (!may_send_again(t))
        return CURL_SEEKFUNC_FAIL;
    if (origin != SEEK_SET || offset < 0 || (guint64)offset > t->call->length)
        return CURL_SEEKFUNC_FAIL;
    t->at = (guint64)offset;
    return CURL_SEEKFUNC_OK;
}

static size_t
on_write(char *data, size_t size, size_t count, void *user)
{
    struct transfer *t = user;
    size_t len = size * count;
    t->too_big = len > t->client->max_answer - t->answer->len;
    if (t->too_big)
        return 0;
    g_string_append_len(t->answer, data, (gssize)len);
    return len;
}

static void
report(struct transfer *t, gint64 sent)
{
    if (t->call->sent)
        __atomic_add_fetch(t->call->sent, sent - t->reported, __ATOMIC_RELAXED);
    t->reported = sent;
}

static int
on_progress(void *user, curl_off_t down_total, curl_off_t down, curl_off_t up_total, curl_off_t up)
{
    struct transfer *t = user;
    report(t, up);
    return g_atomic_int_get(&t->client->aborted);
}

/* --- life --- */

static void
load_library(void)
{
    static gsize once;
    if (g_once_init_enter(&once)) {
        curl_global_init(CURL_GLOBAL_DEFAULT);
        g_once_init_leave(&once, 1);
    }
}

static void
set_trust(struct http_client *c, const struct http_client_config *config)
{
    curl_easy_setopt(c->easy, CURLOPT_SSL_VERIFYPEER, 1L);
    curl_easy_setopt(c->easy, CURLOPT_SSL_VERIFYHOST, 2L);
    curl_easy_setopt(c->easy, CURLOPT_SSLVERSION, config->tls13_only ? (long)CURL_SSLVERSION_TLSv1_3 : (long)CURL_SSLVERSION_TLSv1_2);
    if (config->identity) {
        curl_easy_setopt(c->easy, CURLOPT_SSLCERT, net_identity_cert_file(config->identity));
        curl_easy_setopt(c->easy, CURLOPT_SSLKEY, net_identity_key_file(config->identity));
        curl_easy_setopt(c->easy, CURLOPT_CAINFO, net_identity_ca_file(config->identity));
        curl_easy_setopt(c->easy, CURLOPT_CAPATH, NULL);
    } else if (config->ca) {
        curl_easy_setopt(c->easy, CURLOPT_CAINFO, config->ca);
        curl_easy_setopt(c->easy, CURLOPT_CAPATH, NULL);
    }
}

static void
set_constants(struct http_client *c, const struct http_client_config *config)
{
    curl_easy_setopt(c->easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(c->easy, CURLOPT_ERRORBUFFER, c->message);
    curl_easy_setopt(c->easy, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(c->easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    curl_easy_setopt(c->easy, CURLOPT_FOLLOWLOCATION, 0L);
    curl_easy_setopt(c->easy, CURLOPT_PROXY, "");
    curl_easy_setopt(c->easy, CURLOPT_NETRC, (long)CURL_NETRC_IGNORED);
    curl_easy_setopt(c->easy, CURLOPT_CONNECTTIMEOUT, (long)(config->connect_s ? config->connect_s : CONNECT_S));
    curl_easy_setopt(c->easy, CURLOPT_LOW_SPEED_LIMIT, 1L);
    curl_easy_setopt(c->easy, CURLOPT_LOW_SPEED_TIME, (long)c->stall_s);
    curl_easy_setopt(c->easy, CURLOPT_EXPECT_100_TIMEOUT_MS, EXPECT_MS);
    curl_easy_setopt(c->easy, CURLOPT_TCP_KEEPALIVE, 1L);
    curl_easy_setopt(c->easy, CURLOPT_NOPROGRESS, 0L);
    curl_easy_setopt(c->easy, CURLOPT_READFUNCTION, on_read);
    curl_easy_setopt(c->easy, CURLOPT_SEEKFUNCTION, on_seek);
    curl_easy_setopt(c->easy, CURLOPT_WRITEFUNCTION, on_write);
    curl_easy_setopt(c->easy, CURLOPT_XFERINFOFUNCTION, on_progress);
    if (config->unix_socket)
        curl_easy_setopt(c->easy, CURLOPT_UNIX_SOCKET_PATH, config->unix_socket);
    if (config->user) {
        curl_easy_setopt(c->easy, CURLOPT_HTTPAUTH, (long)CURLAUTH_BASIC);
        curl_easy_setopt(c->easy, CURLOPT_USERNAME, config->user);
        curl_easy_setopt(c->easy, CURLOPT_PASSWORD, config->password ? config->password : "");
    }
    if (config->kerberos) {
        curl_easy_setopt(c->easy, CURLOPT_HTTPAUTH, (long)CURLAUTH_NEGOTIATE);
        curl_easy_setopt(c->easy, CURLOPT_USERNAME, ""); /* the library wants a name, whose ever the ticket is */
        curl_easy_setopt(c->easy, CURLOPT_PASSWORD, "");
    }
}

struct http_client *
http_client_new(const struct http_client_config *config, GError **err)
{
    load_library();
    struct http_client *c = g_new0(struct http_client, 1);
    c->easy = curl_easy_init();
    c->multi = curl_multi_init();
    c->url = g_strdup(config->url);
    c->stall_s = config->stall_s ? config->stall_s : STALL_S;
    c->max_answer = config->max_answer ? config->max_answer : MAX_ANSWER;
    c->identity = net_identity_ref(config->identity);
    if (!c->easy || !c->multi) {
        err_set(err, ERR_NO_MEMORY, "No memory for a connection to '%s'.", config->url);
        http_client_free(c);
        return NULL;
    }
    set_constants(c, config);
    set_trust(c, config);
    return c;
}

void
http_client_free(struct http_client *c)
{
    if (!c)
        return;
    if (c->easy)
        curl_easy_cleanup(c->easy);
    if (c->multi)
        curl_multi_cleanup(c->multi);
    net_identity_unref(c->identity);
    g_free(c->url);
    g_free(c);
}

void
http_client_abort(struct http_client *c)
{
    g_atomic_int_set(&c->aborted, 1);
    curl_multi_wakeup(c->multi);
}

void
http_answer_clear(struct http_answer *a)
{
    g_clear_pointer(&a->content_type, g_free);
    g_clear_pointer(&a->body, g_free);
    a->len = 0;
    a->status = 0;
}

/* --- one call --- */

static enum err_code
code_of(CURLcode rc)
{
    switch (rc) {
    case CURLE_OPERATION_TIMEDOUT:
        return ERR_TIMEOUT;
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_ISSUER_ERROR:
        return ERR_PEER_REFUSED;
    case CURLE_OUT_OF_MEMORY:
        return ERR_NO_MEMORY;
    case CURLE_URL_MALFORMAT:
    case CURLE_UNSUPPORTED_PROTOCOL:
        return ERR_INVALID_PARAMETER;
    case CURLE_SSL_CERTPROBLEM:
    case CURLE_SSL_CACERT_BADFILE:
        return ERR_FAILED;
    default:
        return ERR_NETWORK;
    }
}

static bool
explain(const struct transfer *t, CURLcode rc, GError **err)
{
    struct http_client *c = t->client;
    if (g_atomic_int_get(&c->aborted))
        return err_set(err, ERR_CANCELLED, "The call to '%s' was cancelled.", c->url);
    if (t->too_big)
        return err_set(err, ERR_TOO_BIG, "The answer of '%s' is longer than %zu bytes.", c->url, c->max_answer);
    if (t->read_errno == -1)
        return err_set(err, ERR_CORRUPT, "What should be sent to '%s' ends after %" G_GUINT64_FORMAT " of %" G_GUINT64_FORMAT " bytes.",
                       c->url, t->at, t->call->length);
    if (t->read_errno != 0) {
        errno = t->read_errno;
        return err_errno(err, "Cannot read what should be sent to '%s'", c->url);
    }
    if (strstr(c->message, "CAfile")) /* the library would name our memory files */
        return err_set(err, ERR_PEER_REFUSED,
                       "The certificate of '%s' is not accepted: it is not signed by a CA that we trust, or not valid now.", c->url);
    return err_set(err, code_of(rc), "No answer from '%s': %s.", c->url, *c->message ? c->message : curl_easy_strerror(rc));
}

/* A file that is short and permitted at once goes out with the head: one record and one packet less.  NULL: it is read piece by piece,
 * which also says why it cannot be. */
static char *
short_file(struct transfer *t)
{
    const struct http_call *call = t->call;
    const size_t len = (size_t)call->length;
    if (call->body || call->fd < 0 || len == 0 || call->length >= ASK_BYTES || granted(t, len) < len)
        return NULL;
    g_autofree char *bytes = g_malloc(len);
    if (!file_read_full(call->fd, bytes, len, call->offset, "", NULL))
        return NULL;
    t->at = len;
    t->granted = 0;
    return g_steal_pointer(&bytes);
}

static bool
has_type(const struct http_call *call)
{
    for (guint i = 0; call->headers && call->headers[i]; i++)
        if (g_ascii_strncasecmp(call->headers[i], "Content-Type:", strlen("Content-Type:")) == 0)
            return true;
    return false;
}

static void
set_body(CURL *easy, const struct http_call *call, const char *all)
{
    if (all) {
        curl_easy_setopt(easy, CURLOPT_UPLOAD, 0L);
        curl_easy_setopt(easy, CURLOPT_POSTFIELDS, all); /* whatever the method is called */
        curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)call->length);
    } else if (call->body || call->fd >= 0) {
        curl_easy_setopt(easy, CURLOPT_UPLOAD, 1L);
        curl_easy_setopt(easy, CURLOPT_INFILESIZE_LARGE, (curl_off_t)call->length);
        curl_easy_setopt(easy, CURLOPT_UPLOAD_BUFFERSIZE, UPLOAD_BUFFER);
    } else {
        curl_easy_setopt(easy, CURLOPT_HTTPGET, 1L);
    }
}

enum { POLL_MS = 1000 };

static int
patience_ms(const struct transfer *t)
{
    return t->waiting ? (int)CLAMP((t->until_us - g_get_monotonic_time() + 999) / 1000, 0, POLL_MS) : POLL_MS;
}

static void
go_on(struct transfer *t)
{
    if (!t->waiting || t->until_us > g_get_monotonic_time())
        return;
    t->waiting = false;
    curl_easy_pause(t->client->easy, CURLPAUSE_CONT);
}

/* The multi interface, because only it can be woken from another thread. */
static CURLcode
run(struct http_client *c, struct transfer *t)
{
    int running = 1, left;
    CURLMcode rc = curl_multi_add_handle(c->multi, c->easy);
    while (rc == CURLM_OK && running && !g_atomic_int_get(&c->aborted)) {
        rc = curl_multi_perform(c->multi, &running);
        if (rc == CURLM_OK && running)
            rc = curl_multi_poll(c->multi, NULL, 0, patience_ms(t), NULL);
        go_on(t);
    }
    const CURLMsg *message = curl_multi_info_read(c->multi, &left);
    CURLcode result = message && message->msg == CURLMSG_DONE ? message->data.result : CURLE_ABORTED_BY_CALLBACK;
    curl_multi_remove_handle(c->multi, c->easy);
    return result;
}

/* The server had closed the connection, as it does when nothing comes for a while, and we had not seen it: nothing was answered.  The
 * library calls anew by itself only five times in a client's life, and not once it fails to send the body. */
static bool
was_stale(struct http_client *c, const struct transfer *t, CURLcode rc)
{
    long connects = 0, status = 0;
    curl_easy_getinfo(c->easy, CURLINFO_NUM_CONNECTS, &connects);
    curl_easy_getinfo(c->easy, CURLINFO_RESPONSE_CODE, &status);
    return (rc == CURLE_SEND_ERROR || rc == CURLE_RECV_ERROR || rc == CURLE_GOT_NOTHING) && connects == 0 && status == 0 &&
           may_send_again(t) && !g_atomic_int_get(&c->aborted);
}

static CURLcode
run_anew(struct http_client *c, struct transfer *t)
{
    t->at = 0;
    t->waiting = false;
    c->message[0] = '\0';
    curl_easy_setopt(c->easy, CURLOPT_FRESH_CONNECT, 1L);
    const CURLcode rc = run(c, t);
    curl_easy_setopt(c->easy, CURLOPT_FRESH_CONNECT, 0L);
    return rc;
}

static void
take_answer(struct http_client *c, struct transfer *t, struct http_answer *out)
{
    long status = 0;
    const char *type = NULL;
    curl_off_t sent = 0;
    curl_easy_getinfo(c->easy, CURLINFO_RESPONSE_CODE, &status);
    curl_easy_getinfo(c->easy, CURLINFO_CONTENT_TYPE, &type);
    curl_easy_getinfo(c->easy, CURLINFO_SIZE_UPLOAD_T, &sent);
    report(t, sent);
    out->status = (guint)status;
    out->content_type = g_strdup(type);
    out->len = t->answer->len;
    out->body = g_string_free(g_steal_pointer(&t->answer), FALSE);
}

bool
http_client_call(struct http_client *c, const struct http_call *call, struct http_answer *out, GError **err)
{
    struct transfer t = {.client = c, .call = call, .answer = g_string_new(NULL)};
    g_autofree char *url = g_strconcat(c->url, call->path, NULL);
    struct curl_slist *fields = NULL;
    for (guint i = 0; call->headers && call->headers[i]; i++)
        fields = curl_slist_append(fields, call->headers[i]);
    if (call->length < ASK_BYTES)
        fields = curl_slist_append(fields, "Expect:");
    g_autofree char *all = short_file(&t);
    if (all && !has_type(call)) /* the library would call it a form */
        fields = curl_slist_append(fields, "Content-Type:");
    c->message[0] = '\0';
    curl_easy_setopt(c->easy, CURLOPT_URL, url);
    set_body(c->easy, call, all);
    curl_easy_setopt(c->easy, CURLOPT_CUSTOMREQUEST, call->method);
    curl_easy_setopt(c->easy, CURLOPT_HTTPHEADER, fields);
    curl_easy_setopt(c->easy, CURLOPT_READDATA, &t);
    curl_easy_setopt(c->easy, CURLOPT_SEEKDATA, &t);
    curl_easy_setopt(c->easy, CURLOPT_WRITEDATA, &t);
    curl_easy_setopt(c->easy, CURLOPT_XFERINFODATA, &t);
    CURLcode rc = run(c, &t);
    if (was_stale(c, &t, rc))
        rc = run_anew(c, &t);
    bool done = rc == CURLE_OK && !g_atomic_int_get(&c->aborted);
    if (done)
        take_answer(c, &t, out);
    else
        explain(&t, rc, err);
    curl_easy_setopt(c->easy, CURLOPT_HTTPHEADER, NULL);
    curl_easy_setopt(c->easy, CURLOPT_POSTFIELDS, NULL);
    curl_slist_free_all(fields);
    if (t.answer)
        g_string_free(t.answer, TRUE);
    return done;
}
