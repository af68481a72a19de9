/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "cim/instance.h"
#include "wsman/resource.h"

/* Enumeration contexts: what Enumerate found and Pull has not fetched yet.
 *
 * A context belongs to a user, not to a connection, and lives for ENUMCTX_IDLE_S after it was last touched, or until the end that Enumerate
 * asked for (Expires).  While a Pull works on one it is out of the table, so a second Pull at the same time finds none.  A user may have
 * ENUMCTX_PER_USER of them, a host ENUMCTX_TOTAL: beyond that FAULT_QUOTA.  Any thread. */

#define ENUMCTX_IDLE_S 120
#define ENUMCTX_LONGEST_S 600 /* the longest Expires that is granted */
#define ENUMCTX_PER_USER 100u
#define ENUMCTX_TOTAL 2000u

enum enum_mode { MODE_OBJECT, MODE_EPR, MODE_OBJECT_AND_EPR };

struct cursor {
    GPtrArray *instances;     /* struct cim_instance; or struct cim_class, constant, if `classes` */
    bool classes;
    guint next;               /* the first that was not sent */
    enum enum_mode mode;
    enum family family;       /* of the Enumerate; Pulls may come under another URI (wire rule 5) */
    char *as;                 /* element name: the class asked for; NULL: each its own */
    GPtrArray *select;        /* names of properties; NULL: all */
    gint64 ends_us;           /* monotonic; 0: ENUMCTX_IDLE_S after the last touch */
};
void cursor_free(struct cursor *c);
bool cursor_done(const struct cursor *c);

struct enumctx;
struct enumctx *enumctx_new(void);
void enumctx_free(struct enumctx *t);
/* Takes cursor, also on failure.  id NULL: a new one.  Returns the id, g_free; NULL: FAULT_QUOTA. */
char *enumctx_put(struct enumctx *t, const char *user, const char *id, struct cursor *cursor, GError **err);
struct cursor *enumctx_take(struct enumctx *t, const char *user, const char *id, GError **err); /* FAULT_CONTEXT */
guint enumctx_count(struct enumctx *t);
