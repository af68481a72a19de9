/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "repl/import.h"

#include "base/clean.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/file.h"
#include "base/log.h"
#include "log/reader.h"
#include "log/verify.h"
#include "repl/exportdir.h"
#include "repl/intake.h"
#include "repl/placeholder.h"
#include "store/store.h"

#include <fcntl.h>
#include <string.h>

enum { CHUNK = 1 << 20 };

struct import {
    struct core *c;
    struct relation *rel;
    struct job *job;
    GPtrArray *logs;       /* struct exported_log */
    guint first;           /* the first that the store has not */
    bool over;             /* what the store has is none of these */
    guint64 total, done;   /* bytes read: each log twice */
};

static void
say(struct import *m, guint64 bytes, const char *what)
{
    m->done += bytes;
    job_progress(m->job, m->total ? (guint)MIN(99, m->done * 100 / m->total) : 99, what);
}

/* ---- checks ---- */

static bool
fits(const struct import *m, const struct exported_log *log, GError **err)
{
    struct log_info info = { 0 };
    char **targets = m->rel->r.disks;
    if (!log_read_info(log->path, &info, err))
        return false;
    bool same = info.disk_count == g_strv_length(targets);
    for (guint i = 0; same && i < info.disk_count; i++)
        same = info.disks[i].id == i && !g_strcmp0(info.disks[i].target, targets[i]);
    log_info_clear(&info);
    return same || err_set(err, ERR_INVALID_PARAMETER, "Change log '%s' has other disks than the replica of guest '%s'.", log->path,
                           m->rel->r.name);
}

static void
find_place(struct import *m)
{
    struct store_log head;
    const bool any = store_head(m->rel->in.store, &head);
    m->over = any;
    for (guint i = 0; any && i < m->logs->len; i++)
        if (uuid_equal(&((const struct exported_log *)m->logs->pdata[i])->id, &head.id)) {
            m->first = i + 1;
            m->over = false;
        }
    for (guint i = m->first; i < m->logs->len; i++)
        m->total += 2 * ((const struct exported_log *)m->logs->pdata[i])->bytes;
}

static bool
check_all(struct import *m, GError **err)
{
    for (guint i = m->first; i < m->logs->len; i++) {
        const struct exported_log *log = m->logs->pdata[i];
        if (job_cancelled(m->job, err) || !fits(m, log, err) || !log_check_file(log->path, err))
            return false;
        say(m, log->bytes, "Checking the change logs");
    }
    return true;
}

/* ---- into the store ---- */

static bool
feed(struct import *m, struct store_intake *in, int fd, const struct exported_log *log, guint64 at, GError **err)
{
    g_autofree char *buffer = g_malloc(CHUNK);
    say(m, at, "Importing the change logs");
    while (at < log->bytes) {
        const size_t n = (size_t)MIN(log->bytes - at, CHUNK);
        if (job_cancelled(m->job, err) || !file_read_full(fd, buffer, n, at, log->path, err) || !store_intake_write(in, buffer, n, err))
            return false;
        at += n;
        say(m, n, "Importing the change logs");
    }
    return true;
}

static bool
import_log(struct import *m, const struct exported_log *log, GError **err)
{
    struct store *store = m->rel->in.store;
    struct store_log got;
    const gint64 begun = clock_mono_us();
    const guint64 at = store_incoming_size(store, &log->id);
    auto_fd fd = open(log->path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return err_errno(err, "Change log '%s' cannot be opened", log->path);
    struct store_intake *in = store_intake_open(store, &log->id, at, err);
    if (!in)
        return false;
    const bool ok = feed(m, in, fd, log, at, err) && store_intake_commit(in, &got, err);
    store_intake_close(in);
    if (ok)
        intake_note(m->rel, &got, 0, clock_mono_us() - begun); /* it came in a folder, not over the network */
    return ok;
}

static bool
import_all(struct import *m, GError **err)
{
    if (m->over) {
        log_info("Guest '%s': what the replica has of an earlier initial copy is replaced by the imported one.", m->rel->r.name);
        if (!placeholder_empty(m->c, m->rel, err))
            return false;
    }
    for (guint i = m->first; i < m->logs->len; i++)
        if (!import_log(m, m->logs->pdata[i], err))
            return false;
    return true;
}

/* ---- the job ---- */

/* Nothing may come over the network meanwhile, nor may what came be in use. */
static bool
begin(struct relation *rel, GError **err)
{
    HOLD(&rel->lock);
    if (rel->r.state != STATE_WAITING_INITIAL || !rel->in.store)
        return err_set(err, ERR_INVALID_STATE, "Guest '%s' is in replication state '%s', which does not permit to import.", rel->r.name,
                       state_name(rel->r.state));
    if (rel->in.uploads)
        return err_set(err, ERR_IN_USE, "A change log of guest '%s' is being received over the network.", rel->r.name);
    return rel->in.importing = true;
}

static void
end(struct relation *rel)
{
    HOLD(&rel->lock);
    rel->in.importing = false;
}

static bool
run(struct import *m, const char *dir, GError **err)
{
    if (!(m->logs = exportdir_read(dir, &m->rel->vm, err)))
        return false;
    find_place(m);
    return check_all(m, err) && import_all(m, err);
}

bool
import_work(struct job *job, void *work, GError **err)
{
    struct work *w = work;
    struct import m = { .c = w->core, .rel = w->rel, .job = job };
    if (!begin(w->rel, err))
        return false;
    const bool ok = run(&m, w->location, err);
    end(w->rel);
    if (m.logs)
        g_ptr_array_unref(m.logs);
    if (ok)
        log_info("Guest '%s': its initial replica was imported from '%s'.", w->rel->r.name, w->location);
    return ok;
}
