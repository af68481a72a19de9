/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/clean.h"
#include "base/clock.h"
#include "box.h"
#include "echo.h"

#include <gnutls/gnutls.h>
#include <string.h>
#include <sys/socket.h>

#define DAY_US (86400 * (gint64)G_USEC_PER_SEC)

/* --- a client that does whatever it likes, unlike net/http_client --- */

struct raw {
    const struct box *box; /* of the certificate; NULL: none */
    const char *name;
    const char *priority;
};

static gnutls_session_t
raw_session(const struct raw *raw, gnutls_certificate_credentials_t creds, int fd)
{
    gnutls_session_t session;
    g_assert_cmpint(gnutls_init(&session, GNUTLS_CLIENT | GNUTLS_FORCE_CLIENT_CERT), ==, 0);
    g_assert_cmpint(gnutls_priority_set_direct(session, raw->priority ? raw->priority : "NORMAL", NULL), ==, 0);
    if (raw->box) {
        g_autofree char *cert = g_strdup_printf("%s/%s.pem", raw->box->dir, raw->name);
        g_autofree char *key = g_strdup_printf("%s/%s-key.pem", raw->box->dir, raw->name);
        g_assert_cmpint(gnutls_certificate_set_x509_key_file(creds, cert, key, GNUTLS_X509_FMT_PEM), >=, 0);
    }
    gnutls_credentials_set(session, GNUTLS_CRD_CERTIFICATE, creds);
    gnutls_transport_set_int(session, fd);
    gnutls_handshake_set_timeout(session, 10000);
    return session;
}

/* The answer to GET /whoami, or "" when TLS fails. */
static char *
raw_whoami(struct echo *e, const struct raw *raw)
{
    const char request[] = "GET /whoami HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    gnutls_certificate_credentials_t creds;
    auto_fd fd = echo_connect(e);
    GString *answer = g_string_new(NULL);
    gnutls_certificate_allocate_credentials(&creds);
    gnutls_session_t session = raw_session(raw, creds, fd);
    int rc;
    while ((rc = gnutls_handshake(session)) < 0 && !gnutls_error_is_fatal(rc))
        continue;
    if (rc >= 0 && gnutls_record_send(session, request, strlen(request)) > 0) {
        char buffer[4096];
        ssize_t n;
        while ((n = gnutls_record_recv(session, buffer, sizeof buffer)) > 0 || n == GNUTLS_E_AGAIN || n == GNUTLS_E_INTERRUPTED)
            g_string_append_len(answer, buffer, MAX(n, 0));
    }
    gnutls_deinit(session);
    gnutls_certificate_free_credentials(creds);
    return g_string_free(answer, FALSE);
}

static void
assert_raw(struct echo *e, const struct raw *raw, const char *starts, const char *says)
{
    g_autofree char *answer = raw_whoami(e, raw);
    g_test_message("%s", answer);
    g_assert_true(g_str_has_prefix(answer, starts));
    g_assert_nonnull(strstr(answer, says));
}

static void
start(struct echo *e, struct box *b, bool mutual, struct net_identity **id)
{
    box_open(b);
    *id = box_identity(b, "localhost");
    echo_start(e, &(struct http_server_config){.identity = *id, .require_client_cert = mutual, .tls13_only = mutual, .timeout_s = 10});
}

static void
test_mutual(void)
{
    struct box b;
    struct echo e;
    struct net_identity *id;
    GError *err = NULL;
    start(&e, &b, true, &id);
    struct net_identity *a = box_identity(&b, "a.example");
    struct http_client *c = echo_client(&e, a);
    struct http_call call = {.method = "GET", .path = "/whoami", .fd = -1};
    for (guint i = 0; i < 3; i++) {
        http_answer_auto answer = {0};
        g_assert_true(http_client_call(c, &call, &answer, &err));
        g_autofree char *wanted = g_strdup_printf("127.0.0.1 a.example %s - 0", net_identity_thumbprint(a));
        g_assert_cmpstr(answer.body, ==, wanted);
    }
    http_client_free(c);
    net_identity_unref(a);
    echo_stop(&e);
    net_identity_unref(id);
    box_close(&b);
}

static void
test_bad_clients(void)
{
    struct box b, rogue;
    struct echo e;
    struct net_identity *id;
    start(&e, &b, true, &id);
    box_open(&rogue);
    box_issue(&b, "good.example", PKI_BOTH, 0, 0);
    box_issue(&b, "old.example", PKI_BOTH, 2, clock_wall_us() - 3 * DAY_US);
    box_issue(&b, "early.example", PKI_BOTH, 2, clock_wall_us() + DAY_US);
    box_issue(&b, "server.example", PKI_SERVER, 0, 0);
    box_issue(&rogue, "good.example", PKI_BOTH, 0, 0);
    assert_raw(&e, &(struct raw){.box = &b, .name = "good.example"}, "HTTP/1.1 200", "good.example");
    assert_raw(&e, &(struct raw){0}, "HTTP/1.1 403", "No client certificate");
    assert_raw(&e, &(struct raw){.box = &rogue, .name = "good.example"}, "HTTP/1.1 403", "not signed by a trusted CA");
    assert_raw(&e, &(struct raw){.box = &b, .name = "old.example"}, "HTTP/1.1 403", "expired at");
    assert_raw(&e, &(struct raw){.box = &b, .name = "early.example"}, "HTTP/1.1 403", "not valid before");
    assert_raw(&e, &(struct raw){.box = &b, .name = "server.example"}, "HTTP/1.1 403", "lacks client authentication");
    box_close(&rogue);
    echo_stop(&e);
    net_identity_unref(id);
    box_close(&b);
}

static void
test_versions(void)
{
    struct box b;
    struct echo e;
    struct net_identity *id;
    start(&e, &b, true, &id);
    box_issue(&b, "a.example", PKI_BOTH, 0, 0);
    struct raw old = {.box = &b, .name = "a.example", .priority = "NORMAL:-VERS-ALL:+VERS-TLS1.2"};
    g_autofree char *refused = raw_whoami(&e, &old);
    g_assert_cmpstr(refused, ==, "");
    old.priority = "NORMAL:-VERS-ALL:+VERS-TLS1.3";
    assert_raw(&e, &old, "HTTP/1.1 200", "a.example");
    echo_stop(&e);
    net_identity_unref(id);
    box_close(&b);

    start(&e, &b, false, &id); /* the management port: no certificate, TLS 1.2 will do, older will not */
    assert_raw(&e, &(struct raw){.priority = "NORMAL:-VERS-ALL:+VERS-TLS1.2"}, "HTTP/1.1 200", " - - - 0");
    g_autofree char *older = raw_whoami(&e, &(struct raw){.priority = "LEGACY:-VERS-ALL:+VERS-TLS1.1"});
    g_assert_cmpstr(older, ==, "");
    echo_stop(&e);
    net_identity_unref(id);
    box_close(&b);
}

static void
assert_server_refused(struct echo *e, const struct net_identity *client)
{
    g_autoptr(GError) err = NULL;
    http_answer_auto answer = {0};
    struct http_call call = {.method = "GET", .path = "/whoami", .fd = -1};
    struct http_client *c = echo_client(e, client);
    g_assert_false(http_client_call(c, &call, &answer, &err));
    g_test_message("%s", err->message);
    g_assert_error(err, ERR, ERR_PEER_REFUSED);
    http_client_free(c);
}

static void
test_bad_servers(void)
{
    struct box b, rogue;
    struct echo e;
    box_open(&b);
    box_open(&rogue);
    struct net_identity *client = box_identity(&b, "a.example");
    struct net_identity *wrong_name = box_identity(&b, "other.example");
    struct net_identity *wrong_ca = box_identity(&rogue, "localhost");
    echo_start(&e, &(struct http_server_config){.identity = wrong_name});
    assert_server_refused(&e, client);
    echo_stop(&e);
    echo_start(&e, &(struct http_server_config){.identity = wrong_ca});
    assert_server_refused(&e, client);
    echo_stop(&e);
    net_identity_unref(client);
    net_identity_unref(wrong_name);
    net_identity_unref(wrong_ca);
    box_close(&rogue);
    box_close(&b);
}

/* Plain HTTP on a TLS port, and the reverse: an end, not a hang. */
static void
test_mixed_up(void)
{
    struct box b;
    struct echo e;
    struct net_identity *id;
    char answer[64];
    start(&e, &b, true, &id);
    auto_fd fd = echo_connect(&e);
    const char plain[] = "GET /whoami HTTP/1.1\r\nHost: x\r\n\r\n";
    g_assert_cmpint(write(fd, plain, strlen(plain)), ==, (gssize)strlen(plain));
    while (recv(fd, answer, sizeof answer, 0) > 0)
        g_assert_null(g_strstr_len(answer, sizeof answer, "HTTP/1.1 200"));
    echo_stop(&e);

    g_autoptr(GError) err = NULL;
    http_answer_auto none = {0};
    struct http_call call = {.method = "GET", .path = "/whoami", .fd = -1};
    echo_start(&e, &(struct http_server_config){.timeout_s = 2});
    struct http_client *c = echo_client(&e, id);
    g_assert_false(http_client_call(c, &call, &none, &err));
    g_assert_error(err, ERR, ERR_NETWORK);
    http_client_free(c);
    echo_stop(&e);
    net_identity_unref(id);
    box_close(&b);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/tls/mutual", test_mutual);
    g_test_add_func("/tls/bad-clients", test_bad_clients);
    g_test_add_func("/tls/versions", test_versions);
    g_test_add_func("/tls/bad-servers", test_bad_servers);
    g_test_add_func("/tls/mixed-up", test_mixed_up);
    return g_test_run();
}
