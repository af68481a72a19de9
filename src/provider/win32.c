/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/clock.h"
#include "provider/all.h"
#include "provider/common.h"

#include <string.h>

/* This host as clients of Windows tools ask for it (root/cimv2): Win32_ComputerSystem, Win32_ComputerSystemProduct, Win32_OperatingSystem,
 * Win32_Processor and their association.  What the host does not tell is null.
 *
 * Win32_OperatingSystem.Version is the level of the API, which is what clients decide by (libvirt's driver packs it into its version, and
 * below 10 it looks for serial ports elsewhere); the system that really runs stands in Caption and OtherTypeDescription. */

#define CIMV2 "root/cimv2"
#define API_LEVEL "10.0.20348"
#define API_BUILD "20348"

enum { OS_TYPE_LINUX = 36, PRODUCT_SERVER = 3, ROLE_STANDALONE_SERVER = 2, CPU_ENABLED = 1, PROCESSOR_CENTRAL = 3, FAMILY_UNKNOWN = 2 };

static struct cim_instance *
new_host_instance(const char *cls)
{
    return cim_instance_new(cim_class_find(CIMV2, cls));
}

static void
set_known(struct cim_instance *i, const char *property, guint64 value)
{
    if (value)
        cim_set_uint(i, property, value);
}

/* Minutes east of UTC, now. */
static void
set_zone(struct cim_instance *i)
{
    g_autoptr(GDateTime) now = g_date_time_new_now_local();
    cim_set(i, "CurrentTimeZone", cim_sint(CIM_SINT16, g_date_time_get_utc_offset(now) / (60 * G_USEC_PER_SEC)));
}

static const char *
system_type(const char *arch)
{
    return g_strcmp0(arch, "x86_64") == 0 ? "x64-based PC" : g_strcmp0(arch, "aarch64") == 0 ? "ARM64-based PC" : arch;
}

/* ---- Win32_ComputerSystem ---- */

static struct cim_instance *
computer(const char *name, const struct vm_host *h)
{
    struct cim_instance *i = new_host_instance("Win32_ComputerSystem");
    cim_set_string(i, "Name", name);
    cim_set_string(i, "Caption", name);
    cim_set_string(i, "Description", "Virtualization host");
    cim_set_string(i, "DNSHostName", h->hostname);
    cim_set_string(i, "Domain", h->domain);
    cim_set_bool(i, "PartOfDomain", false);
    cim_set_uint(i, "DomainRole", ROLE_STANDALONE_SERVER);
    cim_set_string(i, "Manufacturer", h->manufacturer);
    cim_set_string(i, "Model", h->product);
    cim_set_string(i, "SystemType", system_type(h->arch));
    set_known(i, "NumberOfProcessors", h->sockets);
    set_known(i, "NumberOfLogicalProcessors", h->cpus);
    set_known(i, "TotalPhysicalMemory", h->memory_kib * 1024);
    set_zone(i);
    return i;
}

static bool
enumerate_computer(void *user, const struct cim_path *source, cim_emit emit, void *sink, GError **err)
{
    struct repl_service *s = service_of(user);
    vm_host_auto h = repl_machine(s, err);
    if (h)
        emit(sink, computer(repl_host(s), h));
    return h != NULL;
}

const struct cim_provider win32_computer = {"Win32_ComputerSystem", enumerate_computer, NULL, NULL};

/* ---- Win32_ComputerSystemProduct ---- */

static bool
enumerate_product(void *user, const struct cim_path *source, cim_emit emit, void *sink, GError **err)
{
    char uuid[UUID_TEXT];
    struct repl_service *s = service_of(user);
    vm_host_auto h = repl_machine(s, err);
    if (!h)
        return false;
    struct cim_instance *i = new_host_instance("Win32_ComputerSystemProduct");
    cim_set_string(i, "UUID", uuid_format(&h->uuid, uuid));
    cim_set_string(i, "IdentifyingNumber", h->serial ? h->serial : "");
    cim_set_string(i, "Name", h->product ? h->product : repl_host(s));
    cim_set_string(i, "Version", h->version ? h->version : "");
    cim_set_string(i, "Vendor", h->manufacturer);
    cim_set_string(i, "Caption", "Computer System Product");
    cim_set_string(i, "Description", "Computer System Product");
    emit(sink, i);
    return true;
}

const struct cim_provider win32_product = {"Win32_ComputerSystemProduct", enumerate_product, NULL, NULL};

/* ---- Win32_OperatingSystem ---- */

static void
fill_memory(struct cim_instance *i, const struct vm_host *h)
{
    cim_set_uint(i, "TotalVisibleMemorySize", h->memory_kib);
    cim_set_uint(i, "FreePhysicalMemory", h->free_kib);
    cim_set_uint(i, "SizeStoredInPagingFiles", h->swap_kib);
    cim_set_uint(i, "FreeSpaceInPagingFiles", h->swap_free_kib);
    cim_set_uint(i, "TotalSwapSpaceSize", h->swap_kib);
    cim_set_uint(i, "TotalVirtualMemorySize", h->memory_kib + h->swap_kib);
    cim_set_uint(i, "FreeVirtualMemory", h->free_kib + h->swap_free_kib);
}

static struct cim_instance *
operating_system(const char *name, const struct vm_host *h)
{
    struct cim_instance *i = new_host_instance("Win32_OperatingSystem");
    g_autofree char *real = g_strdup_printf("%s, Linux %s", h->os_name ? h->os_name : "Linux", h->kernel ? h->kernel : "");
    cim_set_string(i, "Version", API_LEVEL);
    cim_set_string(i, "BuildNumber", API_BUILD);
    cim_set_string(i, "Caption", real);
    cim_set_string(i, "Name", real);
    cim_set_string(i, "OtherTypeDescription", real);
    cim_set_string(i, "Description", "");
    cim_set_uint(i, "OSType", OS_TYPE_LINUX);
    cim_set_uint(i, "ProductType", PRODUCT_SERVER);
    cim_set_string(i, "CSName", name);
    cim_set_bool(i, "Primary", true);
    cim_set_bool(i, "Distributed", false);
    cim_set_bool(i, "Debug", false);
    cim_set_string(i, "OSArchitecture", strstr(h->arch ? h->arch : "", "64") ? "64-bit" : h->arch);
    cim_set_time(i, "LastBootUpTime", h->booted_us);
    cim_set_time(i, "LocalDateTime", clock_wall_us());
    set_known(i, "NumberOfProcesses", h->processes);
    set_zone(i);
    fill_memory(i, h);
    return i;
}

static bool
enumerate_system(void *user, const struct cim_path *source, cim_emit emit, void *sink, GError **err)
{
    struct repl_service *s = service_of(user);
    vm_host_auto h = repl_machine(s, err);
    if (h)
        emit(sink, operating_system(repl_host(s), h));
    return h != NULL;
}

const struct cim_provider win32_system = {"Win32_OperatingSystem", enumerate_system, NULL, NULL};

/* ---- Win32_Processor: one per socket ---- */

static guint
architecture(const char *arch)
{
    return g_strcmp0(arch, "x86_64") == 0 ? 9 : g_strcmp0(arch, "aarch64") == 0 ? 12 : g_strcmp0(arch, "i686") == 0 ? 0 : 6;
}

static struct cim_instance *
socket_instance(const char *name, const struct vm_host *h, guint n)
{
    g_autofree char *id = g_strdup_printf("CPU%u", n), *stepping = g_strdup_printf("%u", h->cpu_stepping);
    g_autofree char *caption =
        g_strdup_printf("%s Family %u Model %u Stepping %u", h->arch ? h->arch : "", h->cpu_family, h->cpu_model_number, h->cpu_stepping);
    struct cim_instance *i = new_host_instance("Win32_Processor");
    cim_set_string(i, "DeviceID", id);
    cim_set_string(i, "SocketDesignation", id);
    cim_set_string(i, "Name", h->cpu_model ? h->cpu_model : h->arch);
    cim_set_string(i, "Caption", caption);
    cim_set_string(i, "Description", caption);
    cim_set_string(i, "Manufacturer", h->cpu_vendor);
    cim_set_string(i, "Stepping", stepping);
    cim_set_string(i, "SystemName", name);
    cim_set_string(i, "Role", "CPU");
    cim_set_uint(i, "AddressWidth", strstr(h->arch ? h->arch : "", "64") ? 64 : 32);
    cim_set_uint(i, "DataWidth", strstr(h->arch ? h->arch : "", "64") ? 64 : 32);
    cim_set_uint(i, "Architecture", architecture(h->arch));
    cim_set_uint(i, "ProcessorType", PROCESSOR_CENTRAL);
    cim_set_uint(i, "Family", FAMILY_UNKNOWN);
    cim_set_uint(i, "CpuStatus", CPU_ENABLED);
    cim_set_uint(i, "Level", h->cpu_family);
    cim_set_uint(i, "Revision", (h->cpu_model_number << 8 | h->cpu_stepping) & 0xffff);
    set_known(i, "MaxClockSpeed", h->mhz);
    set_known(i, "CurrentClockSpeed", h->mhz);
    set_known(i, "NumberOfCores", h->cores);
    set_known(i, "NumberOfLogicalProcessors", h->cores * h->threads);
    set_known(i, "L2CacheSize", h->l2_kib);
    set_known(i, "L3CacheSize", h->l3_kib);
    return i;
}

static bool
enumerate_processors(void *user, const struct cim_path *source, cim_emit emit, void *sink, GError **err)
{
    struct repl_service *s = service_of(user);
    vm_host_auto h = repl_machine(s, err);
    for (guint n = 0; h && n < MAX(h->sockets, 1); n++)
        if (!emit(sink, socket_instance(repl_host(s), h, n)))
            break;
    return h != NULL;
}

const struct cim_provider win32_processor = {"Win32_Processor", enumerate_processors, NULL, NULL};

struct part {
    cim_emit emit;
    void *sink;
    const char *host;
};

static bool
link_processor(void *p, struct cim_instance *socket)
{
    const struct part *link = p;
    struct cim_path *computer_path = cim_path_new(CIMV2, "Win32_ComputerSystem");
    struct cim_instance *i = new_host_instance("Win32_ComputerSystemProcessor");
    cim_path_set(computer_path, "Name", link->host);
    cim_set_ref(i, "GroupComponent", computer_path);
    cim_set_ref(i, "PartComponent", cim_instance_path(socket));
    cim_instance_free(socket);
    return link->emit(link->sink, i);
}

static bool
enumerate_parts(void *user, const struct cim_path *source, cim_emit emit, void *sink, GError **err)
{
    struct part link = {emit, sink, repl_host(service_of(user))};
    return enumerate_processors(user, NULL, link_processor, &link, err);
}

const struct cim_provider win32_computer_processor = {"Win32_ComputerSystemProcessor", enumerate_parts, NULL, NULL};
