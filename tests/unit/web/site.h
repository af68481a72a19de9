/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "fake.h"
#include "net/http_server.h"

#include <jansson.h>

/* The JSON API over loopback in front of the host of fake.h: users "boss" with "pass:word" (administrator) and "guest" with "guest"
 * (reader). */

#define V2 "/api/v1/root/virtualization/v2/"
#define BOSS "Authorization: Basic Ym9zczpwYXNzOndvcmQ=\r\n"
#define GUEST "Authorization: Basic Z3Vlc3Q6Z3Vlc3Q=\r\n"
#define JSON "Content-Type: application/json\r\n"

struct cim_watch;
struct site {
    char *dir, *users;
    struct fake *fake;
    struct auth *auth;
    struct web *web;
    struct http_server *server;
};
void site_open(struct site *s, struct cim_watch *watch, guint timeout_s);
void site_close(struct site *s);

int site_connect(const struct site *s);
/* Sends a request with these header lines and body (NULL: none); does not wait. */
void site_send(int fd, const char *method, const char *target, const char *headers, const char *body);
struct answer {
    guint status;
    char *head;
    json_t *json;  /* NULL: the body is none */
    char *body;
};
void site_call(const struct site *s, const char *method, const char *target, const char *headers, const char *body, struct answer *out);
void answer_clear(struct answer *a);
#define answer_auto __attribute__((cleanup(answer_clear))) struct answer
const char *answer_text(const struct answer *a, const char *name); /* a member of the object that is a string; NULL: it is none */
/* Reads on until the text is there; fails the test after 20 s or when the connection ends before. */
void site_expect(int fd, GString *got, const char *text);
