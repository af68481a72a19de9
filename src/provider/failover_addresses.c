/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "provider/failover_addresses.h"

#include "provider/device.h"

#include <arpa/inet.h>
#include <string.h>

enum { IPV4 = 4096, IPV6 = 4097, BOTH = 4098, GATEWAYS_MAX = 5, PREFIX_MAX = 128 };

static guint
count_of(const struct cim_instance *i, const char *name)
{
    const struct cim_value *v = cim_get(i, name);
    return v && v->array && !v->null ? v->items->len : 0;
}

static const char *
text_at(const struct cim_instance *i, const char *name, guint n)
{
    const struct cim_value *v = g_ptr_array_index(cim_get(i, name)->items, n);
    return v->null || !v->text ? "" : v->text;
}

/* 4, 6, or 0: no address. */
static int
family_of(const char *text)
{
    struct in6_addr room;
    return inet_pton(AF_INET, text, &room) == 1 ? 4 : inet_pton(AF_INET6, text, &room) == 1 ? 6 : 0;
}

static bool
check_addresses(const struct cim_instance *i, const char *name, GError **err)
{
    for (guint n = 0; n < count_of(i, name); n++)
        if (!family_of(text_at(i, name, n)))
            return err_set(err, ERR_INVALID_PARAMETER, "'%s' in property '%s' is no IPv4 or IPv6 address.", text_at(i, name, n), name);
    return true;
}

/* Ones, then zeros. */
static bool
is_mask(const char *text)
{
    struct in_addr a;
    if (inet_pton(AF_INET, text, &a) != 1)
        return false;
    const guint32 host = ~g_ntohl(a.s_addr);
    return (host & (host + 1)) == 0;
}

static bool
is_prefix(const char *text)
{
    guint64 bits;
    return g_ascii_string_to_unsigned(text, 10, 0, PREFIX_MAX, &bits, NULL);
}

static bool
check_subnets(const struct cim_instance *i, GError **err)
{
    if (count_of(i, "Subnets") != count_of(i, "IPAddresses"))
        return err_set(err, ERR_INVALID_PARAMETER, "Property 'Subnets' must have one entry for each of the %u addresses.",
                       count_of(i, "IPAddresses"));
    for (guint n = 0; n < count_of(i, "Subnets"); n++) {
        const char *subnet = text_at(i, "Subnets", n);
        const bool v4 = family_of(text_at(i, "IPAddresses", n)) == 4;
        if (v4 ? !is_mask(subnet) : !is_prefix(subnet))
            return err_set(err, ERR_INVALID_PARAMETER, "'%s' in property 'Subnets' is no %s.", subnet, v4 ? "IPv4 mask" : "prefix length");
    }
    return true;
}

static bool
check_family(const struct cim_instance *i, GError **err)
{
    const guint64 family = cim_get_uint(i, "ProtocolIFType");
    const struct cim_value *dhcp = cim_get(i, "DHCPEnabled");
    const guint addresses = count_of(i, "IPAddresses");
    bool v4 = false;
    if (family != IPV4 && family != IPV6 && family != BOTH && !(family == 0 && addresses == 0))
        return err_set(err, ERR_INVALID_PARAMETER, "Property 'ProtocolIFType' is %u; 4096 (IPv4), 4097 (IPv6) and 4098 (both) are known.",
                       (guint)family);
    for (guint n = 0; n < addresses; n++)
        v4 = v4 || family_of(text_at(i, "IPAddresses", n)) == 4;
    return !(dhcp->boolean && v4) || err_set(err, ERR_INVALID_PARAMETER, "'DHCPEnabled' and IPv4 addresses contradict one another.");
}

static bool
is_there(const struct cim_instance *i, const char *name, GError **err)
{
    const struct cim_value *v = cim_get(i, name);
    return (v && !v->null) || err_set(err, ERR_INVALID_PARAMETER, "Property '%s' of a network setting is missing.", name);
}

/* Cards are told apart by the id under which the instance is published. */
static bool
check_id(const struct cim_instance *i, const struct uuid *vm, guint count, GError **err)
{
    char text[UUID_TEXT];
    const char *id = cim_get_string(i, "InstanceID");
    g_autofree char *prefix = g_strdup_printf("Microsoft:%s\\", uuid_format(vm, text));
    if (!id || !*id)
        return count == 1 || err_set(err, ERR_INVALID_PARAMETER, "Property 'InstanceID' must tell which network card is meant.");
    return (!g_ascii_strncasecmp(id, prefix, strlen(prefix)) && g_str_has_suffix(id, "\\FailoverNetwork")) ||
           err_set(err, ERR_INVALID_PARAMETER, "'%s' is no network setting of this virtual machine.", id);
}

static bool
check_one(const struct cim_instance *i, const struct uuid *vm, guint count, GError **err)
{
    if (!is_there(i, "IPAddresses", err) || !is_there(i, "DHCPEnabled", err) || !check_id(i, vm, count, err))
        return false;
    if (count_of(i, "DefaultGateways") > GATEWAYS_MAX)
        return err_set(err, ERR_INVALID_PARAMETER, "Property 'DefaultGateways' has more than %d entries.", GATEWAYS_MAX);
    return check_addresses(i, "IPAddresses", err) && check_addresses(i, "DefaultGateways", err) && check_addresses(i, "DNSServers", err) &&
           check_subnets(i, err) && check_family(i, err);
}

/* ---- taking them ---- */

static char **
texts(const struct cim_instance *i, const char *name)
{
    g_autoptr(GStrvBuilder) out = g_strv_builder_new();
    for (guint n = 0; n < count_of(i, name); n++)
        g_strv_builder_add(out, text_at(i, name, n));
    return g_strv_builder_end(out);
}

/* Its card: named by InstanceID, or the only one. */
static const struct vm_card *
card_of(const struct cim_instance *i, const struct vm_facts *f, GError **err)
{
    char text[UUID_TEXT];
    const char *id = cim_get_string(i, "InstanceID");
    const GPtrArray *cards = f->hardware->cards;
    for (guint n = 0; n < cards->len; n++) {
        const struct vm_card *card = g_ptr_array_index(cards, n);
        g_autofree char *mac = card->mac ? device_mac(card) : g_strdup("");
        g_autofree char *own = g_strdup_printf("Microsoft:%s\\%s\\FailoverNetwork", uuid_format(&f->uuid, text), mac);
        if (card->mac && (id && *id ? !g_ascii_strcasecmp(id, own) : cards->len == 1))
            return card;
    }
    err_set(err, ERR_INVALID_PARAMETER, cards->len ? "Property 'InstanceID' does not name a network card of guest '%s'."
                                                   : "Guest '%s' has no network card.", f->name);
    return NULL;
}

static struct repl_addresses *
taken(const struct cim_instance *i, const struct vm_card *card)
{
    struct repl_addresses *a = g_new0(struct repl_addresses, 1);
    *a = (struct repl_addresses){
        .mac = g_strdup(card->mac), .family = (guint)cim_get_uint(i, "ProtocolIFType"), .dhcp = cim_get(i, "DHCPEnabled")->boolean,
        .addresses = texts(i, "IPAddresses"), .subnets = texts(i, "Subnets"), .gateways = texts(i, "DefaultGateways"),
        .dns = texts(i, "DNSServers"),
    };
    return a;
}

static void
free_addresses(void *a)
{
    repl_addresses_free(a);
}

/* struct repl_addresses, all of them checked; NULL with an error. */
static GPtrArray *
read_all(const struct cim_value *list, const struct vm_facts *f, GError **err)
{
    g_autoptr(GPtrArray) out = g_ptr_array_new_with_free_func(free_addresses);
    for (guint n = 0; n < list->items->len; n++) {
        const struct cim_value *v = g_ptr_array_index(list->items, n);
        cim_instance_auto i = v->null ? NULL : cim_xml_parse(v->text, "Msvm_FailoverNetworkAdapterSettingData", err);
        if (v->null)
            return err_set(err, ERR_INVALID_PARAMETER, "Parameter 'NetworkSettings' has an empty entry."), NULL;
        const struct vm_card *card = i && check_one(i, &f->uuid, list->items->len, err) ? card_of(i, f, err) : NULL;
        if (!card)
            return NULL;
        g_ptr_array_add(out, taken(i, card));
    }
    return g_steal_pointer(&out);
}

static bool
may_set(struct repl_service *s, const struct vm_facts *f, GError **err)
{
    struct repl_relation r;
    if (!repl_relation_get(s, &f->uuid, 0, &r, err))
        return false;
    const bool replicated = r.mode != MODE_NONE && r.mode != MODE_TEST, busy = r.state == STATE_FAILING_OVER;
    repl_relation_clear(&r);
    if (!replicated)
        return err_set(err, ERR_INVALID_STATE, "Guest '%s' is not replicated.", f->name);
    return !busy || err_set(err, ERR_IN_USE, "A failover of guest '%s' is under way; set its addresses afterwards.", f->name);
}

guint32
replication_set_failover_addresses(struct cim_call *call, GError **err)
{
    struct uuid vm;
    struct repl_service *s = service_of(call->user);
    const struct cim_value *list = cim_args_get(call->in, "NetworkSettings");
    if (!arg_guest(call, "ComputerSystem", &vm, err))
        return 0;
    if (!list || !list->array || list->items->len == 0)
        return err_set(err, ERR_INVALID_PARAMETER, "Parameter 'NetworkSettings' is missing."), 0;
    vm_facts_auto f = repl_guest(s, &vm, err);
    g_autoptr(GPtrArray) all = f ? read_all(list, f, err) : NULL;
    if (all && may_set(s, f, err))
        repl_addresses_set(s, &vm, all, err);
    return 0;
}
