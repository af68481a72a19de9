/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "base/clock.h"
#include "store/store.h"

/* Recovery points that stay whatever the rules say.
 *
 *   pinned       stays until it is unpinned: neither retention nor want of space takes it
 *   protected    stays until a date, and nothing of this program takes it before: the date can only be moved on
 *
 * A point that was protected until a date stays until our clock has reached that date *and* as much time has really passed as lay before
 * it then.  The time that has passed is counted by the kernel's clock since boot, which nobody can set, and kept in the store; a reboot
 * counts nothing for the time in which the host was off.  So a clock that is set ahead frees nothing, one that is set back only delays.
 *
 * Pins are in store.json: they survive restarts, the loss of the database and the move of the folder.  They belong to a log's id, which
 * merging keeps.  Functions take the store's lock; any thread.  The caller asks for no more than a moment of disk. */

struct store_pin {
    struct uuid id;
    bool pinned;
    int64_t until_us;  /* our clock; 0: not protected */
    int64_t served_us; /* and the count that must be reached */
};

/* How much time has passed while a store was there, as far as that can be vouched for. */
struct served {
    int64_t us;                 /* up to boot_us of that boot */
    char boot[CLOCK_BOOT_TEXT];
    int64_t boot_us;
};

/* ERR_NOT_FOUND: no point (any more). */
bool store_pin(struct store *s, const struct uuid *id, bool pinned, GError **err);
/* ERR_INVALID_PARAMETER: the date has passed; ERR_INVALID_STATE: the point is protected until a later one. */
bool store_protect(struct store *s, const struct uuid *id, int64_t until_us, GError **err);
bool store_pin_of(struct store *s, const struct uuid *id, struct store_pin *out); /* false: neither; until_us 0 when that is over */
GHashTable *store_pinned(struct store *s);                   /* ids (struct uuid *) of points that must stay */
bool store_unpin_all(struct store *s, GError **err);         /* what is protected stays so */
/* ERR_INVALID_STATE naming `what` when a point is still protected; the same for a folder that nobody has open (absent: fine). */
bool store_refuse_protected(struct store *s, const char *what, GError **err);
bool store_refuse_protected_folder(const char *dir, const char *what, GError **err);
/* Now and then: saves the count of time, if it matters. */
bool store_keep_time(struct store *s, GError **err);
