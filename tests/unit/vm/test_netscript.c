/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/clean.h"
#include "base/err.h"
#include "base/file.h"
#include "vm/netscript.h"
#include "vm/run.h"

#include <string.h>
#include <sys/stat.h>

/* The shell program is run for every flavour, over a folder that looks like a guest's root, with tools that note how they were called. */

static const char MAC[] = "52:54:00:0A:0b:0c";

struct guest {
    char *root, *bin, *log;
};

static void
put(const struct guest *g, const char *name, const char *text, mode_t mode)
{
    g_autofree char *path = g_build_filename(g->root, name, NULL), *dir = g_path_get_dirname(path);
    g_assert_cmpint(g_mkdir_with_parents(dir, 0755), ==, 0);
    g_assert_true(g_file_set_contents(path, text, -1, NULL));
    g_assert_cmpint(chmod(path, mode), ==, 0);
}

static void
tool(const struct guest *g, const char *name, const char *more)
{
    g_autofree char *file = g_strconcat("bin/", name, NULL);
    g_autofree char *text = g_strdup_printf("#!/bin/sh\n{ printf '%s'; printf ' [%%s]' \"$@\"; echo; } >>'%s'\n%s\n", name, g->log, more);
    put(g, file, text, 0755);
}

static void
guest_open(struct guest *g)
{
    g->root = g_dir_make_tmp("vmr-netscript-XXXXXX", NULL);
    g->bin = g_build_filename(g->root, "bin", NULL);
    g->log = g_build_filename(g->root, "log", NULL);
    put(g, "sys/class/net/eth7/address", "52:54:00:0a:0b:0c\n", 0644);
    put(g, "sys/class/net/lo/address", "00:00:00:00:00:00\n", 0644);
    put(g, "log", "", 0644);
    static const char *const plain[] = {"ip", "netplan", "networkctl", "systemctl", "ifup", "ifdown", "dhclient"};
    for (gsize i = 0; i < G_N_ELEMENTS(plain); i++)
        tool(g, plain[i], "");
    tool(g, "nmcli", "case $* in *CON-UUID*) echo uuid-1 ;; esac");
}

static void
guest_close(struct guest *g)
{
    g_assert_true(file_remove_tree(g->root, NULL));
    g_free(g->root);
    g_free(g->bin);
    g_free(g->log);
}

static char *
read_file(const struct guest *g, const char *name)
{
    char *text = NULL;
    g_autofree char *path = g_build_filename(g->root, name, NULL);
    return g_file_get_contents(path, &text, NULL, NULL) ? text : NULL;
}

static char first4[] = "192.0.2.7/24", second4[] = "192.0.2.8/25", first6[] = "2001:DB8::7/64", gate4[] = "192.0.2.1",
            gate6[] = "2001:db8::1", server4[] = "192.0.2.53", server6[] = "2001:db8::53";
static char *list4[] = {first4, second4, NULL}, *list6[] = {first4, first6, NULL};
static char *gates[] = {gate4, gate6, NULL}, *servers[] = {server4, server6, NULL};

static bool
run(const struct guest *g, const char *flavour, const struct netscript_card *cards, guint count, char **said)
{
    g_autoptr(GError) err = NULL;
    g_autofree char *program = netscript_shell(cards, count, &err);
    g_assert_no_error(err);
    put(g, "program", program, 0644);
    g_autofree char *file = g_build_filename(g->root, "program", NULL);
    g_autofree char *path = g_strdup_printf("PATH=%s:%s", g->bin, g_getenv("PATH"));
    g_autofree char *root = g_strdup_printf("VMR_ROOT=%s", g->root), *which = g_strdup_printf("VMR_FLAVOUR=%s", flavour);
    const char *const argv[] = {"env", path, root, which, "sh", file, NULL};
    const bool ok = run_program(argv, NULL, said, &err);
    if (!ok && said)
        *said = g_strdup(err->message);
    return ok;
}

/* What the tools and files of one flavour were, for both families at once. */
static void
expect(const char *flavour, const struct netscript_card *card, const char *file, const char *const *words)
{
    struct guest g;
    g_autofree char *said = NULL;
    guest_open(&g);
    put(&g, "etc/netplan/01.yaml", "", 0600);
    put(&g, "etc/network/interfaces", "auto lo\niface lo inet loopback\n\nauto eth7\niface eth7 inet static\n    address 10.0.0.9/8\n"
                                      "    gateway 10.0.0.1\nauto eth8\niface eth8 inet dhcp\n", 0644);
    g_assert_true(run(&g, flavour, card, 1, &said));
    g_assert_nonnull(strstr(said, flavour));
    g_autofree char *log = read_file(&g, "log"), *text = file ? read_file(&g, file) : NULL;
    g_autofree char *all = g_strconcat(log, text, NULL);
    for (gsize i = 0; words[i]; i++) {
        if (words[i][0] == '!' ? !strstr(all, words[i] + 1) : strstr(all, words[i]) != NULL)
            continue;
        g_error("%s: '%s' in\n%s", flavour, words[i], all);
    }
    guest_close(&g);
}

static void
test_flavours(void)
{
    const struct netscript_card card = {MAC, NETSCRIPT_STATIC, NETSCRIPT_STATIC, list6, gates, servers};
    const char *const nm[] = {"[ipv4.method] [manual] [ipv4.addresses] [192.0.2.7/24] [ipv4.gateway] [192.0.2.1]",
                              "[ipv6.addresses] [2001:db8::7/64] [ipv6.gateway] [2001:db8::1]", "[ipv4.dns] [192.0.2.53]",
                              "[ipv6.dns] [2001:db8::53]", "nmcli [connection] [up] [uuid-1] [ifname] [eth7]", NULL};
    const char *const np[] = {"    eth7:\n", "dhcp4: false", "  - \"192.0.2.7/24\"", "  - \"2001:db8::7/64\"", "to: \"0.0.0.0/0\"",
                              "via: \"2001:db8::1\"", "  - \"2001:db8::53\"", "netplan [apply]", "[ethernets.eth7.addresses=null]", NULL};
    const char *const nd[] = {"MACAddress=52:54:00:0a:0b:0c", "DHCP=no", "Address=192.0.2.7/24", "Address=2001:db8::7/64",
                              "Gateway=192.0.2.1", "DNS=2001:db8::53", "networkctl [reconfigure] [eth7]", NULL};
    const char *const up[] = {"iface eth7 inet static\n    address 192.0.2.7/24\n    gateway 192.0.2.1\n", "iface lo inet loopback",
                              "iface eth7 inet6 static\n    address 2001:db8::7/64", "dns-nameservers 192.0.2.53", "iface eth8 inet dhcp",
                              "!10.0.0.9", "ifdown [--force] [eth7]", "ifup [eth7]", NULL};
    const char *const ip[] = {"ip [link] [set] [dev] [eth7] [up]", "ip [-4] [addr] [flush] [dev] [eth7]",
                              "[add] [192.0.2.7/24] [dev] [eth7]",
                              "[add] [2001:db8::7/64]", "ip [-6] [route] [replace] [default] [via] [2001:db8::1]", "nameserver 192.0.2.53",
                              NULL};
    expect("networkmanager", &card, NULL, nm);
    expect("netplan", &card, "etc/netplan/99-vmreplica.yaml", np);
    expect("networkd", &card, "etc/systemd/network/05-vmreplica-eth7.network", nd);
    expect("ifupdown", &card, "etc/network/interfaces", up);
    expect("iproute2", &card, "etc/resolv.conf", ip);
}

static void
test_dhcp(void)
{
    const struct netscript_card card = {MAC, NETSCRIPT_DHCP, NETSCRIPT_KEEP, list4, gates, NULL};
    expect("networkmanager", &card, NULL, (const char *const[]){"[ipv4.method] [auto]", "!192.0.2", "!ipv6.method", NULL});
    expect("netplan", &card, "etc/netplan/99-vmreplica.yaml", (const char *const[]){"dhcp4: true", "!192.0.2", "!dhcp6", NULL});
    expect("networkd", &card, "etc/systemd/network/05-vmreplica-eth7.network", (const char *const[]){"DHCP=ipv4", "!192.0.2", NULL});
    expect("ifupdown", &card, "etc/network/interfaces", (const char *const[]){"iface eth7 inet dhcp", "!10.0.0.9", "!192.0.2", NULL});
    expect("iproute2", &card, NULL, (const char *const[]){"dhclient [-1] [eth7]", "![-6]", "!192.0.2", NULL});
}

static void
test_several(void)
{
    const struct netscript_card card = {MAC, NETSCRIPT_STATIC, NETSCRIPT_KEEP, list4, NULL, NULL};
    expect("networkmanager", &card, NULL, (const char *const[]){"[192.0.2.7/24,192.0.2.8/25]", NULL});
    expect("ifupdown", &card, "etc/network/interfaces", (const char *const[]){"up ip addr add 192.0.2.8/25 dev eth7", NULL});
    expect("iproute2", &card, NULL, (const char *const[]){"[192.0.2.8/25]", "!route", NULL});
}

static void
test_failures(void)
{
    const struct netscript_card absent[] = {{"52:54:00:00:00:99", NETSCRIPT_DHCP, NETSCRIPT_KEEP, NULL, NULL, NULL},
                                            {MAC, NETSCRIPT_STATIC, NETSCRIPT_KEEP, list4, NULL, NULL}};
    struct guest g;
    g_autofree char *said = NULL, *words = NULL, *none = NULL;
    guest_open(&g);
    put(&g, "etc/resolv.conf", "", 0644);
    g_assert_false(run(&g, "iproute2", absent, 2, &said));
    g_assert_nonnull(strstr(said, "there is no card 52:54:00:00:00:99"));
    g_autofree char *log = read_file(&g, "log"); /* the other one is set all the same */
    g_assert_nonnull(strstr(log, "[192.0.2.7/24]"));
    tool(&g, "ip", "exit 2");
    g_assert_false(run(&g, "iproute2", &absent[1], 1, &words));
    g_assert_nonnull(strstr(words, "card eth7"));
    g_assert_false(run(&g, "none", &absent[1], 1, &none));
    g_assert_nonnull(strstr(none, "no tool for network settings"));
    guest_close(&g);
}

/* Nothing but addresses gets into a program that root runs. */
static void
test_attacks(void)
{
    static const char *const bad[] = {"192.0.2.7/24'; touch /tmp/x; '", "$(reboot)/24", "192.0.2.7", "192.0.2.7/33", "192.0.2.7/-1",
                                      "::1/129", "192.0.2.7/24\nvmr_end", "", "/", "192.0.2.7/24 ", "fe80::1%eth0/64",
                                      "192.0.2.7/0x18", "`id`/8"};
    for (gsize i = 0; i < G_N_ELEMENTS(bad); i++) {
        char *address[] = {(char *)(gsize)bad[i], NULL};
        const struct netscript_card cards[] = {{MAC, NETSCRIPT_STATIC, NETSCRIPT_KEEP, address, NULL, NULL},
                                               {MAC, NETSCRIPT_STATIC, NETSCRIPT_KEEP, list4, address, NULL},
                                               {MAC, NETSCRIPT_KEEP, NETSCRIPT_KEEP, NULL, NULL, address},
                                               {bad[i], NETSCRIPT_DHCP, NETSCRIPT_KEEP, NULL, NULL, NULL}};
        for (gsize n = 0; n < G_N_ELEMENTS(cards); n++) {
            g_autoptr(GError) shell = NULL, power = NULL;
            if (n > 0 && n < 3 && !strcmp(bad[i], "192.0.2.7"))
                continue; /* a fine gateway */
            g_assert_null(netscript_shell(&cards[n], 1, &shell));
            g_assert_error(shell, ERR, ERR_INVALID_PARAMETER);
            g_assert_null(netscript_powershell(&cards[n], 1, &power));
            g_assert_error(power, ERR, ERR_INVALID_PARAMETER);
        }
    }
}

static void
test_powershell(void)
{
    const struct netscript_card cards[] = {{MAC, NETSCRIPT_STATIC, NETSCRIPT_STATIC, list6, gates, servers},
                                           {MAC, NETSCRIPT_DHCP, NETSCRIPT_KEEP, NULL, NULL, NULL}};
    g_autoptr(GError) err = NULL;
    g_autofree char *text = netscript_powershell(cards, 2, &err);
    g_assert_no_error(err);
    g_assert_nonnull(strstr(text, "\nSet-VmrCard '52:54:00:0a:0b:0c' 'static' @('192.0.2.7/24') @('192.0.2.1') 'static' "
                                  "@('2001:db8::7/64') @('2001:db8::1') @('192.0.2.53', '2001:db8::53')\n"));
    g_assert_nonnull(strstr(text, "\nSet-VmrCard '52:54:00:0a:0b:0c' 'dhcp' @() @() 'keep' @() @() @()\nComplete-Vmr\n"));
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/vm/netscript/flavours", test_flavours);
    g_test_add_func("/vm/netscript/dhcp", test_dhcp);
    g_test_add_func("/vm/netscript/several", test_several);
    g_test_add_func("/vm/netscript/failures", test_failures);
    g_test_add_func("/vm/netscript/attacks", test_attacks);
    g_test_add_func("/vm/netscript/powershell", test_powershell);
    return g_test_run();
}
