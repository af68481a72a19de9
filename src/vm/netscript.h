/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <stdbool.h>

/* Programs that give a guest's network cards their addresses: text in, text out.  Pure; any thread.
 *
 * The shell program (vm/addresses.sh) finds out by itself who manages the network in a Linux guest: NetworkManager, netplan,
 * systemd-networkd, ifupdown, or nobody, then iproute2 sets what lasts until the guest's next start.  The PowerShell one
 * (vm/addresses.ps1) is for Windows.  Both say "flavour NAME" on standard output, their complaints on standard error, and exit with 0 only
 * when every card was set.
 *
 * Values become arguments of a program that runs as root in the guest: what is not exactly an address, a prefix length or a MAC address is
 * refused here (ERR_INVALID_PARAMETER), whoever has checked it before, and what passes is written anew from its parsed form. */

enum netscript_mode { NETSCRIPT_KEEP, NETSCRIPT_DHCP, NETSCRIPT_STATIC };

struct netscript_card {
    const char *mac;
    enum netscript_mode mode4, mode6;          /* DHCP only for mode4 */
    char **addresses, **gateways, **dns;       /* "192.0.2.7/24", "2001:db8::7/64"; both families; NULL: none */
};

char *netscript_shell(const struct netscript_card *cards, guint count, GError **err);      /* g_free */
char *netscript_powershell(const struct netscript_card *cards, guint count, GError **err); /* g_free */
