/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "vm/sysinfo.h"

#include "base/clock.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char AGENT_CHANNEL[] = "org.qemu.guest_agent.0";

void
sysinfo_clear(struct vm_machine *m)
{
    g_free(m->notes);
    g_free(m->arch);
    g_free(m->bios_serial);
    g_free(m->board_serial);
    g_free(m->chassis_serial);
    g_free(m->asset_tag);
    memset(m, 0, sizeof *m);
}

/* <sysinfo><section><entry name='key'>; NULL: not given. */
static char *
entry(const xmlNode *sysinfo, const char *section, const char *key)
{
    const xmlNode *in = sysinfo ? xml_child(sysinfo, NULL, section) : NULL;
    for (const xmlNode *e = in ? xml_child(in, NULL, "entry") : NULL; e; e = xml_next(e, NULL, "entry")) {
        g_autofree char *name = xml_attr(e, "name");
        if (g_strcmp0(name, key) == 0)
            return xml_text(e);
    }
    return NULL;
}

static void
read_smbios(struct vm_machine *m, const xmlNode *domain)
{
    const xmlNode *sysinfo = xml_child(domain, NULL, "sysinfo");
    m->bios_serial = entry(sysinfo, "system", "serial");
    m->board_serial = entry(sysinfo, "baseBoard", "serial");
    m->chassis_serial = entry(sysinfo, "chassis", "serial");
    m->asset_tag = entry(sysinfo, "chassis", "asset");
}

/* UEFI is asked for by firmware='efi', or by a flash image as the loader. */
static void
read_firmware(struct vm_machine *m, const xmlNode *domain)
{
    const xmlNode *os = xml_child(domain, NULL, "os");
    const xmlNode *type = os ? xml_child(os, NULL, "type") : NULL;
    const xmlNode *loader = os ? xml_child(os, NULL, "loader") : NULL;
    g_autofree char *firmware = os ? xml_attr(os, "firmware") : NULL;
    g_autofree char *kind = loader ? xml_attr(loader, "type") : NULL;
    g_autofree char *secure = loader ? xml_attr(loader, "secure") : NULL;
    m->arch = type ? xml_attr(type, "arch") : NULL;
    m->uefi = g_strcmp0(firmware, "efi") == 0 || g_strcmp0(kind, "pflash") == 0;
    m->secure_boot = g_strcmp0(secure, "yes") == 0;
}

static void
read_numa(struct vm_machine *m, const xmlNode *domain)
{
    const xmlNode *cpu = xml_child(domain, NULL, "cpu");
    const xmlNode *numa = cpu ? xml_child(cpu, NULL, "numa") : NULL;
    m->numa_nodes = 0;
    for (const xmlNode *c = numa ? xml_child(numa, NULL, "cell") : NULL; c; c = xml_next(c, NULL, "cell"))
        m->numa_nodes++;
    m->numa_nodes = MAX(m->numa_nodes, 1);
}

/* libvirt reports in the live definition whether the agent has opened its end of the channel. */
static void
read_agent(struct vm_machine *m, const xmlNode *domain)
{
    const xmlNode *devices = xml_child(domain, NULL, "devices");
    for (const xmlNode *c = devices ? xml_child(devices, NULL, "channel") : NULL; c; c = xml_next(c, NULL, "channel")) {
        const xmlNode *target = xml_child(c, NULL, "target");
        g_autofree char *name = target ? xml_attr(target, "name") : NULL;
        g_autofree char *state = target ? xml_attr(target, "state") : NULL;
        if (g_strcmp0(name, AGENT_CHANNEL) == 0)
            m->agent = g_strcmp0(state, "connected") == 0 ? VM_AGENT_CONNECTED : VM_AGENT_AWAY;
    }
}

void
sysinfo_read(struct vm_machine *m, const xmlNode *domain)
{
    sysinfo_clear(m);
    m->notes = xml_child_text(domain, NULL, "description");
    read_smbios(m, domain);
    read_firmware(m, domain);
    read_numa(m, domain);
    read_agent(m, domain);
}

/* Field 22 of stat counts clock ticks since boot; fields are counted behind the last ')', as the program's name may hold anything. */
bool
sysinfo_process_start(guint pid, gint64 *started_us)
{
    g_autofree char *path = g_strdup_printf("/proc/%u/stat", pid);
    g_autofree char *stat = NULL, *uptime = NULL;
    if (!g_file_get_contents(path, &stat, NULL, NULL) || !g_file_get_contents("/proc/uptime", &uptime, NULL, NULL))
        return false;
    const char *at = strrchr(stat, ')');
    for (int field = 2; at && field < 22; field++)
        at = strchr(at + 1, ' ');
    if (!at)
        return false;
    const double ticks = (double)g_ascii_strtoull(at, NULL, 10) / (double)sysconf(_SC_CLK_TCK);
    const double age_s = g_ascii_strtod(uptime, NULL) - ticks;
    *started_us = clock_wall_us() - (gint64)(MAX(age_s, 0) * G_USEC_PER_SEC);
    return true;
}
