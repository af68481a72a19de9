/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "vm/tpm.h"

#include "base/err.h"
#include "base/file.h"

#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* With a real swtpm: what a system keeps in its TPM is there where the state was put, and a state that is read while it is written is one
 * that was. */

#define ID "6f0e4c1a-0000-4000-8000-0000000000aa"
#define OTHER "6f0e4c1a-0000-4000-8000-0000000000bb"

static char *
definition(const char *id, const char *tpm)
{
    return g_strdup_printf("<domain type='kvm'><name>g</name><uuid>%s</uuid><devices>%s</devices></domain>", id, tpm);
}

#define TPM2 "<tpm model='tpm-crb'><backend type='emulator' version='2.0'/></tpm>"

static char *
put_file(const char *dir, const char *name, const char *text)
{
    char *path = g_build_filename(dir, name, NULL);
    g_autofree char *folder = g_path_get_dirname(path);
    g_assert_cmpint(g_mkdir_with_parents(folder, 0755), ==, 0);
    g_assert_true(g_file_set_contents(path, text, -1, NULL));
    return path;
}

static void
test_places(void)
{
    g_autofree char *dir = g_dir_make_tmp("vmr-tpm-XXXXXX", NULL);
    g_free(put_file(dir, ID "/tpm2/tpm2-00.permall", "two"));
    g_free(put_file(dir, ID "/tpm1.2/tpm-00.permall", "one"));
    g_free(put_file(dir, "own/tpm2-00.permall", "own"));
    g_autofree char *source = g_strdup_printf("<tpm><backend type='emulator'><source type='dir' path='%s/own'/></backend></tpm>", dir);
    const struct {
        const char *tpm, *state;
    } cases[] = {
        { "", NULL },
        { "<tpm><backend type='passthrough'><device path='/dev/tpm0'/></backend></tpm>", NULL },
        { TPM2, "two" },
        { "<tpm><backend type='external'/></tpm>" TPM2, "two" },
        { "<tpm><backend type='emulator'/></tpm>", "two" },
        { "<tpm><backend type='emulator' version='1.2'/></tpm>", "one" },
        { source, "own" },
        { "<tpm><backend type='emulator'><source type='file' path='/x'/></backend></tpm>", NULL },
        { "<tpm><backend type='emulator'><source type='dir' path='relative'/></backend></tpm>", NULL },
    };
    for (gsize i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(GError) why = NULL;
        g_autofree char *xml = definition(ID, cases[i].tpm);
        g_autoptr(GBytes) state = tpm_read(dir, xml, &why);
        g_assert_no_error(why);
        g_assert_true(!state == !cases[i].state);
        if (state)
            g_assert_cmpmem(g_bytes_get_data(state, NULL), g_bytes_get_size(state), cases[i].state, strlen(cases[i].state));
    }
    g_autofree char *absent = definition(OTHER, TPM2);
    g_assert_null(tpm_read(dir, absent, NULL));
    g_assert_true(tpm_emulated(absent));
    g_autofree char *loop = g_build_filename(dir, OTHER, NULL); /* nobody can say whether there is a state */
    g_autoptr(GError) why = NULL;
    g_assert_cmpint(symlink(loop, loop), ==, 0);
    g_assert_null(tpm_read(dir, absent, &why));
    g_assert_error(why, ERR, ERR_IO);
    g_assert_true(file_remove_tree(dir, NULL));
}

static void
test_put(void)
{
    g_autoptr(GError) why = NULL;
    struct uuid id;
    struct stat st;
    g_autofree char *dir = g_dir_make_tmp("vmr-tpm-XXXXXX", NULL), *swtpm = g_build_filename(dir, "swtpm", NULL);
    g_autofree char *xml = definition(ID, TPM2), *none = definition(ID, ""), *own = g_build_filename(swtpm, ID, NULL);
    g_autofree char *folder = g_build_filename(own, "tpm2", NULL), *path = g_build_filename(folder, "tpm2-00.permall", NULL);
    const mode_t mask = umask(077);
    g_assert_true(tpm_put(swtpm, NULL, none, "x", 1, &why) && !g_file_test(own, G_FILE_TEST_EXISTS));
    g_assert_true(tpm_put(swtpm, NULL, xml, "first", 5, &why) && tpm_put(swtpm, NULL, xml, "second", 6, &why));
    umask(mask);
    g_assert_no_error(why);
    g_autoptr(GBytes) state = tpm_read(swtpm, xml, &why);
    g_assert_cmpmem(g_bytes_get_data(state, NULL), g_bytes_get_size(state), "second", 6);
    g_assert_true(stat(folder, &st) == 0 && (st.st_mode & 07777) == 0700);
    g_assert_true(stat(path, &st) == 0 && (st.st_mode & 07777) == 0600);
    g_assert_true(tpm_put(swtpm, NULL, xml, NULL, 0, &why) && !g_file_test(own, G_FILE_TEST_EXISTS));
    g_assert_true(tpm_put(swtpm, NULL, xml, "third", 5, &why));
    g_assert_true(uuid_parse(ID, &id) && tpm_remove(swtpm, &id, &why) && tpm_remove(swtpm, &id, &why));
    g_assert_false(g_file_test(own, G_FILE_TEST_EXISTS));
    g_assert_false(tpm_put(swtpm, NULL, "<domain><devices><tpm><backend type='emulator'/></tpm></devices></domain>", "x", 1, &why));
    g_assert_error(why, ERR, ERR_MALFORMED);
    g_clear_error(&why);
    if (geteuid() == 0) {
        g_assert_false(tpm_put(swtpm, "no-such-user", xml, "x", 1, &why));
        g_assert_error(why, ERR, ERR_NOT_FOUND);
    }
    g_assert_true(file_remove_tree(dir, NULL));
}

static void
test_user(void)
{
    static const struct {
        const char *conf, *user;
    } cases[] = {
        { "", "tss" },
        { "#swtpm_user = \"swtpm\"\n#swtpm_group = \"x\"\n", "swtpm" },
        { "# swtpm_user = \"swtpm\"\nswtpm_user=\"me\"\n#swtpm_user = \"late\"\n", "me" },
        { "swtpm_user = 7\nuser = \"x\"\n", "tss" },
        { "  swtpm_user = \"you\"", "you" },
    };
    g_autofree char *dir = g_dir_make_tmp("vmr-tpm-XXXXXX", NULL);
    for (gsize i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *path = put_file(dir, "qemu.conf", cases[i].conf), *user = tpm_user(path);
        g_assert_cmpstr(user, ==, cases[i].user);
    }
    g_autofree char *none = tpm_user("/nowhere/at/all");
    g_assert_cmpstr(none, ==, "tss");
    g_assert_true(file_remove_tree(dir, NULL));
}

/* ---- a real one ---- */

enum { HEAD = 10, ANSWER_MAX = 4096, NOBODY = 65534, WRITES = 300, LOOKS = 6 };

struct swtpm {
    pid_t pid;
    int fd;
};

/* As another user, who owns the folder, as libvirt starts it; without root as ourselves. */
static struct swtpm
start(const char *folder)
{
    int pair[2];
    struct swtpm t;
    if (geteuid() == 0)
        g_assert_cmpint(chown(folder, NOBODY, NOBODY), ==, 0);
    g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), ==, 0);
    g_autofree char *state = g_strconcat("dir=", folder, NULL), *fd = g_strdup_printf("%d", pair[1]);
    t.pid = fork();
    if (t.pid == 0) {
        close(pair[0]);
        if (geteuid() == 0 && (setgid(NOBODY) != 0 || setuid(NOBODY) != 0))
            _exit(99);
        execlp("swtpm", "swtpm", "socket", "--tpm2", "--tpmstate", state, "--fd", fd, "--flags", "not-need-init,startup-clear", NULL);
        _exit(98);
    }
    close(pair[1]);
    t.fd = pair[0];
    return t;
}

static void
stop(struct swtpm *t)
{
    close(t->fd);
    kill(t->pid, SIGTERM);
    g_assert_cmpint(waitpid(t->pid, NULL, 0), ==, t->pid);
}

static guint32
number_at(const guint8 *at)
{
    return (guint32)at[0] << 24 | (guint32)at[1] << 16 | (guint32)at[2] << 8 | at[3];
}

/* Sends a command, bytes as text; the length of the answer. */
static gsize
ask(struct swtpm *t, const char *hex, guint8 answer[ANSWER_MAX])
{
    guint8 command[256];
    gsize len = 0, have = 0;
    for (; *hex; hex += *hex == ' ' ? 1 : 2)
        if (*hex != ' ')
            command[len++] = (guint8)(g_ascii_xdigit_value(hex[0]) << 4 | g_ascii_xdigit_value(hex[1]));
    g_assert_cmpint(write(t->fd, command, len), ==, (gssize)len);
    while (have < HEAD || have < number_at(answer + 2)) {
        const gssize n = read(t->fd, answer + have, ANSWER_MAX - have);
        g_assert_cmpint(n, >, 0);
        have += (gsize)n;
    }
    return have;
}

#define OWNER "40000001"
#define PASSWORD "00000009 40000009 0000 00 0000"
#define INDEX "01500001"

static void
keep(struct swtpm *t, guint value)
{
    guint8 answer[ANSWER_MAX];
    g_autofree char *text = g_strdup_printf("8002 0000002b 00000137 " OWNER INDEX PASSWORD "0008 00000000%08x 0000", value);
    ask(t, text, answer);
    g_assert_cmpuint(number_at(answer + 6), ==, 0);
}

static guint
kept(struct swtpm *t)
{
    guint8 answer[ANSWER_MAX];
    ask(t, "8002 00000023 0000014e " OWNER INDEX PASSWORD "0008 0000", answer);
    g_assert_cmpuint(number_at(answer + 6), ==, 0);
    return number_at(answer + HEAD + 4 + 2 + 4); /* length of the parameters, length of the data, its upper half */
}

struct writing {
    struct swtpm *tpm;
    gint written; /* atomic */
};

static gpointer
write_on(gpointer user)
{
    struct writing *w = user;
    for (guint i = 1; i <= WRITES; i++) {
        keep(w->tpm, i);
        g_atomic_int_set(&w->written, (gint)i);
    }
    return NULL;
}

/* The value that a TPM with that state has. */
static guint
value_in(const char *dir, GBytes *state)
{
    g_autofree char *xml = definition(OTHER, TPM2), *folder = g_build_filename(dir, OTHER, "tpm2", NULL);
    g_assert_true(tpm_put(dir, "nobody", xml, g_bytes_get_data(state, NULL), g_bytes_get_size(state), NULL));
    struct swtpm t = start(folder);
    const guint value = kept(&t);
    keep(&t, value); /* and it can write */
    stop(&t);
    return value;
}

static void
look(const char *dir, struct writing *w, guint *last)
{
    g_autoptr(GError) why = NULL;
    g_autofree char *xml = definition(ID, TPM2);
    const gint before = g_atomic_int_get(&w->written);
    g_autoptr(GBytes) state = tpm_read(dir, xml, &why);
    const gint after = g_atomic_int_get(&w->written);
    g_assert_no_error(why);
    *last = value_in(dir, state);
    g_assert_cmpuint(*last, >=, (guint)before);
    g_assert_cmpuint(*last, <=, (guint)after + 1); /* the answer to the last one may be on its way */
}

static void
test_real(void)
{
    static const char define_index[] = "8002 0000002d 0000012a " OWNER PASSWORD "0000 000e " INDEX "000b 02060006 0000 0008";
    g_autofree char *found = g_find_program_in_path("swtpm");
    if (!found) {
        g_test_skip("swtpm is not installed");
        return;
    }
    guint8 answer[ANSWER_MAX];
    guint last = 0;
    g_autofree char *dir = g_dir_make_tmp("vmr-tpm-XXXXXX", NULL), *folder = g_build_filename(dir, ID, "tpm2", NULL);
    g_assert_true(chmod(dir, 0711) == 0 && g_mkdir_with_parents(folder, 0711) == 0);
    struct swtpm t = start(folder);
    ask(&t, define_index, answer);
    g_assert_cmpuint(number_at(answer + 6), ==, 0);
    keep(&t, 0);
    struct writing w = { &t, 0 };
    GThread *writer = g_thread_new("writer", write_on, &w);
    for (guint i = 0; i < LOOKS; i++)
        look(dir, &w, &last);
    g_thread_join(writer);
    look(dir, &w, &last);
    g_assert_cmpuint(last, ==, WRITES);
    stop(&t);
    g_assert_true(file_remove_tree(dir, NULL));
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/vm/tpm/places", test_places);
    g_test_add_func("/vm/tpm/put", test_put);
    g_test_add_func("/vm/tpm/user", test_user);
    g_test_add_func("/vm/tpm/real", test_real);
    return g_test_run();
}
