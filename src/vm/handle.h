/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "vm/conn.h"

#include <libvirt/libvirt.h>
#include <libvirt/virterror.h>

/* What the files of vm/ share about libvirt handles; nobody outside includes it.
 *
 * A handle obtained here holds a reference; g_autoptr drops it.  Any thread. */

G_DEFINE_AUTOPTR_CLEANUP_FUNC(virDomain, virDomainFree)
#define virt_conn_auto __attribute__((cleanup(virt_conn_clean))) virConnectPtr
static inline void
virt_conn_clean(virConnectPtr *c)
{
    if (*c)
        virConnectClose(*c);
}

virConnectPtr conn_ref(struct vm_conn *c, GError **err);                           /* connects if need be; ERR_NOT_AVAILABLE */
const char *conn_uri(const struct vm_conn *c);
virDomainPtr conn_domain(struct vm_conn *c, const struct uuid *vm, GError **err);  /* ERR_NO_SUCH_INSTANCE */
gint64 conn_power_changed(struct vm_conn *c, const struct uuid *vm);               /* wall clock; 0: not since we listen */
bool conn_guest_left(struct vm_conn *c, const struct uuid *vm); /* it migrated to another host while we listened */

/* inventory.c, owned by the connection.  note: what is known of that guest (nil: of all) is not true any more. */
struct inventory *inventory_new(struct vm_conn *c);
void inventory_stop(struct inventory *v);
void inventory_free(struct inventory *v);
void inventory_note(struct inventory *v, const struct uuid *vm);
struct inventory *conn_inventory(struct vm_conn *c);

/* host.c: what was read of the host last. */
struct host_memory *host_memory_new(void);
void host_memory_free(struct host_memory *m);
struct host_memory *conn_host(struct vm_conn *c);

/* domain.c.  QEMU's error policy stopped it. */
bool domain_is_stalled(virDomainPtr dom);
/* Whether it has a QEMU; false: libvirt does not say, which is neither. */
bool domain_active(virDomainPtr dom, bool *active, GError **err);

struct vm_facts;
struct vm_facts *facts_read(struct vm_conn *c, virDomainPtr dom, GError **err); /* facts.c; what vm_facts_get gives */

/* The calling thread's last libvirt error as ours: "<text>: <libvirt's words>".  Returns false.
 * Nearly every libvirt call forgets the last error, virDomainGetName, too: fetch what the text needs before the call that may fail. */
gboolean conn_error(GError **err, const char *format, ...) G_GNUC_PRINTF(2, 3);
