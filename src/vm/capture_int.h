/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "vm/capture.h"
#include "vm/run.h"
#include "vm/track.h"

/* Shared by capture.c, capture_live.c, capture_pull.c, capture_off.c and recover.c only.
 *
 * Names in QEMU: jobs and exports "vmr-<target>", scratch nodes "vmr-s-<target>".  All begin with "vmr-", which is how recovery finds
 * them. */

struct capture_engine {
    struct vm_conn *conn;
    char *scratch_dir, *socket_dir;
    char *swtpm_dir;      /* NULL: the state of TPMs is left alone */
    uid_t qemu_uid;
    gid_t qemu_gid;
    guint64 scratch_reserve, live_first;
    GMutex lock;          /* guests, scratch and promised; a leaf */
    GHashTable *guests;   /* UUID text -> struct guest */
    GHashTable *scratch;  /* "UUID target" -> path of the scratch file that QEMU has open, as far as this process knows */
    guint64 promised;     /* scratch bytes that captures in progress may still need */
};

struct guest {
    bool busy;            /* a capture, recovery or clean-up is going on */
    enum capture_kind kind;
    GHashTable *seen;     /* target -> stamp of the stopped guest's image when it was read whole for the log `since`; of who is busy */
    bool settled;         /* the bitmaps track `since`, as far as this process knows; the bitmaps themselves are always read afresh */
    struct uuid since;
    char **targets;       /* of the last capture or recovery; NULL: none yet */
};

struct capture_item {
    char *target;
    struct block *block;
    struct extents *extents;
    char *stamp;         /* guest off: of the image before it was read; NULL: its bitmap turns over, or it has no stamp */
    bool seen;           /* guest off: the image was read whole before and did not change since */
};

struct capture {
    struct capture_engine *engine;
    struct uuid vm, log;
    enum capture_mode mode;
    GPtrArray *items;       /* struct capture_item, in the order of targets */
    char *xml;
    GBytes *nvram, *tpm;    /* NULL: none */
    gint64 instant_us;
    bool off;               /* the guest's images are read */
    bool keeps;             /* guest off: no bitmap was turned over, so they stand for the log from before */
    const struct capture_around *around; /* NULL: nothing; only while it begins */
    struct lease *lease;    /* engine "pull": who opens the backup jobs of a fuzzy capture */
    char *checkpoint;       /* engine "pull": this capture's; NULL: none */
    json_t *retire;         /* transaction that removes the bitmaps that were read; NULL: look first */
    char *socket;           /* not NULL: an NBD server is open there, */
    struct tether *server;  /* QEMU's own, or this one for a guest that is off */
    bool left_open;         /* something of this capture may be open in QEMU still, and would be taken for somebody else's */
};

char *capture_scratch_of(struct capture_engine *e, const struct uuid *vm, const char *target); /* NULL: none; g_free */
void capture_set_scratch(struct capture_engine *e, const struct uuid *vm, const char *target, const char *path); /* NULL: forget */

/* Takes `need` from the scratch that is free and not promised to other captures; false without an error: there is not so much. */
bool capture_promise(struct capture_engine *e, guint64 need, guint64 *available, GError **err);
void capture_unpromise(struct capture_engine *e, guint64 promised);
/* The end of an attempt to promise `need`: hands `why` on (taken), or says with ERR_NO_SPACE what is lacking.  Always false. */
bool capture_lacks_room(const struct capture_engine *e, guint64 need, guint64 available, GError *why, GError **err);

/* A guest that ran into our full scratch was stopped by QEMU's error policy; its write is tried again when it goes on. */
void capture_unstall(virDomainPtr dom);

enum capture_kind capture_kind_of(struct capture_engine *e, const struct uuid *vm);
bool capture_since(struct capture_engine *e, const struct uuid *vm, struct uuid *since); /* false: not known */

char *capture_socket_path(const struct capture_engine *e, const struct uuid *vm);

/* The calls around the instant, if any. */
void capture_before(const struct capture *c);
void capture_after(const struct capture *c);

/* The instant of a running guest is over.  A TPM that is newer than the disks is what a power cut leaves: systems are ready for it. */
void capture_took(struct capture *c);

/* capture_live.c: fills items and instant_us.  On failure nothing is left in QEMU but perhaps bitmaps: *turned says so;
 * and what c->left_open says. */
bool live_begin(struct capture *c, virDomainPtr dom, const struct track *t, const char *const *targets, bool *turned, GError **err);
bool live_close_nbd(virDomainPtr dom, GError **err); /* none is success; false: it may be open still */

/* capture_off.c: the same for a stopped guest.  off_look comes first: which images are as they were (`seen`). */
bool off_look(struct capture *c, const struct track *t, GHashTable *seen, GError **err);
bool off_begin(struct capture *c, virDomainPtr dom, const struct track *t, const char *const *targets, bool *turned, GError **err);

/* capture_pull.c: the engine "pull", guest running.  On failure nothing is left but what c->left_open says. */
bool pull_begin(struct capture *c, virDomainPtr dom, const char *const *targets, GError **err);
bool pull_end(struct capture *c, virDomainPtr dom, bool durable, GError **err);
bool pull_recover(virDomainPtr dom, const char *const *targets, bool (*durable)(void *user, const struct uuid *log), void *user,
                  struct uuid *since, GError **err);
guint64 pull_pending(virDomainPtr dom, const char *const *targets, const struct uuid *since);

/* recover.c: closes everything of ours in a running QEMU but the bitmaps. */
bool recover_close(virDomainPtr dom, GError **err);
