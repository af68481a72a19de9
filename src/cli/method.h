/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "cli/cli.h"

/* Calling a method the way every verb does: a refusal is an error with the code of its ReturnValue, a job is waited for with a progress
 * bar (or its id is printed, with --no-wait).  `title` names the work; `done` is printed on success, NULL: nothing (with --json an object
 * with return_value and job is printed instead).  Takes args (NULL: none). */

bool method_call(struct cli *c, const struct cim_path *path, const char *method, struct cim_args *args, const char *title, const char *done,
                 GError **err);
/* A method of the replication service whose first argument is that guest. */
bool method_on_guest(struct cli *c, const struct cim_instance *guest, const char *method, struct cim_args *args, const char *title,
                     const char *done, GError **err);
/* A whole verb "VERB VM": parse, find, call.  format has one %s, the guest's name. */
bool method_verb(struct cli *c, const struct usage *usage, int argc, char **argv, const char *method, const char *title, const char *done,
                 GError **err);
/* Msvm_ComputerSystem.<method>(RequestedState = state). */
bool method_state(struct cli *c, const struct cim_instance *guest, const char *method, guint state, const char *title, const char *done,
                  GError **err);
/* A whole verb "VERB VM [--extended]": RequestReplicationStateChange, with --extended for the relationship with a third host.  On success
 * "'NAME' <done>" is printed. */
bool method_replication_verb(struct cli *c, const struct usage *usage, int argc, char **argv, guint state, const char *title,
                             const char *done, GError **err);
bool method_wait(struct cli *c, const struct cim_path *job, const char *title, GError **err);
