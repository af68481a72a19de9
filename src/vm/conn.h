/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "base/uuid.h"

#include <glib.h>
#include <stdbool.h>

/* One connection to the libvirt daemon of this host, reconnected when it breaks.
 *
 * vm_conn_open runs libvirt's event loop in a thread of its own (once per process).  Calls made while libvirt is away are
 * ERR_NOT_AVAILABLE; the next call after it is back succeeds.  Any thread.
 * Source: libvirt API reference (virConnectOpen, virConnectDomainEventRegisterAny). */

struct vm_conn;
struct vm_conn *vm_conn_open(const char *uri, GError **err); /* fails only for a malformed URI: libvirt may come up later */
void vm_conn_close(struct vm_conn *c); /* NULL is fine.  No watcher runs after it, so hold no lock that one takes */
bool vm_conn_alive(struct vm_conn *c);

/* Something about a guest changed (started, stopped, defined, undefined, disk added or removed, I/O error).  Called in the event thread:
 * note it and return.  "connected" with the nil UUID: the link to libvirt is new, events before it may have been missed. */
typedef void (*vm_event_fn)(void *user, const struct uuid *vm, const char *what);
/* Watchers must not call back into vm/. */
void vm_conn_watch(struct vm_conn *c, vm_event_fn fn, void *user);
