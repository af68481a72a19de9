/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "repl/probe.h"

#include "base/clean.h"
#include "base/err.h"
#include "base/log.h"
#include "repl/supersede.h"

/* Ends a call that takes too long. */
struct limit {
    struct wire_peer *peer;
    gint64 us;
    GMutex lock;
    GCond changed;
    bool done;
};

static void *
limit_thread(void *data)
{
    struct limit *l = data;
    const gint64 deadline = g_get_monotonic_time() + l->us;
    HOLD(&l->lock);
    while (!l->done)
        if (!g_cond_wait_until(&l->changed, &l->lock, deadline)) {
            wire_peer_abort(l->peer);
            break;
        }
    return NULL;
}

static bool
ask(struct wire_peer *peer, gint64 limit_us, const struct uuid *vm, struct wire_status *out, GError **err)
{
    struct limit l = { .peer = peer, .us = limit_us };
    g_mutex_init(&l.lock);
    g_cond_init(&l.changed);
    GThread *thread = g_thread_new("probe", limit_thread, &l);
    const bool ok = wire_peer_status(peer, vm, out, err);
    g_mutex_lock(&l.lock);
    l.done = true;
    g_cond_broadcast(&l.changed);
    g_mutex_unlock(&l.lock);
    g_thread_join(thread);
    g_cond_clear(&l.changed);
    g_mutex_clear(&l.lock);
    return ok;
}

static bool
runs_there(struct core *c, struct relation *rel)
{
    struct repl_host_settings host;
    struct wire_status st = { 0 };
    g_autoptr(GError) why = NULL;
    if (!rel->r.primary_host) /* a replica that waits for its primary */
        return false;
    core_host(c, &host);
    const guint port = rel->r.primary_port ? rel->r.primary_port : host.https_port; /* both hosts use one port unless told otherwise */
    repl_host_settings_clear(&host);
    struct wire_peer *peer = c->config.identity ? wire_peer_new(rel->r.primary_host, port, c->config.identity, &why) : NULL;
    const bool answered = peer && ask(peer, c->probe_us, &rel->vm, &st, &why);
    const bool runs = answered && st.running;
    wire_peer_free(peer);
    wire_status_clear(&st);
    if (!answered)
        log_info("Guest '%s': its primary '%s' could not be asked whether it runs: %s", rel->r.name, rel->r.primary_host,
                 why ? why->message : "this host has no certificate.");
    return runs;
}

static void
warn(struct job *job, const char *what, struct relation *rel, const char *host)
{
    if (job)
        job_warn(job, "Guest '%s' %s '%s'; do not let both run.", rel->r.name, what, host);
    else
        log_warning("Guest '%s' %s '%s'; do not let both run.", rel->r.name, what, host);
}

/* What is known here of an extended replica. */
static bool
third_is_fine(struct core *c, struct relation *rel, struct job *job, GError **err)
{
    struct wire_status st = { 0 };
    supersede_tell(c, &rel->vm, &st);
    const bool refused = st.elsewhere && st.elsewhere_runs && c->config.refuse_if_primary_running;
    if (refused)
        err_set(err, ERR_INVALID_STATE, "Guest '%s' runs on '%s', where it has failed over; turn it off there first.", rel->r.name,
                st.elsewhere);
    else if (st.elsewhere)
        warn(job, "has failed over to", rel, st.elsewhere);
    wire_status_clear(&st);
    return !refused;
}

bool
probe_primary(struct core *c, struct relation *rel, struct job *job, GError **err)
{
    if (runs_there(c, rel)) {
        if (c->config.refuse_if_primary_running)
            return err_set(err, ERR_INVALID_STATE, "Guest '%s' still runs on '%s'; turn it off there first.", rel->r.name,
                           rel->r.primary_host);
        warn(job, "still runs on", rel, rel->r.primary_host);
    }
    return third_is_fine(c, rel, job, err);
}

bool
probe_host(const char *host, guint port, const struct net_identity *identity, gint64 limit_us, const struct uuid *vm,
           struct wire_status *out, GError **err)
{
    if (!identity)
        return err_set(err, ERR_NOT_AVAILABLE, "This host has no certificate; see 'vmreplica pki'.");
    struct wire_peer *peer = wire_peer_new(host, port, identity, err);
    const bool answered = peer && ask(peer, limit_us, vm, out, err);
    wire_peer_free(peer);
    return answered;
}

bool
probe_replica(struct core *c, struct relation *rel, struct wire_status *out, GError **err)
{
    g_autofree char *host = NULL;
    guint port;
    {
        HOLD(&rel->lock);
        host = g_strdup(rel->settings.recovery_host);
        port = rel->settings.recovery_port;
    }
    return probe_host(host, port, c->config.identity, c->probe_us, &rel->vm, out, err);
}
