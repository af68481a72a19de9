/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "base/uuid.h"

#include <glib.h>

/* Rewrites a guest's domain XML for the replica host.  Pure functions over text; any thread.
 *
 * Kept: UUID, name, machine, CPU, memory, firmware, controllers, agent channel.  Changed: replicated disks get the paths given here;
 * other disks are dropped, CD-ROM and floppy drives are emptied; network cards keep their MAC and get <link state='down'/> (contract 2.2:
 * the placeholder's cards are disconnected); host devices, security labels and files of the other host (serial logs) are replaced. */

struct domxml_disk {
    const char *target;      /* "vda": which disk of the definition */
    const char *path;        /* image on this host */
    const char *format;      /* "raw" or "qcow2" */
    const char *nbd_socket;  /* not NULL: the qcow2 image is an overlay over nbd+unix:///<target>?socket=<nbd_socket> */
};

#define DOMXML_NVRAM "nvram.fd" /* where the firmware's variables are expected in `folder` */

/* So long QEMU holds requests back when the server behind an overlay is gone, before it stops the guest (error policy "stop"). */
#define DOMXML_RECONNECT_S 60

/* `folder`: where files that the guest itself needs may be put (console log, NVRAM). */
char *domxml_for_replica(const char *xml, const struct domxml_disk *disks, guint count, const char *folder, GError **err); /* g_free */

/* Whose definition it is; *name is g_freed by the caller. */
bool domxml_identity(const char *xml, struct uuid *vm, char **name, GError **err);
/* False also when it cannot be read. */
bool domxml_has_disk(const char *xml, const char *target);
bool domxml_has_card(const char *xml, const char *mac); /* in any case of letters */

/* libvirt's networks for the cards of a test guest: a card's own, else that of all; NULL: it stays disconnected. */
struct domxml_net {
    const char *mac, *network; /* of the replica's card, in any case of letters */
};
struct domxml_nets {
    const char *all;
    const struct domxml_net *cards;
    guint count;
};

/* A guest beside the one that domxml_for_replica made: other UUID and name, network cards with new addresses, on these networks.  What
 * identifies a machine to its system (generation id, SMBIOS UUID) is new, too.  What it says on its serial ports goes into files in
 * `folder`, whatever else they are connected to. */
char *domxml_as_test(const char *xml, const struct uuid *id, const char *name, const struct domxml_nets *nets, const char *folder,
                     GError **err); /* g_free */
/* These files, from a definition that domxml_as_test made; empty: the guest has no serial port.  g_strfreev. */
char **domxml_consoles(const char *xml, GError **err);

/* The definition without the backing stores that lead to that socket; the rest stays as the administrator may have changed it. */
char *domxml_without_backing(const char *xml, const char *nbd_socket, GError **err); /* g_free */
