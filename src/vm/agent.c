/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "vm/agent.h"

#include "base/err.h"
#include "vm/handle.h"

#include <string.h>

enum { ANSWER_S = 3 };

void
vm_agent_info_clear(struct vm_agent_info *i)
{
    g_free(i->os_name);
    g_free(i->os_version);
    g_free(i->kernel);
    g_free(i->hostname);
    memset(i, 0, sizeof *i);
}

static char *
text_of(virTypedParameterPtr all, int count, const char *field)
{
    const char *text = NULL;
    return virTypedParamsGetString(all, count, field, &text) == 1 ? g_strdup(text) : NULL;
}

static void
take(struct vm_agent_info *out, virTypedParameterPtr all, int count)
{
    out->os_name = text_of(all, count, "os.pretty-name");
    if (!out->os_name)
        out->os_name = text_of(all, count, "os.name");
    out->os_version = text_of(all, count, "os.version-id");
    out->kernel = text_of(all, count, "os.kernel-release");
    out->hostname = text_of(all, count, "hostname");
}

bool
vm_agent_info(struct vm_conn *c, const struct uuid *vm, struct vm_agent_info *out, GError **err)
{
    virTypedParameterPtr all = NULL;
    int count = 0;
    *out = (struct vm_agent_info){ 0 };
    g_autoptr(virDomain) dom = conn_domain(c, vm, err);
    if (!dom)
        return false;
    const char *name = virDomainGetName(dom);
    virDomainAgentSetResponseTimeout(dom, ANSWER_S, 0); /* an older libvirt waits as long as it likes */
    if (virDomainGetGuestInfo(dom, VIR_DOMAIN_GUEST_INFO_OS | VIR_DOMAIN_GUEST_INFO_HOSTNAME, &all, &count, 0) < 0)
        return conn_error(err, "The agent of guest '%s' does not answer", name);
    take(out, all, count);
    virTypedParamsFree(all, count);
    return true;
}
