/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "vm/network.h"

#include "base/err.h"
#include "vm/handle.h"

static virNetworkPtr
make(virConnectPtr libvirt, const char *name, GError **err)
{
    g_autofree char *escaped = g_markup_escape_text(name, -1);
    g_autofree char *xml = g_strdup_printf("<network><name>%s</name><bridge stp='on' delay='0'/></network>", escaped);
    virNetworkPtr net = virNetworkDefineXML(libvirt, xml);
    if (!net)
        conn_error(err, "The isolated network '%s' cannot be made", name);
    return net;
}

bool
network_isolated(struct vm_conn *c, const char *name, GError **err)
{
    virt_conn_auto libvirt = conn_ref(c, err);
    if (!libvirt)
        return false;
    virNetworkPtr net = virNetworkLookupByName(libvirt, name);
    if (!net)
        net = make(libvirt, name, err);
    if (!net)
        return false;
    const bool up = virNetworkIsActive(net) == 1 || virNetworkCreate(net) == 0;
    if (!up)
        conn_error(err, "Network '%s' of the test guest cannot be started", name);
    virNetworkFree(net);
    return up;
}
