/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "cli/cli.h"

#include <jansson.h>

/* Verbs that drive both hosts of a relationship, step by step.
 *
 * `here` is the connection of the command line, `there` the other host of the guest's relationship, found by its settings or named by the
 * user, over TLS with the same credentials.  A verb is a table of steps.  Each looks at the states on both hosts first, and is left out
 * when its work is done already: so a verb that was cut off goes on where it was when it is called again.  Single thread. */

struct side {
    struct cli *cli;
    struct cim_instance *guest;   /* Msvm_ComputerSystem as it was at the last look */
    char *name;                   /* of the host */
};
struct twohosts {
    struct side here, there;
    struct cli remote;            /* connection of `there` */
    json_t *report;               /* steps, for --json */
};

/* peer NULL: the host that the guest's settings name, port 5986.  ERR_NOT_FOUND: the guest is not there. */
bool twohosts_open(struct twohosts *t, struct cli *c, const char *vm, const char *peer, GError **err);
void twohosts_close(struct twohosts *t);
#define twohosts_auto __attribute__((cleanup(twohosts_close))) struct twohosts

const char *twohosts_guest(const struct twohosts *t); /* its name here */
guint side_mode(const struct side *s);                /* enum of Msvm_ComputerSystem.ReplicationMode */
guint side_state(const struct side *s);               /* ReplicationState */
bool side_runs(const struct side *s);                 /* EnabledState is not off */
bool side_look(struct side *s, GError **err);         /* asks anew */
/* Method of the replication service with this guest; args may be NULL and are taken. */
bool side_call(struct side *s, const char *method, struct cim_args *args, const char *title, GError **err);
bool side_change(struct side *s, const char *method, guint state, const char *title, GError **err);
/* Waits until the guest is off, asking again and again. */
bool side_wait_off(struct side *s, guint seconds, GError **err);

enum { MODE_PRIMARY = 1, MODE_REPLICA = 2 };
enum { STATE_READY = 1, STATE_REPLICATING = 3, STATE_SYNCED = 4, STATE_RECOVERED = 5, STATE_COMMITTED = 6 };
enum { POWER_ON = 2, POWER_OFF = 3, POWER_SHUT_DOWN = 4 };

struct step {
    const char *text;                                       /* "Shut down": what is done, on which host */
    struct side *(*where)(struct twohosts *t);
    bool (*done)(const struct twohosts *t);
    bool (*run)(struct twohosts *t, void *user, GError **err);
};
/* All of them, in order; prints a line per step.  An error names the step and says that the verb can be called again. */
bool twohosts_run(struct twohosts *t, const struct step *steps, guint n, void *user, GError **err);
