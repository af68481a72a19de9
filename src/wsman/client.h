/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "cim/dispatch.h"
#include "net/identity.h"

/* A WS-Management client for our own classes: what the CLI and the tests speak.
 *
 * Over the daemon's Unix socket, or over TLS with a password or a client certificate.  Faults come back as errors with the fault's text,
 * their code by fault_err_of_number; 401 is ERR_ACCESS_DENIED.  One thread at a time per client. */

struct wsman_client_config {
    const char *socket;                  /* Unix socket; else: */
    const char *host;                    /* name */
    guint port;
    bool plain;                          /* http instead of https: for loopback and tests */
    const char *user, *password;         /* NULL: none */
    bool kerberos;                       /* with the ticket of this process's user */
    const struct net_identity *identity; /* client certificate; NULL: none */
    const char *ca;                      /* without identity: PEM file of trusted CAs */
};
struct wsman_client;
struct wsman_client *wsman_client_new(const struct wsman_client_config *config, GError **err); /* sends nothing */
void wsman_client_free(struct wsman_client *c);

/* Arrays of struct cim_instance; queries are of root/virtualization/v2, the rest of the class's own namespace. */
GPtrArray *wsman_client_enumerate(struct wsman_client *c, const char *cls, GError **err);
GPtrArray *wsman_client_query(struct wsman_client *c, const char *wql, GError **err);
GPtrArray *wsman_client_associators(struct wsman_client *c, const struct cim_path *of, const char *result_class, GError **err);
struct cim_instance *wsman_client_get(struct wsman_client *c, const struct cim_path *path, GError **err);

/* false: the operation failed.  true: *result is the ReturnValue, *reason (g_free, may be NULL) why it is not 0 or 4096. */
bool wsman_client_invoke(struct wsman_client *c, const struct cim_path *path, const char *method, const struct cim_args *in,
                         struct cim_args *out, guint32 *result, char **reason, GError **err);

/* Events: a subscription with pull delivery to a query as cim/watch.h has them.  It lasts ten minutes, or as long again with each renewal.
 * The id is g_freed by the caller. */
struct wsman_event {
    gint64 time_us;
    struct cim_instance *now, *before; /* now NULL: deleted; before NULL: created */
};
void wsman_event_clear(struct wsman_event *e);
char *wsman_client_subscribe(struct wsman_client *c, const char *query, GError **err);
bool wsman_client_renew(struct wsman_client *c, const char *id, GError **err);
void wsman_client_unsubscribe(struct wsman_client *c, const char *id); /* in vain if it has to be */
/* Waits for wait_ms; ERR_TIMEOUT: nothing happened. */
bool wsman_client_next_event(struct wsman_client *c, const char *id, guint wait_ms, struct wsman_event *out, GError **err);

/* A ReturnValue or a job's ErrorCode as an error code of ours. */
enum err_code wsman_client_code(guint32 value);

/* Waits for a job (path of an Msvm_ConcreteJob) by asking for it again and again, more slowly as time passes.  progress may be NULL; false
 * from it ends the waiting with ERR_CANCELLED, the job goes on.  A job that failed is an error with its ErrorDescription.
 * *warning (g_free): text of a job that was completed with warnings, else NULL. */
typedef bool (*wsman_progress)(void *user, guint percent, const char *status);
bool
wsman_client_wait(struct wsman_client *c, const struct cim_path *job, wsman_progress progress, void *user, char **warning, GError **err);
