/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cli/guest.h"
#include "cli/method.h"
#include "cli/show.h"

#include "cim/cimxml.h"

#include <arpa/inet.h>
#include <string.h>

/* address: SetFailoverNetworkAdapterSettings with the card's own Msvm_FailoverNetworkAdapterSettingData, edited. */

enum { IPV4 = 4096, IPV6 = 4097, BOTH = 4098, PREFIX4_MAX = 32, PREFIX6_MAX = 128 };

struct wishes {
    char **addresses, **gateways, **dns;
    char *card;
    gboolean dhcp, clear;
};

/* The lists of the instance; IPv4 subnets are masks in the contract. */
struct parts {
    GPtrArray *addresses, *subnets;
    bool v4, v6;
};

static char *
mask_of(guint bits)
{
    char text[INET_ADDRSTRLEN];
    const struct in_addr mask = {htonl(bits ? 0xffffffffu << (PREFIX4_MAX - bits) : 0)};
    return g_strdup(inet_ntop(AF_INET, &mask, text, sizeof text));
}

static bool
add_address(struct parts *p, const char *text, GError **err)
{
    struct in6_addr room;
    guint64 bits;
    g_auto(GStrv) part = g_strsplit(text, "/", 2);
    const bool six = strchr(text, ':') != NULL;
    if (!part[0] || !part[1] || inet_pton(six ? AF_INET6 : AF_INET, part[0], &room) != 1 ||
        !g_ascii_string_to_unsigned(part[1], 10, 0, six ? PREFIX6_MAX : PREFIX4_MAX, &bits, NULL))
        return err_set(err, ERR_USAGE, "'%s' is no address with the length of its prefix; write 192.0.2.7/24 or 2001:db8::7/64.", text);
    g_ptr_array_add(p->addresses, g_strdup(part[0]));
    g_ptr_array_add(p->subnets, six ? g_strdup_printf("%u", (guint)bits) : mask_of((guint)bits));
    p->v4 = p->v4 || !six;
    p->v6 = p->v6 || six;
    return true;
}

static void
set_list(struct cim_instance *i, const char *name, char **list)
{
    char *none[] = {NULL};
    cim_set_strings(i, name, list ? list : none);
}

static void
fill(struct cim_instance *i, const struct wishes *w, struct parts *p)
{
    g_ptr_array_add(p->addresses, NULL);
    g_ptr_array_add(p->subnets, NULL);
    const bool v4 = p->v4 || w->dhcp;
    cim_set_uint(i, "ProtocolIFType", v4 && p->v6 ? BOTH : v4 ? IPV4 : p->v6 ? IPV6 : 0);
    cim_set_bool(i, "DHCPEnabled", w->dhcp);
    set_list(i, "IPAddresses", (char **)p->addresses->pdata);
    set_list(i, "Subnets", (char **)p->subnets->pdata);
    set_list(i, "DefaultGateways", w->clear ? NULL : w->gateways);
    set_list(i, "DNSServers", w->clear ? NULL : w->dns);
}

static bool
edit(struct cim_instance *i, const struct wishes *w, GError **err)
{
    struct parts p = {g_ptr_array_new_with_free_func(g_free), g_ptr_array_new_with_free_func(g_free), false, false};
    bool fine = true;
    for (char **a = w->addresses; fine && a && *a; a++)
        fine = add_address(&p, *a, err);
    if (fine)
        fill(i, w, &p);
    g_ptr_array_unref(p.addresses);
    g_ptr_array_unref(p.subnets);
    return fine;
}

static const struct cim_instance *
pick(const GPtrArray *cards, const char *mac, const char *guest, GError **err)
{
    for (guint n = 0; n < cards->len; n++) {
        const struct cim_instance *one = g_ptr_array_index(cards, n);
        if (mac ? !g_ascii_strcasecmp(cim_get_string(one, "ElementName"), mac) : cards->len == 1)
            return one;
    }
    err_set(err, ERR_NOT_FOUND,
            cards->len ? "Name one of the network cards of '%s' with --card; 'vmreplica address %s' lists them."
                       : "'%s' has no network card, or is not replicated here; see 'vmreplica status %s'.",
            guest, guest);
    return NULL;
}

static char *
joined(const struct cim_instance *i, const char *name)
{
    const struct cim_value *v = cim_get(i, name);
    GString *out = g_string_new(NULL);
    for (guint n = 0; v && v->array && !v->null && n < v->items->len; n++) {
        const struct cim_value *item = g_ptr_array_index(v->items, n);
        g_string_append_printf(out, "%s%s", n ? "," : "", item->null || !item->text ? "" : item->text);
    }
    return g_string_free(out, FALSE);
}

static void
add_row(struct table *t, const struct cim_instance *i)
{
    g_autofree char *addresses = joined(i, "IPAddresses"), *subnets = joined(i, "Subnets"), *gates = joined(i, "DefaultGateways");
    g_autofree char *dns = joined(i, "DNSServers");
    const struct cim_value *dhcp = cim_get(i, "DHCPEnabled");
    table_add(t, cim_get_string(i, "ElementName"));
    table_add(t, dhcp && !dhcp->null && dhcp->boolean ? "yes" : NULL);
    table_add(t, *addresses ? addresses : NULL);
    table_add(t, *subnets ? subnets : NULL);
    table_add(t, *gates ? gates : NULL);
    table_add(t, *dns ? dns : NULL);
}

static void
print(struct cli *c, const GPtrArray *cards)
{
    if (c->json) {
        json_t *out = json_array();
        for (guint n = 0; n < cards->len; n++)
            json_array_append_new(out, show_json(g_ptr_array_index(cards, n)));
        show_print_json(out);
        return;
    }
    struct table *t = table_new("CARD", "DHCP", "ADDRESSES", "SUBNETS", "GATEWAYS", "DNS", NULL);
    for (guint n = 0; n < cards->len; n++)
        add_row(t, g_ptr_array_index(cards, n));
    table_print(t, stdout);
    if (cards->len)
        puts(cim_get_string(g_ptr_array_index(cards, 0), "Description"));
    table_free(t);
}

static bool
set_addresses(struct cli *c, const struct cim_instance *guest, const GPtrArray *cards, const struct wishes *w, const char *name,
              GError **err)
{
    const struct cim_instance *card = pick(cards, w->card, name, err);
    cim_instance_auto wish = card ? cim_instance_copy(card) : NULL;
    if (!wish || !edit(wish, w, err))
        return false;
    g_autofree char *text = cim_xml_text(wish);
    g_autofree char *said = g_strdup_printf("Network card %s of '%s' %s.", cim_get_string(card, "ElementName"), name,
                                            w->clear ? "keeps what the guest itself sets"
                                                     : "gets these addresses after a failover to this host");
    struct cim_args *args = cim_args_new();
    struct cim_value list = cim_array(CIM_STRING);
    cim_array_add(&list, cim_string(text));
    cim_args_set(args, "NetworkSettings", list);
    return method_on_guest(c, guest, "SetFailoverNetworkAdapterSettings", args, "Addresses", said, err);
}

static bool
run(struct cli *c, const char *name, const struct wishes *w, GError **err)
{
    cim_instance_auto guest = guest_find(c, name, err);
    g_autoptr(GPtrArray) cards = guest ? guest_settings(c, guest, "Msvm_FailoverNetworkAdapterSettingData", err) : NULL;
    if (!cards)
        return false;
    if (w->addresses || w->dhcp || w->clear)
        return set_addresses(c, guest, cards, w, name, err);
    print(c, cards);
    return true;
}

static bool
sensible(const struct wishes *w, GError **err)
{
    if (w->clear && (w->addresses || w->dhcp || w->gateways || w->dns))
        return err_set(err, ERR_USAGE, "--clear takes no addresses beside it.");
    return w->addresses || w->dhcp || (!w->gateways && !w->dns) ||
           err_set(err, ERR_USAGE, "--gateway and --dns belong to --ip or --dhcp.");
}

VERB(verb_address)
{
    static const struct usage usage = {
        "VM [--card MAC] [--ip ADDRESS/PREFIX]... [OPTION...]",
        "Shows or sets the addresses that a guest's network card gets from its agent\nafter a failover to this host, and in a test guest.",
        "Without options it shows them, and what came of the last time. IPv4 and IPv6\nmay be given together; --dhcp is for IPv4."};
    struct wishes w = {0};
    g_auto(GStrv) args = NULL;
    const GOptionEntry options[] = {
        {"card", 0, 0, G_OPTION_ARG_STRING, &w.card, "which one, if there are several", "MAC"},
        {"ip", 0, 0, G_OPTION_ARG_STRING_ARRAY, &w.addresses, "an address: 192.0.2.7/24", "ADDRESS"},
        {"gateway", 0, 0, G_OPTION_ARG_STRING_ARRAY, &w.gateways, "a gateway, at most five", "ADDRESS"},
        {"dns", 0, 0, G_OPTION_ARG_STRING_ARRAY, &w.dns, "a name server", "ADDRESS"},
        {"dhcp", 0, 0, G_OPTION_ARG_NONE, &w.dhcp, "IPv4 from DHCP", NULL},
        {"clear", 0, 0, G_OPTION_ARG_NONE, &w.clear, "the guest's own settings stay", NULL},
        {0},
    };
    bool fine = cli_parse(c, &usage, CLI_CONNECTS | CLI_JSON, options, argc, argv, &args, err);
    fine = fine ? cli_count(args, 1, 1, &usage, argv[0], err) && sensible(&w, err) && run(c, args[0], &w, err) : c->helped;
    g_free(w.card);
    g_strfreev(w.addresses);
    g_strfreev(w.gateways);
    g_strfreev(w.dns);
    return fine;
}
