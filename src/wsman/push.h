/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "wsman/delivery.h"
#include "wsman/operation.h"

/* Pushes the events of a subscription to its listener, from a thread of its own, until the subscription is over.
 *
 * DELIVER_PUSH: one POST per event, any status 2xx is success.  DELIVER_ACK: the answer must be an Ack of that message, too.
 * DELIVER_EVENTS: several events in a message, with Ack.  When nothing happened for beat_us, a Heartbeat.  What fails is sent again, the
 * same MessageID, `retries` times; what happens meanwhile waits in the watcher's queue, and what that loses is announced as DroppedEvents.
 * When that was in vain the subscription is removed and EndTo, if it was named, learns it (DeliveryFailure), as it does when this host
 * ends (SourceShuttingDown).  Answers are never shown to the subscriber. */

/* Takes the contents of delivery.  On failure the subscription is removed. */
bool push_begin(const struct operation *op, const char *id, struct delivery *delivery, GError **err);
