/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "ear.h"
#include "patience.h"

#include "base/clean.h"
#include "wsman/names.h"
#include "wsman/reply.h"

#include <string.h>

static char *
id_of(const char *text)
{
    const char *begin = strstr(text, "<a:MessageID>"), *end = begin ? strstr(begin, "</a:MessageID>") : NULL;
    g_assert_nonnull(end);
    begin += strlen("<a:MessageID>");
    return g_strndup(begin, (gsize)(end - begin));
}

static void
acknowledge(const char *text, struct http_response *response)
{
    g_autofree char *id = id_of(text);
    GString *out = reply_begin(ACTION_ACK, id);
    reply_body(out);
    g_autofree char *ack = reply_end(out);
    http_respond(response, 200, "application/soap+xml;charset=UTF-8", ack, strlen(ack));
}

static void
hear(void *user, const struct http_request *request, struct http_response *response)
{
    struct ear *e = user;
    HOLD(&e->lock);
    g_ptr_array_add(e->heard, g_strndup(request->body, request->body_len));
    e->waiting = e->deaf;
    g_cond_broadcast(&e->changed);
    while (e->deaf)
        g_cond_wait(&e->changed, &e->lock);
    if (e->refuse)
        http_respond(response, 503, NULL, NULL, 0);
    else if (strstr(request->body, "AckRequested") && !e->mute)
        acknowledge(request->body, response);
    else
        http_respond(response, 202, NULL, NULL, 0);
}

void
ear_open(struct ear *e, const struct net_identity *identity)
{
    GError *err = NULL;
    const struct http_server_config config = {.address = "127.0.0.1", .identity = identity, .max_body = 4u << 20};
    memset(e, 0, sizeof *e);
    g_mutex_init(&e->lock);
    g_cond_init(&e->changed);
    e->heard = g_ptr_array_new_with_free_func(g_free);
    e->server = http_server_new(&config);
    http_server_route(e->server, "POST", "/", hear, e);
    g_assert_true(http_server_start(e->server, &err));
    g_assert_no_error(err);
}

void
ear_close(struct ear *e)
{
    ear_set(e, &e->deaf, false);
    http_server_free(e->server);
    g_ptr_array_unref(e->heard);
    g_mutex_clear(&e->lock);
    g_cond_clear(&e->changed);
}

void
ear_set(struct ear *e, bool *what, bool value)
{
    HOLD(&e->lock);
    *what = value;
    g_cond_broadcast(&e->changed);
}

char *
ear_address(const struct ear *e, const char *path)
{
    return g_strdup_printf("http://127.0.0.1:%u%s", http_server_port(e->server), path);
}

const char *
ear_wait(struct ear *e, guint n)
{
    const gint64 until = g_get_monotonic_time() + PATIENCE_S * (gint64)G_USEC_PER_SEC;
    HOLD(&e->lock);
    while (e->heard->len <= n)
        if (!g_cond_wait_until(&e->changed, &e->lock, until))
            g_error("nothing was pushed within %d s", PATIENCE_S);
    return e->heard->pdata[n];
}

guint
ear_count(struct ear *e)
{
    HOLD(&e->lock);
    return e->heard->len;
}
