/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "shell.h"
#include "soap.h"

#include "base/file.h"
#include "base/xml.h"

#include <string.h>
#include <unistd.h>

/* Every verb that talks to a daemon, against the host of fake.h over real HTTP with a password. */

static struct {
    char *dir, *users, *password, *address, *socket;
    struct fake *fake;
    struct auth *auth;
    struct wsman_endpoint *endpoint;
    struct cim_watch *watch;
    struct http_server *server, *local;
} door;
static struct shell sh;
static const char *manual_path;

static struct http_server *
serve(const char *address)
{
    GError *err = NULL;
    struct http_server_config config = {.address = address};
    struct http_server *server = http_server_new(&config);
    wsman_endpoint_mount(door.endpoint, server);
    http_server_start(server, &err);
    g_assert_no_error(err);
    return server;
}

static void
open_door(void)
{
    GError *err = NULL;
    door.dir = g_dir_make_tmp("vmr-cli-XXXXXX", NULL);
    door.users = g_build_filename(door.dir, "users", NULL);
    door.password = g_build_filename(door.dir, "password", NULL);
    door.socket = g_build_filename(door.dir, "sock", NULL);
    auth_user_add(door.users, "boss", "secret", "admin", &err);
    g_file_set_contents(door.password, "secret\n", -1, &err);
    door.auth = auth_open(door.users, &err);
    g_assert_no_error(err);
    door.fake = fake_new();
    fake_store_dir(door.fake, "/replica of web");
    door.endpoint = wsman_endpoint_new(fake_broker(door.fake), door.auth);
    door.watch = cim_watch_new(fake_broker(door.fake));
    wsman_endpoint_offer_events(door.endpoint, door.watch, NULL);
    door.server = serve("127.0.0.1");
    door.local = serve(door.socket);
    door.address = g_strdup_printf("127.0.0.1:%u", http_server_port(door.server));
    char *connection[] = {g_strdup("--plain"),         g_strdup("--host"), door.address, g_strdup("--user=boss"),
                          g_strdup("--password-file"), door.password,      NULL};
    memcpy(sh.connection, connection, sizeof connection);
}

static void
close_door(void)
{
    http_server_free(door.server);
    http_server_free(door.local);
    wsman_endpoint_free(door.endpoint);
    cim_watch_free(door.watch);
    fake_free(door.fake);
    auth_free(door.auth);
    file_remove_tree(door.dir, NULL);
    for (guint i = 0; sh.connection[i]; i++)
        g_free(sh.connection[i]); /* address and password are among them */
    shell_clear(&sh);
    g_free(door.dir);
    g_free(door.users);
    g_free(door.socket);
}

static void
expect_call(const char *piece)
{
    g_autofree char *calls = fake_calls(door.fake);
    if (!strstr(calls, piece))
        g_test_message("'%s' is not in: %s", piece, calls);
    g_assert_nonnull(strstr(calls, piece));
}

static void
no_line_beyond(const char *text, glong columns)
{
    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
    for (char **l = lines; *l; l++) {
        if (g_utf8_strlen(*l, -1) > columns)
            g_test_message("%s", *l);
        g_assert_cmpint(g_utf8_strlen(*l, -1), <=, columns);
    }
}

/* Verbs and options that the program knows stand in vmreplica(1). */
static void
in_manual(const char *manual, const char *verb, const char *help_text)
{
    g_autoptr(GRegex) option = g_regex_new("--[a-z-]+", 0, 0, NULL);
    g_autoptr(GMatchInfo) match = NULL;
    g_autofree char *heading = g_strdup_printf("(?m)^## (.*, )?%s( |$)", verb);
    g_test_message("%s", heading);
    g_assert_true(g_regex_match_simple(heading, manual, 0, 0));
    for (g_regex_match(option, help_text, 0, &match); g_match_info_matches(match); g_match_info_next(match, NULL)) {
        g_autofree char *name = g_match_info_fetch(match, 0);
        g_test_message("%s", name);
        g_assert_nonnull(strstr(manual, name));
    }
}

/* The list of verbs is what --help prints, so no verb escapes. */
static void
help(void)
{
    guint verbs = 0;
    g_autofree char *manual = NULL;
    size_t len;
    g_assert_true(file_read_all(manual_path, 1 << 20, &manual, &len, NULL));
    shell_plain(&sh, "--help", NULL);
    shell_expect(&sh, 0, "Usage: vmreplica VERB", NULL);
    no_line_beyond(sh.out, 80);
    g_auto(GStrv) lines = g_strsplit(sh.out, "\n", -1);
    for (char **l = lines; *l; l++) {
        if (!g_str_has_prefix(*l, "  "))
            continue;
        g_auto(GStrv) words = g_strsplit(g_strstrip(*l), " ", 2);
        g_autofree char *usage = g_strdup_printf("Usage: vmreplica %s", words[0]);
        shell_plain(&sh, words[0], "--help", NULL);
        shell_expect(&sh, 0, usage, NULL);
        g_assert_cmpstr(sh.err, ==, "");
        no_line_beyond(sh.out, 80);
        in_manual(manual, words[0], sh.out);
        verbs++;
    }
    g_assert_cmpuint(verbs, >=, 20); /* the list was understood */
    shell_plain(&sh, "--version", NULL);
    shell_expect(&sh, 0, "vmreplica " VMR_VERSION, NULL);
    shell_plain(&sh, "dance", NULL);
    shell_expect(&sh, 64, NULL, "no verb 'dance'");
}

static json_int_t
number(json_t *object, const char *key)
{
    return json_integer_value(json_object_get(object, key));
}

static const char *
text(json_t *object, const char *key)
{
    const char *s = json_string_value(json_object_get(object, key));
    return s ? s : "";
}

static void
status(void)
{
    shell_run(&sh, "status", NULL);
    shell_expect(&sh, 0, "The link is slow.", NULL);
    g_assert_nonnull(strstr(sh.out, "Replicating"));
    g_assert_null(strstr(sh.out, "\033"));
    g_assert_null(strstr(sh.out, FAKE_HOST));
    shell_run(&sh, "status", "web", "--json", NULL);
    json_t *list = shell_json(&sh);
    g_assert_cmpuint(json_array_size(list), ==, 1);
    json_t *web = json_array_get(list, 0);
    g_assert_cmpstr(text(web, "id"), ==, WEB);
    g_assert_cmpint(number(web, "pid"), ==, 4711);
    g_assert_cmpint(number(web, "state"), ==, 3);
    g_assert_cmpstr(text(web, "mode_name"), ==, "Replica");
    g_assert_cmpstr(text(web, "peer"), ==, "hosta.example");
    g_assert_cmpint(number(web, "bytes"), ==, 123456);
    g_assert_cmpint(number(web, "interval_ms"), ==, 300000);
    g_assert_true(json_is_null(json_object_get(web, "reason")));
    json_decref(list);
    shell_run(&sh, "status", DB, "--json", NULL);
    list = shell_json(&sh);
    g_assert_cmpint(number(json_array_get(list, 0), "interval_ms"), ==, 2000);
    g_assert_cmpstr(text(json_array_get(list, 0), "reason"), ==, "The link is slow.");
    json_t *issues = json_object_get(json_array_get(list, 0), "issues");
    g_assert_cmpuint(json_array_size(issues), ==, 2);
    g_assert_cmpstr(text(json_array_get(issues, 1), "message"), ==, "A disk is not protected.");
    g_assert_cmpstr(text(json_array_get(issues, 1), "action"), ==, "Look at it.");
    json_t *space = json_object_get(json_array_get(list, 0), "space");
    g_assert_cmpint(number(space, "disk_bytes"), ==, 1 << 20);
    g_assert_cmpint(number(space, "days_left"), ==, 2);
    json_t *compression = json_object_get(json_array_get(list, 0), "compression");
    g_assert_cmpstr(text(compression, "setting"), ==, "auto");
    g_assert_cmpstr(text(compression, "now"), ==, "lz4");
    g_assert_cmpint(number(compression, "link_bytes_per_s"), ==, 104857600);
    json_decref(list);
    shell_run(&sh, "status", "db", NULL);
    shell_expect(&sh, 0, "Warning: The link is slow. Look at it.\nWarning: A disk is not protected. Look at it.\n", NULL);
    g_assert_null(strstr(sh.out, "REASON")); /* said below, in full */
    shell_run(&sh, "status", "web", NULL);
    shell_expect(&sh, 0, "Disk vda is replicated; the primary is on 'hosta.example'.", NULL);
    g_free(fake_calls(door.fake));
    shell_run(&sh, "status", "--reset", NULL);
    shell_expect(&sh, 64, NULL, NULL);
    shell_run(&sh, "status", "db", "--reset", NULL);
    shell_expect(&sh, 0, "The link is slow.", NULL);
    expect_call("ResetReplicationStatistics(");
}

static void
space(void)
{
    shell_run(&sh, "status", DB, NULL);
    shell_expect(&sh, 0, "The replica takes 1.0", NULL);
    shell_expect(&sh, 0, " a day. At this rate it is full in 2 days. 3 recovery points were given up for want of space.\n", NULL);
    shell_expect(&sh, 0, "Changes are packed with lz4 (auto); the link takes 100.0", NULL);
    g_free(fake_calls(door.fake));
}

static void
churn(void)
{
    shell_run(&sh, "churn", "db", NULL);
    shell_expect(&sh, 0, "The busiest hour sent 20.0", NULL);
    g_assert_null(strstr(sh.out, "10.0")); /* longer ago than a day */
    shell_run(&sh, "churn", "db", "--hours", "48", "--json", NULL);
    json_t *list = shell_json(&sh);
    g_assert_cmpuint(json_array_size(list), ==, 4);
    g_assert_cmpstr(text(json_array_get(list, 0), "disk"), ==, "vda");
    g_assert_cmpint(number(json_array_get(list, 0), "changed_bytes"), ==, 10 << 20);
    g_assert_true(json_is_null(json_object_get(json_array_get(list, 1), "disk")));
    g_assert_cmpint(number(json_array_get(list, 1), "wire_bytes"), ==, 3600);
    g_assert_cmpint(number(json_array_get(list, 2), "cycles"), ==, 120);
    json_decref(list);
    shell_run(&sh, "churn", "new", NULL);
    g_assert_cmpint(sh.status, !=, 0);
    shell_run(&sh, "churn", "db", "--hours", "200", NULL);
    shell_expect(&sh, 64, NULL, "--hours is 200 and must be 1 to 168.");
    g_free(fake_calls(door.fake));
}

static void
points(void)
{
    shell_run(&sh, "points", "web", "--json", NULL);
    json_t *list = shell_json(&sh);
    g_assert_cmpuint(json_array_size(list), ==, 3);
    json_t *second = json_array_get(list, 1);
    g_assert_cmpstr(text(second, "id"), ==, POINT_2);
    g_assert_cmpstr(text(second, "vm"), ==, WEB);
    g_assert_cmpint(number(second, "captured_us"), ==, FAKE_EPOCH_US + 60 * G_USEC_PER_SEC);
    g_assert_cmpint(number(second, "bytes"), ==, 2000);
    g_assert_cmpstr(text(second, "kind"), ==, "ApplicationConsistent");
    json_decref(list);
    shell_run(&sh, "points", WEB, NULL);
    shell_expect(&sh, 0, POINT_3, NULL);
    shell_run(&sh, "points", "db", NULL);
    shell_expect(&sh, 0, "no recovery points", NULL);
}

static void
keep(void)
{
    shell_run(&sh, "point", "pin", "web", POINT_2, NULL);
    shell_expect(&sh, 0, "Recovery point " POINT_2 " is pinned.", NULL);
    g_autofree char *calls = fake_calls(door.fake);
    g_assert_nonnull(strstr(calls, "ModifySystemSettings(SystemSettings="));
    g_assert_nonnull(strstr(calls, "Microsoft:" POINT_2));
    g_assert_nonnull(strstr(calls, "<VALUE>pinned=yes</VALUE>"));
    shell_run(&sh, "point", "unpin", "web", "latest", NULL);
    shell_expect(&sh, 0, POINT_3 " is pinned no more.", NULL);
    expect_call("<VALUE>pinned=no</VALUE>");
    shell_run(&sh, "point", "protect", "web", POINT_2, "--until", "2099-01-01T00:00:00Z", NULL);
    g_autoptr(GDateTime) until = g_date_time_new_from_unix_local(4070908800);
    g_autofree char *said = g_date_time_format(until, "is protected until %Y-%m-%d %H:%M:%S.");
    shell_expect(&sh, 0, said, NULL); /* as points shows times: local ones */
    expect_call("<VALUE>protected=2099-01-01T00:00:00.000Z</VALUE>");
    shell_run(&sh, "point", "protect", "web", POINT_2, NULL);
    shell_expect(&sh, 64, NULL, "--until is missing");
    shell_run(&sh, "point", "pin", "web", POINT_2, "--until", "2099-01-01T00:00:00Z", NULL);
    shell_expect(&sh, 64, NULL, "--until belongs to");
    shell_run(&sh, "point", "pin", "web", NULL);
    shell_expect(&sh, 64, NULL, "point");
    shell_run(&sh, "point", "protect", "web", POINT_2, "--until", "some day", NULL);
    shell_expect(&sh, 64, NULL, "is no time");
}

/* There may be thousands of points: one that is named is not looked for among all of them. */
static void
failover_by_id(void)
{
    fake_listings(door.fake);
    shell_run(&sh, "failover", "web", "--point", POINT_2, NULL);
    g_autofree char *calls = fake_calls(door.fake);
    g_assert_nonnull(strstr(calls, "Msvm_VirtualSystemSettingData.InstanceID=\"Microsoft:" POINT_2 "\""));
    g_assert_cmpuint(fake_listings(door.fake), ==, 0);
}

static void
failover(void)
{
    shell_run(&sh, "failover", "web", NULL);
    shell_expect(&sh, 0, "was brought up from the latest state", "Failover: 50 %, working");
    expect_call("InitiateFailover(ComputerSystem=");
    failover_by_id();
    g_autoptr(GDateTime) between = g_date_time_new_from_unix_utc(FAKE_EPOCH_US / G_USEC_PER_SEC + 90);
    g_autofree char *time = g_date_time_format(between, "%Y-%m-%dT%H:%M:%SZ");
    shell_run(&sh, "failover", "web", "--point", time, "--start", NULL);
    shell_expect(&sh, 0, "runs here", NULL);
    g_autofree char *calls = fake_calls(door.fake);
    g_assert_nonnull(strstr(calls, POINT_2));
    g_assert_nonnull(strstr(calls, "RequestStateChange(RequestedState=2) -> 4096"));
    shell_run(&sh, "failover", "web", "--point", "1999-01-01T00:00:00Z", NULL);
    shell_expect(&sh, 23, NULL, "No recovery point is as old");
    shell_run(&sh, "failover", "web", "--point", "soonish", NULL);
    shell_expect(&sh, 64, NULL, "is no time");
    shell_run(&sh, "failover", "web", "--point", DB, NULL);
    shell_expect(&sh, 23, NULL, "no recovery point");
    shell_run(&sh, "failover", "db", NULL);
    shell_expect(&sh, 8, NULL, "'db' is no replica on this host. Call this on the other one.");
    shell_run(&sh, "failover", "web", "--no-wait", "--json", NULL);
    json_t *answer = shell_json(&sh);
    g_assert_cmpint(number(answer, "return_value"), ==, 4096);
    g_assert_false(json_is_true(json_object_get(answer, "done")));
    g_autofree char *id = g_strdup(text(answer, "job"));
    json_decref(answer);
    shell_run(&sh, "jobs", id, "--wait", "--json", NULL);
    answer = shell_json(&sh);
    g_assert_cmpint(number(answer, "JobState"), ==, 7);
    json_decref(answer);
    g_free(fake_calls(door.fake));
}

static void
boot_checks(void)
{
    shell_run(&sh, "test-failover", "web", "--verify", "--point", POINT_2, "--json", NULL);
    json_t *list = shell_json(&sh);
    json_t *one = json_array_get(list, 0);
    g_assert_cmpuint(json_array_size(list), ==, 1);
    g_assert_cmpstr(text(one, "name"), ==, "web");
    g_assert_cmpstr(text(one, "result"), ==, "passed");
    g_assert_cmpstr(text(one, "point"), ==, POINT_2);
    g_assert_cmpstr(text(one, "screenshot"), ==, "/replica of web/checks/" POINT_2 ".ppm");
    g_assert_cmpfloat(json_real_value(json_object_get(one, "seconds")), ==, 2.5);
    json_decref(list);
    g_autofree char *calls = fake_calls(door.fake);
    g_assert_nonnull(strstr(calls, "VerifyReplicaSystem("));
    g_assert_nonnull(strstr(calls, "Msvm_VirtualSystemSettingData.InstanceID=\"Microsoft:" POINT_2 "\""));
    shell_run(&sh, "test-failover", "db", "--verify", NULL);
    shell_expect(&sh, 8, "failed", "did not answer within 300 s");
    shell_run(&sh, "test-failover", "--verify-all", NULL); /* web is the only replica */
    shell_expect(&sh, 0, "passed", NULL);
    static const char *const wrong[][4] = {
        {"web", "--verify", "--start", NULL}, {"web", "--verify", "--no-wait", NULL}, {"web", "--stop", "--verify", NULL},
        {"--verify-all", "--verify", NULL},   {"web", "--verify-all", NULL},
    };
    for (gsize i = 0; i < G_N_ELEMENTS(wrong); i++) {
        shell_run(&sh, "test-failover", wrong[i][0], wrong[i][1], wrong[i][2], NULL);
        shell_expect(&sh, 64, NULL, NULL);
    }
    g_free(fake_calls(door.fake));
}

static void
after_failover(void)
{
    shell_run(&sh, "revert", "web", NULL);
    shell_expect(&sh, 0, "'web' is a replica again.", NULL);
    expect_call("RevertFailover(");
    shell_run(&sh, "commit", "web", NULL);
    expect_call("CommitFailover(");
    /* The job fails: its error and its code. */
    shell_run(&sh, "commit", "db", NULL);
    shell_expect(&sh, 8, NULL, "vmreplica: 'db' has not failed over.");
    shell_run(&sh, "power", "web", "off", NULL);
    shell_expect(&sh, 0, "'web' is off.", NULL);
    g_free(fake_calls(door.fake));
    shell_run(&sh, "power", "web", "sideways", NULL);
    shell_expect(&sh, 64, NULL, "on|off|shutdown");
    shell_run(&sh, "jobs", NULL);
    shell_expect(&sh, 0, "Exception", NULL);
    shell_run(&sh, "jobs", "--wait", NULL);
    shell_expect(&sh, 64, NULL, "need the ID");
    static const char *const how[] = {"--wait", "--cancel", NULL};
    for (gsize i = 0; i < G_N_ELEMENTS(how); i++) {
        shell_run(&sh, "jobs", "77", how[i], NULL);
        shell_expect(&sh, 23, NULL, "There is no job '77' (any more). See vmreplica jobs.");
    }
}

/* The host's jobs go on whenever they are looked at, so one that is under way changes before one's eyes. */
static void
watch(void)
{
    shell_run(&sh, "failover", "web", "--no-wait", NULL);
    shell_run(&sh, "watch", "jobs", "--count", "1", "--json", NULL);
    json_t *event = shell_json(&sh);
    g_assert_cmpstr(text(event, "kind"), ==, "changed");
    g_assert_cmpstr(text(event, "class"), ==, "Msvm_ConcreteJob");
    g_assert_true(g_str_has_prefix(text(event, "time"), "20"));
    g_assert_cmpint(number(json_object_get(event, "previous"), "PercentComplete"), <,
                    number(json_object_get(event, "instance"), "PercentComplete"));
    json_decref(event);
    shell_run(&sh, "failover", "web", "--no-wait", NULL);
    shell_run(&sh, "watch", "--count", "1", NULL);
    shell_expect(&sh, 0, "Msvm_ConcreteJob changed", "Ctrl-C");
    shell_expect(&sh, 0, "PercentComplete: ", NULL);
    g_assert_null(strstr(sh.out, "+000")); /* times as a person reads them */
    shell_run(&sh, "watch", "weather", NULL);
    shell_expect(&sh, 64, NULL, "replication, guests and jobs");
    g_free(fake_calls(door.fake));
}

static void
modify(void)
{
    shell_run(&sh, "modify", "web", "--history", "4", "--app-consistent", "2", "--app-every", "10m", "--retention", "off", "--set",
              "engine=pull", NULL);
    shell_expect(&sh, 0, "The settings of 'web' are changed.", NULL);
    g_autofree char *calls = fake_calls(door.fake);
    static const char *const pieces[] = {
        "ModifyReplicationSettings(",
        "<PROPERTY NAME=\"RecoveryHistory\" TYPE=\"uint16\"><VALUE>4</VALUE>",
        "<PROPERTY NAME=\"ApplicationConsistentSnapshotInterval\" TYPE=\"uint16\"><VALUE>2</VALUE>",
        "&quot;application_interval_s&quot;:600",
        "&quot;engine&quot;:&quot;pull&quot;",
    };
    for (gsize i = 0; i < G_N_ELEMENTS(pieces); i++) {
        g_test_message("%s", pieces[i]);
        g_assert_nonnull(strstr(calls, pieces[i]));
    }
    shell_run(&sh, "modify", "web", "--history", "25", NULL);
    shell_expect(&sh, 64, NULL, "0 to 24");
    shell_run(&sh, "modify", "web", "--set", "engine", NULL);
    shell_expect(&sh, 64, NULL, "KEY=VALUE");
}

static void
enable(void)
{
    shell_run(&sh, "enable", "new", "--to", "hostb.example", "--interval-ms", "2000", "--history", "12", "--keep-every", "1h", "--disks",
              "vda,vdb", NULL);
    shell_expect(&sh, 0, "vmreplica start new", NULL);
    g_autofree char *calls = fake_calls(door.fake);
    static const char *const pieces[] = {
        "CreateReplicationRelationship(",
        "<INSTANCE CLASSNAME=\"Msvm_ReplicationSettingData\">",
        "<PROPERTY NAME=\"RecoveryConnectionPoint\" TYPE=\"string\"><VALUE>hostb.example</VALUE>",
        "<PROPERTY NAME=\"RecoveryServerPortNumber\" TYPE=\"uint16\"><VALUE>8443</VALUE>",
        "<PROPERTY NAME=\"AuthenticationType\" TYPE=\"uint16\"><VALUE>2</VALUE>",
        "<PROPERTY NAME=\"RecoveryHistory\" TYPE=\"uint16\"><VALUE>12</VALUE>",
        "<VALUE.ARRAY><VALUE>vda</VALUE><VALUE>vdb</VALUE></VALUE.ARRAY>",
        "<VALUE>{&quot;interval_ms&quot;:2000,&quot;keep_every_cycle_s&quot;:3600}</VALUE>",
        "Microsoft:" NEW "\\HVR\\0",
        "ComputerSystem=",
    };
    for (gsize i = 0; i < G_N_ELEMENTS(pieces); i++) {
        g_test_message("%s", pieces[i]);
        g_assert_nonnull(strstr(calls, pieces[i]));
    }
    shell_run(&sh, "enable", "new", "--to", "hostb.example", "--interval", "5m", NULL);
    expect_call("<PROPERTY NAME=\"ReplicationInterval\" TYPE=\"uint16\"><VALUE>300</VALUE>");
    shell_run(&sh, "enable", "new", NULL);
    shell_expect(&sh, 64, NULL, "--to is missing");
    shell_run(&sh, "enable", "new", "--to", "b", "--history", "25", NULL);
    shell_expect(&sh, 64, NULL, "0 to 24");
    shell_run(&sh, "enable", "new", "--to", "b", "--interval", "2 fortnights", NULL);
    shell_expect(&sh, 64, NULL, "is no duration");
    shell_run(&sh, "enable", "new", "--to", "b", "--interval", "0", NULL);
    shell_expect(&sh, 64, NULL, "An interval has at least one second, not '0'");
    shell_run(&sh, "enable", NULL);
    shell_expect(&sh, 64, NULL, "An argument is missing");
    shell_run(&sh, "start", "new", "--at", "2099-01-01T00:00:00Z", NULL);
    shell_expect(&sh, 0, "vmreplica jobs ", NULL); /* nobody waits for that */
    shell_run(&sh, "start", "new", NULL);
    shell_expect(&sh, 0, "'new' is protected.", NULL);
    expect_call("StartReplication(InitialReplicationType=1");
    shell_run(&sh, "start", "new", "--export", "/usb", NULL);
    shell_expect(&sh, 0, "'new' is exported.", NULL);
    expect_call("InitialReplicationExportLocation=/usb");
    shell_run(&sh, "start", "new", "--use-existing", NULL);
    expect_call("StartReplication(InitialReplicationType=3");
    shell_run(&sh, "start", "new", "--use-existing", "--export", "/usb", NULL);
    shell_expect(&sh, 64, NULL, "goes neither with");
    shell_run(&sh, "import", "new", "/usb", NULL);
    shell_expect(&sh, 0, "'new' has its first copy", NULL);
    expect_call("ImportInitialReplica(InitialReplicationImportLocation=/usb");
}

static void
states(void)
{
    shell_run(&sh, "suspend", "db", NULL);
    expect_call("RequestReplicationStateChange(RequestedState=7) -> 4096");
    shell_run(&sh, "resume", "db", NULL);
    expect_call("RequestReplicationStateChange(RequestedState=3) -> 4096");
    shell_run(&sh, "resynchronise", "db", NULL);
    shell_expect(&sh, 0, "'db' and its replica are equal again.", NULL);
    g_autofree char *calls = fake_calls(door.fake);
    const char *pause = strstr(calls, "RequestReplicationStateChange(RequestedState=7) -> 4096"); /* it replicated */
    g_assert_nonnull(pause);
    g_assert_nonnull(strstr(pause, "Resynchronize(ComputerSystem="));
    shell_run(&sh, "resynchronise", "db", "--at", "2099-01-01T00:00:00Z", NULL);
    shell_expect(&sh, 0, "vmreplica jobs ", NULL); /* nobody waits for that */
    expect_call("Resynchronize(StartTime=2099");
    shell_run(&sh, "resynchronise", "db", "--cancel", NULL);
    shell_expect(&sh, 0, "was cancelled", NULL);
    expect_call("RequestReplicationStateChange(RequestedState=9) -> 4096");
    shell_run(&sh, "resynchronise", "db", "--cancel", "--at", "2099-01-01T00:00:00Z", NULL);
    shell_expect(&sh, 64, NULL, "exclude each other");
    shell_run(&sh, "disable", "db", NULL);
    expect_call("RemoveReplicationRelationship(ComputerSystem=");
}

static void
host_settings(void)
{
    shell_run(&sh, "server", NULL);
    shell_expect(&sh, 0, "Receiving replicas: no", NULL);
    shell_run(&sh, "server", "--enable", "--port", "9443", NULL);
    shell_expect(&sh, 0, "receives replicas now", NULL);
    shell_run(&sh, "server", "--json", NULL);
    json_t *answer = shell_json(&sh);
    g_assert_true(json_is_true(json_object_get(answer, "enabled")));
    g_assert_cmpint(number(answer, "port"), ==, 9443);
    json_decref(answer);
    shell_run(&sh, "server", "--port", "0", NULL);
    shell_expect(&sh, 64, NULL, "--port is 0 and must be 1 to 65535.");
    shell_run(&sh, "server", "--enable", "--disable", NULL);
    shell_expect(&sh, 64, NULL, "contradict");
    shell_run(&sh, "authorize", "add", "hosta.example", "--location", "/srv/replicas", NULL);
    shell_expect(&sh, 0, "may send replicas", NULL);
    shell_run(&sh, "authorize", NULL);
    shell_expect(&sh, 0, "hosta.example", NULL);
    shell_run(&sh, "authorize", "modify", "hosta.example", NULL);
    shell_expect(&sh, 64, NULL, "give --location or --group");
    shell_run(&sh, "authorize", "modify", "hosta.example", "--group", "north", NULL);
    shell_expect(&sh, 0, "was changed", NULL);
    shell_run(&sh, "authorize", "--json", NULL);
    json_t *entries = shell_json(&sh);
    g_assert_cmpstr(text(json_array_get(entries, 0), "trust_group"), ==, "north");
    g_assert_cmpstr(text(json_array_get(entries, 0), "location"), ==, "/srv/replicas");
    json_decref(entries);
    shell_run(&sh, "authorize", "remove", "hosta.example", NULL);
    shell_expect(&sh, 0, "no longer", NULL);
    shell_run(&sh, "authorize", "remove", "hosta.example", NULL);
    shell_expect(&sh, 6, NULL, "There is no entry");
    shell_run(&sh, "authorize", "add", "hosta.example", NULL);
    shell_expect(&sh, 0, "'/var/lib/vmreplica/replicas'", NULL);
}

static void
experts(void)
{
    shell_run(&sh, "query", "SELECT Name, ElementName FROM Msvm_ComputerSystem WHERE ProcessID = 4711", "--json", NULL);
    json_t *list = shell_json(&sh);
    g_assert_cmpuint(json_array_size(list), ==, 1);
    g_assert_cmpstr(text(json_array_get(list, 0), "ElementName"), ==, "web");
    json_decref(list);
    shell_run(&sh, "get", "Msvm_ComputerSystem", "Name=" WEB, NULL);
    shell_expect(&sh, 0, "ProcessID", NULL);
    shell_run(&sh, "get", "Msvm_ComputerSystem", "Name=nobody", NULL);
    shell_expect(&sh, 23, NULL, "There is no instance");
    shell_run(&sh, "query", "DELETE FROM x", NULL);
    shell_expect(&sh, 25, NULL, "SELECT");
    shell_run(&sh, "get", "Msvm_Nothing", NULL);
    shell_expect(&sh, 22, NULL, "There is no class");
}

static void
refusals(void)
{
    shell_run(&sh, "points", "nobody", NULL);
    shell_expect(&sh, 23, NULL, "There is no guest 'nobody' on this host. See vmreplica status.");
    shell_run(&sh, "points", "x' OR Name LIKE '%", NULL);
    shell_expect(&sh, 23, NULL, "There is no guest");
    shell_run(&sh, "points", NULL);
    shell_expect(&sh, 64, NULL, "An argument is missing");
    shell_run(&sh, "points", "a", "b", NULL);
    shell_expect(&sh, 64, NULL, "one argument too many");
    shell_run(&sh, "points", "--colour", NULL);
    shell_expect(&sh, 64, NULL, "--colour");
    shell_plain(&sh, "status", "--socket", "/nowhere/sock", NULL);
    shell_expect(&sh, 16, NULL, "Is vmreplicad running?");
    sh.input = "wrong\n";
    shell_plain(&sh, "status", "--plain", "--host", door.address, "--user", "boss", "--password-file", "-", NULL);
    shell_expect(&sh, 2, NULL, "does not let you in");
    sh.input = NULL;
    shell_plain(&sh, "status", "--host", "h:99999", NULL);
    shell_expect(&sh, 64, NULL, "is no port");
}

static void
unix_socket(void)
{
    if (getuid() != 0) {
        g_test_skip("only root is an administrator on the socket everywhere");
        return;
    }
    shell_plain(&sh, "status", "--socket", door.socket, NULL);
    shell_expect(&sh, 0, "web", NULL);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    xml_init();
    g_assert_cmpint(argc, ==, 3);
    sh.program = argv[1];
    manual_path = argv[2];
    open_door();
    g_test_add_func("/cli/help", help);
    g_test_add_func("/cli/status", status);
    g_test_add_func("/cli/space", space);
    g_test_add_func("/cli/churn", churn);
    g_test_add_func("/cli/points", points);
    g_test_add_func("/cli/keep", keep);
    g_test_add_func("/cli/failover", failover);
    g_test_add_func("/cli/boot-checks", boot_checks);
    g_test_add_func("/cli/after-failover", after_failover);
    g_test_add_func("/cli/watch", watch);
    g_test_add_func("/cli/enable", enable);
    g_test_add_func("/cli/modify", modify);
    g_test_add_func("/cli/states", states);
    g_test_add_func("/cli/host-settings", host_settings);
    g_test_add_func("/cli/experts", experts);
    g_test_add_func("/cli/refusals", refusals);
    g_test_add_func("/cli/unix-socket", unix_socket);
    int result = g_test_run();
    close_door();
    return result;
}
