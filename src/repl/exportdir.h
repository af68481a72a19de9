/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "repl/outbox.h"

/* An initial replica on its way by hand (contract 2.2, type 2): change logs in a folder, in the very bytes of the wire (design D1).
 *
 *   <location>/<name of the guest>_<VM GUID>/<sequence, 16 digits>-<LOG ID>.vrl
 *   <location>/<name of the guest>_<VM GUID>/<LOG ID>.part     a log that is being written
 *
 * There is no list of contents, for the logs say everything: the first has no parent, each names the one before it as its parent, and the
 * last one is whole.  So a folder that was copied in part, one whose export was not finished, and one of another guest are known as such.
 * Errors: ERR_NOT_FOUND a file or folder is not there; ERR_INVALID_PARAMETER another guest's; ERR_CORRUPT damaged.  Any thread. */

struct exported_log {
    char *path;
    struct uuid id, parent;
    guint64 sequence, bytes;
    bool whole;
};
void exported_log_free(struct exported_log *log);

char *exportdir_of(const char *location, const char *name, const struct uuid *vm); /* g_free */
/* The folder itself, or the one folder of that guest in it; g_free. */
char *exportdir_find(const char *location, const struct uuid *vm, GError **err);
/* Makes the folder (the location must be there), and removes what an earlier export left. */
bool exportdir_make(const char *dir, GError **err);
/* The logs and parts go, and the folder if it is empty then. */
bool exportdir_remove(const char *dir, GError **err);
/* Copies a finished log there, durably; whoever stops in the middle does it again.  *cancel: ERR_CANCELLED. */
bool exportdir_copy(const char *dir, const char *from, const struct outbox_log *log, const gint *cancel, GError **err);
/* All logs, oldest first, as struct exported_log; heads, trailers and the chain are checked, payloads are not (log_check_file). */
GPtrArray *exportdir_read(const char *dir, const struct uuid *vm, GError **err);
/* The same of an export that is under way: none, or the last one may not be whole. */
GPtrArray *exportdir_chain(const char *dir, const struct uuid *vm, GError **err);
bool exportdir_remove_parts(const char *dir, GError **err);
