/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "ask.h"
#include "provider/all.h"
#include "provider/service_row.h"

#include <string.h>

/* Virtual hardware, switches and the host: values out of a definition, paths that lead back, associations both ways. */

#define RICH "01234567-89AB-CDEF-0123-456789ABCDEF"
#define ID "Microsoft:" RICH
#define CIMV2 "root/cimv2"
#define GUEST "Msvm_ComputerSystem.CreationClassName='Msvm_ComputerSystem',Name='" RICH "'"
#define SETTINGS "Msvm_VirtualSystemSettingData.InstanceID='" ID "'"

static const char definition[] =
    "<domain type='kvm'><name>rich</name><uuid>" RICH "</uuid><memory unit='MiB'>4096</memory>"
    "<currentMemory unit='MiB'>1024</currentMemory><vcpu current='2'>8</vcpu>"
    "<cputune><shares>2048</shares><period>100000</period><quota>50000</quota></cputune>"
    "<os><type arch='x86_64' machine='pc-q35-7.2'>hvm</type></os><cpu mode='host-passthrough'/><devices>"
    "<disk type='file' device='disk'><driver name='qemu' type='qcow2' cache='none'/><source file='/img/a.qcow2'/>"
    "<target dev='vda' bus='virtio'/><iotune><total_iops_sec>500</total_iops_sec></iotune></disk>"
    "<disk type='block' device='disk'><source dev='/dev/vg/b'/><target dev='sda' bus='scsi'/>"
    "<blockio logical_block_size='4096'/><readonly/></disk>"
    "<disk type='network' device='disk'><source protocol='rbd' name='pool/c'/><target dev='vdb' bus='virtio'/></disk>"
    "<disk type='file' device='cdrom'><target dev='sdb' bus='sata'/></disk>"
    "<disk type='file' device='disk'><source file='/img/old.img'/><target dev='hdd' bus='ide'/></disk>"
    "<interface type='network'><mac address='52:54:00:aa:bb:01'/><source network='default'/><model type='virtio'/></interface>"
    "<interface type='bridge'><mac address='52:54:00:aa:bb:02'/><source bridge='br7'/><link state='down'/></interface>"
    "<interface type='network'><mac address='52:54:00:aa:bb:03'/><source network='gone'/></interface>"
    "<serial type='unix'><source mode='bind' path='/run/s'/><target port='1'/></serial>"
    "<input type='keyboard' bus='ps2'/><video><model type='vga' vram='16384' heads='1'/></video>"
    "</devices></domain>";

static void
open_rich(struct ask *f)
{
    ask_open(f, false);
    g_assert_true(fake_vm_ops.define(fake_conn(f->w.a.fake), definition, NULL));
}

static GPtrArray *
query_in(struct cim_broker *b, const char *ns, const char *text)
{
    static const struct cim_caller viewer = {"viewer", CIM_VIEWER};
    g_autoptr(GError) err = NULL;
    GPtrArray *found = cim_query_run(b, &viewer, ns, text, &err);
    g_assert_no_error(err);
    return found;
}

static char *
value_text(const struct cim_instance *i, const char *property)
{
    const struct cim_value *v = cim_get(i, property);
    g_assert_nonnull(v);
    if (v->null)
        return g_strdup("-");
    if (!v->array)
        return cim_value_text(v);
    g_autoptr(GString) all = g_string_new(NULL);
    for (guint n = 0; n < v->items->len; n++) {
        g_autofree char *one = cim_value_text(g_ptr_array_index(v->items, n));
        g_string_append_printf(all, "%s%s", n ? ";" : "", one);
    }
    return g_string_free(g_steal_pointer(&all), FALSE);
}

/* "Property=text|..."; - is null.  HOST stands for the name of a. */
static void
check_values(struct ask *f, const char *cls, const char *instance_id, const char *wanted)
{
    g_autofree char *path = g_strdup_printf("%s.InstanceID=\"%s\"", cls, instance_id);
    cim_instance_auto i = ask_get(f, f->a, path);
    g_auto(GStrv) words = g_strsplit(wanted, "|", -1);
    for (char **w = words; *w; w++) {
        g_auto(GStrv) pair = g_strsplit(*w, "=", 2), parts = g_strsplit(pair[1], "HOST", -1);
        g_autofree char *is = value_text(i, pair[0]), *should = g_strjoinv(f->w.a.name, parts);
        if (strcmp(is, should) != 0)
            g_error("%s: %s is '%s', wanted '%s'", instance_id, pair[0], is, should);
    }
}

#define V2_PATH "\\\\HOST\\root\\virtualization\\v2:"

static void
test_settings(void)
{
    static const struct {
        const char *cls, *id, *values;
    } rows[] = {
        {"Msvm_ProcessorSettingData", ID "\\\\Processor", "VirtualQuantity=1|Limit=50000|Weight=200|LimitProcessorFeatures=false"},
        {"Msvm_MemorySettingData", ID "\\\\Memory", "VirtualQuantity=1024|Limit=4096|Reservation=0|DynamicMemoryEnabled=false"},
        {"Msvm_ResourceAllocationSettingData", ID "\\\\Controller\\\\virtio", "ResourceType=6|Parent=-"},
        {"Msvm_ResourceAllocationSettingData", ID "\\\\Controller\\\\ide1", "ResourceType=5|Address=1"},
        {"Msvm_ResourceAllocationSettingData", ID "\\\\vda\\\\Drive",
         "ResourceType=17|AddressOnParent=0|Parent=" V2_PATH "Msvm_ResourceAllocationSettingData.InstanceID=\"" ID
         "\\\\Controller\\\\virtio\"|HostResource=-"},
        {"Msvm_ResourceAllocationSettingData", ID "\\\\hdd\\\\Drive", "AddressOnParent=1"},
        {"Msvm_ResourceAllocationSettingData", ID "\\\\sdb\\\\Drive", "ResourceType=16"},
        {"Msvm_ResourceAllocationSettingData", ID "\\\\Machine", "ResourceType=2|ResourceSubType=pc-q35-7.2|Address=x86_64"},
        {"Msvm_StorageAllocationSettingData", ID "\\\\vda",
         "HostResource=/img/a.qcow2|Access=3|CachingMode=3|IOPSLimit=500|VirtualResourceBlockSize=512|HostExtentName=/img/a.qcow2|Parent="
         V2_PATH "Msvm_ResourceAllocationSettingData.InstanceID=\"" ID "\\\\vda\\\\Drive\""},
        {"Msvm_StorageAllocationSettingData", ID "\\\\sda", "HostResource=/dev/vg/b|Access=1|VirtualResourceBlockSize=4096|IOPSLimit=-"},
        {"Msvm_StorageAllocationSettingData", ID "\\\\vdb", "HostResource=rbd:pool/c|HostExtentName=-"},
        {"Msvm_SyntheticEthernetPortSettingData", ID "\\\\525400AABB01", "Address=525400AABB01|StaticMacAddress=true"},
        {"Msvm_EthernetPortAllocationSettingData", ID "\\\\525400AABB01\\\\Connection",
         "EnabledState=2|LastKnownSwitchName=default|HostResource=" V2_PATH
         "Msvm_VirtualEthernetSwitch.CreationClassName=\"Msvm_VirtualEthernetSwitch\",Name=\"00000000-0000-0000-0000-000000000001\""},
        {"Msvm_EthernetPortAllocationSettingData", ID "\\\\525400AABB02\\\\Connection", "EnabledState=3|LastKnownSwitchName=br7"},
        {"Msvm_EthernetPortAllocationSettingData", ID "\\\\525400AABB03\\\\Connection", "LastKnownSwitchName=gone|HostResource=-"},
        {"Msvm_SerialPortSettingData", ID "\\\\Serial0", "ElementName=COM 2|Connection=/run/s|ResourceType=21"},
    };
    struct ask f;
    open_rich(&f);
    for (gsize i = 0; i < G_N_ELEMENTS(rows); i++)
        check_values(&f, rows[i].cls, rows[i].id, rows[i].values);
    ask_close(&f);
}

static void
test_counts(void)
{
    static const struct {
        const char *ns, *query;
        guint count;
    } rows[] = {
        {NULL, "SELECT * FROM Msvm_StorageAllocationSettingData WHERE InstanceID LIKE '%" RICH "%'", 4},
        {NULL, "SELECT * FROM Msvm_DiskDrive WHERE SystemName = '" RICH "'", 4},
        {NULL, "SELECT * FROM Msvm_Processor WHERE SystemName = '" RICH "'", 1},
        {NULL, "SELECT * FROM Msvm_Keyboard WHERE SystemName = '" RICH "'", 1},
        {NULL, "SELECT * FROM Msvm_S3DisplayController WHERE SystemName = '" RICH "'", 1},
        {NULL, "SELECT * FROM Msvm_SyntheticDisplayController WHERE SystemName = '" RICH "'", 0},
        {NULL, "SELECT * FROM Msvm_VideoHead WHERE SystemName = '" RICH "'", 1},
        {NULL, "SELECT * FROM Msvm_KvpExchangeComponent", 3},
        {NULL, "SELECT * FROM Msvm_VirtualEthernetSwitch WHERE HealthState = 5", 2},
        {NULL, "SELECT * FROM Msvm_ProcessorSettingData WHERE InstanceID LIKE 'Microsoft:Definition%Maximum'", 1},
        {NULL, "SELECT * FROM Msvm_ReplicationProvider", 1},
        {CIMV2, "SELECT * FROM Win32_ComputerSystem", 1},
        {CIMV2, "SELECT * FROM Win32_OperatingSystem WHERE Version LIKE '10.%'", 1},
        {CIMV2, "SELECT * FROM Win32_ComputerSystemProduct", 1},
        {CIMV2, "SELECT * FROM Win32_Processor", 1},
        {CIMV2, "SELECT * FROM CIM_DataFile WHERE Name = '/img/a.qcow2'", 1},
        {CIMV2, "SELECT * FROM CIM_DataFile WHERE Name = '/etc/passwd'", 0},
        {NULL, "ASSOCIATORS OF {" SETTINGS "} WHERE AssocClass = Msvm_VirtualSystemSettingDataComponent "
               "ResultClass = Msvm_ProcessorSettingData", 1},
        {NULL, "ASSOCIATORS OF {" SETTINGS "} WHERE ResultClass = Msvm_StorageAllocationSettingData", 4},
        {NULL, "ASSOCIATORS OF {Msvm_StorageAllocationSettingData.InstanceID='" ID "\\\\vda'}", 1},
        {NULL, "REFERENCES OF {Msvm_StorageAllocationSettingData.InstanceID='" ID "\\\\vda'}", 1},
        {NULL, "ASSOCIATORS OF {" GUEST "} WHERE AssocClass = Msvm_SystemDevice", 9},
        {NULL, "ASSOCIATORS OF {" GUEST "} WHERE AssocClass = Msvm_HostedDependency", 1},
        {NULL, "ASSOCIATORS OF {" SETTINGS "} WHERE ResultClass = Msvm_KvpExchangeComponent", 0},
    };
    struct ask f;
    open_rich(&f);
    for (gsize i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autoptr(GPtrArray) found = query_in(f.a, rows[i].ns ? rows[i].ns : "root/virtualization/v2", rows[i].query);
        if (found->len != rows[i].count)
            g_error("%s: %u instances instead of %u", rows[i].query, found->len, rows[i].count);
    }
    ask_close(&f);
}

/* A recovery point has the hardware that its definition describes, but no devices. */
static void
test_points(void)
{
    struct ask f;
    ask_open(&f, true);
    g_autoptr(GPtrArray) parts = ask_query(&f, f.b, "ASSOCIATORS OF {@point} WHERE AssocClass = Msvm_VirtualSystemSettingDataComponent");
    guint seen = 0;
    for (guint i = 0; i < parts->len; i++) {
        const struct cim_instance *part = g_ptr_array_index(parts, i);
        char guid[UUID_TEXT];
        g_assert_nonnull(strstr(cim_get_string(part, "InstanceID"), uuid_format(&f.point, guid)));
        seen += g_str_equal(part->cls->name, "Msvm_ProcessorSettingData") || g_str_equal(part->cls->name, "Msvm_MemorySettingData");
        cim_path_auto path = cim_instance_path(part);
        g_autofree char *text = cim_path_text(path);
        cim_instance_auto again = ask_get(&f, f.b, text);
        g_assert_true(again->cls == part->cls);
    }
    g_assert_cmpuint(seen, ==, 2);
    ask_close(&f);
}

/* A card of a replicated guest has failover settings, one of another guest has none. */
static void
test_failover_network(void)
{
    struct ask f;
    ask_open(&f, true);
    g_autofree char *old = fake_definition(f.w.a.fake, &f.vm);
    g_auto(GStrv) parts = g_strsplit(old, "</devices>", 2);
    g_autofree char *xml = g_strjoinv("<interface type='network'><mac address='52:54:00:00:00:09'/></interface></devices>", parts);
    g_assert_true(fake_vm_ops.define(fake_conn(f.w.a.fake), xml, NULL) && fake_vm_ops.define(fake_conn(f.w.a.fake), definition, NULL));
    g_autoptr(GPtrArray) all = ask_query(&f, f.a, "SELECT * FROM Msvm_FailoverNetworkAdapterSettingData");
    g_assert_cmpuint(all->len, ==, 1);
    const struct cim_instance *i = all->pdata[0];
    g_assert_true(g_str_has_suffix(cim_get_string(i, "InstanceID"), "\\525400000009\\FailoverNetwork"));
    g_assert_true(ask_null(i, "IPAddresses") && ask_null(i, "DHCPEnabled"));
    cim_path_auto path = cim_instance_path(i);
    g_autofree char *text = cim_path_text(path), *query = g_strdup_printf("ASSOCIATORS OF {%s}", text);
    g_autoptr(GPtrArray) ports = ask_query(&f, f.a, query);
    g_assert_cmpuint(ports->len, ==, 1);
    const struct cim_instance *port = ports->pdata[0];
    g_assert_cmpstr(port->cls->name, ==, "Msvm_SyntheticEthernetPortSettingData");
    ask_close(&f);
}

/* What the guest agent says comes as CIM-XML; without an agent nothing comes. */
static void
test_kvp(void)
{
    struct ask f;
    char guid[UUID_TEXT];
    ask_open(&f, false);
    fake_power_set(f.w.a.fake, &f.plain, VM_RUNNING);
    g_autoptr(GPtrArray) all = ask_query(&f, f.a, "SELECT * FROM Msvm_KvpExchangeComponent");
    guint talking = 0;
    for (guint n = 0; n < all->len; n++) {
        const struct cim_instance *i = all->pdata[n];
        const struct cim_value *v = cim_get(i, "GuestIntrinsicExchangeItems");
        if (g_ascii_strcasecmp(cim_get_string(i, "SystemName"), uuid_format(&f.plain, guid)) != 0) {
            g_assert_true(v->null);
            continue;
        }
        for (guint k = 0; k < v->items->len; k++) {
            const struct cim_value *one = g_ptr_array_index(v->items, k);
            cim_instance_auto item = cim_xml_parse(one->text, "Msvm_KvpExchangeDataItem", NULL);
            g_assert_cmpuint(cim_get_uint(item, "Source"), ==, 2);
            g_assert_true(cim_get_string(item, "Name") && cim_get_string(item, "Data"));
            talking++;
        }
    }
    g_assert_cmpuint(talking, >=, 1);
    ask_close(&f);
}

/* Of every class: each instance is found by its path, and its path is its own; each end of an association exists. */
static void
check_class(struct ask *f, const struct cim_class *cls)
{
    static const struct cim_caller viewer = {"viewer", CIM_VIEWER};
    g_autoptr(GError) err = NULL;
    g_autoptr(GPtrArray) all = cim_enumerate(f->a, &viewer, cls->ns, cls->name, &err);
    g_assert_no_error(err);
    for (guint i = 0; i < all->len; i++) {
        const struct cim_instance *one = g_ptr_array_index(all, i);
        cim_path_auto path = cim_instance_path(one);
        g_autofree char *text = cim_path_text(path);
        cim_instance_auto again = cim_get_instance(f->a, &viewer, path, &err);
        if (!again)
            g_error("%s: %s", text, err->message);
        for (guint p = 0; p < one->cls->property_count; p++) {
            const struct cim_value *v = &one->values[p];
            if (v->type != CIM_REFERENCE || v->null || v->array)
                continue;
            cim_instance_auto end = cim_get_instance(f->a, &viewer, v->ref, &err);
            if (!end)
                g_error("%s: its end %s: %s", text, one->cls->properties[p].name, err->message);
        }
    }
}

static void
test_paths(void)
{
    struct ask f;
    open_rich(&f);
    for (const struct cim_provider *const *p = all_providers; *p; p++)
        check_class(&f, cim_class_find(NULL, (*p)->cls));
    ask_close(&f);
}

/* Without libvirt's networks (no virtnetworkd) there are still bridges, and what is linked to them. */
static void
test_no_networks(void)
{
    static const struct {
        const char *query;
        guint count;
    } rows[] = {
        {"SELECT * FROM Msvm_VirtualEthernetSwitch", 1},
        {"ASSOCIATORS OF {" GUEST "} WHERE AssocClass = Msvm_HostedDependency", 1},
        {"ASSOCIATORS OF {" GUEST "} WHERE AssocClass = Msvm_ServiceAffectsElement", SERVICES + 1},
    };
    struct ask f;
    open_rich(&f);
    fake_fail(f.w.a.fake, FAKE_NETWORKS, ERR_NOT_AVAILABLE, G_MAXUINT);
    for (gsize i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autoptr(GPtrArray) found = query_in(f.a, "root/virtualization/v2", rows[i].query);
        g_assert_cmpuint(found->len, ==, rows[i].count);
    }
    ask_close(&f);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/provider/devices/settings", test_settings);
    g_test_add_func("/provider/devices/counts", test_counts);
    g_test_add_func("/provider/devices/points", test_points);
    g_test_add_func("/provider/devices/failover-network", test_failover_network);
    g_test_add_func("/provider/devices/kvp", test_kvp);
    g_test_add_func("/provider/devices/paths", test_paths);
    g_test_add_func("/provider/devices/no-networks", test_no_networks);
    return g_test_run();
}
