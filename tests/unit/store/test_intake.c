/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/err.h"
#include "base/file.h"
#include "model.h"

#include <string.h>

/* What a receiver does with logs that are wrong, torn, forged or out of order: nothing of them stays. */

static char *root;

struct fixture {
    struct model *model;
    struct store *store;
    char *dir, *bytes; /* of a log that fits */
    size_t len;
    struct version *next;
};

static void
read_log(const char *path, char **bytes, size_t *len)
{
    g_autoptr(GError) err = NULL;
    file_read_all(path, 64 << 20, bytes, len, &err);
    g_assert_no_error(err);
}

/* data: the log is one of a long read; NULL: of a cycle. */
static void
setup(struct fixture *f, gconstpointer data)
{
    g_autoptr(GError) err = NULL;
    char id[UUID_TEXT];
    struct uuid name = uuid_random();
    f->dir = g_strdup_printf("%s/%s", root, uuid_format(&name, id));
    f->model = model_new(root);
    f->store = store_create(f->dir, &f->model->vm, "guest", &err);
    g_assert_no_error(err);
    model_ingest(f->model, f->store, model_step(f->model, false));
    f->next = model_step(f->model, data != NULL);
    read_log(f->next->log, &f->bytes, &f->len);
}

static void
teardown(struct fixture *f, gconstpointer data)
{
    store_close(f->store);
    model_free(f->model);
    g_free(f->dir);
    g_free(f->bytes);
}

/* True when all of it was taken and committed. */
static bool
send(struct fixture *f, const struct uuid *id, const char *bytes, size_t len, GError **err)
{
    struct store_log log;
    struct store_intake *in = store_intake_open(f->store, id, 0, err);
    if (!in)
        return false;
    bool ok = true;
    for (size_t at = 0; ok && at < len; at += 1000)
        ok = store_intake_write(in, bytes + at, MIN(1000, len - at), err);
    ok = ok && store_intake_commit(in, &log, err);
    store_intake_close(in);
    return ok;
}

static void
assert_nothing_left(struct fixture *f, const struct uuid *id)
{
    g_autoptr(GArray) logs = store_logs(f->store);
    g_autofree char *incoming = g_build_filename(f->dir, "incoming", NULL);
    g_assert_cmpuint(logs->len, ==, 1);
    g_assert_cmpuint(store_incoming_size(f->store, id), ==, 0);
    g_autoptr(GDir) dir = g_dir_open(incoming, 0, NULL);
    g_assert_null(g_dir_read_name(dir));
}

static void
test_flipped_bit(struct fixture *f, gconstpointer data)
{
    for (int i = 0; i < 300; i++) {
        g_autoptr(GError) err = NULL;
        size_t at = (size_t)g_test_rand_int_range(0, (gint32)f->len);
        char bit = (char)(1 << g_test_rand_int_range(0, 8));
        f->bytes[at] ^= bit;
        g_assert_false(send(f, &f->next->id, f->bytes, f->len, &err));
        g_assert_nonnull(err);
        f->bytes[at] ^= bit;
        store_drop_incoming(f->store, NULL); /* a length that was flipped may look like a log that is not complete yet */
        assert_nothing_left(f, &f->next->id);
    }
    g_autoptr(GError) err = NULL;
    g_assert_true(send(f, &f->next->id, f->bytes, f->len, &err));
    g_assert_no_error(err);
    model_check_store(f->model, f->store);
}

static void
test_payload_bit(struct fixture *f, gconstpointer data)
{
    g_autoptr(GError) err = NULL;
    f->bytes[model_vital(f->next->log)] ^= 1;
    g_assert_false(send(f, &f->next->id, f->bytes, f->len, &err));
    g_assert_error(err, ERR, ERR_CORRUPT);
    assert_nothing_left(f, &f->next->id);
}

static void
test_wrong_parent(struct fixture *f, gconstpointer data)
{
    g_autoptr(GError) err = NULL;
    g_autofree char *bytes = NULL;
    size_t len;
    const struct version *after = model_step(f->model, false);
    read_log(after->log, &bytes, &len);
    g_assert_false(send(f, &after->id, bytes, len, &err));
    g_assert_error(err, ERR, ERR_OUT_OF_SEQUENCE);
    assert_nothing_left(f, &after->id);
    g_clear_error(&err);

    g_assert_true(send(f, &f->next->id, f->bytes, f->len, &err));
    g_assert_no_error(err);
    g_assert_false(send(f, &f->next->id, f->bytes, f->len, &err)); /* a second time */
    g_assert_error(err, ERR, ERR_OUT_OF_SEQUENCE);
}

static void
test_wrong_guest(struct fixture *f, gconstpointer data)
{
    g_autoptr(GError) err = NULL;
    g_autofree char *bytes = NULL;
    size_t len;
    struct model *other = model_new(root);
    const struct version *v = model_step(other, false);
    read_log(v->log, &bytes, &len);
    g_assert_false(send(f, &v->id, bytes, len, &err));
    g_assert_error(err, ERR, ERR_INVALID_PARAMETER);
    assert_nothing_left(f, &v->id);
    g_clear_error(&err);
    g_assert_false(send(f, &other->vm, f->bytes, f->len, &err)); /* announced under another id */
    g_assert_error(err, ERR, ERR_CORRUPT);
    assert_nothing_left(f, &other->vm);
    model_free(other);
}

static void
assert_refused(struct fixture *f)
{
    g_autoptr(GError) err = NULL;
    g_autofree char *bytes = NULL;
    size_t len;
    const struct version *v = model_step(f->model, false);
    read_log(v->log, &bytes, &len);
    g_assert_false(send(f, &v->id, bytes, len, &err));
    g_assert_error(err, ERR, ERR_OUT_OF_SEQUENCE);
    assert_nothing_left(f, &v->id);
}

/* Old epoch, or a sequence that goes back: the sender's role has changed meanwhile. */
static void
test_old_sender(struct fixture *f, gconstpointer data)
{
    struct store_log head;
    g_assert_true(store_head(f->store, &head));
    model_rewind(f->model, &head.id);
    f->model->epoch = head.epoch - 1;
    assert_refused(f);
    model_rewind(f->model, &head.id);
    f->model->epoch = head.epoch + 1;
    f->model->sequence = head.sequence - 2; /* a step adds one or two; the numbers wrap on purpose */
    assert_refused(f);
}

static void
test_torn(struct fixture *f, gconstpointer data)
{
    g_autoptr(GError) err = NULL;
    struct store_log log;
    struct store_intake *in = store_intake_open(f->store, &f->next->id, 0, &err);
    g_assert_no_error(err);
    g_assert_null(store_intake_open(f->store, &f->next->id, 0, &err)); /* one at a time */
    g_assert_error(err, ERR, ERR_IN_USE);
    g_clear_error(&err);
    store_intake_write(in, f->bytes, f->len - 1, &err);
    g_assert_no_error(err);
    g_assert_cmpuint(store_incoming_size(f->store, &f->next->id), ==, f->len - 1);
    g_assert_false(store_intake_commit(in, &log, &err));
    g_assert_error(err, ERR, ERR_CORRUPT);
    g_clear_error(&err);
    store_intake_close(in);

    /* What was whole is there; a power cut that tore its end costs only that end. */
    uint64_t size = store_incoming_size(f->store, &f->next->id);
    g_assert_cmpuint(size, >, 0);
    g_assert_cmpuint(size, <, f->len);
    char id[UUID_TEXT];
    g_autofree char *part = g_strdup_printf("%s/incoming/%s.part", f->dir, uuid_format(&f->next->id, id));
    g_autofree char *torn = g_malloc0(size);
    memcpy(torn, f->bytes, size / 2);
    file_replace(part, torn, size, 0600, &err);
    g_assert_no_error(err);
    store_close(f->store);
    f->store = store_open(f->dir, &err);
    g_assert_no_error(err);
    g_assert_null(store_intake_open(f->store, &f->next->id, size, &err));
    g_assert_error(err, ERR, ERR_OUT_OF_SEQUENCE);
    g_assert_cmpuint(store_incoming_size(f->store, &f->next->id), <=, size / 2);
    model_ingest(f->model, f->store, f->next);
    model_check_store(f->model, f->store);
}

/* A whole log whose commit never came is committed by the next attempt without a further byte. */
static void
test_complete_part(struct fixture *f, gconstpointer data)
{
    g_autoptr(GError) err = NULL;
    struct store_log log;
    struct store_intake *in = store_intake_open(f->store, &f->next->id, 0, &err);
    g_assert_true(store_intake_write(in, f->bytes, f->len, &err));
    g_assert_false(store_intake_write(in, "x", 1, &err));
    g_assert_error(err, ERR, ERR_CORRUPT);
    g_clear_error(&err);
    store_intake_close(in);
    assert_nothing_left(f, &f->next->id);

    in = store_intake_open(f->store, &f->next->id, 0, &err);
    g_assert_true(store_intake_write(in, f->bytes, f->len, &err));
    store_intake_close(in);
    g_assert_cmpuint(store_incoming_size(f->store, &f->next->id), ==, f->len);
    in = store_intake_open(f->store, &f->next->id, f->len, &err);
    g_assert_no_error(err);
    g_assert_true(store_intake_commit(in, &log, &err));
    store_intake_close(in);
    g_assert_cmpint(log.received_us, >, 0);
    model_check_store(f->model, f->store);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    root = temporary_folder();
#define ADD(name) g_test_add("/intake/" #name, struct fixture, NULL, setup, test_##name, teardown)
    ADD(flipped_bit);
    ADD(payload_bit);
    ADD(wrong_parent);
    ADD(wrong_guest);
    ADD(old_sender);
    ADD(torn);
    ADD(complete_part);
#define ADD_LONG(name) g_test_add("/intake/long-read/" #name, struct fixture, "fuzzy", setup, test_##name, teardown)
    ADD_LONG(flipped_bit); /* such logs are written in pieces, past the page cache */
    ADD_LONG(torn);
    ADD_LONG(complete_part);
    int failed = g_test_run();
    file_remove_tree(root, NULL);
    g_free(root);
    return failed;
}
