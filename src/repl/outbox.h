/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "log/info.h"

/* Change logs of one guest that are durable here and not yet acknowledged by the replica (design D6: outbox first).
 *
 *   <dir>/<sequence, 16 digits>-<LOG ID>.vrl     finished logs; their order is the order of the chain
 *   <dir>/<LOG ID>.tmp                           a log that is being written; removed at open
 *   <dir>/spare                                  a file that was sent, for the next log; removed at open
 *   <dir>/spare-<number>                         the same of long ones, while a long read goes on (outbox_recycle)
 *
 * The folder is the truth: it is read at open, nothing about it lies in the database.  A log enters by a durable rename, and its file goes
 * only after the acknowledgement is in the database: outbox_acknowledged takes it off the list, outbox_sweep removes the file when that is
 * so.  A power cut may bring such files back; their number says that they were acknowledged, and they go at open.  Logs whose chain is
 * broken (a file lost or damaged, also one that its disk does not give any more) are dropped at open together with all later ones; that
 * the first one is lost shows when the replica says where it stands (send.c).  A log that cannot be opened for want of descriptors, memory
 * or rights is no such file: then open fails, and all stay.
 * Any thread; one lock inside, a leaf. */

struct outbox_log {
    struct uuid id, parent;
    guint64 sequence, bytes, raw_bytes;
    gint64 capture_us;      /* wall clock of the instant, as in the log */
    gint64 queued_us;       /* monotonic */
    bool fuzzy;
    enum log_kind kind;
};

struct outbox;
/* Makes the folder.  acked: sequence of the newest log whose acknowledgement is in the database; 0: none. */
struct outbox *outbox_open(const char *dir, guint64 acked, GError **err);
void outbox_close(struct outbox *o);
const char *outbox_cut(struct outbox *o);   /* why logs were dropped at open, a sentence; NULL: none were */

char *outbox_new_path(struct outbox *o, const struct uuid *id);                                /* where to write; g_free */
/* The same, with the file of a log that was sent: to make and remove a file for every cycle costs more than to write it, and memory for
 * the pages of long files is dear.  fuzzy: of a long read.  True: there is one, to be written anew (log_writer_options.anew). */
bool outbox_take_spare(struct outbox *o, const char *path, bool fuzzy);
/* From now on files of fuzzy logs that were sent are kept for the next ones, OUTBOX_LONG_SPARES at most.  false: no longer, and they go. */
#define OUTBOX_LONG_SPARES 8
void outbox_recycle(struct outbox *o, bool yes);
bool outbox_add(struct outbox *o, const struct outbox_log *log, GError **err);                 /* that file is finished */
bool outbox_first(struct outbox *o, struct outbox_log *out);
bool outbox_last(struct outbox *o, struct outbox_log *out);
bool outbox_find(struct outbox *o, const struct uuid *id, struct outbox_log *out);
char *outbox_path(struct outbox *o, const struct outbox_log *log);
void outbox_acknowledged(struct outbox *o, const struct uuid *id);                             /* id and all before it, files stay */
bool outbox_sweep(struct outbox *o, guint64 sequence, GError **err);                           /* of these the files, up to sequence */
bool outbox_drop_through(struct outbox *o, const struct uuid *id, GError **err);               /* id and all before it */
bool outbox_clear(struct outbox *o, GError **err);
guint outbox_count(struct outbox *o);
guint64 outbox_bytes(struct outbox *o);
guint64 outbox_raw_bytes(struct outbox *o);
/* Waits until less than `limit` bytes are there, *cancel is set, or outbox_wake was called.  False: cancelled. */
bool outbox_wait_below(struct outbox *o, guint64 limit, const gint *cancel);
void outbox_wake(struct outbox *o);
