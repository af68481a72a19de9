/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "vm/bitmap.h"

/* What to do with the bitmaps of a guest, decided from what is there.  Nothing is done here.
 *
 *   settled        vmr-A recording                            writes since A are in A
 *   capture open   vmr-A not recording, vmr-B recording       A frozen: what the log B copies; writes since B are in B
 *   open, anew     (vmr-A recording,) vmr-B recording         CAPTURE_FUZZY_ALL
 *   end, durable   A removed
 *   end, not so    B merged into A, A recording again, B removed (anew: B removed)
 *
 * A capture that was cut off anywhere between leaves one of these on each disk; plan_recover leads all of them to "settled".
 * Pure; the order of operations matters. */

enum plan_kind { PLAN_ADD, PLAN_ENABLE, PLAN_DISABLE, PLAN_MERGE, PLAN_REMOVE };

struct plan_op {
    enum plan_kind kind;
    const struct bitmap_disk *disk; /* borrowed */
    char *name;                     /* the bitmap acted upon */
    char *from, *from_node;         /* PLAN_MERGE: which bitmap, on which node or image (NULL: the disk's own) */
};

GPtrArray *plan_new(void); /* of struct plan_op */

/* Turns the tracking of `targets` over to `log`; the bitmap to read on target i is (*old)[i] (borrowed names).  ERR_TRACKING_LOST when a
 * target is not tracked or a cut-off capture has to be recovered first; ERR_NOT_FOUND for an unknown target. */
bool plan_begin(const GPtrArray *disks, const char *const *targets, const struct uuid *log, GPtrArray *plan, GPtrArray *old, GError **err);
/* Starts tracking for `log` beside what is there. */
bool plan_begin_anew(const GPtrArray *disks, const char *const *targets, const struct uuid *log, GPtrArray *plan, GError **err);
void plan_end(const GPtrArray *disks, const struct uuid *log, bool durable, GPtrArray *plan);
void plan_forget(const GPtrArray *disks, GPtrArray *plan);
/* The plan is to be carried out also when it returns false. */
bool plan_recover(const GPtrArray *disks, const char *const *targets, bool (*durable)(void *user, const struct uuid *log), void *user,
                  GPtrArray *plan, struct uuid *since, GError **err);
