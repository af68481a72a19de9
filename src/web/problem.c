/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "web/problem.h"

#include "base/err.h"

#include <stdlib.h>
#include <string.h>

/* The first row of the table with that CIM code: the later ones are finer causes. */
static const struct err_info *
info_of_code(guint32 result)
{
    for (guint i = 0; i < ERR_COUNT; i++)
        if (err_info((enum err_code)i)->cim == result)
            return err_info((enum err_code)i);
    return NULL;
}

/* DMTF's own sets (contract 0.3): one number means different things in different methods, so only what all agree on is told apart. */
static guint
small_status(guint32 result)
{
    static const struct {
        guint32 result;
        guint status;
    } sets[] = {{1, 501}, {2, 500}, {3, 504}, {4098, 400}};
    for (guint i = 0; i < G_N_ELEMENTS(sets); i++)
        if (sets[i].result == result)
            return sets[i].status;
    return 409;
}

guint
problem_status(guint32 result)
{
    const struct err_info *info = info_of_code(result);
    return result == 0 ? 200 : result == 4096 ? 202 : info ? info->http : small_status(result);
}

static void
respond(struct http_response *response, guint status, const char *type, const json_t *value)
{
    char *dumped = json_dumps(value, JSON_COMPACT);
    size_t len = strlen(dumped);
    dumped[len] = '\n'; /* for terminals, where the terminating zero was */
    http_respond(response, status, type, dumped, len + 1);
    http_respond_header(response, "Cache-Control", "no-store");
    http_respond_header(response, "X-Content-Type-Options", "nosniff");
    free(dumped);
}

void
problem_json(struct http_response *response, guint status, const json_t *value)
{
    respond(response, status, "application/json", value);
}

/* Text from errors may quote what came in; jansson takes UTF-8 only. */
static json_t *
text(const char *value)
{
    g_autofree char *valid = g_utf8_make_valid(value, -1);
    return json_string(valid);
}

static json_t *
problem_new(guint status, const char *code, const char *title, const char *detail, const char *next)
{
    g_autofree char *type = g_strconcat("urn:vmreplica:problem:", code, NULL);
    json_t *o = json_object();
    json_object_set_new(o, "type", json_string(type));
    json_object_set_new(o, "title", json_string(title));
    json_object_set_new(o, "status", json_integer(status));
    json_object_set_new(o, "detail", text(detail));
    json_object_set_new(o, "nextStep", json_string(next));
    json_object_set_new(o, "code", json_string(code));
    return o;
}

/* "no-such-class" -> "No such class" */
static char *
title_of(const char *id)
{
    char *title = g_strdelimit(g_strdup(id), "-", ' ');
    *title = g_ascii_toupper(*title);
    return title;
}

static void
send_problem(struct http_response *response, guint status, json_t *o)
{
    respond(response, status, "application/problem+json", o);
    json_decref(o);
}

void
problem_respond_as(struct http_response *response, guint status, const char *code, const char *title, const char *detail, const char *next)
{
    send_problem(response, status, problem_new(status, code, title, detail, next));
}

void
problem_respond(struct http_response *response, const GError *why)
{
    const struct err_info *info = err_info_of(why);
    g_autofree char *title = title_of(info->id);
    json_t *o = problem_new(info->http, info->id, title, why->message, info->next);
    json_object_set_new(o, "cause", json_string(info->cause));
    send_problem(response, info->http, o);
}

void
problem_respond_refusal(struct http_response *response, guint32 result, const char *reason, json_t *output)
{
    const struct err_info *info = info_of_code(result);
    g_autofree char *title = title_of(info ? info->id : "refused");
    g_autofree char *plain = g_strdup_printf("The method refused with ReturnValue %u.", result);
    guint status = problem_status(result);
    json_t *o = problem_new(status, info ? info->id : "refused", title, reason ? reason : plain,
                            info ? info->next : "Read the object; the method's documentation says what the number means.");
    if (info)
        json_object_set_new(o, "cause", json_string(info->cause));
    json_object_set_new(o, "ReturnValue", json_integer(result));
    json_object_set_new(o, "reason", text(reason ? reason : plain));
    if (output)
        json_object_update_missing(o, output);
    send_problem(response, status, o);
}
