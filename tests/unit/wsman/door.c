/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "door.h"

#include "base/file.h"

#include <arpa/inet.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static struct http_server *
serve(struct door *d, const char *address)
{
    GError *err = NULL;
    struct http_server_config config = {.address = address};
    struct http_server *server = http_server_new(&config);
    wsman_endpoint_mount(d->endpoint, server);
    g_assert_true(http_server_start(server, &err));
    g_assert_no_error(err);
    return server;
}

void
door_open(struct door *d)
{
    GError *err = NULL;
    d->dir = g_dir_make_tmp("vmr-wsman-XXXXXX", NULL);
    d->socket = g_build_filename(d->dir, "sock", NULL);
    d->users = g_build_filename(d->dir, "users", NULL);
    auth_user_add(d->users, "boss", "pass:word", "admin", &err);
    auth_user_add(d->users, "guest", "guest", "reader", &err);
    d->auth = auth_open(d->users, &err);
    g_assert_no_error(err);
    d->fake = fake_new();
    d->endpoint = wsman_endpoint_new(fake_broker(d->fake), d->auth);
    d->tcp = serve(d, "127.0.0.1");
    d->local = serve(d, d->socket);
}

void
door_close(struct door *d)
{
    http_server_free(d->tcp);
    http_server_free(d->local);
    wsman_endpoint_free(d->endpoint);
    fake_free(d->fake);
    auth_free(d->auth);
    file_remove_tree(d->dir, NULL);
    g_free(d->dir);
    g_free(d->socket);
    g_free(d->users);
}

int
door_connect(const struct door *d)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((guint16)http_server_port(d->tcp))};
    struct timeval patience = {.tv_sec = 20};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    g_assert_cmpint(connect(fd, (struct sockaddr *)&to, sizeof to), ==, 0);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    return fd;
}

/* Bytes of the head, with the empty line; 0: not yet complete. */
static gsize
head_length(const GString *in)
{
    const char *end = strstr(in->str, "\r\n\r\n");
    return end ? (gsize)(end - in->str) + 4 : 0;
}

static gsize
content_length(const char *head)
{
    const char *at = strstr(head, "Content-Length: ");
    g_assert_nonnull(at);
    return (gsize)g_ascii_strtoull(at + strlen("Content-Length: "), NULL, 10);
}

guint
door_read(int fd, char **head, char **body, gsize *len)
{
    g_autoptr(GString) in = g_string_new(NULL);
    gsize wanted = 0, start = 0;
    while (!wanted || in->len < wanted) {
        char buffer[8192];
        ssize_t n = recv(fd, buffer, sizeof buffer, 0);
        if (n <= 0)
            return 0;
        g_string_append_len(in, buffer, n);
        start = start ? start : head_length(in);
        wanted = start && !wanted ? start + content_length(in->str) : wanted;
    }
    g_assert_cmpuint(in->len, ==, wanted);
    *head = g_strndup(in->str, start);
    *len = wanted - start;
    *body = g_malloc(*len + 1);
    memcpy(*body, in->str + start, *len + 1);
    return (guint)g_ascii_strtoull(in->str + strlen("HTTP/1.1 "), NULL, 10);
}
