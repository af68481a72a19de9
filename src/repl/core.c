/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "repl/addresses.h"
#include "vm/netmap.h"
#include "repl/core.h"

#include "base/clean.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/file.h"
#include "base/log.h"
#include "repl/activity.h"
#include "repl/health.h"
#include "repl/host.h"
#include "repl/jobs.h"
#include "repl/late.h"
#include "repl/listener.h"
#include "repl/peers.h"
#include "repl/record.h"
#include "repl/round.h"

#include <string.h>

static const char HOST_KEY[] = "settings";
enum { SLICE_BYTES = 256 << 20, CYCLES_DEFAULT = 64, TRANSFERS_DEFAULT = 3, BACKGROUND_WORKERS = 4, PACKERS_DEFAULT = 4,
       GROUP_WORKERS = 1024, SERVE_WORKERS = 2 };
static const guint64 OUTBOX_DEFAULT = (guint64)4 << 30, WAITING_BYTES = (guint64)4 << 30;
static const gint64 STATS_SAVE_US = 60 * G_USEC_PER_SEC;

#define H(type, member) { #member, RECORD_##type, offsetof(struct repl_host_settings, member) }
static const struct record_field HOST[] = {
    H(BOOL, recovery_enabled), H(UINT, allowed_authentication), H(TEXT, thumbprint), H(UINT, https_port), H(UINT, http_port),
    H(I64, monitoring_start_us), H(UINT, monitoring_interval_s),
    { NULL, RECORD_END, 0 },
};

/* 09:00 local time as a UTC time of day: the contract's default anchor. */
static gint64
default_anchor_us(void)
{
    g_autoptr(GDateTime) now = g_date_time_new_now_local();
    const gint64 day = 24 * 3600 * (gint64)G_USEC_PER_SEC;
    return ((9 * 3600 * (gint64)G_USEC_PER_SEC - g_date_time_get_utc_offset(now)) % day + day) % day;
}

static bool
load_host(struct core *c, GError **err)
{
    g_autofree char *doc = NULL;
    c->host = (struct repl_host_settings){
        .https_port = WIRE_PORT, .http_port = 80, .monitoring_start_us = default_anchor_us(), .monitoring_interval_s = 43200,
    };
    if (!db_get(c->db, DB_HOST, HOST_KEY, &doc, err))
        return false;
    json_scoped_record o = doc ? record_parse(doc, err) : json_object();
    return o && record_unpack(o, HOST, &c->host, err);
}

static void
copy_config(struct core *c, const struct repl_config *from)
{
    struct repl_config *to = &c->config;
    *to = *from;
    to->state_dir = g_strdup(from->state_dir);
    to->runtime_dir = g_strdup(from->runtime_dir);
    to->scratch_dir = g_strdup(from->scratch_dir);
    to->qemu_user = g_strdup(from->qemu_user);
    to->swtpm_dir = g_strdup(from->swtpm_dir);
    to->swtpm_user = g_strdup(from->swtpm_user);
    to->host = g_strdup(from->host);
    to->nbdkit = g_strdup(from->nbdkit);
    to->plugin = g_strdup(from->plugin);
    to->listen_address = g_strdup(from->listen_address);
    to->thaw_program = g_strdup(from->thaw_program);
    to->network_map = g_strdup(from->network_map);
    c->sending = throttle_new_rates(&from->bandwidth, true);
    c->merging = throttle_new(from->merge_bytes_per_s);
    c->proving = throttle_new(from->scrub_bytes_per_s);
    c->packers = log_pool_new(from->compression_threads ? from->compression_threads : MIN(g_get_num_processors(), PACKERS_DEFAULT));
    c->spare = spare_new();
    to->log_version = from->log_version ? from->log_version : LOG_VERSION;
    to->outbox_max = from->outbox_max ? from->outbox_max : OUTBOX_DEFAULT;
    to->identity = from->identity ? net_identity_ref(from->identity) : NULL;
    c->outbox_dir = g_build_filename(from->state_dir, "outbox", NULL);
    c->fence_dir = g_build_filename(from->state_dir, "fences", NULL); /* as tools/hooks/qemu has it */
    c->replica_dir = g_build_filename(from->state_dir, "replicas", NULL);
    c->own_thumbprint = from->identity ? g_strdup(net_identity_thumbprint(from->identity)) : NULL;
}

static void
clear_config(struct core *c)
{
    const char *const texts[] = { c->config.state_dir, c->config.runtime_dir, c->config.scratch_dir, c->config.qemu_user, c->config.host,
                                  c->config.nbdkit, c->config.plugin, c->config.listen_address, c->config.thaw_program,
                                  c->config.network_map, c->config.swtpm_dir, c->config.swtpm_user };
    for (guint i = 0; i < G_N_ELEMENTS(texts); i++)
        g_free((gpointer)(guintptr)texts[i]);
    if (c->config.identity)
        net_identity_unref((struct net_identity *)(guintptr)c->config.identity);
    g_free(c->outbox_dir);
    g_free(c->fence_dir);
    g_free(c->replica_dir);
    g_free(c->own_thumbprint);
}

static bool
open_all(struct core *c, GError **err)
{
    g_autofree char *path = g_build_filename(c->config.state_dir, "vmreplica.db", NULL);
    if (!file_make_dirs(c->config.state_dir, 0711, err) || !file_make_dirs(c->fence_dir, 0755, err) ||
        !file_make_dirs(c->outbox_dir, 0700, err))
        return false;
    return (c->db = db_open(path, err)) && load_host(c, err) && (c->entries = entries_load(c->db, err)) &&
           (c->groups = groups_load(c->db, err)) && (c->jobs = jobs_open(c->db, err)) && (c->addresses = addresses_new(c, err)) &&
           (c->networks = netmap_parse(c->config.network_map, err));
}

struct core *
core_new(const struct repl_config *config, struct vm_conn *vms, const struct repl_vm_ops *ops, GError **err)
{
    struct core *c = g_new0(struct core, 1);
    const guint cycles = config->max_cycles ? config->max_cycles : CYCLES_DEFAULT;
    const guint transfers = config->max_transfers ? config->max_transfers : TRANSFERS_DEFAULT;
    const guint workers[LANES] = { cycles, cycles, transfers, BACKGROUND_WORKERS, 1, GROUP_WORKERS, SERVE_WORKERS };
    g_mutex_init(&c->lock);
    copy_config(c, config);
    c->vm = ops;
    c->vms = vms;
    c->slice_bytes = SLICE_BYTES;
    c->waiting_bytes = WAITING_BYTES;
    c->probe_us = CORE_PROBE_S * (gint64)G_USEC_PER_SEC;
    c->relations = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, (GDestroyNotify)relation_unref);
    c->schedule = schedule_new(workers);
    c->certificate = task_new(c->schedule, LANE_BACKGROUND, host_certificate_task, c);
    c->late = late_new(c);
    c->rounds = rounds_new(c);
    c->peers = peers_new(workers[LANE_SEND]);
    if (!open_all(c, err)) {
        core_free(c);
        return NULL;
    }
    const struct capture_config capture = { c->config.scratch_dir, c->config.runtime_dir, c->config.qemu_user, c->config.scratch_reserve,
                                            c->config.swtpm_dir };
    c->engine = ops->engine_new(vms, &capture);
    return c;
}

void
core_free(struct core *c)
{
    if (!c)
        return;
    job_registry_free(c->jobs);
    addresses_free(c->addresses);
    g_clear_pointer(&c->networks, g_ptr_array_unref);
    g_hash_table_unref(c->relations);
    late_free(c->late);
    task_free(c->certificate);
    schedule_free(c->schedule);
    peers_free(c->peers);
    if (c->engine)
        c->vm->engine_free(c->engine);
    throttle_free(c->merging);
    throttle_free(c->sending);
    throttle_free(c->proving);
    log_pool_free(c->packers);
    spare_free(c->spare);
    rounds_free(c->rounds);
    groups_free(c->groups);
    entries_free(c->entries);
    db_close(c->db);
    repl_host_settings_clear(&c->host);
    clear_config(c);
    g_mutex_clear(&c->lock);
    g_free(c);
}

bool
core_running(struct core *c)
{
    HOLD(&c->lock);
    return c->running;
}

struct serve_config
core_serve(const struct core *c)
{
    return (struct serve_config){ c->config.nbdkit, c->config.plugin, c->config.qemu_user };
}

struct relation *
core_find(struct core *c, const struct uuid *vm, guint index)
{
    char text[UUID_TEXT];
    g_autofree char *key = g_strdup_printf("%s/%u", uuid_format(vm, text), index);
    HOLD(&c->lock);
    struct relation *rel = g_hash_table_lookup(c->relations, key);
    return rel ? relation_ref(rel) : NULL;
}

GPtrArray *
core_list(struct core *c)
{
    GHashTableIter it;
    gpointer rel;
    GPtrArray *out = g_ptr_array_new_with_free_func((GDestroyNotify)relation_unref);
    HOLD(&c->lock);
    g_hash_table_iter_init(&it, c->relations);
    while (g_hash_table_iter_next(&it, NULL, &rel))
        g_ptr_array_add(out, relation_ref(rel));
    return out;
}

bool
core_add(struct core *c, struct relation *rel, GError **err)
{
    HOLD(&c->lock);
    if (g_hash_table_contains(c->relations, rel->key))
        return err_set(err, ERR_EXISTS, "Guest '%s' is in a replication relationship already.", rel->r.name);
    g_hash_table_insert(c->relations, g_strdup(rel->key), relation_ref(rel));
    return true;
}

bool
core_replace(struct core *c, struct relation *old, struct relation *fresh, GError **err)
{
    activity_end(old);
    const bool flushed = late_flush(c->late, err);
    g_mutex_lock(&fresh->lock);
    const bool saved = flushed && relation_save_locked(fresh, err);
    g_mutex_unlock(&fresh->lock);
    if (!saved) {
        activity_revive(c, old, NULL);
        return false;
    }
    {
        HOLD(&old->lock);
        old->removed = true;
        g_cond_broadcast(&old->changed);
    }
    HOLD(&c->lock);
    g_hash_table_replace(c->relations, g_strdup(fresh->key), relation_ref(fresh));
    return true;
}

bool
core_remove(struct core *c, struct relation *rel, GError **err)
{
    if (!relation_forget(rel, err))
        return false;
    activity_end(rel);
    {
        HOLD(&rel->lock);
        rel->removed = true;
        g_cond_broadcast(&rel->changed);
    }
    HOLD(&c->lock);
    if (g_hash_table_lookup(c->relations, rel->key) == rel)
        g_hash_table_remove(c->relations, rel->key);
    return true;
}

void
core_limits(struct core *c, struct relation *rel, struct throttle *out[CORE_LIMITS])
{
    HOLD(&rel->lock);
    relation_pace_locked(rel);
    out[0] = rel->s.pace;
    out[1] = c->sending;
    out[2] = NULL;
}

void
core_host(struct core *c, struct repl_host_settings *out)
{
    HOLD(&c->lock);
    repl_host_settings_copy(out, &c->host);
    /* Clients read these settings, change one and send them back: the certificate that we have is a default that can be used. */
    if ((!out->thumbprint || !*out->thumbprint) && c->own_thumbprint) {
        g_free(out->thumbprint);
        out->thumbprint = g_strdup(c->own_thumbprint);
    }
}

bool
core_save_host(struct core *c, const struct repl_host_settings *host, GError **err)
{
    g_autofree char *doc = record_doc(HOST, host);
    if (!db_put(c->db, DB_HOST, HOST_KEY, doc, err))
        return false;
    HOLD(&c->lock);
    repl_host_settings_clear(&c->host);
    repl_host_settings_copy(&c->host, host);
    return true;
}

/* With the relation's lock.  A folder is read by who knows which version. */
static enum compress
choose_locked(struct relation *rel, double processors)
{
    const struct repl_settings *s = &rel->settings;
    const bool lz4 = rel->s.peer_log_version >= LOG_VERSION_LZ4 && !rel->r.export_dir;
    if (!s->compression)
        return COMPRESS_NONE;
    if (s->compress == COMPRESS_AUTO)
        return compress_vote(&rel->s.meter, processors, lz4);
    return s->compress == COMPRESS_LZ4 && !lz4 ? COMPRESS_ZSTD_FAST : (enum compress)s->compress;
}

enum compress
core_packing(struct core *c, struct relation *rel, struct log_writer_options *out)
{
    const double processors = MIN(spare_processors(c->spare, log_pool_busy_us(c->packers)), log_pool_threads(c->packers));
    HOLD(&rel->lock);
    const bool level = rel->settings.compression && rel->settings.compression_level > 0;
    const enum compress how = level ? COMPRESS_ZSTD_1 : choose_locked(rel, processors);
    *out = (struct log_writer_options){ .pool = c->packers, .lz4 = how == COMPRESS_LZ4,
                                        .level = level ? rel->settings.compression_level : compress_level(how) };
    rel->s.meter.now = how;
    return how;
}

static void
say_behind_locked(struct relation *rel)
{
    const struct relation_record *r = &rel->r;
    const bool behind = health_is_silent(r->state, r->last_us, r->active_us, clock_wall_us());
    if (behind && !rel->behind)
        log_event(LOG_LEVEL_WARNING, LOG_EVENT_BEHIND, "Guest '%s': nothing was %s for more than an hour.", r->name,
                  rel->side == SIDE_SENDER ? "sent" : "received");
    rel->behind = behind;
}

void
core_tick_stats(struct core *c, struct relation *rel, bool force)
{
    struct repl_host_settings host;
    g_autofree char *doc = NULL;
    g_autoptr(GError) why = NULL;
    core_host(c, &host);
    {
        HOLD(&rel->lock);
        stats_roll(&rel->stats, rel->r.name, clock_wall_us(), host.monitoring_start_us, host.monitoring_interval_s);
        say_behind_locked(rel);
        const gint64 now = clock_mono_us();
        if (!rel->removed && (rel->stats.dirty || rel->s.hourly.dirty) && (force || now - rel->stats.saved_us > STATS_SAVE_US)) {
            rel->stats.saved_us = now;
            rel->stats.dirty = false;
            doc = stats_save(&rel->stats);
            hourly_save(&rel->s.hourly, c->db, rel->key);
        }
    }
    repl_host_settings_clear(&host);
    if (doc)
        db_put_late(c->db, DB_STATISTICS, rel->key, doc);
    if (doc && !force)
        late_soon(c->late);
    else if (doc && !db_flush(c->db, &why))
        log_warning("Statistics of '%s' could not be saved: %s", rel->key, why->message);
}

bool
core_save_definition(struct core *c, const struct uuid *vm, const char *xml, GError **err)
{
    char key[UUID_TEXT];
    uuid_format(vm, key);
    return xml ? db_put(c->db, DB_DEFINITIONS, key, xml, err) : db_remove(c->db, DB_DEFINITIONS, key, err);
}

char *
core_definition(struct core *c, const struct uuid *vm, GError **err)
{
    char key[UUID_TEXT];
    char *xml = NULL;
    if (db_get(c->db, DB_DEFINITIONS, uuid_format(vm, key), &xml, err) && !xml)
        err_set(err, ERR_NOT_FOUND, "The definition of guest '%s' is not known.", key);
    return xml;
}
