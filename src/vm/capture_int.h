/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "vm/capture.h"
#include "vm/run.h"
#include "vm/track.h"

/* Shared by capture.c, capture_live.c, capture_off.c and recover.c only.
 *
 * Names in QEMU: jobs and exports "vmr-<target>", scratch nodes "vmr-s-<target>".  All begin with "vmr-", which is how recovery finds
 * them. */

struct capture_engine {
    struct vm_conn *conn;
    char *scratch_dir, *socket_dir;
    uid_t qemu_uid;
    gid_t qemu_gid;
    guint64 scratch_reserve;
    GMutex lock;          /* guests, scratch and promised; a leaf */
    GHashTable *guests;   /* UUID text -> struct guest */
    GHashTable *scratch;  /* "UUID target" -> path of the scratch file that QEMU has open, as far as this process knows */
    guint64 promised;     /* scratch bytes that captures in progress may still need */
};

struct guest {
    bool busy;            /* a capture, recovery or clean-up is going on */
    bool settled;         /* the bitmaps track `since`, as far as this process knows; the bitmaps themselves are always read afresh */
    struct uuid since;
};

struct capture_item {
    char *target;
    struct block *block;
    struct extents *extents;
};

struct capture {
    struct capture_engine *engine;
    struct uuid vm, log;
    enum capture_mode mode;
    GPtrArray *items;       /* struct capture_item, in the order of targets */
    char *xml;
    gint64 instant_us;
    json_t *retire;         /* transaction that removes the bitmaps that were read; NULL: look first */
    char *socket;           /* not NULL: an NBD server is open there, */
    struct tether *server;  /* QEMU's own, or this one for a guest that is off */
};

char *capture_scratch_of(struct capture_engine *e, const struct uuid *vm, const char *target); /* NULL: none; g_free */
void capture_set_scratch(struct capture_engine *e, const struct uuid *vm, const char *target, const char *path); /* NULL: forget */

char *capture_socket_path(const struct capture_engine *e, const struct uuid *vm);

/* capture_live.c: fills items and instant_us.  On failure nothing is left in QEMU but perhaps bitmaps: *turned says so. */
bool live_begin(struct capture *c, virDomainPtr dom, const struct track *t, const char *const *targets, bool *turned, GError **err);
void live_close_nbd(virDomainPtr dom);

/* capture_off.c: the same for a stopped guest. */
bool off_begin(struct capture *c, const struct track *t, const char *const *targets, bool *turned, GError **err);

/* recover.c: closes everything of ours in a running QEMU but the bitmaps. */
bool recover_close(virDomainPtr dom, GError **err);
