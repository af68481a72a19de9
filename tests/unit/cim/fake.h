/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "cim/dispatch.h"

/* A small world behind a real broker: the host, guests with one relationship and one job each, the replication service with a method.
 * Counters show which way dispatch took. */

#define FAKE_NS "root/virtualization/v2"
#define FAKE_HOST "HOST-A"

struct fake {
    struct cim_broker *broker;
    guint guests;
    guint enumerated, fetched, walked; /* calls of enumerate, get, enumerate of links */
    gint broken;                       /* providers fail with ERR_NOT_AVAILABLE; atomic */
    bool forgetful;                    /* get knows no guest, although enumerate does */
    guint invoked;
    guint state;                       /* of guest 0; 0: as it is by itself */
    guint32 answer; /* ReturnValue of the method */
    int refusal;    /* enum err_code; -1: none */
};

extern const struct cim_caller fake_admin, fake_viewer, fake_nobody;
struct fake *fake_new(guint guests);
void fake_free(struct fake *f);
char *fake_guid(guint n); /* of guest n; g_free */
struct cim_path *fake_guest_path(guint n);
