/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "wsman/event.h"

#include "wsman/encode.h"
#include "wsman/names.h"

static const guint64 EPOCH_1601 = G_GUINT64_CONSTANT(116444736000000000); /* FILETIME of 1970 */

/* The class that says what happened. */
static const char *
real_class(const struct subscription *s, const struct cim_event *e)
{
    static const char *const KINDS[] = {[CIM_CREATED] = "__InstanceCreationEvent", [CIM_MODIFIED] = "__InstanceModificationEvent",
                                        [CIM_DELETED] = "__InstanceDeletionEvent"};
    return s->indication ? s->event : KINDS[e->kind];
}

void
event_write(GString *out, const struct subscription *s, const struct cim_event *e, const struct resource *r)
{
    g_autofree char *uri = resource_uri(r->family, r->ns, s->event);
    const char *target = s->indication ? "SourceInstance" : "TargetInstance";
    g_string_append_printf(out, "<p:%s xmlns:p=\"%s\" xmlns:xsi=\"" NS_XSI "\" xmlns:cim=\"" NS_CIM "\" xsi:type=\"p:%s_Type\">", s->event,
                           uri, real_class(s, e));
    if (e->now && e->before)
        encode_object(out, "PreviousInstance", e->before, r->family);
    encode_object(out, target, e->now ? e->now : e->before, r->family);
    if (s->indication) {
        const struct cim_value time = cim_time(e->time_us);
        encode_value(out, "IndicationTime", &time, r->family);
    } else {
        g_string_append_printf(out, "<p:TIME_CREATED>%" G_GUINT64_FORMAT "</p:TIME_CREATED>", (guint64)e->time_us * 10 + EPOCH_1601);
    }
    g_string_append_printf(out, "</p:%s>", s->event);
}
