/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/clock.h"
#include "provider/all.h"
#include "provider/common.h"
#include "provider/virtual_system_setting.h"

/* Msvm_VirtualSystemSettingData: the settings of each guest and each recovery point (contract 1.13, 4.3), and the associations that
 * tie points to their guest. */

static const char *
type_of(enum log_kind kind)
{
    switch (kind) {
    case LOG_KIND_APPLICATION:
        return "Microsoft:Hyper-V:Snapshot:Replica:ApplicationConsistent";
    case LOG_KIND_PLANNED:
        return "Microsoft:Hyper-V:Snapshot:Replica:PlannedFailover";
    case LOG_KIND_STANDARD:
        return "Microsoft:Hyper-V:Snapshot:Replica:Standard";
    }
    return NULL;
}

static const char *
word_of(enum log_kind kind)
{
    return kind == LOG_KIND_APPLICATION ? "Application-consistent Replica"
           : kind == LOG_KIND_PLANNED   ? "Planned Failover Replica"
                                        : "Standard Replica";
}

static void
fill_ids(struct cim_instance *i, const struct uuid *id, const struct uuid *vm)
{
    char guid[UUID_TEXT];
    g_autofree char *text = settings_id(id);
    cim_set_string(i, "InstanceID", text);
    cim_set_string(i, "VirtualSystemIdentifier", uuid_format(vm, guid));
    cim_set_string(i, "ConfigurationID", uuid_format(id, guid));
}

const char *
virtual_system_subtype(const struct vm_facts *f)
{
    return f->machine.uefi ? "Microsoft:Hyper-V:SubType:2" : "Microsoft:Hyper-V:SubType:1";
}

static void
fill_machine(struct cim_instance *i, const struct vm_facts *f)
{
    const struct vm_machine *m = &f->machine;
    char guid[UUID_TEXT];
    cim_set_string(i, "BIOSGUID", uuid_format(&f->uuid, guid));
    cim_set_string(i, "BIOSSerialNumber", m->bios_serial);
    cim_set_string(i, "BaseBoardSerialNumber", m->board_serial);
    cim_set_string(i, "ChassisSerialNumber", m->chassis_serial);
    cim_set_string(i, "ChassisAssetTag", m->asset_tag);
    cim_set_string(i, "Architecture", m->arch);
    cim_set_string(i, "VirtualSystemSubType", virtual_system_subtype(f));
    cim_set_bool(i, "VirtualNumaEnabled", m->numa_nodes > 1);
    if (m->uefi)
        cim_set_bool(i, "SecureBootEnabled", m->secure_boot);
}

/* Only where there is a definition file do we know whose folders these are. */
static void
fill_folders(struct cim_instance *i, const struct vm_facts *f)
{
    if (!f->config_us)
        return;
    g_autofree char *file = g_strconcat(f->name, ".xml", NULL);
    cim_set_string(i, "ConfigurationDataRoot", "/etc/libvirt/qemu");
    cim_set_string(i, "ConfigurationFile", file);
    cim_set_string(i, "SuspendDataRoot", "/var/lib/libvirt/qemu/save");
    cim_set_string(i, "LogDataRoot", "/var/log/libvirt/qemu");
}

enum { BOOT_FLOPPY = 0, BOOT_CDROM = 1, BOOT_IDE = 2, BOOT_NETWORK = 3, BOOT_SCSI = 4, BOOT_MAX = 8 };

static bool
first_disk_is_ide(const struct vm_hardware *h)
{
    for (guint n = 0; n < h->drives->len; n++) {
        const struct vm_drive *d = g_ptr_array_index(h->drives, n);
        if (d->kind == VM_DRIVE_DISK)
            return d->bus == VM_BUS_IDE;
    }
    return false;
}

static void
fill_boot(struct cim_instance *i, const struct vm_hardware *h)
{
    guint order[BOOT_MAX], count = 0;
    for (guint n = 0; h && n < h->boot->len && count < BOOT_MAX; n++) {
        const char *device = g_ptr_array_index(h->boot, n);
        order[count++] = g_str_equal(device, "fd")        ? BOOT_FLOPPY
                         : g_str_equal(device, "cdrom")   ? BOOT_CDROM
                         : g_str_equal(device, "network") ? BOOT_NETWORK
                         : first_disk_is_ide(h)           ? BOOT_IDE
                                                          : BOOT_SCSI;
    }
    if (count)
        cim_set_uints(i, "BootOrder", order, count);
}

static void
fill_notes(struct cim_instance *i, const char *text)
{
    g_auto(GStrv) lines = text ? g_strsplit(text, "\n", -1) : NULL;
    if (lines)
        cim_set_strings(i, "Notes", lines);
}

struct cim_instance *
virtual_system_setting_of(const struct vm_facts *f)
{
    struct cim_instance *i = new_instance("Msvm_VirtualSystemSettingData");
    fill_ids(i, &f->uuid, &f->uuid);
    cim_set_string(i, "ElementName", f->name);
    cim_set_string(i, "Description", "Active settings for the virtual machine");
    cim_set_string(i, "VirtualSystemType", "Microsoft:Hyper-V:System:Realized");
    cim_set_uint(i, "AutomaticStartupAction", f->autostart ? 4 : 2);
    cim_set_bool(i, "IsSaved", f->power == VM_SAVED);
    cim_set_bool(i, "IsAutomaticSnapshot", false);
    fill_notes(i, f->machine.notes);
    fill_machine(i, f);
    fill_folders(i, f);
    fill_boot(i, f->hardware);
    return i;
}

static void
add_check(GStrvBuilder *lines, const struct repl_point *p, const struct repl_relation *r)
{
    const struct repl_check *c = &p->check;
    char id[UUID_TEXT];
    if (!c->at_us)
        return;
    g_autofree char *when = clock_iso8601(c->at_us), *time = g_strconcat("check_time=", when, NULL);
    g_autofree char *took = g_strdup_printf("check_ms=%" G_GINT64_FORMAT, c->took_us / 1000);
    g_autofree char *why = g_strconcat("check_reason=", c->why, NULL);
    g_autofree char *picture = g_strdup_printf("check_screenshot=%s/checks/%s.%s", r->folder, uuid_format(&p->id, id), c->picture);
    g_strv_builder_add_many(lines, c->passed ? "check=passed" : "check=failed", time, took, NULL);
    if (!c->passed)
        g_strv_builder_add(lines, why);
    if (*c->picture)
        g_strv_builder_add(lines, picture);
}

static void
fill_point_notes(struct cim_instance *i, struct repl_service *s, const struct repl_point *p, const struct repl_relation *r)
{
    g_autofree char *bytes = g_strdup_printf("bytes=%" G_GUINT64_FORMAT, p->bytes); /* of its change log; for vmreplica points */
    g_autofree char *date = p->protected_us ? clock_iso8601(p->protected_us) : NULL;
    g_autofree char *until = date ? g_strconcat("protected=", date, NULL) : NULL;
    g_autofree char *evidence = repl_point_quiesce(s, p);
    g_autofree char *quiesced = evidence && g_utf8_validate(evidence, -1, NULL) ? g_strconcat("quiesced=", evidence, NULL) : NULL;
    g_autoptr(GStrvBuilder) lines = g_strv_builder_new();
    g_strv_builder_add_many(lines, bytes, p->pinned ? "pinned=yes" : "pinned=no", NULL);
    if (until)
        g_strv_builder_add(lines, until);
    if (p->damaged)
        g_strv_builder_add(lines, "damaged=yes");
    if (quiesced)
        g_strv_builder_add(lines, quiesced);
    add_check(lines, p, r);
    g_auto(GStrv) all = g_strv_builder_end(lines);
    cim_set_strings(i, "Notes", all);
}

struct cim_instance *
virtual_system_setting_of_point(struct repl_service *s, const struct repl_point *p, const struct repl_relation *r)
{
    struct cim_instance *i = new_instance("Msvm_VirtualSystemSettingData");
    g_autoptr(GDateTime) utc = g_date_time_new_from_unix_utc(p->capture_us / G_USEC_PER_SEC);
    g_autofree char *time = g_date_time_format(utc, "%Y-%m-%d - %H:%M:%S");
    g_autofree char *element = g_strdup_printf("%s - %s - (%s UTC)", r->name, word_of(p->kind), time);
    fill_ids(i, &p->id, &p->vm);
    cim_set_string(i, "ElementName", element);
    cim_set_string(i, "Description", "Snapshot settings for the virtual machine");
    cim_set_string(i, "VirtualSystemType", type_of(p->kind));
    cim_set_time(i, "CreationTime", p->capture_us);
    cim_set_bool(i, "IsSaved", false);
    cim_set_bool(i, "IsAutomaticSnapshot", true);
    cim_set_string(i, "SnapshotDataRoot", r->folder);
    fill_point_notes(i, s, p, r);
    return i;
}

/* Calls each for every recovery point of every replica of this host, or of one guest. */
typedef struct cim_instance *(*make_point)(struct repl_service *s, const struct repl_point *p, const struct repl_relation *r);

static bool
each_point(struct repl_service *s, const struct cim_path *source, make_point make, cim_emit emit, void *sink, GError **err)
{
    g_autoptr(GPtrArray) all = relations_near(s, source, err);
    for (guint n = 0; all && n < all->len; n++) {
        const struct repl_relation *r = g_ptr_array_index(all, n);
        if (r->index != 0 || (r->mode != MODE_REPLICA && r->mode != MODE_EXTENDED))
            continue;
        g_autoptr(GArray) points = repl_points(s, &r->vm, NULL);
        for (guint p = 0; points && p < points->len; p++) {
            struct cim_instance *i = make(s, &g_array_index(points, struct repl_point, p), r);
            if (i && !emit(sink, i))
                return true;
        }
    }
    return all != NULL;
}

static struct cim_instance *
make_setting(struct repl_service *s, const struct repl_point *p, const struct repl_relation *r)
{
    return virtual_system_setting_of_point(s, p, r);
}

static bool
enumerate(void *user, const struct cim_path *source, cim_emit emit, void *sink, GError **err)
{
    struct repl_service *s = service_of(user);
    g_autoptr(GPtrArray) guests = repl_guests(s, err);
    for (guint n = 0; guests && n < guests->len; n++)
        if (!emit(sink, virtual_system_setting_of(g_ptr_array_index(guests, n))))
            return true;
    return guests && each_point(s, source, make_setting, emit, sink, err);
}

static struct cim_instance *
get(void *user, const struct cim_path *path, GError **err)
{
    struct repl_service *s = service_of(user);
    struct uuid id;
    struct repl_point point;
    struct repl_relation r;
    const char *text = cim_path_get(path, "InstanceID");
    if (!text || !settings_id_parse(text, &id))
        return NULL;
    if (repl_point_find(s, &id, &point) && repl_relation_get(s, &point.vm, 0, &r, NULL)) {
        struct cim_instance *i = virtual_system_setting_of_point(s, &point, &r);
        repl_relation_clear(&r);
        return i;
    }
    vm_facts_auto f = repl_guest(s, &id, err);
    return f ? virtual_system_setting_of(f) : NULL;
}

const struct cim_provider virtual_system_setting = {"Msvm_VirtualSystemSettingData", enumerate, get, NULL};

static struct cim_instance *
link_point(const char *cls, const struct repl_point *p)
{
    struct cim_instance *i = new_instance(cls);
    g_autofree char *id = settings_id(&p->id);
    cim_set_ref(i, "Antecedent", guest_path(&p->vm));
    cim_set_ref(i, "Dependent", with_id("Msvm_VirtualSystemSettingData", id));
    return i;
}

static struct cim_instance *
make_snapshot_link(struct repl_service *s, const struct repl_point *p, const struct repl_relation *r)
{
    return link_point("Msvm_SnapshotOfVirtualSystem", p);
}

static bool
enumerate_snapshots(void *user, const struct cim_path *source, cim_emit emit, void *sink, GError **err)
{
    return each_point(service_of(user), source, make_snapshot_link, emit, sink, err);
}

const struct cim_provider snapshot_of_system = {"Msvm_SnapshotOfVirtualSystem", enumerate_snapshots, NULL, NULL};

static struct cim_instance *
make_newest_link(struct repl_service *s, const struct repl_point *p, const struct repl_relation *r)
{
    return p->newest ? link_point("Msvm_MostCurrentSnapshotInBranch", p) : NULL;
}

static bool
enumerate_newest(void *user, const struct cim_path *source, cim_emit emit, void *sink, GError **err)
{
    return each_point(service_of(user), source, make_newest_link, emit, sink, err);
}

const struct cim_provider most_current_snapshot = {"Msvm_MostCurrentSnapshotInBranch", enumerate_newest, NULL, NULL};

/* Antecedent is the point, Dependent the guest: the other way round than above (contract 1.16). */
static struct cim_instance *
make_applied_link(struct repl_service *s, const struct repl_point *p, const struct repl_relation *r)
{
    if (!p->applied)
        return NULL;
    struct cim_instance *i = new_instance("Msvm_LastAppliedSnapshot");
    g_autofree char *id = settings_id(&p->id);
    cim_set_ref(i, "Antecedent", with_id("Msvm_VirtualSystemSettingData", id));
    cim_set_ref(i, "Dependent", guest_path(&p->vm));
    return i;
}

static bool
enumerate_applied(void *user, const struct cim_path *source, cim_emit emit, void *sink, GError **err)
{
    return each_point(service_of(user), source, make_applied_link, emit, sink, err);
}

const struct cim_provider last_applied_snapshot = {"Msvm_LastAppliedSnapshot", enumerate_applied, NULL, NULL};
