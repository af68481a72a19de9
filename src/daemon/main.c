/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/clean.h"
#include "base/err.h"
#include "base/file.h"
#include "base/log.h"
#include "base/xml.h"
#include "daemon/config.h"
#include "provider/all.h"
#include "repl/core.h"
#include "repl/maystart.h"
#include "repl/service.h"
#include "vm/tpm.h"
#include "web/events.h"
#include "web/web.h"
#include "wsman/endpoint.h"

#include <locale.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <systemd/sd-daemon.h>

/* The parts of the program, built in the order of the layers and taken down in reverse.  Nothing else in the tree has global state. */

#define SERVERS 3

struct daemon {
    struct config *config;
    struct net_identity *identity;
    int lock;
    struct vm_conn *vms;
    struct repl_service *repl;
    struct cim_broker *broker;
    struct auth *auth;
    struct wsman_endpoint *endpoint;
    struct web *web;
    struct cim_watch *watch;
    struct http_server *servers[SERVERS]; /* Unix socket, plain, TLS */
};

static enum log_level
level_of(const char *name)
{
    return strcmp(name, "debug") == 0     ? LOG_LEVEL_DEBUG
           : strcmp(name, "warning") == 0 ? LOG_LEVEL_WARNING
           : strcmp(name, "error") == 0   ? LOG_LEVEL_ERROR
                                          : LOG_LEVEL_INFO;
}

/* `vmreplica pki issue` names its files after the host: they may stay as they are beside where host.pem would be. */
static void
find_certificate(struct config *c)
{
    g_autofree char *folder = g_path_get_dirname(c->certificate);
    g_autofree char *cert = g_strdup_printf("%s/%s.pem", folder, c->host), *key = g_strdup_printf("%s/%s-key.pem", folder, c->host);
    if (g_file_test(c->certificate, G_FILE_TEST_EXISTS) || !g_file_test(cert, G_FILE_TEST_EXISTS))
        return;
    g_free(c->certificate);
    g_free(c->key);
    c->certificate = g_steal_pointer(&cert);
    c->key = g_steal_pointer(&key);
}

/* Without certificates the daemon runs, so that it can be configured, but it neither sends nor receives. */
static void
load_identity(struct daemon *d)
{
    g_autoptr(GError) why = NULL;
    const struct config *c = d->config;
    find_certificate(d->config);
    if (!g_file_test(c->certificate, G_FILE_TEST_EXISTS)) {
        log_warning("There is no certificate '%s': replication and TLS stay off until there is one (vmreplica pki).", c->certificate);
        return;
    }
    d->identity = net_identity_load(c->certificate, c->key, c->ca, true, &why);
    if (!d->identity)
        log_error("Replication and TLS stay off: %s", why->message);
}

static bool
start_heart(struct daemon *d, GError **err)
{
    const struct config *c = d->config;
    g_autofree char *swtpm_user = c->swtpm_user ? g_strdup(c->swtpm_user) : tpm_user("/etc/libvirt/qemu.conf");
    struct repl_config repl = {
        .state_dir = c->state_dir, .runtime_dir = c->runtime_dir, .scratch_dir = c->scratch_dir, .qemu_user = c->qemu_user,
        .swtpm_dir = c->swtpm_dir, .swtpm_user = swtpm_user,
        .host = d->identity ? net_identity_name(d->identity) : c->host, .nbdkit = c->nbdkit, .plugin = c->plugin,
        .listen_address = c->replication_listen, .identity = d->identity, .outbox_max = (guint64)c->outbox_max_mib << 20,
        .scratch_reserve = (guint64)c->scratch_reserve_mib << 20, .max_cycles = (guint)c->max_cycles,
        .max_transfers = (guint)c->max_transfers,
        .reserve_percent = (guint)c->reserve_percent, .merge_bytes_per_s = (guint64)c->merge_mib_per_s << 20,
        .fill_bytes_per_s = (guint64)c->fill_mib_per_s << 20,
        .scrub_bytes_per_s = (guint64)c->scrub_mib << 20, .scrub_days = (guint)c->scrub_days,
        .refuse_if_primary_running = c->refuse_if_primary_running, .pause_superseded = c->pause_superseded,
        .thaw_program = c->thaw_helper, .freeze_limit_s = (guint)c->freeze_seconds,
        .network_map = c->network_map,
        .compression_threads = (guint)c->compression_threads,
    };
    if (!rates_parse(c->bandwidth, &repl.bandwidth, err))
        return false;
    d->vms = vm_conn_open(c->libvirt_uri, err);
    d->repl = d->vms ? repl_service_new(&repl, d->vms, err) : NULL;
    return d->repl && repl_service_start(d->repl, err);
}

static bool
add_server(struct daemon *d, int at, const struct http_server_config *config, GError **err)
{
    d->servers[at] = http_server_new(config);
    wsman_endpoint_mount(d->endpoint, d->servers[at]);
    web_mount(d->web, d->servers[at]);
    return http_server_start(d->servers[at], err);
}

static void
on_change(void *watch)
{
    cim_watch_poke(watch);
}

/* A daemon that protects guests does not stay down for a keytab. */
static void
offer_kerberos(struct daemon *d)
{
    g_autoptr(GError) why = NULL;
    if (d->config->keytab && *d->config->keytab && !auth_use_keytab(d->auth, d->config->keytab, &why))
        log_error("Kerberos is not offered. %s", why->message);
}

/* Nor for PAM. */
static void
offer_pam(struct daemon *d)
{
    g_autoptr(GError) why = NULL;
    const struct config *c = d->config;
    if (c->pam_service && *c->pam_service && !auth_use_pam(d->auth, c->pam_helper, c->pam_service, (guint)c->pam_timeout, &why))
        log_error("PAM is not asked. %s", why->message);
}

static bool
open_doors(struct daemon *d, GError **err)
{
    const struct config *c = d->config;
    g_autofree char *socket = g_build_filename(c->runtime_dir, "vmreplicad.sock", NULL);
    d->broker = cim_broker_new(repl_host(d->repl), all_providers, d->repl);
    d->auth = auth_open(c->users, err);
    if (!d->auth)
        return false;
    offer_kerberos(d);
    offer_pam(d);
    d->endpoint = wsman_endpoint_new(d->broker, d->auth);
    d->web = web_new(d->broker, d->auth);
    d->watch = cim_watch_new(d->broker);
    repl_service_on_change(d->repl, on_change, d->watch);
    events_offer(d->web, d->watch);
    wsman_endpoint_offer_events(d->endpoint, d->watch, d->identity);
    if (c->port && !add_server(d, 1, &(struct http_server_config){.address = c->listen, .port = (guint)c->port, .max_body = 2 << 20}, err))
        return false;
    if (c->tls_port && d->identity &&
        !add_server(d, 2,
                    &(struct http_server_config){
                        .address = c->tls_listen, .port = (guint)c->tls_port, .identity = d->identity, .ask_client_cert = true,
                        .max_body = 2 << 20},
                    err))
        return false;
    /* Last: whoever waits for the socket finds every door open. */
    return add_server(d, 0, &(struct http_server_config){.address = socket, .group = AUTH_GROUP, .max_body = 2 << 20}, err);
}

static bool
prepare_folders(struct daemon *d, GError **err)
{
    const struct config *c = d->config;
    g_autofree char *lock = g_build_filename(c->state_dir, "vmreplicad.lock", NULL);
    g_autofree char *replicas = g_build_filename(c->state_dir, "replicas", NULL); /* where authorisation entries point by default */
    if (!file_make_dirs(c->state_dir, 0711, err) || !file_make_dirs(replicas, 0711, err) || !file_make_dirs(c->runtime_dir, 0755, err) ||
        !file_make_dirs(c->scratch_dir, 0711, err))
        return false;
    d->lock = file_lock(lock, err);
    if (d->lock < 0) {
        g_prefix_error(err, "Another vmreplicad works on '%s'. ", c->state_dir);
        return false;
    }
    return true;
}

static bool
start(struct daemon *d, GError **err)
{
    if (!prepare_folders(d, err))
        return false;
    load_identity(d);
    return start_heart(d, err) && open_doors(d, err);
}

static void
stop(struct daemon *d)
{
    for (int i = 0; i < SERVERS; i++)
        if (d->servers[i])
            http_server_stop(d->servers[i]);
    if (d->repl) {
        repl_service_stop(d->repl);
        repl_service_on_change(d->repl, NULL, NULL);
    }
    for (int i = 0; i < SERVERS; i++)
        http_server_free(d->servers[i]);
    wsman_endpoint_free(d->endpoint);
    web_free(d->web);
    cim_watch_free(d->watch);
    auth_free(d->auth);
    cim_broker_free(d->broker);
    if (d->vms)
        vm_conn_close(d->vms);
    repl_service_free(d->repl); /* watches the connection until it is closed */
    if (d->identity)
        net_identity_unref(d->identity);
    if (d->lock >= 0)
        close(d->lock);
    config_free(d->config);
}

/* Blocked in every thread, so that only sigwait sees them. */
static void
block_signals(sigset_t *set)
{
    sigemptyset(set);
    sigaddset(set, SIGTERM);
    sigaddset(set, SIGINT);
    sigaddset(set, SIGHUP);
    pthread_sigmask(SIG_BLOCK, set, NULL);
    signal(SIGPIPE, SIG_IGN);
}

static void
wait_for_end(const sigset_t *set)
{
    int got = 0;
    do
        sigwait(set, &got);
    while (got == SIGHUP);
    log_info("vmreplicad ends on signal %d.", got);
}

static int
run(struct daemon *d)
{
    sigset_t signals;
    g_autoptr(GError) why = NULL;
    block_signals(&signals);
    if (!start(d, &why)) {
        log_error("vmreplicad cannot start: %s", why->message);
        stop(d);
        return err_info_of(why)->exit;
    }
    log_info("vmreplicad " VMR_VERSION " runs. host=%s state=%s", repl_host(d->repl), d->config->state_dir);
    sd_notify(0, "READY=1");
    wait_for_end(&signals);
    sd_notify(0, "STOPPING=1");
    stop(d);
    return 0;
}

/* For libvirt's hook: nothing here may wait for libvirt, which waits for the hook. */
static int
may_start(const struct config *c, const struct net_identity *identity, const char *text)
{
    struct uuid vm;
    g_autofree char *why = NULL;
    if (!uuid_parse(text, &vm)) {
        fprintf(stderr, "vmreplicad: '%s' is no identity of a guest.\n", text);
        return err_info(ERR_USAGE)->exit;
    }
    const bool may = maystart_ask(c->state_dir, identity, CORE_PROBE_S * (gint64)G_USEC_PER_SEC, &vm, &why);
    if (why)
        fprintf(stderr, "%s\n", why);
    return may ? 0 : err_info(ERR_FAILED_OVER)->exit;
}

static int
print_config(void)
{
    g_autoptr(GString) text = g_string_new(NULL);
    config_describe(text);
    fputs(text->str, stdout);
    return 0;
}

int
main(int argc, char **argv)
{
    g_autofree char *file = NULL, *guest = NULL;
    gboolean version = FALSE, describe = FALSE;
    g_autoptr(GError) why = NULL;
    const GOptionEntry options[] = {
        {"config", 'c', 0, G_OPTION_ARG_FILENAME, &file, "Read FILE instead of /etc/vmreplica/vmreplica.conf", "FILE"},
        {"may-start", 0, 0, G_OPTION_ARG_STRING, &guest, "For libvirt's hook: may this guest start here?", "UUID"},
        {"print-config", 0, 0, G_OPTION_ARG_NONE, &describe, "Print every setting with its default", NULL},
        {"version", 0, 0, G_OPTION_ARG_NONE, &version, "Print the version", NULL},
        {NULL, 0, 0, 0, NULL, NULL, NULL},
    };
    setlocale(LC_ALL, "");
    g_autoptr(GOptionContext) context = g_option_context_new("- replication of virtual machines, the daemon");
    g_option_context_add_main_entries(context, options, NULL);
    if (!g_option_context_parse(context, &argc, &argv, &why) || argc > 1) {
        fprintf(stderr, "vmreplicad: %s Try --help.\n", why ? why->message : "there are no arguments besides options.");
        return err_info(ERR_USAGE)->exit;
    }
    if (version)
        return puts("vmreplicad " VMR_VERSION) < 0;
    if (describe)
        return print_config();

    struct daemon d = {.lock = -1};
    d.config = config_load(file, &why);
    if (!d.config) {
        fprintf(stderr, "vmreplicad: %s\n", why->message);
        return err_info_of(why)->exit;
    }
    log_init(level_of(d.config->log_level));
    if (guest) {
        load_identity(&d);
        const int status = may_start(d.config, d.identity, guest);
        stop(&d);
        return status;
    }
    xml_init();
    return run(&d);
}
