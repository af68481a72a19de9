/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fake_guest.h"

#include "base/clean.h"
#include "base/clock.h"
#include "base/err.h"
#include "vm/sysinfo.h"

#include <string.h>

/* What a fake hypervisor says about its guests. */

char *
fake_between(const char *text, const char *from, const char *to)
{
    const char *a = strstr(text, from);
    const char *b = a ? strstr(a + strlen(from), to) : NULL;
    return b ? g_strndup(a + strlen(from), (gsize)(b - a) - strlen(from)) : NULL;
}

static void
disk_free(void *p)
{
    struct vm_disk *d = p;
    g_free(d->target);
    g_free(d->path);
    g_free(d->format);
    g_free(d->refused);
    g_free(d);
}

static void
add_memory_disks(struct fake_host *h, struct vm_facts *f)
{
    HOLD(&h->lock);
    const struct fake_guest *g = fake_guest_locked(h, &f->uuid);
    for (guint i = 0; g && i < g->disks->len; i++) {
        const struct fake_disk *d = g->disks->pdata[i];
        struct vm_disk *out = g_new0(struct vm_disk, 1);
        out->target = g_strdup(d->target);
        out->path = g_strdup(d->path);
        out->format = g_strdup(g->qcow2 ? "qcow2" : "raw");
        out->size = d->size;
        g_ptr_array_add(f->disks, out);
    }
}

/* The image of the disk that this place of a definition is about; NULL: none. */
static char *
image_around(const char *xml, const char *place)
{
    const char *begin = g_strrstr_len(xml, place - xml, "<disk "), *end = strstr(place, "</disk>");
    const char *from = begin && end ? g_strstr_len(begin, end - begin, " file=") : NULL;
    const gsize quote = strlen(" file=") + 1;
    return from ? g_strndup(from + quote, strcspn(from + quote, "'\"")) : NULL;
}

/* A guest that is only a definition. */
static void
add_defined_disks(struct vm_facts *f)
{
    if (f->disks->len)
        return;
    for (char c = 'a'; c <= 'z'; c++) {
        g_autofree char *target = g_strdup_printf("vd%c", c), *double_quoted = g_strdup_printf("dev=\"%s\"", target);
        g_autofree char *single_quoted = g_strdup_printf("dev='%s'", target);
        const char *place = strstr(f->xml, double_quoted) ?: strstr(f->xml, single_quoted);
        if (!place)
            continue;
        struct vm_disk *out = g_new0(struct vm_disk, 1);
        out->target = g_steal_pointer(&target);
        out->path = image_around(f->xml, place);
        out->format = g_strdup(out->path && g_str_has_suffix(out->path, ".qcow2") ? "qcow2" : "raw");
        g_ptr_array_add(f->disks, out);
    }
}

static void
read_machine(struct vm_facts *f, const char *xml)
{
    g_autoptr(xmlDoc) doc = xml_parse(xml, strlen(xml), 1 << 20, NULL);
    g_assert_nonnull(doc);
    sysinfo_read(&f->machine, xmlDocGetRootElement(doc));
    f->hardware = vm_hardware_read(xmlDocGetRootElement(doc));
    f->autostart = strstr(xml, "<autostart/>") != NULL;
    if (f->machine.agent == VM_AGENT_AWAY && f->power == VM_RUNNING) /* as libvirt says in a live definition */
        f->machine.agent = VM_AGENT_CONNECTED;
}

struct vm_facts *
fake_facts_get(struct vm_conn *c, const struct uuid *vm, GError **err)
{
    struct fake_host *h = (struct fake_host *)c;
    char text[UUID_TEXT];
    g_autofree char *xml = fake_definition(h, vm);
    if (!xml) {
        err_set(err, ERR_NO_SUCH_INSTANCE, "There is no guest '%s'.", uuid_format(vm, text));
        return NULL;
    }
    struct vm_facts *f = g_new0(struct vm_facts, 1);
    f->uuid = *vm;
    f->name = fake_between(xml, "<name>", "</name>");
    f->power = fake_power(h, vm);
    f->persistent = true;
    f->vcpus = 1;
    f->memory_kib = 65536;
    if (f->power != VM_OFF && f->power != VM_SAVED) {
        f->memory_now_kib = 32768;
        f->uptime_ms = 4000;
        f->pid = 4711;
        f->started_us = f->changed_us = clock_wall_us() - 4 * G_USEC_PER_SEC;
    }
    read_machine(f, xml);
    f->disks = g_ptr_array_new_with_free_func(disk_free);
    f->nics = g_ptr_array_new();
    f->xml = g_steal_pointer(&xml);
    add_memory_disks(h, f);
    add_defined_disks(f);
    return f;
}

GPtrArray *
fake_list(struct vm_conn *c, GError **err)
{
    struct fake_host *h = (struct fake_host *)c;
    GPtrArray *out = g_ptr_array_new_with_free_func((GDestroyNotify)vm_facts_free);
    g_autoptr(GDir) d = g_dir_open(h->dir, 0, NULL);
    const char *name;
    struct uuid vm;
    HOLD(&h->definitions);
    while ((name = g_dir_read_name(d)))
        if (g_str_has_prefix(name, "xml-") && uuid_parse(name + 4, &vm))
            g_ptr_array_add(out, fake_facts_get(c, &vm, err));
    return out;
}

void
fake_deaf(struct fake_host *h, bool deaf)
{
    HOLD(&h->lock);
    h->deaf = deaf;
}
