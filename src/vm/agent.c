/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "vm/agent.h"

#include "base/err.h"
#include "base/clock.h"
#include "vm/agentcall.h"

#include <string.h>

enum { ANSWER_S = 3, LOOK_US = 200 * 1000 };

void
vm_agent_info_clear(struct vm_agent_info *i)
{
    g_free(i->os_id);
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
    out->os_id = text_of(all, count, "os.id");
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

/* ---- programs ---- */

void
vm_agent_ran_clear(struct vm_agent_ran *r)
{
    g_free(r->out);
    g_free(r->err);
    memset(r, 0, sizeof *r);
}

static char *
decoded(const json_t *answer, const char *member)
{
    gsize len;
    const char *text = json_string_value(json_object_get(answer, member));
    g_autofree guchar *data = text ? g_base64_decode(text, &len) : NULL;
    return data ? g_strndup((const char *)data, len) : NULL;
}

static bool
wait_for(virDomainPtr dom, gint64 pid, guint limit_s, struct vm_agent_ran *out, GError **err)
{
    const gint64 end = clock_mono_us() + limit_s * (gint64)G_USEC_PER_SEC;
    for (;;) {
        json_t *answer = agent_call(dom, "guest-exec-status", json_pack("{s:I}", "pid", (json_int_t)pid), err);
        if (!answer)
            return false;
        const bool over = json_is_true(json_object_get(answer, "exited"));
        const json_t *code = json_object_get(answer, "exitcode");
        if (over)
            *out = (struct vm_agent_ran){ code ? (int)json_integer_value(code) : -1, decoded(answer, "out-data"),
                                          decoded(answer, "err-data") };
        json_decref(answer);
        if (over)
            return true;
        if (clock_mono_us() > end)
            return err_set(err, ERR_TIMEOUT, "A program in guest '%s' did not end within %u seconds.", virDomainGetName(dom), limit_s);
        g_usleep(LOOK_US);
    }
}

bool
vm_agent_run(struct vm_conn *c, const struct uuid *vm, const char *const *argv, const char *input, guint limit_s,
             struct vm_agent_ran *out, GError **err)
{
    *out = (struct vm_agent_ran){ 0 };
    g_autoptr(virDomain) dom = conn_domain(c, vm, err);
    const gint64 pid = dom ? agent_exec(dom, argv, input, true, err) : 0;
    return pid && wait_for(dom, pid, limit_s, out, err);
}
