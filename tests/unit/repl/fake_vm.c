/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fake_vm.h"

#include "fake_guest.h"

#include "base/clean.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/file.h"
#include "vm/sysinfo.h"
#include "store/view.h"
#include "vm/domxml.h"

#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- faults ---- */

void
fake_fail(struct fake_host *h, enum fake_call call, enum err_code code, guint count)
{
    HOLD(&h->lock);
    h->fails[call] = count;
    h->codes[call] = code;
}

bool
fake_may(struct fake_host *h, enum fake_call call, GError **err)
{
    HOLD(&h->lock);
    if (!h->fails[call])
        return true;
    h->fails[call]--;
    return err_set(err, h->codes[call], "The test makes call %d of the hypervisor fail.", call);
}

void
fake_die_in(struct fake_host *h, guint n)
{
    HOLD(&h->lock);
    h->die_at = n ? h->changes + n : 0;
}

/* Twice per change: before and after it. */
static void
change(struct fake_host *h)
{
    HOLD(&h->lock);
    h->changes++;
    if (h->die_at && h->changes >= h->die_at)
        _exit(9);
}

/* ---- files ---- */

static char *
path_of(const struct fake_host *h, const char *kind, const struct uuid *vm)
{
    char text[UUID_TEXT];
    return g_strdup_printf("%s/%s-%s", h->dir, kind, uuid_format(vm, text));
}

static char *
content(const char *path)
{
    char *text = NULL;
    return g_file_get_contents(path, &text, NULL, NULL) ? text : NULL;
}

static void
put(const char *path, const char *text)
{
    g_assert_true(file_replace(path, text, strlen(text), 0644, NULL));
}

static void
put_xml(struct fake_host *h, const char *path, const char *xml)
{
    HOLD(&h->definitions);
    put(path, xml);
}

char *
fake_definition(struct fake_host *h, const struct uuid *vm)
{
    g_autofree char *path = path_of(h, "xml", vm);
    return content(path);
}

enum vm_power
fake_power(struct fake_host *h, const struct uuid *vm)
{
    g_autofree char *path = path_of(h, "power", vm);
    g_autofree char *text = content(path);
    return text ? (enum vm_power)atoi(text) : VM_OFF;
}

static void
set_power(struct fake_host *h, const struct uuid *vm, enum vm_power power)
{
    g_autofree char *path = path_of(h, "power", vm);
    g_autofree char *text = g_strdup_printf("%d", power);
    put(path, text);
}

static void
tell(struct fake_host *h, const struct uuid *vm, const char *what)
{
    vm_event_fn fn;
    void *user;
    {
        HOLD(&h->lock);
        fn = h->watcher;
        user = h->watcher_user;
    }
    if (fn)
        fn(user, vm, what);
}

static void
set_migrated(struct fake_host *h, const struct uuid *vm, bool migrated)
{
    HOLD(&h->lock);
    struct fake_guest *g = fake_guest_locked(h, vm);
    if (g)
        g->migrated = migrated;
}

static bool
is_migrated(struct vm_conn *c, const struct uuid *vm)
{
    struct fake_host *h = (struct fake_host *)c;
    HOLD(&h->lock);
    const struct fake_guest *g = fake_guest_locked(h, vm);
    return g && g->migrated;
}

void
fake_migrate(struct fake_host *h, const struct uuid *vm, bool gone)
{
    g_autofree char *xml = path_of(h, "xml", vm);
    set_power(h, vm, VM_OFF);
    set_migrated(h, vm, true);
    if (gone) {
        HOLD(&h->definitions);
        g_assert_cmpint(unlink(xml), ==, 0);
    }
    tell(h, vm, "stopped");
}

void
fake_migrate_forget(struct fake_host *h, const struct uuid *vm)
{
    set_migrated(h, vm, false);
}

static void
announce(struct fake_host *h, const struct uuid *vm, enum vm_power power)
{
    if (power == VM_RUNNING)
        set_migrated(h, vm, false);
    tell(h, vm, power == VM_RUNNING ? "started" : "stopped");
}

void
fake_power_set(struct fake_host *h, const struct uuid *vm, enum vm_power power)
{
    {
        HOLD(&h->power);
        set_power(h, vm, power);
    }
    announce(h, vm, power);
}

static bool
power_get(struct vm_conn *c, const struct uuid *vm, enum vm_power *out, GError **err)
{
    struct fake_host *h = (struct fake_host *)c;
    char text[UUID_TEXT];
    g_autofree char *xml = fake_definition(h, vm);
    if (!fake_may(h, FAKE_POWER, err))
        return false;
    *out = fake_power(h, vm);
    return xml || err_set(err, ERR_NO_SUCH_INSTANCE, "There is no guest '%s'.", uuid_format(vm, text));
}

static void
watch(struct vm_conn *c, vm_event_fn fn, void *user)
{
    struct fake_host *h = (struct fake_host *)c;
    HOLD(&h->lock);
    h->watcher = fn;
    h->watcher_user = user;
}

/* ---- the host ---- */

static struct vm_host *
host(struct vm_conn *c, GError **err)
{
    struct vm_host *h = g_new0(struct vm_host, 1);
    h->hostname = g_strdup("fake");
    h->arch = g_strdup("x86_64");
    h->cpus = h->sockets = h->cores = h->threads = h->nodes = 1;
    h->memory_kib = 1 << 20;
    h->max_vcpus = 16;
    return h;
}

static void
network_free(void *p)
{
    struct vm_network *n = p;
    g_free(n->name);
    g_free(n);
}

static GPtrArray *
networks(struct vm_conn *c, GError **err)
{
    if (!fake_may((struct fake_host *)c, FAKE_NETWORKS, err))
        return NULL;
    GPtrArray *all = g_ptr_array_new_with_free_func(network_free);
    struct vm_network *n = g_new0(struct vm_network, 1);
    n->name = g_strdup("default");
    n->uuid.bytes[15] = 1;
    n->active = true;
    g_ptr_array_add(all, n);
    return all;
}

static GHashTable *
addresses(struct vm_conn *c, const struct uuid *vm)
{
    return g_hash_table_new(g_str_hash, g_str_equal);
}

static GArray *
vcpu_times(struct vm_conn *c, const struct uuid *vm, GError **err)
{
    return g_array_new(FALSE, FALSE, sizeof(guint64));
}

/* ---- power and definitions ---- */

static bool
move(struct vm_conn *c, const struct uuid *vm, bool from_off, enum vm_power to, GError **err)
{
    struct fake_host *h = (struct fake_host *)c;
    {
        HOLD(&h->power); /* a guest that goes off now is not resumed */
        const enum vm_power now = fake_power(h, vm);
        if ((now == VM_OFF || now == VM_SAVED) != from_off)
            return err_set(err, ERR_INVALID_STATE, "The guest's power does not permit that.");
        change(h);
        set_power(h, vm, to);
    }
    announce(h, vm, to);
    return true;
}

static bool
reset(struct vm_conn *c, const struct uuid *vm, GError **err)
{
    return move(c, vm, false, VM_RUNNING, err);
}

static bool
discard_save(struct vm_conn *c, const struct uuid *vm, GError **err)
{
    struct fake_host *h = (struct fake_host *)c;
    change(h);
    fake_power_set(h, vm, VM_OFF);
    return true;
}

static bool
inject_nmi(struct vm_conn *c, const struct uuid *vm, GError **err)
{
    struct fake_host *h = (struct fake_host *)c;
    if (!fake_may(h, FAKE_POWER, err))
        return false;
    HOLD(&h->lock);
    h->interrupts++;
    return true;
}

/* The definition with what stands between the tags replaced; without tags they are put at its end, text NULL takes them away. */
static void
edit(struct fake_host *h, const struct uuid *vm, const char *from, const char *to, const char *text)
{
    g_autofree char *path = path_of(h, "xml", vm), *old = content(path), *was = fake_between(old, from, to);
    g_autofree char *gone = was ? g_strconcat(from, was, to, NULL) : NULL;
    g_autofree char *come = text ? g_strconcat(from, text, to, was ? "" : "</domain>", NULL) : g_strdup("");
    g_autoptr(GString) xml = g_string_new(old);
    if (was || text)
        g_string_replace(xml, was ? gone : "</domain>", come, 1);
    change(h);
    put_xml(h, path, xml->str);
}

static bool
rename_it(struct vm_conn *c, const struct uuid *vm, const char *name, GError **err)
{
    edit((struct fake_host *)c, vm, "<name>", "</name>", name);
    return true;
}

static bool
set_notes(struct vm_conn *c, const struct uuid *vm, const char *text, GError **err)
{
    edit((struct fake_host *)c, vm, "<description>", "</description>", text);
    return true;
}

static bool
set_autostart(struct vm_conn *c, const struct uuid *vm, bool yes, GError **err)
{
    edit((struct fake_host *)c, vm, "<autostart", "/>", yes ? "" : NULL);
    return true;
}

static bool
agent_info(struct vm_conn *c, const struct uuid *vm, struct vm_agent_info *out, GError **err)
{
    *out = (struct vm_agent_info){ 0 };
    if (!fake_may((struct fake_host *)c, FAKE_AGENT, err))
        return false;
    out->os_name = g_strdup("Fake OS 1");
    out->hostname = g_strdup("inside");
    return true;
}

static GBytes *
screenshot(struct vm_conn *c, const struct uuid *vm, char **suffix, GError **err)
{
    if (!fake_may((struct fake_host *)c, FAKE_SCREENSHOT, err))
        return NULL;
    *suffix = g_strdup("ppm");
    return g_bytes_new_static("P6 1 1 255\nabc", 14);
}

/* Programs are not run but kept; they end well, unless the test wants them to complain. */
static bool
agent_run(struct vm_conn *c, const struct uuid *vm, const char *const *argv, const char *input, guint limit_s, struct vm_agent_ran *out,
          GError **err)
{
    struct fake_host *h = (struct fake_host *)c;
    char text[UUID_TEXT];
    *out = (struct vm_agent_ran){ 0 };
    if (!fake_may(h, FAKE_RUN, err))
        return false;
    HOLD(&h->lock);
    g_hash_table_replace(h->programs, g_strdup(uuid_format(vm, text)), g_strjoin("\n", argv[0], input, NULL));
    const bool bad = h->complaint != NULL;
    *out = (struct vm_agent_ran){ bad, g_strdup("flavour fake\n"), g_strdup(h->complaint) };
    return true;
}

char *
fake_program(struct fake_host *h, const struct uuid *vm)
{
    char text[UUID_TEXT];
    HOLD(&h->lock);
    return g_strdup(g_hash_table_lookup(h->programs, uuid_format(vm, text)));
}

void
fake_complain(struct fake_host *h, const char *words)
{
    HOLD(&h->lock);
    h->complaint = words;
}

/* Asked to end, which the guest's system does at once. */
static bool
shut_down(struct vm_conn *c, const struct uuid *vm, GError **err)
{
    struct fake_host *h = (struct fake_host *)c;
    if (!fake_may(h, FAKE_SHUTDOWN, err))
        return false;
    {
        HOLD(&h->lock);
        if (h->deaf)
            return true;
    }
    return move(c, vm, false, VM_OFF, err);
}

/* Images that a capture reads are locked. */
static bool
start(struct vm_conn *c, const struct uuid *vm, GError **err)
{
    struct fake_host *h = (struct fake_host *)c;
    bool locked;
    {
        HOLD(&h->lock);
        const struct fake_guest *g = fake_guest_locked(h, vm);
        locked = g && g->open;
    }
    return locked ? err_set(err, ERR_IO, "The images of the guest are locked.") : move(c, vm, true, VM_RUNNING, err);
}

static bool force_off(struct vm_conn *c, const struct uuid *vm, GError **err) { return move(c, vm, false, VM_OFF, err); }
static bool pause_it(struct vm_conn *c, const struct uuid *vm, GError **err) { return move(c, vm, false, VM_PAUSED, err); }
static bool resume_it(struct vm_conn *c, const struct uuid *vm, GError **err) { return move(c, vm, false, VM_RUNNING, err); }

void
fake_stall(struct fake_host *h, const struct uuid *vm)
{
    g_autofree char *path = path_of(h, "stalled", vm);
    fake_power_set(h, vm, VM_PAUSED); /* first: who finds the mark resumes a guest that is paused already */
    put(path, "");
}

static bool
resume_stalled(struct vm_conn *c, const struct uuid *vm, bool *stalled, GError **err)
{
    g_autofree char *path = path_of((struct fake_host *)c, "stalled", vm);
    *stalled = unlink(path) == 0;
    return !*stalled || resume_it(c, vm, err);
}

static bool save_it(struct vm_conn *c, const struct uuid *vm, GError **err) { return move(c, vm, false, VM_SAVED, err); }

static bool
define(struct vm_conn *c, const char *xml, GError **err)
{
    struct fake_host *h = (struct fake_host *)c;
    struct uuid vm;
    g_autofree char *id = fake_between(xml, "<uuid>", "</uuid>");
    if (!fake_may(h, FAKE_DEFINE, err))
        return false;
    if (!id || !uuid_parse(id, &vm))
        return err_set(err, ERR_MALFORMED, "The definition has no UUID.");
    change(h);
    g_autofree char *path = path_of(h, "xml", &vm);
    put_xml(h, path, xml);
    change(h);
    return true;
}

static bool
undefine(struct vm_conn *c, const struct uuid *vm, GError **err)
{
    struct fake_host *h = (struct fake_host *)c;
    g_autofree char *path = path_of(h, "xml", vm);
    change(h);
    HOLD(&h->definitions);
    return file_unlink_durably(path, err);
}

void
fake_device_add(struct fake_host *h, const struct uuid *vm, const char *device)
{
    g_autofree char *path = path_of(h, "xml", vm), *old = content(path), *with = g_strconcat("<devices>", device, NULL);
    g_autoptr(GString) xml = g_string_new(old);
    g_string_replace(xml, "<devices>", with, 1);
    put_xml(h, path, xml->str);
}

void
fake_agent_add(struct fake_host *h, const struct uuid *vm)
{
    fake_device_add(h, vm, "<channel type='unix'><target type='virtio' name='org.qemu.guest_agent.0'/></channel>");
}

void
fake_card_add(struct fake_host *h, const struct uuid *vm, const char *mac)
{
    g_autofree char *path = path_of(h, "xml", vm), *old = content(path);
    g_autofree char *card = g_strdup_printf("<devices><interface type='network'><mac address='%s'/><source network='prod'/></interface>",
                                            mac);
    g_autoptr(GString) xml = g_string_new(old);
    g_string_replace(xml, "<devices>", card, 1);
    put_xml(h, path, xml->str);
}

void
fake_hold_pulls(struct fake_host *h, bool hold)
{
    HOLD(&h->lock);
    h->pull_held = hold;
}

guint64
fake_pull_rate(struct fake_host *h)
{
    HOLD(&h->lock);
    return h->pull_rate;
}

guint
fake_interrupts(struct fake_host *h)
{
    HOLD(&h->lock);
    return h->interrupts;
}

static bool
network_up(struct vm_conn *c, const char *name, GError **err)
{
    struct fake_host *h = (struct fake_host *)c;
    g_autofree char *path = g_strdup_printf("%s/network-%s", h->dir, name);
    put(path, "isolated");
    return true;
}

static bool
forget_backing(struct vm_conn *c, const struct uuid *vm, const char *socket, GError **err)
{
    struct fake_host *h = (struct fake_host *)c;
    g_autofree char *path = path_of(h, "xml", vm);
    g_autofree char *old = content(path);
    g_autofree char *ours = domxml_without_backing(old, socket, err);
    return ours && define(c, ours, err);
}

void
fake_set_title(struct fake_host *h, const struct uuid *vm, const char *title)
{
    g_autofree char *path = path_of(h, "xml", vm);
    g_autoptr(GString) xml = g_string_new(NULL);
    g_autofree char *old = content(path);
    g_string_assign(xml, old);
    g_autofree char *tag = g_strdup_printf("<title>%s</title></domain>", title);
    g_string_replace(xml, "</domain>", tag, 1);
    put_xml(h, path, xml->str);
}

/* ---- serving and overlays: files that say what they are ---- */

static bool
serve(const struct serve_config *config, const char *store_dir, const struct uuid *point, const char *socket, GError **err)
{
    struct fake_host *h = fake_host_of(socket);
    char text[UUID_TEXT];
    if (!fake_may(h, FAKE_SERVE, err))
        return false;
    g_autofree char *line = g_strdup_printf("%s\n%s", uuid_format(point, text), store_dir);
    change(h);
    put(socket, line);
    change(h);
    return true;
}

static bool
serving(const char *socket)
{
    return g_file_test(socket, G_FILE_TEST_EXISTS);
}

static bool
is_serving(const char *socket, bool *running, GError **err)
{
    *running = serving(socket);
    return true;
}

bool
fake_serving(const char *socket, struct uuid *point)
{
    g_autofree char *text = content(socket);
    if (text)
        text[UUID_TEXT - 1] = '\0';
    return text && uuid_parse(text, point);
}

static bool
serve_end(const char *socket, GError **err)
{
    change(fake_host_of(socket));
    return file_unlink_durably(socket, err);
}

/* The guest that is brought up has the content of the recovery point, read as nbdkit would, and marks what it writes since.  Test guests
 * (their sockets have other names) are definitions only. */
static bool
stand_up(struct fake_host *h, const char *socket, const char *target, const struct uuid *since, GError **err)
{
    struct uuid vm;
    g_autofree char *text = content(socket);
    const char *id = strstr(socket, "/view-"), *dir = strchr(text, '\n') + 1;
    if (!id)
        return true;
    g_autofree char *name = g_strndup(id + strlen("/view-"), UUID_TEXT - 1);
    g_assert_true(uuid_parse(name, &vm));
    struct view *v = view_open(dir, since, err);
    if (!v)
        return false;
    struct block *b = view_disk_by_target(v, target);
    guint8 *data = g_malloc(b->size);
    g_assert_true(block_read(b, data, b->size, 0, NULL));
    fake_disk_from(h, &vm, target, data, b->size, since);
    view_close(v);
    return true;
}

static bool
overlay(const struct serve_config *config, const char *path, const char *socket, const char *target, guint64 size,
        const struct uuid *since, GError **err)
{
    struct fake_host *h = fake_host_of(socket);
    if (!fake_may(h, FAKE_OVERLAY, err))
        return false;
    if (g_file_test(path, G_FILE_TEST_EXISTS))
        return err_set(err, ERR_EXISTS, "Overlay '%s' exists.", path);
    if (!serving(socket))
        return err_set(err, ERR_IO, "Nothing serves '%s'.", socket);
    change(h);
    put(path, socket);
    change(h);
    return stand_up(h, socket, target, since, err);
}

static bool
is_flat(const char *path, bool *flat, GError **err)
{
    g_autofree char *text = content(path);
    if (!text)
        return err_set(err, ERR_NOT_FOUND, "There is no overlay '%s'.", path);
    *flat = !strcmp(text, "flat");
    return true;
}

static bool
flatten(const char *path, const gint *cancel, GError **err)
{
    g_autofree char *socket = content(path);
    if (socket && !strcmp(socket, "flat"))
        return true;
    if (!socket || !serving(socket))
        return err_set(err, ERR_IO, "The backing of '%s' is gone.", path);
    struct fake_host *h = fake_host_of(socket);
    if (!fake_may(h, FAKE_FLATTEN, err))
        return false;
    change(h);
    put(path, "flat");
    return true;
}

static char *
overlay_of(struct fake_host *h, const struct uuid *vm, const char *target)
{
    g_autofree char *xml = fake_definition(h, vm);
    g_autofree char *name = g_strdup_printf("/%s.qcow2", target);
    const char *end = xml ? strstr(xml, name) : NULL;
    const char *at = end;
    while (at && at > xml && at[-1] != '"' && at[-1] != '\'')
        at--;
    return end ? g_strndup(at, (gsize)(end - at) + strlen(name)) : NULL;
}

static bool
pull_begin(struct vm_conn *c, const struct uuid *vm, const char *target, guint64 bandwidth, GError **err)
{
    struct fake_host *h = (struct fake_host *)c;
    g_autofree char *path = overlay_of(h, vm, target);
    g_autofree char *job = g_strdup_printf("%s.pull", path);
    if (fake_power(h, vm) != VM_RUNNING)
        return err_set(err, ERR_INVALID_STATE, "The guest does not run.");
    put(job, "0");
    HOLD(&h->lock);
    h->pull_rate = bandwidth;
    return true;
}

static bool
pull_set(struct vm_conn *c, const struct uuid *vm, const char *target, guint64 bandwidth, GError **err)
{
    struct fake_host *h = (struct fake_host *)c;
    HOLD(&h->lock);
    h->pull_rate = bandwidth;
    return true;
}

static bool
is_held(struct fake_host *h, guint64 *rate)
{
    HOLD(&h->lock);
    *rate = h->pull_rate;
    return h->pull_held;
}

/* Two looks until it is done. */
static bool
pull_look(struct vm_conn *c, const struct uuid *vm, const char *target, struct overlay_pull *out, GError **err)
{
    struct fake_host *h = (struct fake_host *)c;
    g_autofree char *path = overlay_of(h, vm, target);
    if (fake_power(h, vm) == VM_OFF)
        return err_set(err, ERR_INVALID_STATE, "The guest does not run.");
    g_autofree char *job = g_strdup_printf("%s.pull", path);
    g_autofree char *text = content(job);
    *out = (struct overlay_pull){ .active = text != NULL, .done = text ? 50 : 0, .total = 100 };
    if (is_held(h, &out->rate) || !text)
        return true;
    if (atoi(text) < 1) {
        put(job, "1");
        return true;
    }
    change(h);
    put(path, "flat");
    out->active = false;
    out->done = 100;
    return file_unlink_durably(job, err);
}

static bool
pull_end(struct vm_conn *c, const struct uuid *vm, const char *target, GError **err)
{
    return true;
}

const struct repl_vm_ops fake_vm_ops = {
    .list = fake_list,
    .view = fake_facts_get,
    .facts_get = fake_facts_get,
    .power_get = power_get,
    .watch = watch,
    .start = start,
    .force_off = force_off,
    .shutdown = shut_down,
    .reset = reset,
    .reboot = reset,
    .discard_save = discard_save,
    .inject_nmi = inject_nmi,
    .rename = rename_it,
    .set_notes = set_notes,
    .set_autostart = set_autostart,
    .agent_info = agent_info,
    .agent_run = agent_run,
    .screenshot = screenshot,
    .host = host,
    .networks = networks,
    .addresses = addresses,
    .vcpu_times = vcpu_times,
    .pause = pause_it,
    .resume = resume_it,
    .resume_stalled = resume_stalled,
    .save = save_it,
    .define = define,
    .undefine = undefine,
    .engine_new = fake_engine_new,
    .engine_free = fake_engine_free,
    .choose = fake_choose,
    .recover = fake_recover,
    .begin = fake_begin,
    .begin_around = fake_begin_around,
    .quiesce_begin = fake_quiesce_begin,
    .quiesce_end = fake_quiesce_end,
    .thaw = fake_thaw,
    .instant_us = fake_instant_us,
    .domain_xml = fake_domain_xml,
    .nvram = fake_nvram,
    .tpm = fake_tpm,
    .disk = fake_capture_disk,
    .extents = fake_capture_extents,
    .end = fake_end,
    .forget = fake_forget,
    .pending = fake_pending,
    .serve_start = serve,
    .serve_running = is_serving,
    .serve_stop = serve_end,
    .overlay_create = overlay,
    .overlay_flatten = flatten,
    .overlay_is_flat = is_flat,
    .pull_start = pull_begin,
    .pull_state = pull_look,
    .pull_stop = pull_end,
    .pull_rate = pull_set,
    .forget_backing = forget_backing,
    .network_isolated = network_up,
    .migrated = is_migrated,
    .image_to_raw = fake_image_to_raw,
};
