/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "vm/conn.h"

/* This host and its virtual networks, as libvirt and the kernel know them, at most HOST_OLD_S ago.
 * Members are NULL or 0 where nobody says.  Results belong to the caller.  Any thread.
 * Source: libvirt API reference (virNodeGetInfo, virConnectGetSysinfo, virConnectListAllNetworks), proc(5), os-release(5). */

enum { HOST_OLD_S = 5 };

struct vm_host {
    gint shares;                   /* owners besides the first; a result is never changed */
    struct uuid uuid;              /* of the machine: libvirt's, else /etc/machine-id */
    char *hostname, *domain;       /* "a", "example.org" */
    char *manufacturer, *product, *serial, *version; /* SMBIOS, when libvirt may read it */
    char *cpu_model, *cpu_vendor;  /* "AMD EPYC 7B13", "AuthenticAMD" */
    char *arch;                    /* "x86_64" */
    guint cpus, sockets, cores, threads, nodes, mhz; /* cores per socket, threads per core */
    guint cpu_family, cpu_model_number, cpu_stepping;
    guint64 l2_kib, l3_kib;
    guint64 memory_kib, free_kib, swap_kib, swap_free_kib;
    guint max_vcpus;               /* of one guest; 0: libvirt does not say */
    char *os_name, *kernel;        /* "Debian GNU/Linux 12 (bookworm)", "6.1.0-56-cloud-amd64" */
    gint64 booted_us;              /* wall clock */
    guint processes;
};
struct vm_host *vm_host_get(struct vm_conn *c, GError **err);
void vm_host_free(struct vm_host *h);
#define vm_host_auto __attribute__((cleanup(vm_host_clean))) struct vm_host *
static inline void vm_host_clean(struct vm_host **h) { vm_host_free(*h); }

struct vm_network {
    struct uuid uuid;
    char *name, *bridge, *forward; /* "default", "virbr0", "nat"; NULL */
    bool active, autostart; /* false: or libvirt does not say of this one */
};
/* struct vm_network; g_ptr_array_unref.  Empty where the driver knows no networks; NULL: they cannot be listed now. */
GPtrArray *vm_networks(struct vm_conn *c, GError **err);

/* Addresses that the guest's agent reports for its cards: MAC in lower case -> char ** (NULL-terminated).  Asks the guest and waits a few
 * seconds; empty without an agent.  g_hash_table_unref. */
GHashTable *vm_guest_addresses(struct vm_conn *c, const struct uuid *vm);
