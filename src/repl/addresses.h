/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "repl/core.h"

/* Addresses that guests get on this host after a failover (contract 1.10, 2.8): kept per guest and card, given to the guest by its agent as
 * soon as that answers, the outcome kept.
 *
 * Every host has its own: those of the replica host count for a failover there, those of the primary for the way back.  A card is known by
 * its MAC address; a test guest has other ones, so there the place of the card in the definition counts.
 *
 * addresses_want notes that a guest (the failed-over one, or a test guest) is to be given its addresses; the note is durable, and a task
 * looks at the guest until it runs and its agent answers, through restarts of the daemon, reversals and reboots.  One try whose program
 * ran is the last one; an agent that may not run programs (ERR_NOT_SUPPORTED) ends it as well.
 *
 * Lock: a leaf inside, never held while a guest is asked.  Any thread. */

struct addresses;
struct addresses *addresses_new(struct core *c, GError **err); /* reads the database */
void addresses_free(struct addresses *a);
void addresses_wake(struct addresses *a);   /* a guest may have started */
void addresses_stop(struct addresses *a);   /* waits for the task */

/* Cards that are not in the list keep what they have; family 0 without addresses clears a card. */
bool addresses_set(struct addresses *a, const struct uuid *vm, const GPtrArray *list, GError **err);
GPtrArray *addresses_get(struct addresses *a, const struct uuid *vm); /* struct repl_addresses; g_ptr_array_unref */
/* Which of libvirt's networks the card of a test guest gets (testvm.h), kept here because it is known by the same MAC address.  Cards that
 * are not in the list keep what they have; network NULL clears. */
bool addresses_set_networks(struct addresses *a, const struct uuid *vm, const GPtrArray *list, GError **err); /* repl_test_network */
GPtrArray *addresses_networks(struct addresses *a, const struct uuid *vm);                                    /* g_ptr_array_unref */
/* What came of it last, in words; *failed.  NULL: nothing was tried, or it is waited for: then *waiting. */
char *addresses_outcome(struct addresses *a, const struct uuid *vm, bool *failed, bool *waiting);

/* `guest` stands for `vm`: itself, or its test guest.  Without settings there is nothing to do. */
void addresses_want(struct addresses *a, const struct uuid *vm, const struct uuid *guest);
void addresses_cancel(struct addresses *a, const struct uuid *vm, const struct uuid *guest);
