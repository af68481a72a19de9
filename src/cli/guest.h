/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "cli/cli.h"

#include "base/uuid.h"

/* Guests and recovery points as people name them.  Errors say what to look at next. */

struct cim_instance *guest_find(struct cli *c, const char *name, GError **err); /* Msvm_ComputerSystem, by name or UUID */
char *guest_quote(const char *text);                                            /* a WQL string literal; g_free */

/* The instances of a class of settings whose InstanceID is one of this guest's. */
GPtrArray *guest_settings(struct cli *c, const struct cim_instance *guest, const char *class_name, GError **err);

/* Points of a guest, oldest first, as Msvm_VirtualSystemSettingData. */
GPtrArray *guest_points(struct cli *c, const struct cim_instance *guest, GError **err);
const char *guest_point_id(const struct cim_instance *point);                   /* the GUID behind "Microsoft:" */
/* By id, by time (the newest at or before it), "latest" or "oldest".  Borrowed from points. */
const struct cim_instance *guest_point_pick(GPtrArray *points, const char *wanted, GError **err);
/* The same, set as the argument SnapshotSettingData of a method. */
bool guest_point_argument(struct cli *c, const struct cim_instance *guest, const char *wanted, struct cim_args *args, GError **err);

/* Name (GUID) of the guest whose InstanceID is Microsoft:<GUID>...; NULL: no such form; g_free. */
char *guest_of_id(const char *instance_id);
struct cim_path *guest_service(void);                                           /* the replication service */
/* A replica's relationship with a third host, as CIM-XML for the methods with Ex; ERR_INVALID_STATE: it has none; g_free. */
char *guest_extended(struct cli *c, const struct cim_instance *guest, GError **err);
/* Thumbprint of the host's own certificate; NULL: none (yet). */
char *guest_host_thumbprint(struct cli *c);
