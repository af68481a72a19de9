/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "repl/jobs.h"

#include "repl/record.h"

#define J(type, member) { #member, RECORD_##type, offsetof(struct job_info, member) }
static const struct record_field FIELDS[] = {
    J(ID, id), J(UINT, type), J(TEXT, name), J(UUID, vm), J(TEXT, owner), J(UINT, state), J(UINT, percent), J(TEXT, status),
    J(BOOL, cancellable), J(UINT, error_code), J(TEXT, error_text), J(TEXT, error_summary), J(TEXT, error_id), J(LIST, causes),
    J(TEXT, warning),
    J(I64, submitted_us), J(I64, scheduled_us), J(I64, started_us), J(I64, ended_us), J(I64, changed_us),
    { NULL, RECORD_END, 0 },
};

static bool
save(void *user, const struct job_info *info, GError **err)
{
    g_autofree char *doc = record_doc(FIELDS, info);
    return db_put(user, DB_JOBS, info->id, doc, err);
}

static bool
forget(void *user, const char *id, GError **err)
{
    return db_remove(user, DB_JOBS, id, err);
}

static gint
by_time(gconstpointer a, gconstpointer b)
{
    const struct job_info *const *x = a, *const *y = b;
    return ((*x)->submitted_us > (*y)->submitted_us) - ((*x)->submitted_us < (*y)->submitted_us);
}

static GPtrArray *
load(void *user, GError **err)
{
    g_autoptr(GPtrArray) docs = db_list(user, DB_JOBS, err);
    g_autoptr(GPtrArray) out = g_ptr_array_new_with_free_func((GDestroyNotify)job_info_free);
    for (guint i = 0; docs && i < docs->len; i++) {
        struct job_info *info = g_new0(struct job_info, 1);
        g_ptr_array_add(out, info);
        json_scoped_record o = record_parse(docs->pdata[i], err);
        if (!o || !record_unpack(o, FIELDS, info, err))
            return NULL;
    }
    g_ptr_array_sort(out, by_time);
    return docs ? g_steal_pointer(&out) : NULL;
}

struct job_registry *
jobs_open(struct db *db, GError **err)
{
    const struct job_store store = { save, forget, load, db };
    return job_registry_new(&store, 0, err);
}

const char *
jobs_name(enum job_number n)
{
    switch (n) {
    case JOB_SAVE: return "Save Virtual Machine";
    case JOB_MODIFY_SERVICE: return "Modify Replication Server Settings";
    case JOB_CREATE: return "Create Replication Relationship";
    case JOB_MODIFY: return "Modify Replication Relationship Settings";
    case JOB_REMOVE: return "Remove Replication Relationship";
    case JOB_START: return "Start Inband Initial Replication";
    case JOB_IMPORT: return "Import Replication";
    case JOB_STATE_CHANGE: return "Replicate State Change";
    case JOB_FAILOVER: return "Initiate Failover";
    case JOB_REVERT: return "Revert Failover";
    case JOB_COMMIT: return "Commit Failover";
    case JOB_PREPARE: return "Initiate Synced Replication";
    case JOB_PREPARE_CANCEL: return "Cancel Synced Replication";
    case JOB_TEST: return "Initiate Test Replica";
    case JOB_TEST_REMOVE: return "Remove Test Replica";
    case JOB_REVERSE: return "Reverse Replication";
    case JOB_RESYNC: return "Resynchronizing";
    case JOB_STOP_RESYNC: return "Stop Resynchronizing";
    case JOB_START_SEEDED: return "Start Resync Initial Replication";
    case JOB_EXPORT: return "Start Export Initial Replication";
    case JOB_STOP_INITIAL: return "Stop Initial Replication";
    case JOB_RESYNC_EXTENDED: return "Resynchronizing Extended Replication";
    case JOB_PROMOTE: return "Change the replication mode to primary";
    case JOB_COMPARE: return "Consistency Checker";
    case JOB_TEST_CONNECTION: return "Test Replication Connection";
    }
    g_assert_not_reached();
}

char *
jobs_conflict(const struct uuid *vm)
{
    char text[UUID_TEXT];
    return g_strdup(uuid_format(vm, text));
}
