/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "wsman/resource.h"

/* A request as it came: bytes to headers and body.
 *
 * Tolerant where real clients differ (wire contract section 0): any prefixes, a:To and SOAPAction never looked at, MessageID in any form or
 * none, mustUnderstand respected on header blocks in the SOAP namespace only, UTF-8 and UTF-16 with or without BOM.  Strict where a wrong
 * guess does harm: XML with a DOCTYPE, duplicate selectors, two namespaces that disagree, options that must be complied with.
 * One thread per request. */

#define ENVELOPE_MAX (1u << 20)            /* bytes of a request in UTF-8 */
#define ENVELOPE_REPLY_MIN 8192u           /* smaller limits are refused (DSP0226 section 13.1) */
#define ENVELOPE_REPLY_DEFAULT 512000u     /* of a reply, when the client names no limit */

struct selector {
    char *name, *value;
};

struct envelope {
    bool utf16;                /* the reply is encoded like the request */
    xmlDoc *doc;
    const xmlNode *body;       /* first element in the Body, NULL: empty */
    bool identify;             /* the body is wsmid:Identify; no header counts then */
    char *action, *message_id, *uri;
    struct resource resource;  /* ns is always set, unless identify */
    GPtrArray *selectors;      /* struct selector, without __cimnamespace */
    guint max_reply;           /* MaxEnvelopeSize in bytes */
    gint64 timeout_us;         /* OperationTimeout, 0: none */
    bool estimate;             /* RequestTotalItemsCountEstimate */
};

/* out is filled as far as it was understood also when this fails, so that a fault can relate to it; clear it in any case.
 * content_type NULL: UTF-8. */
bool envelope_parse(const char *content_type, const char *data, size_t len, struct envelope *out, GError **err);
void envelope_clear(struct envelope *e);
/* Is this request's media type one that envelope_parse can read? */
bool envelope_type_fine(const char *content_type);
/* The reply's bytes in the encoding of the request, and its Content-Type; takes xml. */
char *envelope_encode(const struct envelope *e, char *xml, size_t *len, const char **content_type);
