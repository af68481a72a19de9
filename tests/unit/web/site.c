/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "site.h"

#include "base/clean.h"
#include "base/err.h"
#include "base/file.h"
#include "base/xml.h"
#include "net/auth.h"
#include "web/events.h"
#include "web/web.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

void
site_open(struct site *s, struct cim_watch *watch, guint timeout_s)
{
    g_autoptr(GError) err = NULL;
    struct http_server_config config = {.address = "127.0.0.1", .timeout_s = timeout_s};
    xml_init();
    *s = (struct site){.dir = g_dir_make_tmp("vmr-web-XXXXXX", NULL)};
    s->users = g_build_filename(s->dir, "users", NULL);
    auth_user_add(s->users, "boss", "pass:word", "admin", &err);
    g_assert_no_error(err);
    auth_user_add(s->users, "guest", "guest", "reader", &err);
    g_assert_no_error(err);
    s->auth = auth_open(s->users, &err);
    g_assert_no_error(err);
    s->fake = fake_new();
    s->web = web_new(fake_broker(s->fake), s->auth);
    if (watch)
        events_offer(s->web, watch);
    s->server = http_server_new(&config);
    web_mount(s->web, s->server);
    http_server_start(s->server, &err);
    g_assert_no_error(err);
}

void
site_close(struct site *s)
{
    http_server_free(s->server);
    web_free(s->web);
    auth_free(s->auth);
    fake_free(s->fake);
    file_remove_tree(s->dir, NULL);
    g_free(s->users);
    g_free(s->dir);
}

int
site_connect(const struct site *s)
{
    struct sockaddr_in at = {
        .sin_family = AF_INET, .sin_port = htons((guint16)http_server_port(s->server)), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct timeval patience = {.tv_sec = 20};
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    g_assert_cmpint(connect(fd, (struct sockaddr *)&at, sizeof at), ==, 0);
    return fd;
}

void
site_send(int fd, const char *method, const char *target, const char *headers, const char *body)
{
    g_autofree char *length = body ? g_strdup_printf("Content-Length: %zu\r\n", strlen(body)) : g_strdup("");
    g_autofree char *text = g_strdup_printf("%s %s HTTP/1.1\r\nHost: x\r\n%s%s\r\n%s", method, target, headers, length, body ? body : "");
    g_assert_cmpint(send(fd, text, strlen(text), MSG_NOSIGNAL), ==, (gssize)strlen(text));
}

void
site_expect(int fd, GString *got, const char *text)
{
    char piece[4096];
    while (!strstr(got->str, text)) {
        ssize_t n = recv(fd, piece, sizeof piece, 0);
        g_assert_cmpint(n, >, 0);
        g_string_append_len(got, piece, n);
    }
}

void
site_call(const struct site *s, const char *method, const char *target, const char *headers, const char *body, struct answer *out)
{
    auto_fd fd = site_connect(s);
    g_autoptr(GString) got = g_string_new(NULL);
    g_autofree char *all = g_strconcat(headers, "Connection: close\r\n", NULL);
    char piece[16384];
    ssize_t n;
    site_send(fd, method, target, all, body);
    while ((n = recv(fd, piece, sizeof piece, 0)) > 0)
        g_string_append_len(got, piece, n);
    const char *end = strstr(got->str, "\r\n\r\n");
    g_assert_nonnull(end);
    out->head = g_strndup(got->str, (gsize)(end + 2 - got->str));
    out->body = g_strdup(end + 4);
    out->status = (guint)atoi(got->str + strlen("HTTP/1.1 "));
    out->json = json_loads(out->body, JSON_REJECT_DUPLICATES, NULL);
}

void
answer_clear(struct answer *a)
{
    json_decref(a->json);
    g_free(a->head);
    g_free(a->body);
    *a = (struct answer){0};
}

const char *
answer_text(const struct answer *a, const char *name)
{
    return json_string_value(json_object_get(a->json, name));
}
