/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "repl/addresses.h"

#include "base/clean.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "repl/record.h"
#include "repl/testvm.h"
#include "repl/work.h"
#include "vm/netscript.h"

#include <arpa/inet.h>
#include <string.h>

/* One document per guest: {"vm", "cards": [...], "waiting": [guests], "outcome", "failed", "networks": {MAC: name}}. */

enum { IPV4 = 4096, IPV6 = 4097, BOTH = 4098 };
enum { RUN_S = 120, WORDS_MAX = 300, FLAVOUR_MAX = 32 };
static const gint64 LOOK_US = 3 * (gint64)G_USEC_PER_SEC;

struct addresses {
    struct core *core;
    struct task *task;
    GMutex lock;
    GHashTable *docs; /* UUID text -> json_t */
};

#define AT(member) offsetof(struct repl_addresses, member)
static const struct record_field CARD[] = {
    { "mac", RECORD_TEXT, AT(mac) },           { "family", RECORD_UINT, AT(family) },
    { "dhcp", RECORD_BOOL, AT(dhcp) },         { "addresses", RECORD_LIST, AT(addresses) },
    { "subnets", RECORD_LIST, AT(subnets) },   { "gateways", RECORD_LIST, AT(gateways) },
    { "dns", RECORD_LIST, AT(dns) },           { NULL, RECORD_END, 0 },
};

void
repl_addresses_free(struct repl_addresses *card)
{
    if (!card)
        return;
    record_clear(CARD, card);
    g_free(card);
}

/* ---- documents ---- */

static void
doc_free(void *doc)
{
    json_decref(doc);
}

static json_t *
doc_locked(struct addresses *a, const struct uuid *vm)
{
    char text[UUID_TEXT];
    return g_hash_table_lookup(a->docs, uuid_format(vm, text));
}

/* Takes doc; the one from before stays when it cannot be saved. */
static bool
put_locked(struct addresses *a, const struct uuid *vm, json_t *doc, GError **err)
{
    char key[UUID_TEXT];
    uuid_format(vm, key);
    json_object_set_new(doc, "vm", json_string(key));
    g_autofree char *text = record_text(json_incref(doc));
    if (!db_put(a->core->db, DB_ADDRESSES, key, text, err)) {
        json_decref(doc);
        return false;
    }
    g_hash_table_replace(a->docs, g_strdup(key), doc);
    return true;
}

static json_t *
copy_locked(struct addresses *a, const struct uuid *vm)
{
    json_t *doc = doc_locked(a, vm);
    return doc ? json_deep_copy(doc) : json_pack("{s:[], s:[]}", "cards", "waiting");
}

static bool
load(struct addresses *a, GError **err)
{
    g_autoptr(GPtrArray) all = db_list(a->core->db, DB_ADDRESSES, err);
    for (guint i = 0; all && i < all->len; i++) {
        json_t *doc = record_parse(all->pdata[i], err);
        if (!doc)
            return false;
        g_hash_table_replace(a->docs, g_strdup(json_string_value(json_object_get(doc, "vm"))), doc);
    }
    return all != NULL;
}

/* ---- settings ---- */

static size_t
find_card(const json_t *cards, const char *mac)
{
    size_t i;
    json_t *card;
    json_array_foreach(cards, i, card)
        if (!g_ascii_strcasecmp(json_string_value(json_object_get(card, "mac")), mac))
            return i;
    return json_array_size(cards);
}

static void
set_card(json_t *cards, const struct repl_addresses *card)
{
    const size_t at = find_card(cards, card->mac);
    if (at < json_array_size(cards))
        json_array_remove(cards, at);
    if (!card->family && !(card->addresses && card->addresses[0]))
        return;
    json_t *o = json_object();
    record_pack(o, CARD, card);
    json_array_append_new(cards, o);
}

bool
addresses_set(struct addresses *a, const struct uuid *vm, const GPtrArray *list, GError **err)
{
    HOLD(&a->lock);
    json_t *doc = copy_locked(a, vm);
    for (guint i = 0; i < list->len; i++)
        set_card(json_object_get(doc, "cards"), list->pdata[i]);
    return put_locked(a, vm, doc, err);
}

static GPtrArray *
cards_of(const json_t *doc)
{
    size_t i;
    json_t *o;
    GPtrArray *out = g_ptr_array_new_with_free_func((GDestroyNotify)repl_addresses_free);
    json_array_foreach(json_object_get(doc, "cards"), i, o) {
        struct repl_addresses *card = g_new0(struct repl_addresses, 1);
        if (record_unpack(o, CARD, card, NULL) && card->mac)
            g_ptr_array_add(out, card);
        else
            repl_addresses_free(card);
    }
    return out;
}

GPtrArray *
addresses_get(struct addresses *a, const struct uuid *vm)
{
    HOLD(&a->lock);
    return cards_of(doc_locked(a, vm));
}

char *
addresses_outcome(struct addresses *a, const struct uuid *vm, bool *failed, bool *waiting)
{
    HOLD(&a->lock);
    const json_t *doc = doc_locked(a, vm);
    *failed = json_is_true(json_object_get(doc, "failed"));
    *waiting = json_array_size(json_object_get(doc, "waiting")) > 0;
    return g_strdup(json_string_value(json_object_get(doc, "outcome")));
}

/* ---- networks of test guests ---- */

void
repl_test_network_free(struct repl_test_network *card)
{
    if (!card)
        return;
    g_free(card->mac);
    g_free(card->network);
    g_free(card);
}

bool
addresses_set_networks(struct addresses *a, const struct uuid *vm, const GPtrArray *list, GError **err)
{
    HOLD(&a->lock);
    json_t *doc = copy_locked(a, vm);
    json_t *networks = json_object();
    json_object_update(networks, json_object_get(doc, "networks"));
    for (guint i = 0; i < list->len; i++) {
        const struct repl_test_network *card = list->pdata[i];
        g_autofree char *mac = g_ascii_strdown(card->mac, -1);
        if (card->network)
            json_object_set_new(networks, mac, json_string(card->network));
        else
            json_object_del(networks, mac);
    }
    json_object_set_new(doc, "networks", networks);
    return put_locked(a, vm, doc, err);
}

GPtrArray *
addresses_networks(struct addresses *a, const struct uuid *vm)
{
    const char *mac;
    json_t *name;
    GPtrArray *out = g_ptr_array_new_with_free_func((GDestroyNotify)repl_test_network_free);
    HOLD(&a->lock);
    json_object_foreach(json_object_get(doc_locked(a, vm), "networks"), mac, name) {
        const struct repl_test_network card = { g_strdup(mac), g_strdup(json_string_value(name)) };
        g_ptr_array_add(out, g_memdup2(&card, sizeof card));
    }
    return out;
}

/* ---- who waits ---- */

static size_t
find_text(const json_t *list, const char *text)
{
    size_t i;
    json_t *one;
    json_array_foreach(list, i, one)
        if (!g_strcmp0(json_string_value(one), text))
            return i;
    return json_array_size(list);
}

/* outcome NULL: nothing came of it. */
static void
change(struct addresses *a, const struct uuid *vm, const struct uuid *guest, bool wait, const char *outcome, bool failed)
{
    char text[UUID_TEXT];
    g_autoptr(GError) why = NULL;
    uuid_format(guest, text);
    HOLD(&a->lock);
    json_t *doc = copy_locked(a, vm), *waiting = json_object_get(doc, "waiting");
    const size_t at = find_text(waiting, text);
    if (at < json_array_size(waiting))
        json_array_remove(waiting, at);
    if (wait)
        json_array_append_new(waiting, json_string(text));
    if (outcome || wait) {
        json_object_set_new(doc, "outcome", outcome ? json_string(outcome) : json_null());
        json_object_set_new(doc, "failed", json_boolean(failed));
    }
    if (!put_locked(a, vm, doc, &why))
        log_warning("Guest '%s': what is to be done about its addresses could not be saved: %s", text, why->message);
}

static bool
has_settings(struct addresses *a, const struct uuid *vm)
{
    HOLD(&a->lock);
    return json_array_size(json_object_get(doc_locked(a, vm), "cards")) > 0;
}

void
addresses_want(struct addresses *a, const struct uuid *vm, const struct uuid *guest)
{
    if (!has_settings(a, vm))
        return;
    change(a, vm, guest, true, NULL, false);
    task_now(a->task);
}

static bool
waits(struct addresses *a, const struct uuid *vm, const struct uuid *guest)
{
    char text[UUID_TEXT];
    HOLD(&a->lock);
    const json_t *waiting = json_object_get(doc_locked(a, vm), "waiting");
    return find_text(waiting, uuid_format(guest, text)) < json_array_size(waiting);
}

void
addresses_cancel(struct addresses *a, const struct uuid *vm, const struct uuid *guest)
{
    if (waits(a, vm, guest))
        change(a, vm, guest, false, NULL, false);
}

/* ---- the programs ---- */

static char *
with_prefix(const char *address, const char *subnet)
{
    struct in_addr mask;
    if (!strchr(address, ':') && inet_pton(AF_INET, subnet, &mask) == 1)
        return g_strdup_printf("%s/%d", address, __builtin_popcount(mask.s_addr));
    return g_strdup_printf("%s/%s", address, subnet);
}

static char **
prefixed(const struct repl_addresses *card)
{
    g_autoptr(GStrvBuilder) out = g_strv_builder_new();
    for (guint i = 0; card->addresses && card->addresses[i] && card->subnets && card->subnets[i]; i++) {
        g_autofree char *one = with_prefix(card->addresses[i], card->subnets[i]);
        g_strv_builder_add(out, one);
    }
    return g_strv_builder_end(out);
}

static bool
has_family(char **addresses, bool v6)
{
    for (; addresses && *addresses; addresses++)
        if ((strchr(*addresses, ':') != NULL) == v6)
            return true;
    return false;
}

static struct netscript_card
for_script(const struct repl_addresses *card, const char *mac, char **with)
{
    const bool v4 = card->family != IPV6, v6 = card->family != IPV4;
    return (struct netscript_card){
        .mac = mac,
        .mode4 = v4 && card->dhcp ? NETSCRIPT_DHCP : v4 && has_family(with, false) ? NETSCRIPT_STATIC : NETSCRIPT_KEEP,
        .mode6 = v6 && has_family(with, true) ? NETSCRIPT_STATIC : NETSCRIPT_KEEP,
        .addresses = with, .gateways = card->gateways, .dns = card->dns,
    };
}

static const struct vm_card *
card_with(const struct vm_facts *f, const char *mac, guint *place)
{
    for (*place = 0; *place < f->hardware->cards->len; ++*place) {
        const struct vm_card *card = f->hardware->cards->pdata[*place];
        if (card->mac && !g_ascii_strcasecmp(card->mac, mac))
            return card;
    }
    return NULL;
}

/* The MAC address that a card of `vm` has in `guest`. */
static const char *
mac_in(const struct vm_facts *vm, const struct vm_facts *guest, const char *mac)
{
    guint place;
    if (card_with(guest, mac, &place))
        return mac;
    if (!vm || !card_with(vm, mac, &place) || place >= guest->hardware->cards->len)
        return NULL;
    return ((const struct vm_card *)guest->hardware->cards->pdata[place])->mac;
}

struct program {
    GArray *cards;     /* struct netscript_card */
    GPtrArray *lists;  /* char **, of the cards */
};

static bool
add_all(struct program *p, const GPtrArray *settings, const struct vm_facts *vm, const struct vm_facts *guest, GError **err)
{
    for (guint i = 0; i < settings->len; i++) {
        const struct repl_addresses *card = settings->pdata[i];
        const char *mac = mac_in(vm, guest, card->mac);
        if (!mac)
            return err_set(err, ERR_NOT_FOUND, "The guest has no network card '%s' any more; set its addresses again.", card->mac);
        char **with = prefixed(card);
        g_ptr_array_add(p->lists, with);
        const struct netscript_card one = for_script(card, mac, with);
        g_array_append_val(p->cards, one);
    }
    return true;
}

static char *
program_for(struct addresses *a, const struct uuid *vm, const struct uuid *guest, bool windows, GError **err)
{
    struct core *c = a->core;
    struct program p = { g_array_new(FALSE, FALSE, sizeof(struct netscript_card)),
                         g_ptr_array_new_with_free_func((GDestroyNotify)g_strfreev) };
    g_autoptr(GPtrArray) settings = addresses_get(a, vm);
    vm_facts_auto original = c->vm->facts_get(c->vms, vm, NULL);
    vm_facts_auto facts = c->vm->facts_get(c->vms, guest, err);
    char *text = NULL;
    if (facts && add_all(&p, settings, original, facts, err)) {
        const struct netscript_card *cards = (const struct netscript_card *)(gpointer)p.cards->data;
        text = windows ? netscript_powershell(cards, p.cards->len, err) : netscript_shell(cards, p.cards->len, err);
    }
    g_array_unref(p.cards);
    g_ptr_array_unref(p.lists);
    return text;
}

/* PowerShell takes a program as UTF-16 in base64. */
static char *
encoded(const char *program)
{
    gsize len;
    g_autofree char *wide = g_convert(program, -1, "UTF-16LE", "UTF-8", NULL, &len, NULL);
    return g_base64_encode((const guchar *)wide, len);
}

static bool
run_in(struct addresses *a, const struct uuid *guest, const char *program, bool windows, struct vm_agent_ran *ran, GError **err)
{
    struct core *c = a->core;
    const char *const shell[] = { "/bin/sh", "-s", NULL };
    if (!windows)
        return c->vm->agent_run(c->vms, guest, shell, program, RUN_S, ran, err);
    g_autofree char *text = encoded(program);
    const char *const power[] = { "powershell.exe", "-NoProfile", "-NonInteractive", "-ExecutionPolicy", "Bypass", "-EncodedCommand", text,
                                  NULL };
    return c->vm->agent_run(c->vms, guest, power, NULL, RUN_S, ran, err);
}

/* ---- one guest ---- */

static char *
flavour_of(const struct vm_agent_ran *ran)
{
    const char *at = ran->out ? g_strrstr(ran->out, "flavour ") : NULL;
    g_autofree char *name = at ? g_strndup(at + strlen("flavour "), MIN(strcspn(at + strlen("flavour "), "\r\n"), FLAVOUR_MAX))
                               : g_strdup("unknown");
    return g_utf8_make_valid(name, -1);
}

static char *
words_of(const struct vm_agent_ran *ran)
{
    g_autofree char *text = g_utf8_make_valid(ran->err ? ran->err : "", -1);
    g_strdelimit(text, "\r\n\t", ' ');
    g_strstrip(text);
    const glong len = g_utf8_strlen(text, -1);
    return len > WORDS_MAX ? g_utf8_substring(text, len - WORDS_MAX, len) : g_steal_pointer(&text);
}

static void
finish(struct addresses *a, const struct uuid *vm, const struct uuid *guest, bool failed, const char *outcome)
{
    char text[UUID_TEXT];
    uuid_format(guest, text);
    if (failed)
        log_warning("Guest '%s': %s", text, outcome);
    else
        log_info("Guest '%s': %s", text, outcome);
    change(a, vm, guest, false, outcome, failed);
}

static void
judge(struct addresses *a, const struct uuid *vm, const struct uuid *guest, const struct vm_agent_ran *ran)
{
    const bool test = !uuid_equal(vm, guest), failed = ran->status != 0;
    g_autofree char *flavour = flavour_of(ran), *words = words_of(ran), *when = clock_iso8601(clock_wall_us());
    g_autofree char *outcome = failed ? g_strdup_printf("The addresses%s could not be set at %s (%s): %s", test ? " of the test guest" : "",
                                                        when, flavour, *words ? words : "the program gave no reason")
                                      : g_strdup_printf("The addresses%s were set at %s (%s).", test ? " of the test guest" : "", when,
                                                        flavour);
    finish(a, vm, guest, failed, outcome);
}

/* True: nothing is to be done for this guest any more. */
static bool
attempt(struct addresses *a, const struct uuid *vm, const struct uuid *guest)
{
    struct core *c = a->core;
    struct vm_agent_info info = { 0 };
    struct vm_agent_ran ran = { 0 };
    g_autoptr(GError) why = NULL;
    enum vm_power power;
    if (!c->vm->power_get(c->vms, guest, &power, &why) || power != VM_RUNNING || !c->vm->agent_info(c->vms, guest, &info, &why))
        return false;
    const bool windows = !g_strcmp0(info.os_id, "mswindows");
    vm_agent_info_clear(&info);
    g_autofree char *program = program_for(a, vm, guest, windows, &why);
    const bool ok = program && run_in(a, guest, program, windows, &ran, &why);
    if (ok)
        judge(a, vm, guest, &ran);
    else if (!program || err_is(why, ERR_NOT_SUPPORTED))
        finish(a, vm, guest, true, why->message);
    vm_agent_ran_clear(&ran);
    return ok || !program || err_is(why, ERR_NOT_SUPPORTED);
}

struct wait {
    struct uuid vm, guest;
};

static GArray *
all_waiting(struct addresses *a)
{
    GHashTableIter it;
    gpointer key, doc;
    GArray *out = g_array_new(FALSE, FALSE, sizeof(struct wait));
    HOLD(&a->lock);
    g_hash_table_iter_init(&it, a->docs);
    while (g_hash_table_iter_next(&it, &key, &doc)) {
        size_t i;
        json_t *guest;
        struct wait w;
        json_array_foreach(json_object_get(doc, "waiting"), i, guest)
            if (uuid_parse(key, &w.vm) && uuid_parse(json_string_value(guest), &w.guest))
                g_array_append_val(out, w);
    }
    return out;
}

static gint64
look(void *user)
{
    struct addresses *a = user;
    bool left = false;
    g_autoptr(GArray) all = all_waiting(a);
    for (guint i = 0; i < all->len && core_running(a->core); i++) {
        const struct wait *w = &g_array_index(all, struct wait, i);
        left = !attempt(a, &w->vm, &w->guest) || left;
    }
    return left ? g_get_monotonic_time() + LOOK_US : SCHEDULE_IDLE;
}

/* ---- life ---- */

struct addresses *
addresses_new(struct core *c, GError **err)
{
    struct addresses *a = g_new0(struct addresses, 1);
    a->core = c;
    g_mutex_init(&a->lock);
    a->docs = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, doc_free);
    a->task = task_new(c->schedule, LANE_BACKGROUND, look, a);
    if (load(a, err))
        return a;
    addresses_free(a);
    return NULL;
}

void
addresses_free(struct addresses *a)
{
    if (!a)
        return;
    task_free(a->task);
    g_hash_table_unref(a->docs);
    g_mutex_clear(&a->lock);
    g_free(a);
}

void
addresses_wake(struct addresses *a)
{
    task_now(a->task);
}

void
addresses_stop(struct addresses *a)
{
    task_stop(a->task);
}

/* ---- the door ---- */

bool
repl_addresses_set(struct repl_service *s, const struct uuid *vm, const GPtrArray *list, GError **err)
{
    return addresses_set(s->core->addresses, vm, list, err);
}

GPtrArray *
repl_addresses_get(struct repl_service *s, const struct uuid *vm)
{
    return addresses_get(s->core->addresses, vm);
}

char *
repl_addresses_outcome(struct repl_service *s, const struct uuid *vm, bool *failed, bool *waiting)
{
    return addresses_outcome(s->core->addresses, vm, failed, waiting);
}

static bool
check_network(const struct vm_facts *f, const struct repl_test_network *card, GError **err)
{
    enum { NAME_MAX_BYTES = 64 };
    guint place;
    if (!card_with(f, card->mac, &place))
        return err_set(err, ERR_INVALID_PARAMETER, "Guest '%s' has no network card '%s'.", f->name, card->mac);
    return !card->network || (strlen(card->network) <= NAME_MAX_BYTES && !strpbrk(card->network, "/\r\n")) ||
           err_set(err, ERR_INVALID_PARAMETER, "'%s' is no name of a network: at most %d bytes without '/' and line breaks.", card->network,
                   NAME_MAX_BYTES);
}

bool
repl_test_networks_set(struct repl_service *s, const struct uuid *vm, const GPtrArray *list, GError **err)
{
    vm_facts_auto f = s->core->vm->facts_get(s->core->vms, vm, err);
    if (!f)
        return false;
    relation_auto tested = testvm_owner(s->core, vm, NULL);
    if (tested)
        return err_set(err, ERR_INVALID_STATE, "Guest '%s' is a test guest; set the network at the guest that it is a copy of.", f->name);
    for (guint i = 0; i < list->len; i++)
        if (!check_network(f, list->pdata[i], err))
            return false;
    return addresses_set_networks(s->core->addresses, vm, list, err);
}

GPtrArray *
repl_test_networks(struct repl_service *s, const struct uuid *vm)
{
    return addresses_networks(s->core->addresses, vm);
}
