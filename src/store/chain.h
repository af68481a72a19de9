/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "store/flat.h"
#include "store/layout.h"
#include "store/span.h"

/* The logs of a store from one of them down to the state that they stand on, and who wrote each sector of a disk last.
 *
 * Where spans (span.h) describe the logs, these are not read, only opened: then opening costs a look at each span, and what a disk's index
 * says of a piece of it is put together when that piece is first wanted.  A span that turns out to be damaged is replaced by what its logs
 * say, without a word.  Logs that no span describes are flattened at once. */

struct chain_request {
    const char *dir;
    const GArray *entries;           /* layout_list_logs */
    const struct layout_entry *from; /* one of them */
    struct uuid vm, end;             /* `end`: the log that is stood on, not among those of the chain; nil: none */
    uint64_t end_sequence;           /* 0: none */
    bool hold;                       /* open every file now, so that it may be removed; else nothing may be merged meanwhile */
};

struct chain;
/* *again: a log has vanished while the chain was followed; list the logs anew.  The newest log is always read (stack_reader(.., 0)). */
struct chain *chain_open(const struct chain_request *r, bool *again, GError **err);
void chain_free(struct chain *c);
struct stack *chain_stack(struct chain *c); /* owned by the chain */
GArray *chain_logs(const struct chain *c); /* of span_log, newest first; before chain_ready */
const struct uuid *chain_parent(const struct chain *c); /* of its oldest log */

/* One disk as the newest log has it, `size` bytes; freed before the chain.  After all disks are there, chain_ready. */
struct chain_disk;
struct chain_disk *chain_disk_new(struct chain *c, uint16_t disk, uint64_t size);
void chain_disk_free(struct chain_disk *d);
uint64_t chain_disk_below(const struct chain_disk *d); /* as flat_below */
void chain_ready(struct chain *c);                     /* closes what no disk needs */
/* The index of the piece that holds byte `off`, which ends at *end; owned by the disk.  Any thread. */
const struct flat *chain_disk_at(struct chain_disk *d, uint64_t off, uint64_t *end, GError **err);
