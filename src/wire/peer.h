/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "base/hash.h"
#include "base/throttle.h"
#include "base/uuid.h"
#include "net/identity.h"

#include <glib.h>
#include <stdbool.h>

/* The replication protocol, seen from the host that speaks first.  HTTPS, mutual TLS 1.3, one connection per peer object, blocking calls.
 *
 *   GET  /replication/v1/hello                      who are you, do you accept me
 *   PUT  /replication/v1/vms/<VM>                   make (or adopt) the placeholder            body: struct wire_offer as JSON
 *   GET  /replication/v1/vms/<VM>                   where do we stand                          answer: struct wire_status as JSON
 *   PUT  /replication/v1/vms/<VM>/settings          new interval, history, retention           body: struct wire_offer as JSON
 *   DELETE /replication/v1/vms/<VM>                 undo a placeholder that never got data
 *   PUT  /replication/v1/vms/<VM>/reverse           swap the roles: you become the replica        body: struct wire_offer as JSON
 *   POST /replication/v1/vms/<VM>/hashes/<LOG>?disk=D&page=P&count=N[&mend=1][&as=FORM]   what does that state hold?
 *                                                   body: key, then what the form asks (hashes.h); answer: size of the disk, then
 *                                                   without `as` 16 bytes for each page; list: runs; sums, shorts&round=R: of a guess
 *   PUT  /replication/v1/vms/<VM>/logs/<LOG>?offset=N   the bytes of one change log from N on; the answer comes after it is durable
 *
 * An error answer carries {"error": id of ERR_TABLE, "message": text}; it becomes a GError of that code here.  No answer, a broken
 * connection and 5xx without such a body are ERR_NETWORK, a peer that stalls is ERR_TIMEOUT, one whose certificate we do not accept (or
 * who does not accept ours) ERR_PEER_REFUSED, an answer that cannot be understood ERR_MALFORMED.
 *
 * Limits: WIRE_MAX_BODY for JSON in either direction, WIRE_MAX_DISKS disks.  A wire_peer belongs to one thread at a time. */

#define WIRE_PORT 8443
#define WIRE_MAX_BODY (4u << 20)
#define WIRE_MAX_DISKS 256
#define WIRE_STALL_S 60

struct wire_peer;
/* `host` must match the certificate of the peer.  Nothing is sent yet.  Takes its own reference of identity. */
struct wire_peer *wire_peer_new(const char *host, guint port, const struct net_identity *identity, GError **err);
void wire_peer_free(struct wire_peer *p);
/* Any thread: the call under way and every later one of this object end soon with ERR_CANCELLED. */
void wire_peer_abort(struct wire_peer *p);

struct wire_hello {
    char *host;             /* the peer's own name */
    bool recovery_enabled;  /* RecoveryServerEnabled there */
    bool authorised;        /* an authorisation entry fits our certificate */
    gint64 skew_us;         /* peer wall clock minus ours */
    guint hash_forms;       /* as WIRE_HASH_FORMS; an older peer says nothing, which means 1; who answers: 0 for what the program can */
};
void wire_hello_clear(struct wire_hello *h);
bool wire_peer_hello(struct wire_peer *p, struct wire_hello *out, GError **err);

struct wire_disk {
    guint16 id;
    char *target;
    guint64 size;
};

/* What the sender proposes and may change later. */
struct wire_offer {
    struct uuid vm;
    char *name;             /* of the guest */
    char *primary_host;     /* claimed; the receiver trusts the certificate only */
    char *domain_xml;
    guint64 epoch;
    guint interval_ms, history, keep_every_s, app_interval_h;
    GArray *disks;          /* struct wire_disk */
    guint port;             /* of the sender's own replication port; 0: it has none open */
    bool extended;          /* the sender is a replica itself, and the receiver the third host (contract 2.7) */
    char *additional;       /* AdditionalSettings; NULL: none */
    bool has_head;          /* of a reversal: the log that the sender's guest was brought up from */
    struct uuid head;
    guint64 head_sequence;
};
void wire_offer_clear(struct wire_offer *o);

struct wire_status {
    guint64 epoch;
    char *host;             /* who answers */
    char *state;            /* word of repl/state.h */
    bool has_head;
    struct uuid head;       /* newest committed log */
    guint64 head_sequence;
    bool has_part;
    struct uuid part;       /* log that is half here */
    guint64 part_bytes;
    bool running;           /* the guest runs on that host; of a primary: or that could not be found out */
    guint log_version;      /* newest format of change logs that it reads (log/format.h); an older peer says nothing, which means 1 */
    char *elsewhere;        /* the host behind that one, to which the guest has failed over; NULL: not known of any, or an older peer */
    bool elsewhere_runs;    /* the guest runs there, as far as that one knows */
};
void wire_status_clear(struct wire_status *s);

bool wire_peer_offer(struct wire_peer *p, const struct wire_offer *offer, struct wire_status *out, GError **err);
/* The old primary becomes the replica of the host that asks; repeatable.  out: where its chain stands, as of wire_peer_status. */
bool wire_peer_reverse(struct wire_peer *p, const struct wire_offer *offer, struct wire_status *out, GError **err);
bool wire_peer_settings(struct wire_peer *p, const struct wire_offer *offer, GError **err);
bool wire_peer_status(struct wire_peer *p, const struct uuid *vm, struct wire_status *out, GError **err);
bool wire_peer_withdraw(struct wire_peer *p, const struct uuid *vm, GError **err);

/* The hashes (store/fingerprint.h says of what) of pages of a disk as it is after `log`, which the peer must have; else
 * ERR_OUT_OF_SEQUENCE.  The peer needs to read the pages, so ask for some thousand at a time and for WIRE_MAX_HASHES at most.
 *
 * Runs of one hash cost as much as one.  Who has hashes of its own gives them as a guess: then only a digest of 256 pages travels where it
 * is right, and about two bytes for each page, and the hashes that are others, in groups of 256 where it is not.  The outcome is the same,
 * all 16 bytes of each hash; an older peer sends them all. */
#define WIRE_MAX_HASHES (64u << 10)
#define WIRE_HASH_FORMS 2
struct wire_hash_query {
    struct uuid vm, log;
    guint16 disk;
    guint64 page;
    guint32 count;
    const guint8 *key;      /* HASH_SECRET bytes */
    bool mend;              /* what cannot be read there at all may be thrown away: everything from there on is sent again */
    const struct hash128 *guess; /* `count` hashes that it may have, under that key; NULL: none */
};
struct wire_hashes {
    guint64 size;           /* bytes of the disk after that log; 0: it has no such disk */
    GArray *hashes;         /* struct hash128: `count`, or fewer at the end of the disk */
};
void wire_hashes_clear(struct wire_hashes *h);
bool wire_peer_hashes(struct wire_peer *p, const struct wire_hash_query *query, struct wire_hashes *out, GError **err);

/* Sends `path` (a finished log) from `offset` on and waits for the durable acknowledgement.  `sent` (may be NULL) is advanced atomically as
 * bytes go out, for progress; `limits` as in net/http_client.h.  ERR_OUT_OF_SEQUENCE: the peer expects another offset or another log;
 * ask wire_peer_status. */
bool wire_peer_send_log(struct wire_peer *p, const struct uuid *vm, const struct uuid *log, const char *path, guint64 offset,
                        struct throttle *const *limits, gint64 *sent, struct wire_status *out, GError **err);
