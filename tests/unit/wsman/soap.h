/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "fake.h"
#include "wsman/endpoint.h"
#include "wsman/names.h"

/* Requests as clients write them, and one look at the reply. */

#define WMI URI_WMI "root/virtualization/v2/"

struct soap {
    struct fake *fake;
    struct wsman_endpoint *endpoint;
    struct cim_caller caller;
    struct wsman_reply reply;   /* of the last request */
};
void soap_open(struct soap *s);
void soap_close(struct soap *s);
/* Sends raw bytes; returns the reply's text (owned by s). */
const char *soap_send(struct soap *s, const char *content_type, const char *body, size_t len);
/* An envelope with prefixes s, a, w, n as most clients use them; header: further blocks, NULL: none. */
const char *soap_ask(struct soap *s, const char *action, const char *uri, const char *header, const char *body);
char *soap_text(const char *action, const char *uri, const char *header, const char *body); /* g_free */
/* "<w:SelectorSet>...": pairs of name and value, NULL at the end; g_free. */
char *soap_selectors(const char *name, ...) G_GNUC_NULL_TERMINATED;
/* Is there, is not there, how often. */
void soap_has(struct soap *s, const char *text);
void soap_lacks(struct soap *s, const char *text);
guint soap_count(struct soap *s, const char *text);
/* The reply is a fault with this subcode ("" none) and this number, HTTP status 500. */
void soap_fault(struct soap *s, const char *subcode, guint32 number);
/* Text of the first element of that qualified name; g_free; NULL. */
char *soap_value(struct soap *s, const char *element);
