/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "cli/cli.h"

/* Groups of guests as people name them. */

struct cim_instance *group_find(struct cli *c, const char *name, GError **err); /* Msvm_VirtualSystemCollection, by name or id */
/* Ids of its members, in order; g_strfreev. */
char **group_members(struct cli *c, const struct cim_instance *group, GError **err);
/* Points of one instant of all members, oldest first, as Msvm_CollectionRecoveryPoint. */
GPtrArray *group_points(struct cli *c, const struct cim_instance *group, GError **err);
/* A method of Msvm_CollectionReplicationService with this group; args may be NULL and are taken. */
bool group_call(struct cli *c, const struct cim_instance *group, const char *method, struct cim_args *args, const char *title,
                const char *done, GError **err);
/* The argument CollectionRecoveryPoint; wanted as guest_point_pick has it, NULL: the newest, and no argument. */
bool group_point_argument(struct cli *c, const struct cim_instance *group, const char *wanted, struct cim_args *args, GError **err);
