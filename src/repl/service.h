/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "base/rates.h"
#include "job/job.h"
#include "net/identity.h"
#include "repl/settings.h"
#include "repl/state.h"
#include "store/store.h"
#include "vm/agent.h"
#include "vm/domain.h"
#include "vm/host.h"

/* The heart's door: everything that a provider (CIM class) may ask of replication.  One function per method of the contract; each makes
 * all its checks in the order of contract 0.3 before anything changes and either does the work or posts a job, whose id it returns.
 * Identity and access are checked by the caller (cim dispatch).  Facts are copies.  Any thread. */

struct repl_config {
    const char *state_dir;      /* /var/lib/vmreplica: database, outbox, fences, replicas when no location is named */
    const char *runtime_dir;    /* /run/vmreplica: sockets */
    const char *scratch_dir;    /* /dev/shm/vmreplica */
    const char *qemu_user;
    const char *swtpm_dir, *swtpm_user; /* /var/lib/libvirt/swtpm, and whom its files belong to (vm/tpm.h) */
    const char *host;           /* our name, as in the certificate */
    const char *nbdkit, *plugin;
    const char *listen_address; /* of the replication port; NULL: all */
    const struct net_identity *identity; /* NULL: no replication between hosts until there is one */
    guint64 outbox_max, scratch_reserve;
    guint max_cycles, max_transfers; /* at the same time; 0: a default */
    struct rates bandwidth;     /* of all that this host sends */
    guint reserve_percent;      /* of a replica's file system; below it points are given up; 0: never */
    const char *thaw_program;   /* vmreplica-thaw */
    guint freeze_limit_s;       /* of an application-consistent point */
    guint64 merge_bytes_per_s;  /* of all replicas together; 0: no limit */
    guint64 scrub_bytes_per_s;  /* of all replicas together are read to be verified; 0: never */
    guint scrub_days;           /* from one verification of a whole replica to the next */
    const char *network_map;    /* vm/netmap.h; NULL: none */
    guint64 fill_bytes_per_s;   /* of a failed-over guest's disks while it runs (flatten.h); 0: no limit */
    guint compression_threads;  /* that pack change logs; 0: as many as processors, at most 4 */
    guint log_version;          /* newest format of change logs that senders may use; 0: the newest there is */
    bool refuse_if_primary_running; /* failover.refuse_if_primary_running */
    bool pause_superseded;      /* failover.pause_superseded */
};

struct repl_service;
struct repl_service *repl_service_new(const struct repl_config *config, struct vm_conn *vms, GError **err);
bool repl_service_start(struct repl_service *s, GError **err); /* recovers what a crash left, opens the listener if enabled, schedules */
void repl_service_stop(struct repl_service *s);               /* parks transfers, waits */
void repl_service_free(struct repl_service *s);               /* after vm_conn_close: it watches the connection until then */
/* fn is called, from any thread and with locks of ours held, when something that is saved or a guest changed: it must be quick and may not
 * call back.  fn NULL: no more, and none is under way when this returns. */
void repl_service_on_change(struct repl_service *s, void (*fn)(void *user), void *user);
struct job_registry *repl_jobs(struct repl_service *s);
struct vm_conn *repl_vms(struct repl_service *s);
const char *repl_host(const struct repl_service *s);
/* A sentence when our certificate expires within thirty days; NULL: it does not, or there is none.  g_free. */
char *repl_certificate_warning(const struct repl_service *s);
/* NULL, empty, or another thumbprint than that of the host's own certificate is ERR_INVALID_PARAMETER. */
bool repl_thumbprint_fits(struct repl_service *s, const char *thumbprint, GError **err);
char *repl_certificate(struct repl_service *s); /* base64 DER of the host's own; NULL: none; g_free */
/* The guests of this host, from memory (vm/inventory.h). */
GPtrArray *repl_guests(struct repl_service *s, GError **err);                                     /* struct vm_facts; unref frees */
struct vm_facts *repl_guest(struct repl_service *s, const struct uuid *vm, GError **err);         /* ERR_NO_SUCH_INSTANCE */
/* This host and its networks (vm/host.h); what the guests' processors used (vm/vcpu.h), the addresses that the guests have. */
struct vm_host *repl_machine(struct repl_service *s, GError **err);
GPtrArray *repl_networks(struct repl_service *s, GError **err);                       /* struct vm_network */
GArray *repl_vcpu_times(struct repl_service *s, const struct uuid *vm, GError **err); /* guint64, ns */
GHashTable *repl_addresses(struct repl_service *s, const struct uuid *vm);            /* MAC -> char ** */

/* --- facts ------------------------------------------------------------------------------------------------------------------------- */
struct repl_relation {
    struct uuid vm;
    guint index;                /* 0: \HVR\0, 1: \HVR\1 */
    char *name;                 /* of the guest */
    enum repl_mode mode;
    enum repl_state state;
    guint health;               /* 0..3 */
    guint last_type, failed_over_type; /* 0 none, 1 regular, 2 application-consistent, 3 planned */
    gint64 last_us, last_app_us, last_apply_us;  /* wall; 0: never */
    struct repl_settings settings;
    struct uuid applied_point;  /* nil: none or latest */
    char *reason;               /* last error or warning in words; NULL */
    guint64 epoch;
    char *folder;               /* of the replica's store; NULL on the primary */
    bool flattening;            /* overlays are being filled */
    guint64 flat_done, flat_total;
};
void repl_relation_clear(struct repl_relation *r);
/* A guest without replication has index 0 with mode NONE and state DISABLED (the contract wants it to exist).  ERR_NO_SUCH_INSTANCE. */
bool repl_relation_get(struct repl_service *s, const struct uuid *vm, guint index, struct repl_relation *out, GError **err);
GPtrArray *repl_relation_list(struct repl_service *s, GError **err); /* one per guest and index */

/* What a boot check found (drill.h). */
struct repl_check {
    gint64 at_us, took_us;      /* wall when it ended, 0: never checked; and how long it took */
    bool passed;
    char why[256];              /* it failed; else "" */
    char picture[8];            /* "png", "ppm": <folder>/checks/<ID>.<picture> is its screen; "": none */
};

struct repl_point {
    struct uuid id, vm;
    enum log_kind kind;
    gint64 capture_us;
    guint64 bytes;
    bool applied;               /* the failover runs from this one */
    bool newest;
    bool pinned;                /* stays until it is unpinned */
    gint64 protected_us;        /* stays until then, whatever is asked; 0: not */
    bool damaged;               /* something that it needs is known to be damaged */
    struct repl_check check;
};
GArray *repl_points(struct repl_service *s, const struct uuid *vm, GError **err);  /* oldest first; empty unless replica, which stays one */
bool repl_point_find(struct repl_service *s, const struct uuid *point, struct repl_point *out);
/* pinned NULL: as it is; until_us 0: as it is, else the point is protected until then, which cannot be taken back (store/pins.h). */
bool repl_point_keep(struct repl_service *s, const struct uuid *point, const bool *pinned, gint64 until_us, GError **err);
/* How an application-consistent point was quiesced, as JSON (docs/format.md); NULL: it is no such point, or nothing is known; g_free. */
char *repl_point_quiesce(struct repl_service *s, const struct repl_point *p);
char *repl_point_xml(struct repl_service *s, const struct uuid *point, GError **err); /* its domain XML */

struct repl_statistics {
    gint64 start_us, end_us, last_test_us;
    guint success, misses, failures, network_failures, app_failures;
    guint64 size, max_size, pending;
    guint64 wire_bytes;         /* compressed, of all logs; beyond the contract */
    guint64 copied;             /* uncompressed, of logs that are no cycle (first copy, scan of a running guest): not in size */
    guint64 left_out;           /* bytes of the disks that are not replicated (leaveout.h) */
    /* of a sender, since the daemon's start (repl/compress.h) */
    char compression[16];       /* how the newest log was packed; empty: there was none */
    guint64 pack_rate, link_rate; /* bytes per second: one processor packing with zstd:1, and sending; 0: not known */
    guint scans, full_copies;   /* reads of all disks after tracking was lost; of these, with nothing to compare with */
    gint64 latency_us, max_latency_us;
    guint health;
    /* of a replica, as last measured (repl/space.h) */
    guint64 disk_bytes, disk_free, given_up;
    gint64 disk_growth;         /* bytes per day */
    bool growth_known;
    gint days_left;             /* until its file system is full; -1: never, or not known */
    struct repl_proof {         /* whether it has its checksums (repl/proof.h) */
        gint64 ended_us;        /* wall: the last whole verification; 0: none yet */
        guint64 checked;        /* bytes that it read */
        gint percent;           /* of the one under way; -1: none is */
        guint places, points;   /* that are damaged; recovery points that cannot be used because of it */
    } proof;
    /* of a primary: the last comparison with its replica (repl/difference.h) */
    gint64 compared_us;         /* wall; 0: never */
    guint64 compared_pages, different_pages;
    struct repl_check check;    /* its newest boot check */
    struct uuid check_point;
};
struct repl_issue {
    guint severity;             /* 3 warning, 4 critical */
    const char *id;             /* stable word */
    char *message, *action;
};
bool
repl_statistics(struct repl_service *s, const struct uuid *vm, guint index, struct repl_statistics *out, GPtrArray **issues, GError **err);
/* What a sending relationship wrote, per hour and disk, in order; the newest hour runs (repl/hourly.h). */
struct repl_churn {
    gint64 start_us;            /* wall, of the hour */
    guint cycles;               /* of the relationship in that hour */
    char *target;               /* "": what belongs to no disk (overhead) */
    guint64 changed, wire, copied;
};
void repl_churn_clear(struct repl_churn *c);
/* struct repl_churn; unref frees.  hours 0: all. */
GArray *repl_churn(struct repl_service *s, const struct uuid *vm, guint index, guint hours, GError **err);
bool repl_statistics_reset(struct repl_service *s, const struct uuid *vm, guint index, GError **err);

/* --- the host ---------------------------------------------------------------------------------------------------------------------- */
void repl_host_settings(struct repl_service *s, struct repl_host_settings *out, bool *listening);
bool repl_modify_service(struct repl_service *s, const struct repl_host_settings *settings, const char *owner, char job[UUID_TEXT],
                         GError **err);

struct repl_entry {
    char *host, *trust_group, *location;
};
void repl_entry_free(struct repl_entry *e);
GPtrArray *repl_entries(struct repl_service *s);
bool repl_entry_add(struct repl_service *s, const struct repl_entry *e, GError **err);
bool repl_entry_modify(struct repl_service *s, const struct repl_entry *e, GError **err); /* NULL members keep their value */
bool repl_entry_remove(struct repl_service *s, const char *host, GError **err);

/* --- relationships: owner is the user who asks; job receives the id ------------------------------------------------------------------ */
bool repl_create(struct repl_service *s, const struct uuid *vm, struct repl_settings *settings, const char *owner, char job[UUID_TEXT],
                 GError **err);
bool repl_modify(struct repl_service *s, const struct uuid *vm, struct repl_settings *settings, const char *owner, char job[UUID_TEXT],
                 GError **err);
/* Of a replica, these three and repl_create mean the extended relationship. */
bool repl_start(struct repl_service *s, const struct uuid *vm, guint type, const char *location, gint64 start_us, const char *owner,
                char job[UUID_TEXT], GError **err);
/* RequestReplicationStateChange: 1, 2, 3, 4, 7, 9.  job is empty ("") when it is done at once. */
bool repl_state_change(struct repl_service *s, const struct uuid *vm, guint index, guint requested, const char *owner, char job[UUID_TEXT],
                       GError **err);
bool repl_remove(struct repl_service *s, const struct uuid *vm, guint index, const char *owner, char job[UUID_TEXT], GError **err);
/* Resynchronize: both sides are compared, the differences sent.  start_us 0: now. */
bool repl_resynchronize(struct repl_service *s, const struct uuid *vm, gint64 start_us, const char *owner, char job[UUID_TEXT],
                        GError **err);
/* CompareReplica (an addition): whether both hosts have the same, without stopping (repl/difference.h; of a replica that is extended: this
 * host and the third one); repair: what differs is sent. */
bool repl_compare(struct repl_service *s, const struct uuid *vm, bool repair, const char *owner, char job[UUID_TEXT], GError **err);
/* ImportInitialReplica: the folder of the guest, or the one that holds it. */
bool repl_import(struct repl_service *s, const struct uuid *vm, const char *location, const char *owner, char job[UUID_TEXT], GError **err);
/* ChangeReplicationModeToPrimary: a replica whose failover was committed goes on as the primary of its extended replica. */
bool repl_promote(struct repl_service *s, const struct uuid *vm, guint index, const char *owner, char job[UUID_TEXT], GError **err);
/* SetAuthorizationEntry: binds a replica to the trust group of that entry. */
bool repl_entry_bind(struct repl_service *s, const struct uuid *vm, const char *host, GError **err);
bool repl_test_connection(struct repl_service *s, const char *host, guint port, const char *owner, char job[UUID_TEXT], GError **err);

/* --- failover: point NULL is the latest state.  A point that is known to be damaged is ERR_CORRUPT unless `damaged` says so. --------- */
bool repl_failover(struct repl_service *s, const struct uuid *vm, const struct uuid *point, bool damaged, const char *owner,
                   char job[UUID_TEXT], GError **err);
bool repl_revert(struct repl_service *s, const struct uuid *vm, const char *owner, char job[UUID_TEXT], GError **err);
bool repl_commit(struct repl_service *s, const struct uuid *vm, const char *owner, char job[UUID_TEXT], GError **err);

/* ReverseReplicationRelationship: the failed-over replica becomes the primary.  settings NULL: to the old primary host, as before. */
bool repl_reverse(struct repl_service *s, const struct uuid *vm, struct repl_settings *settings, const char *owner, char job[UUID_TEXT],
                  GError **err);
/* TestReplicaSystem (contract 2.5): a second guest over the point, which repl_tests lists.  One at a time per replica. */
bool repl_test_failover(struct repl_service *s, const struct uuid *vm, const struct uuid *point, bool damaged, const char *owner,
                        char job[UUID_TEXT], GError **err);

/* An addition to the contract: a test failover that starts the guest, looks whether it comes up, and removes it again.  The job fails when
 * the guest does not come up; struct repl_point.check has the result. */
bool repl_verify(struct repl_service *s, const struct uuid *vm, const struct uuid *point, const char *owner, char job[UUID_TEXT],
                 GError **err);

/* Addresses that the guest's cards get after a failover to this host, or in a test guest (repl/addresses.h).  Members as in
 * Msvm_FailoverNetworkAdapterSettingData; who sets them has checked them. */
struct repl_addresses {
    char *mac;
    guint family;               /* ProtocolIFType: 0 (clears), 4096, 4097, 4098 */
    bool dhcp;
    char **addresses, **subnets, **gateways, **dns;
};
void repl_addresses_free(struct repl_addresses *card);
bool repl_addresses_set(struct repl_service *s, const struct uuid *vm, const GPtrArray *list, GError **err); /* of struct repl_addresses */
GPtrArray *repl_addresses_get(struct repl_service *s, const struct uuid *vm);
/* Networks of single cards of a guest's test guests on this host; network NULL: that of AdditionalSettings. */
struct repl_test_network {
    char *mac, *network;
};
void repl_test_network_free(struct repl_test_network *card);
/* ERR_INVALID_PARAMETER: no such card or no name; ERR_INVALID_STATE: a test guest. */
bool repl_test_networks_set(struct repl_service *s, const struct uuid *vm, const GPtrArray *list, GError **err);
GPtrArray *repl_test_networks(struct repl_service *s, const struct uuid *vm); /* struct repl_test_network; g_ptr_array_unref */

/* NULL: nothing was tried yet. g_free. */
char *repl_addresses_outcome(struct repl_service *s, const struct uuid *vm, bool *failed, bool *waiting);

/* --- guests as machines -------------------------------------------------------------------------------------------------------------
 * RequestStateChange of Msvm_ComputerSystem: 2 start or resume, 3 off, 4 shut down (asks, does not wait), 6 save (a job), 9 pause,
 * 10 reboot (asks), 11 reset; 7 and 8 are ERR_NOT_SUPPORTED.  Fenced guests are refused with ERR_INVALID_STATE (contract 2.8). */
bool repl_power(struct repl_service *s, const struct uuid *vm, guint requested, const char *owner, char job[UUID_TEXT], GError **err);
/* What RequestStateChange of this guest would not refuse now; how many. */
enum { REPL_REQUESTS = 9 };
guint repl_power_requests(struct repl_service *s, const struct vm_facts *f, guint out[REPL_REQUESTS]);
bool repl_inject_nmi(struct repl_service *s, const struct uuid *vm, GError **err);
/* Asks the guest's agent and waits for it; see vm/agent.h. */
bool repl_agent(struct repl_service *s, const struct uuid *vm, struct vm_agent_info *out, GError **err);

struct repl_guest_change {      /* NULL members stay as they are */
    const char *name;           /* the guest must be off */
    const char *notes;
    const bool *autostart;
};
/* ERR_INVALID_STATE: a replica, its definition comes from the primary; or the power does not permit it. */
bool repl_change_guest(struct repl_service *s, const struct uuid *vm, const struct repl_guest_change *change, GError **err);
/* DestroySystem (contract 2.8): test guests only.  ERR_NOT_SUPPORTED: another guest. */
bool repl_destroy_guest(struct repl_service *s, const struct uuid *vm, const char *owner, char job[UUID_TEXT], GError **err);

struct repl_test {
    struct uuid replica, test;
};
GArray *repl_tests(struct repl_service *s); /* struct repl_test: replicas that have a test guest; g_array_unref */
