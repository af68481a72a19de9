/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "provider/device.h"

/* Virtual switches: libvirt's networks, and the host's bridges that guests are plugged into without one.  A bridge has no UUID of its own;
 * its switch's is derived from the host's and the bridge's name, so it is the same every time. */

struct switch_row {
    struct uuid id;
    char *name;        /* "default", "br0" */
    bool active;
};
/* struct switch_row; g_ptr_array_unref.  Only bridges where libvirt cannot list its networks; NULL: it cannot list its guests either. */
GPtrArray *switch_list(struct repl_service *s, GError **err);
struct cim_path *switch_path(const struct uuid *id);
/* The switch that a card is plugged into; false: none that this host knows. */
bool switch_of(struct repl_service *s, const struct vm_card *card, struct uuid *id);
