/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/err.h"
#include "base/file.h"
#include "daemon/config.h"

#include <string.h>

static char *folder;

static struct config *
load(const char *text, GError **err)
{
    g_autofree char *file = g_build_filename(folder, "vmreplica.conf", NULL);
    g_assert_true(g_file_set_contents(file, text, -1, NULL));
    return config_load(file, err);
}

static void
test_defaults(void)
{
    struct config *c = load("", NULL);
    g_assert_cmpstr(c->state_dir, ==, "/var/lib/vmreplica");
    g_assert_cmpint(c->port, ==, 5985);
    g_assert_cmpint(c->max_transfers, ==, 3);
    g_assert_cmpint(c->max_cycles, ==, 64);
    g_assert_cmpstr(c->bandwidth, ==, "unlimited");
    g_assert_false(c->refuse_if_primary_running);
    config_free(c);
}

static void
test_values_and_parts(void)
{
    g_autofree char *parts = g_build_filename(folder, "conf.d", NULL), *late = g_build_filename(parts, "20.conf", NULL);
    g_autofree char *early = g_build_filename(parts, "10.conf", NULL);
    g_assert_true(file_make_dirs(parts, 0700, NULL));
    g_assert_true(g_file_set_contents(early, "[api]\nport = 1\ntls_port=7\n", -1, NULL));
    g_assert_true(g_file_set_contents(late, "[api]\nport = 2\n", -1, NULL));
    struct config *c = load("[replication]\nbandwidth = 1GiB; 08:00-18:00 2MiB\n"
                            "[api]\nport = 0\n[failover]\nrefuse_if_primary_running = true\n", NULL);
    g_assert_cmpint(c->port, ==, 2);
    g_assert_cmpstr(c->bandwidth, ==, "1GiB; 08:00-18:00 2MiB");
    g_assert_cmpint(c->tls_port, ==, 7);
    g_assert_true(c->refuse_if_primary_running);
    config_free(c);
    g_assert_true(file_remove_tree(parts, NULL));
}

static void
test_refusals(void)
{
    static const struct {
        const char *text, *names;
    } cases[] = {
        {"[api]\nport = x\n", "'port'"},
        {"[api]\nport = 70000\n", "'port'"},
        {"[api]\nprot = 1\n", "'prot'"},
        {"[nosuch]\na = 1\n", "[nosuch]"},
        {"[daemon]\nstate_dir = here\n", "absolute"},
        {"[failover]\nrefuse_if_primary_running = yes\n", "true or false"},
        {"[api]\nlisten = 0.0.0.0\n", "loopback"},
        {"[replication]\nbandwidth = 1GiB; 08:00-18:00 mon-fry 2MiB\n", "'mon-fry' at position 19"},
        {"port = 1\n", "cannot be read"},
    };
    for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
        GError *err = NULL;
        g_assert_null(load(cases[i].text, &err));
        g_assert_true(err_is(err, ERR_USAGE));
        g_assert_nonnull(strstr(err->message, cases[i].names));
        g_error_free(err);
    }
    GError *err = NULL;
    g_assert_null(config_load("/nonexistent/vmreplica.conf", &err));
    g_error_free(err);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    folder = g_dir_make_tmp("vmr-config-XXXXXX", NULL);
    g_test_add_func("/config/defaults", test_defaults);
    g_test_add_func("/config/values", test_values_and_parts);
    g_test_add_func("/config/refusals", test_refusals);
    int status = g_test_run();
    file_remove_tree(folder, NULL);
    g_free(folder);
    return status;
}
