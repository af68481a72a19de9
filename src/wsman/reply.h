/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

/* Writing envelopes.  Text goes into a GString in the order of the document:
 *
 *   GString *out = reply_begin(action, request's MessageID);   header is open: further header blocks may be appended
 *   reply_body(out);                                           body is open
 *   char *xml = reply_end(out);                                closes all; frees out; g_free
 *
 * The Envelope declares s a w n x e, in this spelling; "p", the class's namespace, is declared on the elements that use it.  No XML
 * declaration, UTF-8, as Windows does.  Pure; any thread. */

GString *reply_begin(const char *action, const char *relates_to); /* relates_to NULL: none */
/* The same for a message that answers nothing; *id (g_free) becomes its MessageID. */
GString *message_begin(const char *action, const char *to, char **id);
void reply_body(GString *out);
char *reply_end(GString *out);
void reply_text(GString *out, const char *element, const char *text); /* <element>escaped</element> */
/* Bytes of an envelope around an empty body, for those who count against MaxEnvelopeSize. */
#define REPLY_CLOSING_BYTES 32
