/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cli/guest.h"
#include "cli/method.h"
#include "cli/show.h"

#include "cim/cimxml.h"

#include <string.h>

/* test-network: TestReplicaSwitchName of a card's Msvm_EthernetPortAllocationSettingData, by ModifyResourceSettings. */

static const char CONNECTION[] = "Msvm_EthernetPortAllocationSettingData", NAME[] = "TestReplicaSwitchName";

struct wishes {
    char *card, *network;
    gboolean clear;
};

/* "525400AABBCC" as people write it; g_free. */
static char *
mac_of(const struct cim_instance *card)
{
    const char *hex = cim_get_string(card, "Address");
    GString *mac = g_string_new(NULL);
    for (gsize i = 0; hex && hex[i]; i++)
        g_string_append_printf(mac, "%s%c", i && i % 2 == 0 ? ":" : "", g_ascii_tolower(hex[i]));
    return g_string_free(mac, FALSE);
}

static bool
is_card(const struct cim_instance *card, const char *mac)
{
    g_autofree char *own = mac_of(card);
    return !g_ascii_strcasecmp(own, mac);
}

static const struct cim_instance *
pick(const GPtrArray *cards, const char *mac, const char *guest, GError **err)
{
    for (guint n = 0; n < cards->len; n++) {
        const struct cim_instance *one = g_ptr_array_index(cards, n);
        if (mac ? is_card(one, mac) : cards->len == 1)
            return one;
    }
    err_set(err, ERR_NOT_FOUND,
            cards->len ? "Name one of the network cards of '%s' with --card; 'vmreplica test-network %s' lists them."
                       : "'%s' has no network card here; see 'vmreplica status %s'.",
            guest, guest);
    return NULL;
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
    struct table *t = table_new("CARD", "NETWORK", "TEST NETWORK", NULL);
    for (guint n = 0; n < cards->len; n++) {
        const struct cim_instance *card = g_ptr_array_index(cards, n);
        g_autofree char *mac = mac_of(card);
        table_add(t, mac);
        table_add(t, cim_get_string(card, "LastKnownSwitchName"));
        table_add(t, cim_get_string(card, NAME));
    }
    table_print(t, stdout);
    table_free(t);
}

static struct cim_args *
arguments(const struct cim_instance *card, const char *network)
{
    cim_instance_auto wish = cim_instance_new(card->cls);
    cim_set_string(wish, "InstanceID", cim_get_string(card, "InstanceID"));
    cim_set_string(wish, NAME, network);
    g_autofree char *text = cim_xml_text_given(wish);
    struct cim_value list = cim_array(CIM_STRING);
    cim_array_add(&list, cim_string(text));
    struct cim_args *args = cim_args_new();
    cim_args_set(args, "ResourceSettings", list);
    return args;
}

static bool
set(struct cli *c, const GPtrArray *cards, const struct wishes *w, const char *guest, GError **err)
{
    const struct cim_instance *card = pick(cards, w->card, guest, err);
    if (!card)
        return false;
    g_autofree char *mac = mac_of(card);
    g_autofree char *said = w->clear ? g_strdup_printf("Network card %s of '%s' has no test network of its own.", mac, guest)
                                     : g_strdup_printf("Network card %s of '%s' is on '%s' in test guests.", mac, guest, w->network);
    cim_path_auto service = cim_path_new(NULL, "Msvm_VirtualSystemManagementService");
    cim_path_set(service, "CreationClassName", "Msvm_VirtualSystemManagementService");
    return method_call(c, service, "ModifyResourceSettings", arguments(card, w->clear ? "" : w->network), "Network", said, err);
}

static bool
run(struct cli *c, const char *name, const struct wishes *w, GError **err)
{
    cim_instance_auto guest = guest_find(c, name, err);
    g_autoptr(GPtrArray) cards = guest ? guest_settings(c, guest, CONNECTION, err) : NULL;
    if (!cards)
        return false;
    if (w->network || w->clear)
        return set(c, cards, w, name, err);
    print(c, cards);
    return true;
}

static bool
sensible(const struct wishes *w, GError **err)
{
    if (w->network && w->clear)
        return err_set(err, ERR_USAGE, "--clear takes no network beside it.");
    if (w->network && !*w->network)
        return err_set(err, ERR_USAGE, "A network needs a name; --clear takes it away.");
    return !w->card || w->network || w->clear || err_set(err, ERR_USAGE, "--card belongs to a network or --clear.");
}

VERB(verb_test_network)
{
    static const struct usage usage = {"VM [NETWORK | --clear] [--card MAC]",
                                       "Shows or sets the libvirt network of a guest's network card in its test guests\non this host.",
                                       "Without one of its own, a card is on test_network (vmreplica modify), or\ndisconnected."};
    struct wishes w = {0};
    g_auto(GStrv) args = NULL;
    const GOptionEntry options[] = {
        {"card", 0, 0, G_OPTION_ARG_STRING, &w.card, "which one, if there are several", "MAC"},
        {"clear", 0, 0, G_OPTION_ARG_NONE, &w.clear, "no network of its own", NULL},
        {0},
    };
    bool fine = cli_parse(c, &usage, CLI_CONNECTS | CLI_JSON, options, argc, argv, &args, err);
    if (!fine || !cli_count(args, 1, 2, &usage, argv[0], err)) {
        g_free(w.card);
        return !fine && c->helped;
    }
    w.network = args[1];
    fine = sensible(&w, err) && run(c, args[0], &w, err);
    g_free(w.card);
    return fine;
}
