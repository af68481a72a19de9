/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "base/xml.h"
#include "vm/domain.h"
#include "vm/handle.h"
#include "vm/plan.h"

#include <jansson.h>

/* The bitmaps of a guest as they are now, read from QEMU when it runs and from its images when it is off, and changing them.
 *
 * A running guest's plan is carried out in one QMP transaction over all disks; a stopped guest's step by step with qemu-img, in an order
 * that plan_recover understands wherever it stops.  Blocking; any thread. */

struct track {
    bool live;
    GPtrArray *disks; /* struct bitmap_disk: all disks with an image */
    json_t *nodes;    /* query-named-block-nodes as it was; NULL: off */
    xmlDoc *live_xml; /* the definition as it runs; NULL: off */
};

struct track *track_live(virDomainPtr dom, GError **err);
struct track *track_off(struct vm_conn *c, const struct uuid *vm, GError **err);
/* Whichever fits now; a guest that changes its power meanwhile is tried again. */
struct track *track_now(struct vm_conn *c, virDomainPtr dom, const struct uuid *vm, GError **err);
void track_free(struct track *t);
#define track_auto __attribute__((cleanup(track_clean))) struct track *
static inline void track_clean(struct track **t) { track_free(*t); }

xmlDoc *track_xml(virDomainPtr dom, GError **err);   /* the definition of a running guest as it runs */
json_t *track_nodes(virDomainPtr dom, GError **err); /* query-named-block-nodes, flat */

/* QMP transaction actions of a plan; the caller may append more. */
json_t *track_actions(const GPtrArray *plan);
bool track_apply(const struct track *t, virDomainPtr dom, const GPtrArray *plan, GError **err);
