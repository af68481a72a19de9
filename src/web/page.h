/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "web/call.h"

/* Pages of a list: {"items": [...], "total": n, "next": URL or null}.
 *
 * A cursor is the path of the last object of a page, not a place in something that the server keeps: the next page begins behind it in the
 * order of paths, whatever came or went meanwhile, and clients that never come back cost nothing.  Each page looks at all instances anew.
 * Any thread. */

#define PAGE_DEFAULT 200
#define PAGE_MAX 1000

/* instances: sorted in place.  ERR_INVALID_PARAMETER: limit or cursor. */
bool page_respond(const struct web_call *c, GPtrArray *instances, const GPtrArray *select, GError **err);
