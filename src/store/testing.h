/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "store/fingerprint.h"
#include "store/store.h"

/* For tests only: `hook` is called after each durable step of intake, apply, consolidate, truncate and mending, with the step's name,
 * possibly with the store's locks held.  A test kills its process there and opens the store again. */
void store_testing_hook(struct store *s, void (*hook)(void *data, const char *step), void *data);
/* The same for a fingerprint: "journal" (a record is durable), "map" (written, not synced), "sync" (maps are durable), "head". */
void fingerprint_testing_hook(struct fingerprint *f, void (*hook)(void *data, const char *step), void *data);
