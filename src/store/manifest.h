/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "log/coding.h"
#include "store/pins.h"
#include "store/store.h"

/* What a store says about itself: <dir>/store.json, replaced durably as a whole, and the header of the log that the base stands for,
 * <dir>/base/<LOG ID>.header (disk table and configuration, the same bytes as at the beginning of the log).
 *
 *   { "format": 2, "vm": UUID, "name": text,
 *     "base": null | { "log": UUID, "received_us": n, "file_bytes": n, "raw_bytes": n },
 *     "merging_to": n,     only while logs up to that sequence are being merged into the base: the base then stands for no point, since
 *                          some of its pages are newer; points from that sequence on are right all the time
 *     "pins": [ { "log": UUID, "pinned": bool, "until_us": n, "served_us": n } ], "served": { "us": n, "boot": text, "boot_us": n }
 *                          see pins.h; only when there were pins
 *     "digest": hash of all the other entries, so that a flipped bit is seen; format 1 had neither pins nor digest }
 *
 * Not locked: one thread at a time per struct. */

struct manifest {
    struct uuid vm;
    char *name;
    bool has_base;
    struct store_log base;
    struct log_header header; /* of base; header.info.disks are the files below base/ */
    bool merging;
    uint64_t merging_to;
    GArray *pins;             /* struct store_pin; NULL: none */
    struct served served;
};

bool manifest_read(const char *dir, struct manifest *out, GError **err); /* ERR_NOT_FOUND: no store; ERR_CORRUPT: damaged */
bool manifest_write(const char *dir, const struct manifest *m, GError **err);
void manifest_clear(struct manifest *m);
/* True while the base can be read as a recovery point's last layer of its own, i.e. it stands for exactly m->base. */
bool manifest_base_is_exact(const struct manifest *m);
