/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "cim/watch.h"
#include "wsman/subscription.h"
#include "wsman/resource.h"

/* An event as XML: <p:__InstanceModificationEvent> with TargetInstance, PreviousInstance and TIME_CREATED, or in the words of CIM with
 * SourceInstance, PreviousInstance and IndicationTime.  The event's element is in the family and namespace of `r`, the URI that was
 * subscribed to; its xsi:type is the class of what really happened, which __InstanceOperationEvent leaves open.  Pure; any thread. */
void event_write(GString *out, const struct subscription *s, const struct cim_event *e, const struct resource *r);
