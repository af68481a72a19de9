/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "vm/netscript.h"

#include "base/err.h"

#include <arpa/inet.h>
#include <string.h>

/* made of vm/addresses.sh and vm/addresses.ps1 */
extern const char netscript_addresses_sh[], netscript_addresses_ps1[];

enum { PREFIX4_MAX = 32, PREFIX6_MAX = 128 };

/* Lists of one card by family, every entry written anew. */
struct lists {
    GPtrArray *address4, *address6, *gate4, *gate6, *dns;
};

/* ---- values ---- */

/* AF_INET or AF_INET6 with the address in its one form; 0: it is none. */
static int
parse(const char *text, char out[INET6_ADDRSTRLEN])
{
    struct in6_addr room;
    const int family = inet_pton(AF_INET, text, &room) == 1 ? AF_INET : inet_pton(AF_INET6, text, &room) == 1 ? AF_INET6 : 0;
    return family && inet_ntop(family, &room, out, INET6_ADDRSTRLEN) ? family : 0;
}

static bool
take_address(const char *text, GPtrArray *v4, GPtrArray *v6, GError **err)
{
    char plain[INET6_ADDRSTRLEN];
    const int family = parse(text, plain);
    if (!family)
        return err_set(err, ERR_INVALID_PARAMETER, "'%s' is no IPv4 or IPv6 address.", text);
    g_ptr_array_add(family == AF_INET ? v4 : v6, g_strdup(plain));
    return true;
}

static bool
take_prefixed(const char *text, struct lists *l, GError **err)
{
    char plain[INET6_ADDRSTRLEN];
    guint64 bits;
    g_auto(GStrv) part = g_strsplit(text, "/", 2);
    const int family = part[0] && part[1] ? parse(part[0], plain) : 0;
    if (!family || !g_ascii_string_to_unsigned(part[1], 10, 0, family == AF_INET ? PREFIX4_MAX : PREFIX6_MAX, &bits, NULL))
        return err_set(err, ERR_INVALID_PARAMETER, "'%s' is no address with the length of its prefix.", text);
    g_ptr_array_add(family == AF_INET ? l->address4 : l->address6, g_strdup_printf("%s/%u", plain, (guint)bits));
    return true;
}

static bool
is_mac(const char *mac)
{
    if (!mac || strlen(mac) != 17)
        return false;
    for (guint i = 0; i < 17; i++)
        if (i % 3 == 2 ? mac[i] != ':' : !g_ascii_isxdigit(mac[i]))
            return false;
    return true;
}

static void
lists_init(struct lists *l)
{
    GPtrArray **const all[] = { &l->address4, &l->address6, &l->gate4, &l->gate6, &l->dns };
    for (guint i = 0; i < G_N_ELEMENTS(all); i++)
        *all[i] = g_ptr_array_new_with_free_func(g_free);
}

static void
lists_clear(struct lists *l)
{
    GPtrArray *const all[] = { l->address4, l->address6, l->gate4, l->gate6, l->dns };
    for (guint i = 0; i < G_N_ELEMENTS(all); i++)
        g_ptr_array_unref(all[i]);
}

static bool
fill(struct lists *l, const struct netscript_card *card, GError **err)
{
    if (!is_mac(card->mac))
        return err_set(err, ERR_INVALID_PARAMETER, "'%s' is no MAC address.", card->mac ? card->mac : "");
    for (char **a = card->addresses; a && *a; a++)
        if (!take_prefixed(*a, l, err))
            return false;
    for (char **a = card->gateways; a && *a; a++)
        if (!take_address(*a, l->gate4, l->gate6, err))
            return false;
    for (char **a = card->dns; a && *a; a++)
        if (!take_address(*a, l->dns, l->dns, err))
            return false;
    return true;
}

/* ---- text ---- */

static const char *
word_of(enum netscript_mode mode)
{
    return mode == NETSCRIPT_DHCP ? "dhcp" : mode == NETSCRIPT_STATIC ? "static" : "keep";
}

/* A family that is kept has no values, whatever was given. */
static const GPtrArray *
wanted(enum netscript_mode mode, const GPtrArray *list)
{
    return mode == NETSCRIPT_STATIC ? list : NULL;
}

/* One argument: all of them, with spaces between. */
static void
shell_list(GString *out, const GPtrArray *list)
{
    g_string_append(out, " '");
    for (guint i = 0; list && i < list->len; i++)
        g_string_append_printf(out, "%s%s", i ? " " : "", (const char *)list->pdata[i]);
    g_string_append_c(out, '\'');
}

static void
power_list(GString *out, const GPtrArray *list)
{
    g_string_append(out, " @(");
    for (guint i = 0; list && i < list->len; i++)
        g_string_append_printf(out, "%s'%s'", i ? ", " : "", (const char *)list->pdata[i]);
    g_string_append_c(out, ')');
}

static bool
add_card(GString *out, const char *command, void (*list)(GString *, const GPtrArray *), const struct netscript_card *card, GError **err)
{
    struct lists l;
    lists_init(&l);
    const bool ok = fill(&l, card, err);
    if (ok) {
        g_autofree char *mac = g_ascii_strdown(card->mac, -1);
        g_string_append_printf(out, "%s '%s' '%s'", command, mac, word_of(card->mode4));
        list(out, wanted(card->mode4, l.address4));
        list(out, wanted(card->mode4, l.gate4));
        g_string_append_printf(out, " '%s'", word_of(card->mode6));
        list(out, wanted(card->mode6, l.address6));
        list(out, wanted(card->mode6, l.gate6));
        list(out, l.dns);
        g_string_append_c(out, '\n');
    }
    lists_clear(&l);
    return ok;
}

static char *
make(const char *head, const char *command, const char *tail, void (*list)(GString *, const GPtrArray *),
     const struct netscript_card *cards, guint count, GError **err)
{
    g_autoptr(GString) out = g_string_new(head);
    for (guint i = 0; i < count; i++)
        if (!add_card(out, command, list, &cards[i], err))
            return NULL;
    g_string_append(out, tail);
    return g_strdup(out->str);
}

char *
netscript_shell(const struct netscript_card *cards, guint count, GError **err)
{
    return make(netscript_addresses_sh, "vmr_card", "vmr_end\n", shell_list, cards, count, err);
}

char *
netscript_powershell(const struct netscript_card *cards, guint count, GError **err)
{
    return make(netscript_addresses_ps1, "Set-VmrCard", "Complete-Vmr\n", power_list, cards, count, err);
}
