/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "repl/host.h"

#include "base/clean.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "repl/additional.h"
#include "repl/intake.h"
#include "repl/listener.h"
#include "repl/work.h"

static struct listener *
take_listener(struct core *c)
{
    HOLD(&c->lock);
    return g_steal_pointer(&c->listener);
}

void
host_unlisten(struct core *c)
{
    listener_stop(take_listener(c));
}

bool
host_listen(struct core *c, GError **err)
{
    struct repl_host_settings host;
    core_host(c, &host);
    const bool wanted = host.recovery_enabled;
    const guint port = host.https_port;
    repl_host_settings_clear(&host);
    host_unlisten(c);
    if (!wanted)
        return true;
    struct listener *l = listener_start(c->config.listen_address, port, c->config.identity, &intake_ops, c, err);
    if (!l)
        return false;
    log_info("Replicas are received on port %u.", port);
    HOLD(&c->lock);
    c->listener = l;
    return true;
}

/* ---- the certificate ---- */

static const gint64 DAY_US = G_TIME_SPAN_DAY;

char *
repl_certificate_warning(const struct repl_service *s)
{
    enum { SOON_DAYS = 30 };
    const struct net_identity *id = s->core->config.identity;
    const gint64 end = id ? net_identity_expiry_us(id) : 0, left = end - clock_wall_us();
    if (!id || left > SOON_DAYS * DAY_US)
        return NULL;
    g_autofree char *when = clock_iso8601(end);
    return g_strdup_printf("The certificate of this host %s on %s: without a valid one nothing is replicated. Issue a new one "
                           "(vmreplica pki issue) and restart the daemon.", left > 0 ? "expires" : "expired", when);
}

gint64
host_certificate_task(void *core)
{
    const struct repl_service s = { .core = core };
    g_autofree char *text = repl_certificate_warning(&s);
    if (text)
        log_warning("%s", text);
    return g_get_monotonic_time() + DAY_US;
}

void
repl_host_settings(struct repl_service *s, struct repl_host_settings *out, bool *listening)
{
    core_host(s->core, out);
    HOLD(&s->core->lock);
    if (listening)
        *listening = s->core->listener != NULL;
}

/* ---- ModifyServiceSettings ---- */

static bool
port_changes(struct core *c, const struct repl_host_settings *fresh)
{
    HOLD(&c->lock);
    return fresh->recovery_enabled != (c->listener != NULL) || (fresh->recovery_enabled && fresh->https_port != c->host.https_port);
}

/* The running windows end where the new rhythm says. */
static void
anchor_windows(struct core *c, const struct repl_host_settings *host)
{
    g_autoptr(GPtrArray) all = core_list(c);
    for (guint i = 0; i < all->len; i++) {
        struct relation *rel = all->pdata[i];
        HOLD(&rel->lock);
        rel->stats.now.end_us = stats_window_end(clock_wall_us(), host->monitoring_start_us, host->monitoring_interval_s);
        rel->stats.dirty = true;
    }
}

static bool
modify_work(struct job *job, void *work, GError **err)
{
    struct work *w = work;
    struct core *c = w->core;
    struct repl_host_settings old;
    g_autoptr(GError) back = NULL;
    const bool changes = port_changes(c, w->host);
    core_host(c, &old);
    bool ok = core_save_host(c, w->host, err);
    if (ok && changes && !host_listen(c, err)) {
        ok = false;
        if (!core_save_host(c, &old, &back) || !host_listen(c, &back))
            log_error("The former settings of the replica server could not be restored: %s", back->message);
    }
    if (ok)
        anchor_windows(c, w->host);
    repl_host_settings_clear(&old);
    return ok;
}

bool
repl_modify_service(struct repl_service *s, const struct repl_host_settings *settings, const char *owner, char job[UUID_TEXT], GError **err)
{
    if (!repl_host_settings_check(settings, s->core->own_thumbprint, err))
        return false;
    struct work *w = work_new(s->core, NULL, NULL);
    w->host = g_new0(struct repl_host_settings, 1);
    repl_host_settings_copy(w->host, settings);
    return work_post(w, JOB_MODIFY_SERVICE, true, false, 0, owner, modify_work, job, err);
}

/* ---- authorisation entries ---- */

GPtrArray *
repl_entries(struct repl_service *s)
{
    return entries_list(s->core->entries);
}

bool
repl_entry_add(struct repl_service *s, const struct repl_entry *e, GError **err)
{
    return entries_add(s->core->entries, e, err);
}

bool
repl_entry_modify(struct repl_service *s, const struct repl_entry *e, GError **err)
{
    return entries_modify(s->core->entries, e, err);
}

bool
repl_entry_remove(struct repl_service *s, const char *host, GError **err)
{
    return entries_remove(s->core->entries, host, err);
}

bool
repl_entry_bind(struct repl_service *s, const struct uuid *vm, const char *host, GError **err)
{
    struct repl_entry *entry = entries_get(s->core->entries, host, err);
    relation_auto rel = entry ? work_relation(s->core, vm, 0, err) : NULL;
    bool ok = rel && rel->side == SIDE_RECEIVER;
    if (rel && !ok)
        err_set(err, ERR_INVALID_STATE, "Guest '%s' is the primary here; entries bind replicas.", rel->r.name);
    if (ok) {
        HOLD(&rel->lock);
        g_autofree char *before = g_steal_pointer(&rel->r.trust_group);
        rel->r.trust_group = g_strdup(entry->trust_group);
        ok = relation_save_locked(rel, err);
        if (!ok) {
            g_free(rel->r.trust_group);
            rel->r.trust_group = g_steal_pointer(&before);
        }
    }
    repl_entry_free(entry);
    return ok;
}

char *
repl_certificate(struct repl_service *s)
{
    const struct net_identity *id = s->core->config.identity;
    return id ? net_identity_der_base64(id) : NULL;
}

bool
repl_thumbprint_fits(struct repl_service *s, const char *thumbprint, GError **err)
{
    g_autofree char *copy = g_strdup(thumbprint);
    return settings_check_thumbprint(&copy, s->core->own_thumbprint ? s->core->own_thumbprint : "none", err);
}
