/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "net/http_int.h"

#include <string.h>

/* A second thought replaces the first. */
static void
forget_type(struct http_response *r)
{
    for (guint i = 0; r->fields && i + 1 < r->fields->len; i += 2) {
        if (g_ascii_strcasecmp(r->fields->pdata[i], "Content-Type") == 0) {
            g_ptr_array_remove_range(r->fields, i, 2);
            return;
        }
    }
}

void
http_respond(struct http_response *r, guint status, const char *content_type, const void *body, size_t len)
{
    char *copy = len ? g_memdup2(body, len) : NULL;
    g_free(r->body);
    g_clear_pointer(&r->live, http_live_free);
    r->status = status;
    r->body = copy;
    r->len = len;
    forget_type(r);
    if (content_type)
        http_respond_header(r, "Content-Type", content_type);
}

void
http_respond_header(struct http_response *r, const char *name, const char *value)
{
    if (!r->fields)
        r->fields = g_ptr_array_new_with_free_func(g_free);
    g_ptr_array_add(r->fields, g_strdup(name));
    g_ptr_array_add(r->fields, g_strdelimit(g_strdup(value), "\r\n", ' '));
}

void
http_respond_text(struct http_response *r, guint status, const char *text)
{
    http_response_clear(r);
    http_respond(r, status, "text/plain; charset=utf-8", text, strlen(text));
}

void
http_response_clear(struct http_response *r)
{
    g_clear_pointer(&r->body, g_free);
    g_clear_pointer(&r->fields, g_ptr_array_unref);
    g_clear_pointer(&r->live, http_live_free);
    r->status = 0;
    r->len = 0;
}

enum MHD_Result
http_response_queue(struct http_response *r, struct http_conn *conn, struct MHD_Connection *c, bool close)
{
    if (r->status == 0)
        http_respond_text(r, 500, "No answer was given.");
    struct MHD_Response *answer = r->live ? http_live_response(r->live, conn, c)
                                          : MHD_create_response_from_buffer(r->len, r->body, MHD_RESPMEM_MUST_FREE);
    if (!answer)
        return MHD_NO;
    r->body = NULL; /* the library frees both */
    r->live = NULL;
    for (guint i = 0; r->fields && i + 1 < r->fields->len; i += 2)
        MHD_add_response_header(answer, r->fields->pdata[i], r->fields->pdata[i + 1]);
    if (close)
        MHD_add_response_header(answer, "Connection", "close");
    enum MHD_Result done = MHD_queue_response(c, r->status, answer);
    MHD_destroy_response(answer);
    return done;
}
