/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "net/http_server.h"

#include <jansson.h>

/* Answers of the JSON API: objects, and what went wrong as application/problem+json (RFC 9457).
 *
 * A problem has type (urn:vmreplica:problem:CODE), title, status, detail (the sentence), cause, nextStep, code (the stable word of
 * base/err.h), and for methods ReturnValue and reason.  Every answer says Cache-Control: no-store.  Any thread. */

void problem_respond(struct http_response *response, const GError *why);
/* With a status of one's own instead of the table's, e.g. 415, 429. */
void problem_respond_as(struct http_response *response, guint status, const char *code, const char *title, const char *detail,
                        const char *next);
/* A method's refusal: status by the code; `output` (may be NULL) adds its members. */
void problem_respond_refusal(struct http_response *response, guint32 result, const char *reason, json_t *output);
guint problem_status(guint32 result); /* 0: 200, 4096: 202, refusals by the table of base/err.h, other sets of codes: see the source */

void problem_json(struct http_response *response, guint status, const json_t *value); /* compact, UTF-8 */
